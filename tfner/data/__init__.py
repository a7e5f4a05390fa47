"""Reads corpora and inputs: files, the Hugging Face hub and the embedded corpus in, a `Corpus` or a stream of sentences out.

Imports the ground and `tfner.demo`. `tfner.tagging`, `tfner.training`, `tfner.exports` and the verbs import it.
"""

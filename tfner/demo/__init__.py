"""The embedded corpus and encoder: a task or a folder in, a generated `Corpus` or a model folder out, without a network.

Imports the ground. `tfner.data` and `tfner.modeling` import it.
"""

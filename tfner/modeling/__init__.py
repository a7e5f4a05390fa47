"""Models and what they are given: `Sentence`s become rows of word pieces and batches; a variant turns piece ids into logits.

Takes `Config`, `LabelSet` and sentences; returns Keras models, label ids, and tags with their probabilities.
Imports the ground modules and `demo`; imported by `tagging`, `training`, `exports` and the commands.
"""

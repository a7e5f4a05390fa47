"""Exports: a trained model as a folder for TensorFlow Serving, transformers or ONNX Runtime, with a model card.

Takes a `TrainedModel` and returns functions that fill a folder, one `writer` for each format.
It may import everything up to `training`; the verbs train and export import it.
"""

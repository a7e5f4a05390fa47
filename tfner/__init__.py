"""tfner: fine-tune BERT-family encoders for token classification with TensorFlow, three ways, and serve them."""

__version__ = "0.1.0"

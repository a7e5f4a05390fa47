"""A tagger over an exported model: a SavedModel in a folder.

Takes the folder and loads the graph with TensorFlow; `exported` reads the files beside it. `exports` writes such folders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfner.contract import PIECES
from tfner.folder import load_saved_model, resolve
from tfner.tagging.exported import read_exported
from tfner.tagging.tagger import RowTagger

(PROBABILITIES,) = PIECES.outputs


class SavedModelTagger(RowTagger):
    """Tags with an exported model, through its signature `pieces`.

    Args:
        path: the folder of a version, or a folder of versions, whose highest is used.

    Raises:
        UserError: where there is no model, or its files are incomplete or damaged.
    """

    runtime = "tensorflow"

    def __init__(self, path: str | Path):
        folder = resolve(path)
        exported = read_exported(folder)
        super().__init__(exported.heads(), exported.config, str(folder))
        self.precision, self.weights = exported.precision, exported.weights
        self._model = load_saved_model(folder)  # its variables live as long as it does
        self._pieces = self._model.signatures[PIECES.name]

    def probabilities(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        self.check_open()
        outputs = self._pieces(input_ids=tf.constant(input_ids), attention_mask=tf.constant(attention_mask))
        return outputs[PROBABILITIES].numpy()

    def close(self) -> None:
        super().close()
        self._model = self._pieces = None

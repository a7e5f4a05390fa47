"""A tagger over an exported model: a SavedModel in a folder.

Takes the folder and reads the settings, the labels and the tokenizer from it. `exports` writes such folders.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tfner.contract import PIECES
from tfner.errors import UserError, one_line
from tfner.folder import EXTRA, LIMITS, TOKENIZER, load_saved_model, read_settings, resolve
from tfner.modeling.pretrained import load_tokenizer
from tfner.modeling.rows import make_row_encoder
from tfner.tagging.tagger import RowTagger
from tfner.terminal import quote

(PROBABILITIES,) = PIECES.outputs


class SavedModelTagger(RowTagger):
    """Tags with an exported model, through its signature `pieces`.

    Args:
        path: the folder of a version, or a folder of versions, whose highest is used.

    Raises:
        UserError: where there is no model, or its files are incomplete or damaged.
    """

    def __init__(self, path: str | Path):
        folder = resolve(path)
        extra = folder / EXTRA
        try:
            config, labels = read_settings(extra)
            limit = json.loads((extra / LIMITS).read_text("utf-8"))["max_pieces"]
        except UserError as error:
            raise UserError(error.message, folder) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"expected a complete tfner model, found a missing or damaged file ({one_line(error)}): export it again with "
                f"python -m tfner.export {quote(folder.parent)}",
                folder,
            ) from error
        super().__init__(make_row_encoder(load_tokenizer(str(extra / TOKENIZER)), labels, config, limit), config, str(folder))
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

"""The base of the taggers that need no TensorFlow: they run an export for another runtime.

Takes the folder of the export. Its subclasses load the graph; `exported` reads the files beside it.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfner.config import RUNTIMES
from tfner.errors import UserError, one_line
from tfner.folder import GRAPHS, export_again
from tfner.machine import usable_cores
from tfner.modeling.batches import PIECES_PER_BATCH, apply_to_rows
from tfner.modeling.decoding import softmax
from tfner.modeling.rows import Row
from tfner.tagging.exported import read_exported
from tfner.tagging.tagger import Progress, RowTagger

Logits = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Takes `input_ids` and `attention_mask`, int32, shape (batch, length), and returns logits, float32, shape (batch, length,
labels). Threads may call it at the same time."""

_BESIDE = 512
"""Rows with at least this many pieces together are divided into batches that are computed beside each other."""
_SHARES, _LEAST = 8, 256
"""Into how many batches, and how many pieces each has at least. As values of int8 depend on the batch, this does not follow
from the number of cores: every machine computes the same."""


def threads() -> int:
    """How many threads a runtime may use: `OMP_NUM_THREADS` where that is set, as Ray does, else the cores of this process."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return len(usable_cores())


class RuntimeTagger(RowTagger):
    """Tags with an export for another runtime.

    A batch alone is computed by all cores together. Of several batches, each core computes one at a time, which is faster, as
    the cores do not wait for each other: 30,000 instead of 24,700 words a second (OpenVINO, int8, a 6-layer encoder, 2 cores).

    Args:
        folder: the folder of the export, such as `saved_models/head/openvino/1`.

    Raises:
        UserError: where the runtime is not installed, or files are incomplete or damaged.
    """

    runtime: str

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        self.graph = folder / GRAPHS[self.runtime]
        """The file of the graph."""
        exported = read_exported(folder)
        super().__init__(exported.heads(), exported.config, str(folder))
        self.precision, self.weights, self.longest = exported.precision, exported.weights, exported.max_pieces
        self._loaded: dict[bool, tuple[Logits, int]] = {}  # by `beside`; the taggers of all tasks share it
        try:
            self._graph(beside=False)
        except ImportError as error:
            raise UserError(f"{RUNTIMES[self.runtime]} is not installed: pip install {error.name}", folder) from error
        except Exception as error:  # a damaged graph
            known = isinstance(error, (RuntimeError, OSError, ValueError))
            if not known and not type(error).__module__.startswith("onnxruntime"):  # whose errors have no base of their own
                raise
            raise UserError(
                f"{self.graph.name} cannot be loaded ({one_line(error)}): {export_again(folder)}", folder
            ) from error

    @abstractmethod
    def _load(self, beside: bool) -> tuple[Logits, int]:
        """Loads the graph.

        Args:
            beside: for batches that are computed beside each other, each by one core.

        Returns:
            What computes a batch, and how many batches it computes at a time.
        """

    def _graph(self, beside: bool) -> tuple[Logits, int]:
        """What `_load` returns, loaded once."""
        if beside not in self._loaded:
            self._loaded[beside] = self._load(beside)
        return self._loaded[beside]

    def probabilities(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        self.check_open()
        logits, _ = self._graph(beside=False)
        return self._softmax(logits(input_ids, attention_mask))

    def _softmax(self, logits: np.ndarray) -> np.ndarray:
        """The probabilities of the labels of each task, from the logits of all."""
        found = [softmax(logits[..., own]) for own in self.columns.values()]
        return found[0] if len(found) == 1 else np.concatenate(found, -1)

    def _run(self, rows: Sequence[Row], progress: Progress) -> list[np.ndarray]:
        total = sum(map(len, rows))
        if total < _BESIDE or len(rows) == 1:
            return super()._run(rows, progress)
        logits, number = self._graph(beside=True)
        pieces = min(PIECES_PER_BATCH, max(_LEAST, total // _SHARES + 1))
        pad_id = self.row_encoder.pad_id
        return apply_to_rows(lambda ids, mask: self._softmax(logits(ids, mask)), rows, pad_id, progress, number, pieces)

    def close(self) -> None:
        super().close()
        self._loaded = {}

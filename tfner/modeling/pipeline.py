"""The batches of a training as a `tf.data` pipeline.

Takes encoded rows; returns batches of int32 arrays, shape (batch, length), split for the replicas and parts that compute them.
Both dimensions are dynamic, so that a step is traced once for all batches. All `tf.data` pipelines are built here; which rows
share a batch is planned in `batches`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfner.labels import IGNORED_LABEL
from tfner.modeling.batches import pad, plan_training
from tfner.modeling.rows import Row

GRID_ROWS = 4
"""On a grid, parts of batches have a multiple of this many rows."""


@dataclass(frozen=True)
class Share:
    """What one process computes of every training batch, whose rows are split into `replicas * parts` parts of similar size.

    `replicas`: the replicas of all processes. `own`: the numbers of those of this process. `parts`: the parts that a replica
    computes one after the other in a step.
    """

    replicas: int = 1
    own: Sequence[int] = (0,)
    parts: int = 1


def training_batches(
    rows: Sequence[Row],
    batch_size: int,
    pad_id: int,
    seed: int,
    first: tuple[int, int] = (0, 0),
    share: Share = Share(),
    grid: int | None = None,
) -> tf.data.Dataset:
    """An endless dataset of the batches of `plan_training`, the first from step `first[1]` of epoch `first[0]`.

    Each element is what one replica computes in a step: the replicas of this process take turns. It is a dictionary of
    `parts`, one tuple (input_ids, attention_mask, labels, first row) each, padded to the length of the whole batch; `number`,
    the number of labels of the whole batch; and `seed`, uint64, for its dropout masks.

    `grid`: the longest row that the encoder takes, for parts of few different shapes: their length is a `grid_length`, and rows
    of padding are added up to a multiple of `GRID_ROWS`.
    """
    lengths = [len(row) for row in rows]

    def elements() -> Iterator[dict[str, Any]]:
        epoch, step = first
        while True:
            for number, batch in enumerate(plan_training(lengths, batch_size, pass_seed(seed, epoch))):
                if number >= step:
                    mask_seed = np.random.SeedSequence((seed, epoch, number)).generate_state(1, np.uint64)[0]
                    yield from _elements([rows[i] for i in batch], pad_id, mask_seed, share, grid)
            epoch, step = epoch + 1, 0

    array, scalar = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((), tf.int32)
    labels = tf.TensorSpec((None, None, *rows[0].labels.shape[1:]), tf.int32)
    signature = {
        "parts": ((array, array, labels, scalar),) * share.parts,
        "number": tf.TensorSpec((), tf.float32),
        "seed": tf.TensorSpec((), tf.uint64),
    }
    data = tf.data.Dataset.from_generator(elements, output_signature=signature)
    return data.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)).prefetch(2 * len(share.own))


def pass_seed(seed: int, epoch: int) -> int:
    """The seed of `plan_training` for one pass."""
    return seed * 1000 + epoch


def _elements(
    rows: Sequence[Row], pad_id: int, mask_seed: np.uint64, share: Share, grid: int | None
) -> Iterator[dict[str, Any]]:
    inputs, labels = pad(rows, pad_id, grid)
    number = np.float32((labels != IGNORED_LABEL).sum())
    arrays = list(zip((*inputs.values(), labels), (pad_id, 0, IGNORED_LABEL), strict=True))
    starts = np.linspace(0, len(rows), share.replicas * share.parts + 1).astype(np.int32)
    for replica in share.own:
        own = range(replica * share.parts, (replica + 1) * share.parts)
        cut = [[_more_rows(a[starts[i] : starts[i + 1]], value, grid) for a, value in arrays] for i in own]
        parts = tuple((*part, starts[i]) for part, i in zip(cut, own, strict=True))
        yield {"parts": parts, "number": number, "seed": mask_seed}


def _more_rows(array: np.ndarray, value: int, grid: int | None) -> np.ndarray:
    missing = -len(array) % GRID_ROWS if grid else 0
    more = ((0, missing), *[(0, 0)] * (array.ndim - 1))
    return np.pad(array, more, constant_values=value) if missing else array

"""Rows to padded batches of similar length, for training and for inference.

Takes encoded rows; returns `({"input_ids", "attention_mask"}, labels)`, all int32, shape (batch, length). Both dimensions are
dynamic, so that a step is traced once for all batches. All `tf.data` pipelines are built here; what a batch is used for is
left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfner.labels import IGNORED_LABEL
from tfner.modeling.rows import Row

POOL = 50
"""Batches per pool in training. The rows of a pool are sorted by length: larger pools need less padding, smaller ones shuffle
better."""

MAX_PIECES_RATIO = 3
"""The largest training batch in pieces, including padding, as a multiple of the mean batch of its pool."""

PIECES_PER_BATCH = 2048
"""The largest inference batch in word pieces, including padding."""


def plan_training(lengths: Sequence[int], batch_size: int, seed: int) -> list[np.ndarray]:
    """Groups the rows of one pass into shuffled batches of rows of similar length.

    Batches have a fixed number of rows, not pieces: batches of equal pieces lowered F1. On a tenth of CoNLL-2003, two epochs
    of `head` (seeds 0 and 1) gave test F1 0.634 and 0.625 with batches of 16 rows, and 0.402 and 0.603 with batches of as many
    pieces.

    The longest rows are the exception, because their batches would determine the peak memory of training: they form smaller
    batches, so that no batch of several rows holds more than `MAX_PIECES_RATIO` times the pieces of the mean batch of its pool.
    Only the batch of the pool's shortest rows may hold more, where no other batch is left to take some of them.

    Args:
        lengths: the length of every row in pieces.
        batch_size: rows per batch. Batches of the longest rows have fewer, and others a few more instead.
        seed: the seed of the shuffling.

    Returns:
        For every batch the numbers of its rows: `ceil(rows / batch_size)` batches, with every row in exactly one.
    """
    sizes = np.asarray(lengths)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(sizes))
    batches = []
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        pool = pool[np.argsort(-sizes[pool], kind="stable")]
        left = -(-len(pool) // batch_size)
        most = MAX_PIECES_RATIO * sizes[pool].sum() / left
        while left > 1 and -(-len(pool) // left) * sizes[pool[0]] > most:
            rows = max(1, int(most // sizes[pool[0]]))
            batches.append(pool[:rows])
            pool, left = pool[rows:], left - 1
        batches += np.array_split(pool, left)
    return [batches[i] for i in generator.permutation(len(batches))]


def plan_inference(lengths: Sequence[int], pieces: int = PIECES_PER_BATCH) -> list[np.ndarray]:
    """Groups rows into batches of at most `pieces` pieces, including padding, or of a single row.

    Rows are sorted by length, longest first, so that a lack of memory shows in the first batch. After the last full batch, the
    remaining rows form batches whose sizes are powers of two: TensorFlow on a CPU keeps about 0.8 MiB for every shape that it
    meets, and remainders of arbitrary size would add shapes for as long as there is text.

    Returns:
        For every batch the numbers of its rows, with every row in exactly one.
    """
    sizes = np.asarray(lengths)
    order = np.argsort(-sizes, kind="stable")
    found: list[np.ndarray] = []
    while len(order):
        rows = max(1, pieces // sizes[order[0]])
        if found and len(order) < rows:
            rows = 1 << len(order).bit_length() - 1
        found.append(order[:rows])
        order = order[rows:]
    return found


GRID_ROWS = 4
"""On a grid, parts of batches have a multiple of this many rows."""


def grid_length(length: int, most: int) -> int:
    """The smallest of 16, 24, 32, 48, 64, 96 ... (powers of two and one and a half times them) not below `length`, at most
    `most`. Of lengths spread evenly, a sixth is padding."""
    step = 16
    while step < length:
        if step + step // 2 >= length:
            return min(step + step // 2, most)
        step *= 2
    return min(step, most)


def pad(rows: Sequence[Row], pad_id: int, grid: int | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows as int32 arrays of shape (rows, longest row). Ids are padded with `pad_id`, the mask with 0, labels with -100.

    `grid`: the longest row that the encoder takes, for arrays whose length is a `grid_length`.
    """
    longest = max(map(len, rows))
    shape = (len(rows), longest if grid is None else grid_length(longest, grid))
    ids, mask = np.full(shape, pad_id, np.int32), np.zeros(shape, np.int32)
    labels = np.full(shape, IGNORED_LABEL, np.int32)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)], labels[i, : len(row)] = row.ids, 1, row.labels
    return {"input_ids": ids, "attention_mask": mask}, labels


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
    the labelled pieces of the whole batch; and `seed`, uint64, for its dropout masks.

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
    signature = {
        "parts": ((array, array, array, scalar),) * share.parts,
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
    return np.pad(array, ((0, missing), (0, 0)), constant_values=value) if missing else array


def apply_to_rows(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rows: Sequence[Row],
    pad_id: int,
    progress: Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]] = iter,
) -> list[np.ndarray]:
    """Calls `function(input_ids, attention_mask)` on the batches of `plan_inference`.

    Args:
        function: takes int32 arrays of shape (batch, length), returns an array of shape (batch, length, ...).
        rows: the rows.
        pad_id: the piece id of padding.
        progress: wraps the iteration over batches, for example with a progress bar.

    Returns:
        For every row, in order, an array of shape (the row's length, ...).
    """
    results: list[np.ndarray] = [np.empty(0)] * len(rows)
    for numbers in progress(plan_inference([len(row) for row in rows])):
        inputs, _ = pad([rows[i] for i in numbers], pad_id)
        values = np.asarray(function(inputs["input_ids"], inputs["attention_mask"]))
        for i, value in zip(numbers, values, strict=True):
            results[i] = value[: len(rows[i])]
    return results

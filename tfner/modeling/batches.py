"""Batches: rows of pieces to padded tensors, grouped by length; the only place where `tf.data` pipelines are built.

In go encoded rows, out come `({"input_ids", "attention_mask"}, labels)` of int32, shape (batch, length), both dimensions
dynamic, so that one trace of a step serves every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfner.labels import IGNORED_LABEL
from tfner.modeling.rows import Row

POOL = 50
"""Batches that are sorted by length together in training: larger pools pad less, smaller ones shuffle better."""

MAX_PIECES_RATIO = 3
"""Most pieces of a batch of training, padding included, as a multiple of the mean of its pool."""

PIECES_PER_BATCH = 2048
"""Word pieces, padding included, that go through a model together outside of training."""


def plan_training(lengths: Sequence[int], batch_size: int, seed: int) -> list[np.ndarray]:
    """Which rows form which batch of a pass, shuffled with a seed; rows of about the same length stand together.

    Batches are of rows, not of pieces: as many short rows as hold the pieces of a few long ones are too much of one kind. On
    a tenth of CoNLL-2003, two epochs of `head` (seeds 0 and 1) gave test F1 0.634 and 0.625 with batches of 16 rows, and
    0.402 and 0.603 with batches of as many pieces. The longest rows alone, whose batches would decide how much memory
    training takes, stand in smaller ones: none of several rows holds more than `MAX_PIECES_RATIO` times the pieces of the mean
    batch of its pool, but for the batch of a pool's shortest rows where no other is left to take some.

    Args:
        lengths: the length of every row in pieces.
        batch_size: rows per batch: fewer for the longest rows, one or a few more for others in their place.
        seed: of the shuffling.

    Returns:
        For every batch the numbers of its rows; every row is in exactly one. There are `ceil(rows / batch_size)` batches.
    """
    lengths = np.asarray(lengths)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        left = -(-len(pool) // batch_size)
        most = MAX_PIECES_RATIO * lengths[pool].sum() / left
        while left > 1 and -(-len(pool) // left) * lengths[pool[0]] > most:
            rows = max(1, int(most // lengths[pool[0]]))
            batches.append(pool[:rows])
            pool, left = pool[rows:], left - 1
        batches += np.array_split(pool, left)
    return [batches[i] for i in generator.permutation(len(batches))]


def plan_inference(lengths: Sequence[int], pieces: int = PIECES_PER_BATCH) -> list[np.ndarray]:
    """Rows sorted by length, longest first (so that memory runs short at once or never), in runs of at most `pieces`, padding
    included, or of one row.

    What is left after whole runs goes in powers of two: TensorFlow on a CPU keeps about 0.8 MiB for every shape that it meets,
    and rests of any number of rows would bring new shapes for as long as there is text.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable")
    found: list[np.ndarray] = []
    while len(order):
        rows = max(1, pieces // lengths[order[0]])
        if found and len(order) < rows:
            rows = 1 << len(order).bit_length() - 1
        found.append(order[:rows])
        order = order[rows:]
    return found


def pad(rows: Sequence[Row], pad_id: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows as arrays of int32, shape (rows, longest row): ids filled up with `pad_id`, mask with 0, labels with -100."""
    shape = (len(rows), max(map(len, rows)))
    ids, mask = np.full(shape, pad_id, np.int32), np.zeros(shape, np.int32)
    labels = np.full(shape, IGNORED_LABEL, np.int32)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)], labels[i, : len(row)] = row.ids, 1, row.labels
    return {"input_ids": ids, "attention_mask": mask}, labels


def training_batches(rows: Sequence[Row], batch_size: int, pad_id: int, seed: int) -> tf.data.Dataset:
    """An endless dataset of shuffled batches, each pass over the rows in an order of its own drawn from `seed`.

    One pass has `ceil(len(rows) / batch_size)` batches.
    """
    lengths = [len(row) for row in rows]

    def batches() -> Iterator:
        epoch = 0
        while True:
            for numbers in plan_training(lengths, batch_size, seed * 1000 + epoch):
                yield pad([rows[i] for i in numbers], pad_id)
            epoch += 1

    array = tf.TensorSpec((None, None), tf.int32)
    signature = ({"input_ids": array, "attention_mask": array}, array)
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)


def apply_to_rows(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rows: Sequence[Row],
    pad_id: int,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[np.ndarray]:
    """Calls `function(input_ids, attention_mask)` on `runs` of rows and returns its values in the rows' order.

    Returns:
        For every row an array of shape (the row's length, ...).
    """
    results: list[np.ndarray] = [np.empty(0)] * len(rows)
    for numbers in progress(plan_inference([len(row) for row in rows])):
        inputs, _ = pad([rows[i] for i in numbers], pad_id)
        values = np.asarray(function(inputs["input_ids"], inputs["attention_mask"]))
        for i, value in zip(numbers, values, strict=True):
            results[i] = value[: len(rows[i])]
    return results

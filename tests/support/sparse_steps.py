"""Steps of the optimizer with embedding tables on several virtual processors: `python -m support.sparse_steps DEVICES FILE`.

Every step gives each replica slices of some rows, in part the same ones; one device gets all slices. The weights and the state
of the optimizer are written to FILE (npz).
"""

from __future__ import annotations

import sys

import numpy as np

from support.jobs import split_processor

ROWS, WIDTH, STEPS = 11, 5, 6


def slices(step: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and a gradient for each: 7 pieces, of which the first 3 are those of the first replica."""
    generator = np.random.default_rng(step)
    return generator.integers(0, ROWS - 2, 7), generator.normal(0, 1, (7, WIDTH)).astype(np.float32)


def main(devices: int, file: str) -> None:
    split_processor(devices)
    import tensorflow as tf

    from tfner.training.optimizers import AdamW

    names = [f"CPU:{n}" for n in range(devices)]
    strategy = tf.distribute.MirroredStrategy(names) if devices > 1 else tf.distribute.get_strategy()
    with strategy.scope():
        table = tf.Variable(np.random.default_rng(9).normal(0, 1, (ROWS, WIDTH)).astype(np.float32))
        dense = tf.Variable(np.ones((WIDTH, 3), np.float32))
        optimizer = AdamW(0.05, weight_decay=0.1, new_variables=[dense], new_factor=3.0)
        optimizer.build([table, dense])

    @tf.function
    def step(rows, values):
        def replica():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            own = tf.range(7) < 3
            own = tf.ones(7, tf.bool) if devices == 1 else tf.equal(own, tf.equal(number, 0))
            sparse = tf.IndexedSlices(tf.boolean_mask(values, own), tf.boolean_mask(rows, own), tf.constant([ROWS, WIDTH]))
            share = tf.reduce_sum(tf.boolean_mask(values, own), 0)[:, None] * tf.ones((1, 3))
            optimizer.apply_gradients([(sparse, table), (share, dense)])
            return optimizer.norm

        return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(replica), axis=None)

    norms = [float(step(*map(tf.constant, slices(number)))) for number in range(STEPS)]
    state = [variable.numpy() for variable in optimizer.variables]
    np.savez(file, norms, table.numpy(), dense.numpy(), *state)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

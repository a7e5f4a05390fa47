import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

from tfner.labels import IGNORED_LABEL
from tfner.modeling.losses import (
    MaskedAccuracy,
    MaskedCrossentropy,
    accuracies_of_one_class,
    counted_right,
    summed_crossentropy,
)
from tfner.modeling.rows import Row


def by_hand(labels, logits):
    """The sum of crossentropies, the number of right positions and of counted ones, in a loop in float64."""
    total, right, number = 0.0, 0, 0
    for row_labels, row_logits in zip(labels, logits, strict=True):
        for label, values in zip(row_labels, row_logits, strict=True):
            if label == -100:
                continue
            values = np.asarray(values, np.float64)
            exponentials = np.exp(values - values.max())
            total -= np.log(exponentials[label] / exponentials.sum())
            right += int(np.argmax(values) == label)
            number += 1
    return total, right, number


def test_the_labels_of_several_tasks_are_summed():
    (one, own), (other, more) = ragged_batch(1), ragged_batch(2, classes=3)
    columns = slice(0, 5), slice(5, 8)
    labels, logits = np.stack([one, other], -1), np.concatenate([own, more], -1)
    total, number = summed_crossentropy(labels, logits, columns)
    expected = np.add(by_hand(one, own), by_hand(other, more))
    assert [float(total), float(counted_right(labels, logits, columns)), float(number)] == pytest.approx(expected, rel=1e-5)


def ragged_batch(seed, rows=4, longest=9, classes=5, spread=4.0):
    """Labels and logits of rows of different lengths. Some pieces within the rows are ignored, too."""
    generator = np.random.default_rng(seed)
    labels = np.full((rows, longest), IGNORED_LABEL, np.int32)
    for i, length in enumerate(generator.integers(1, longest + 1, rows)):
        labels[i, :length] = generator.integers(0, classes, length)
        labels[i, :length][generator.random(length) < 0.3] = IGNORED_LABEL
    return labels, generator.normal(0, spread, (rows, longest, classes)).astype(np.float32)


def metric_value(metric, *batches):
    for labels, logits in batches:
        metric.update_state(labels, logits)
    return float(metric.result())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 12), st.integers(1, 7))
def test_loss_and_accuracy_equal_a_loop_over_positions(seed, rows, longest, classes):
    labels, logits = ragged_batch(seed, rows, longest, classes)
    total, right, number = by_hand(labels, logits)
    number = number or 1
    assert float(MaskedCrossentropy()(labels, logits)) == pytest.approx(total / number, rel=1e-5, abs=1e-6)
    assert metric_value(MaskedAccuracy(), (labels, logits)) == pytest.approx(right / number, rel=1e-6)


@pytest.mark.parametrize("fill", [0.0, 1e4, -1e4, np.nan, np.inf])
def test_the_logits_of_padding_change_nothing(fill):
    labels, logits = ragged_batch(1)
    wider_labels = np.pad(labels, ((0, 2), (0, 5)), constant_values=IGNORED_LABEL)
    wider_logits = np.pad(logits, ((0, 2), (0, 5), (0, 0)), constant_values=fill)
    for measure in (MaskedCrossentropy(), lambda *b: metric_value(MaskedAccuracy(), b)):
        assert float(measure(wider_labels, wider_logits)) == pytest.approx(float(measure(labels, logits)), rel=1e-6)


def test_padding_has_no_gradient_and_does_not_change_other_gradients():
    labels, logits = ragged_batch(2)
    wide = tf.Variable(np.pad(logits, ((0, 0), (0, 3), (0, 0)), constant_values=2.0))
    narrow = tf.Variable(logits)
    with tf.GradientTape(persistent=True) as tape:
        loss_wide = MaskedCrossentropy()(np.pad(labels, ((0, 0), (0, 3)), constant_values=IGNORED_LABEL), wide)
        loss_narrow = MaskedCrossentropy()(labels, narrow)
    wide, narrow = tape.gradient(loss_wide, wide).numpy(), tape.gradient(loss_narrow, narrow).numpy()
    np.testing.assert_allclose(wide[:, :9], narrow, atol=1e-7)
    assert (wide[:, 9:] == 0).all()
    assert (narrow[labels == IGNORED_LABEL] == 0).all()
    assert (np.abs(narrow[labels != IGNORED_LABEL]).sum(-1) > 0).all()


def test_a_batch_without_labels_gives_zero_and_zero_gradients():
    labels, logits = np.full((2, 3), IGNORED_LABEL), tf.Variable(np.random.default_rng(0).normal(size=(2, 3, 4)))
    with tf.GradientTape() as tape:
        loss = MaskedCrossentropy()(labels, logits)
    assert float(loss) == 0
    assert (tape.gradient(loss, logits).numpy() == 0).all()
    assert metric_value(MaskedAccuracy(), (labels, logits)) == 0
    assert float(MaskedAccuracy().result()) == 0


def test_accuracy_over_batches_of_unequal_size_counts_positions_not_batches():
    batches = [ragged_batch(seed, rows, longest) for seed, rows, longest in ((1, 1, 2), (2, 6, 9), (3, 2, 4))]
    sums = np.sum([by_hand(*b) for b in batches], axis=0)
    assert metric_value(MaskedAccuracy(), *batches) == pytest.approx(sums[1] / sums[2], rel=1e-6)
    mean_of_batches = np.mean([by_hand(*b)[1] / by_hand(*b)[2] for b in batches])
    assert abs(mean_of_batches - sums[1] / sums[2]) > 0.02  # the mean over batches is clearly different


def test_a_metric_is_empty_after_a_reset():
    metric = MaskedAccuracy()
    metric_value(metric, ragged_batch(1))
    metric.reset_state()
    labels, logits = ragged_batch(2)
    _, right, number = by_hand(labels, logits)
    assert metric_value(metric, (labels, logits)) == pytest.approx(right / number)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_logits_are_summed_in_float32(dtype):
    labels, logits = ragged_batch(5, rows=64, longest=64)
    logits = tf.cast(logits, dtype)
    total, right, number = by_hand(labels, tf.cast(logits, tf.float32).numpy())
    loss = MaskedCrossentropy()(labels, logits)
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(total / number, rel=1e-5)
    assert metric_value(MaskedAccuracy(), (labels, logits)) == pytest.approx(right / number, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_labels_may_be_of_any_number_type(dtype):
    labels, logits = ragged_batch(6)
    total, _, number = by_hand(labels, logits)
    assert float(MaskedCrossentropy()(labels.astype(dtype), logits)) == pytest.approx(total / number, rel=1e-5)


def test_large_logits_stay_finite():
    labels, logits = np.array([[0, 1]]), np.array([[[0.0, 3e4], [0.0, 3e4]]], np.float32)
    assert float(MaskedCrossentropy()(labels, logits)) == pytest.approx(1.5e4)


def test_sample_weights_are_refused():
    with pytest.raises(ValueError, match="no sample weights"):
        MaskedCrossentropy()(*ragged_batch(1), sample_weight=np.ones(4))


def test_fit_and_evaluate_of_keras_report_the_accuracy_of_the_loop():
    inputs = keras.Input((None,), dtype=tf.int32)
    model = keras.Model(inputs, keras.layers.Embedding(11, 5)(inputs))
    model.compile(keras.optimizers.SGD(0.0), MaskedCrossentropy(), metrics=[MaskedAccuracy()])
    generator = np.random.default_rng(3)
    batches = []
    for seed, rows, longest in ((1, 1, 2), (2, 6, 9), (3, 2, 4)):
        labels, _ = ragged_batch(seed, rows, longest)
        batches.append((generator.integers(0, 11, labels.shape), labels))
    spec = (tf.TensorSpec((None, None), tf.int32),) * 2
    data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=spec)
    sums = np.sum([by_hand(labels, model(ids).numpy()) for ids, labels in batches], axis=0)
    for logs in (model.fit(data, verbose=0).history, model.evaluate(data, verbose=0, return_dict=True)):
        assert np.ravel(logs["masked_accuracy"])[0] == pytest.approx(sums[1] / sums[2], rel=1e-6)


def test_stock_accuracy_counts_padding_that_is_labelled_0_as_right():
    """The two sentences of Figure 5 of the study, and a model that predicts class 0 everywhere, as its models 2 and 3 do."""
    rows = [[-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100], [-100, 1, 2, -100]]
    for length, stock_value in ((12, 19 / 24), (128, 251 / 256)):
        labels = np.full((2, length), IGNORED_LABEL)
        for i, row in enumerate(rows):
            labels[i, : len(row)] = row
        logits = np.zeros((2, length, 9), np.float32)
        logits[..., 0] = 1.0
        stock = keras.metrics.SparseCategoricalAccuracy()
        stock.update_state(np.where(labels == IGNORED_LABEL, 0, labels), logits)
        assert metric_value(MaskedAccuracy(), (labels, logits)) == pytest.approx(7 / 12)
        assert float(stock.result()) == pytest.approx(stock_value)


@pytest.mark.parametrize(
    ("label", "length", "stock", "masked"), [(0, 12, 19, 7), (0, 128, 251, 7), (7, 12, 14, 2), (0, 3, 11, 7)]
)
def test_a_model_of_one_class_has_a_stock_accuracy_that_grows_with_padding(label, length, stock, masked):
    """Numbers of right positions for the two sentences of Figure 5 of the study, counted by hand."""
    sentences = [[-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100], [-100, 1, 2, -100]]
    unused = np.zeros(0, np.int32)
    rows = [Row(np.array(labels), np.array(labels), unused, unused, unused) for labels in sentences]
    positions = sum(max(length, len(labels)) for labels in sentences)
    assert accuracies_of_one_class(rows, label, length) == {
        "stock accuracy, padding counted as right": pytest.approx(stock / positions),
        "masked accuracy": pytest.approx(masked / 12),
    }


def test_loss_and_accuracy_are_restored_from_their_configs():
    for one in (MaskedCrossentropy("a"), MaskedAccuracy("b")):
        assert type(one).from_config(one.get_config()).get_config() == one.get_config()


DISTRIBUTED = """
    import json
    import sys
    import numpy as np
    import tensorflow as tf
    import tf_keras as keras
    from tfner.modeling.losses import MaskedAccuracy, MaskedCrossentropy
    from tfner.training.optimizers import AdamW

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

    rows = [[-100, 3, 0, 2, 1, 1, 0, -100], [-100, 1, 2, -100, -100, -100, -100, -100], [-100] * 8]
    labels = np.array(rows + rows[:1] + rows[2:] + rows[1:2], np.int32)  # two steps of three rows
    ids = np.random.default_rng(0).integers(0, 13, labels.shape).astype(np.int32)
    data = tf.data.Dataset.from_tensor_slices((ids, labels)).batch(3)

    def trained(strategy, clip):
        with strategy.scope():
            keras.utils.set_random_seed(4)
            inputs = keras.Input((None,), dtype=tf.int32)
            hidden = keras.layers.Dense(6, "tanh", name="dense")(keras.layers.Embedding(13, 7)(inputs))
            model = keras.Model(inputs, keras.layers.Dense(4, name="new")(hidden))
            optimizer = AdamW(
                keras.optimizers.schedules.PolynomialDecay(0.05, 5), weight_decay=0.1, global_clipnorm=clip,
                new_variables=model.get_layer("new").trainable_variables, new_factor=3.0,
            )
            model.compile(optimizer, MaskedCrossentropy(), metrics=[MaskedAccuracy()])
        history = model.fit(data, epochs=2, shuffle=False, verbose=0).history
        return [w.tolist() for w in model.get_weights()], history

    def gradients(strategy):
        with strategy.scope():
            keras.utils.set_random_seed(4)
            model = keras.Sequential([keras.layers.Embedding(13, 7), keras.layers.Dense(4)])
            model.build((None, None))

        def replica_step(ids, labels):
            with tf.GradientTape() as tape:
                loss = MaskedCrossentropy()(labels, model(ids)) / strategy.num_replicas_in_sync
            found = [tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_variables)]
            return tf.distribute.get_replica_context().all_reduce("sum", found)

        @tf.function
        def step(batch):
            return strategy.run(replica_step, batch)

        batch = next(iter(strategy.experimental_distribute_dataset(data)))
        return [strategy.experimental_local_results(g)[0].numpy().tolist() for g in step(batch)]

    one = tf.distribute.get_strategy()
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert two.num_replicas_in_sync == 2
    results = {"gradients": [gradients(one), gradients(two)]}
    for clip in (None, 0.05):
        results[f"trained {clip}"] = [trained(one, clip), trained(two, clip)]
    json.dump(results, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def distributed(tmp_path_factory):
    """The same steps on one device and on two replicas, whose rows have 8 and 0 or 2 and 6 counted positions.

    They run in a process of their own, because a device is split before TensorFlow starts.
    """
    import json

    file = tmp_path_factory.mktemp("distributed") / "results.json"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DISTRIBUTED), str(file)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(Path(file).read_text())


@pytest.mark.slow
def test_gradients_on_two_uneven_replicas_equal_those_on_one_device(distributed):
    one, two = distributed["gradients"]
    for a, b in zip(one, two, strict=True):
        assert np.abs(a).max() > 1e-3
        np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["None", "0.05"])
def test_training_on_two_uneven_replicas_equals_training_on_one_device(distributed, clip):
    (one, one_history), (two, two_history) = distributed[f"trained {clip}"]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    np.testing.assert_allclose(one_history["masked_accuracy"], two_history["masked_accuracy"], rtol=1e-6)

"""A step: its gradients, its sums, its parts, its repetition and its precision."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from support import tiny

from tfner.config import Config
from tfner.labels import IGNORED_LABEL
from tfner.modeling.layers import dropout_masks
from tfner.modeling.losses import MaskedCrossentropy
from tfner.modeling.pipeline import Share, training_batches
from tfner.modeling.rows import Row
from tfner.modeling.variants import build_model, new_variables
from tfner.training.optimizers import AdamW
from tfner.training.step import train_step

LABELS = 5
LENGTHS = [5, 3, 9, 3, 8, 1, 7, 7, 2, 4, 6]


def some_rows(lengths=LENGTHS):
    generator, rows = np.random.default_rng(4), []
    for length in lengths:
        ids, labels = generator.integers(5, len(tiny.PIECES), length), generator.integers(0, LABELS, length)
        labels[1:][generator.random(length - 1) < 0.3] = IGNORED_LABEL
        unused = np.zeros(length, np.int32)
        rows.append(Row(ids.astype(np.int32), labels.astype(np.int32), unused, unused, np.ones(length, bool)))
    return rows


ROWS = some_rows()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Models of a BERT of one layer by precision and rate of dropout, all with the same weights at first."""
    folder = tiny.model_folder(tmp_path_factory.mktemp("encoder"), "bert", num_hidden_layers=1)
    models = {}

    def get(precision="float32", rate=0.2):
        if (precision, rate) not in models:
            models[precision, rate] = build_model("finetune", str(folder), LABELS, Config(precision=precision))
        model = models[precision, rate]
        for layer in model.submodules:
            if hasattr(layer, "rate"):
                layer.rate = rate
        tiny.scatter(model, 3)
        return model

    return get


def smooth(model, **options):
    """An optimizer whose change of a weight hardly depends on the rounding of gradients near 0."""
    options = {"epsilon": 1e-3, "new_variables": new_variables(model), "new_factor": 4.0} | options
    return AdamW(0.01, 0.1, **options)


def linear():
    """An optimizer that subtracts the gradient."""
    return AdamW(1e6, 0.0, beta_1=0.0, beta_2=0.0, epsilon=1e6, global_clipnorm=None)


def taken(model, optimizer, steps, batch_size=4, rows=ROWS, parts=1, first=(0, 0)):
    """Takes steps; returns their results, and the weights afterwards by name."""
    optimizer.build(model.trainable_variables)
    step = train_step(model, optimizer, tf.distribute.get_strategy())
    batches = iter(training_batches(rows, batch_size, 0, 6, first, Share(parts=parts)))
    return [step(batches, False) for _ in range(steps)], values(model)


def values(model):
    """The weights by name, without the name of transformers' model, which is numbered."""
    return {re.sub("^tf_[^/]*/", "", v.name): v.numpy() for v in model.trainable_variables}


def assert_near(found, expected, atol):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=atol, rtol=0, err_msg=name)


def assert_equal(found, expected):
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def whole_batches(number, batch_size=4, rows=ROWS):
    """The batches of the steps: ids, mask, labels and the seed of the masks."""
    for element in training_batches(rows, batch_size, 0, 6).take(number):
        ids, mask, labels, _ = element["parts"][0]
        yield {"input_ids": ids, "attention_mask": mask}, labels, element["seed"]


@pytest.mark.parametrize("rate", [0.0, 0.2])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_step_has_the_gradients_of_the_mean_over_the_labelled_pieces(built, rate, parts):
    model = built(rate=rate)
    [(inputs, labels, seed)] = whole_batches(1)
    with dropout_masks(seed, 0, tf.shape(labels)[0]), tf.GradientTape() as tape:
        loss = MaskedCrossentropy()(labels, model(inputs, training=True))
    gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, model.trainable_variables)]
    before = values(model)
    [result], after = taken(model, linear(), 1, parts=parts)
    assert sum(np.abs(g).max() > 1e-3 for g in gradients) > 10
    for (name, value), gradient in zip(before.items(), gradients, strict=True):
        np.testing.assert_allclose(value - after[name], gradient, atol=2e-6, err_msg=name)
    assert result.norm == pytest.approx(np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients)), rel=1e-5)
    assert result.loss / result.number == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.slow
def test_steps_equal_those_of_keras(built):
    model = built(rate=0.0)
    _, own = taken(model, smooth(model), 3)
    model = built(rate=0.0)
    model.compile(smooth(model), MaskedCrossentropy())
    array = tf.TensorSpec((None, None), tf.int32)
    data = tf.data.Dataset.from_generator(
        lambda: ((inputs, labels) for inputs, labels, _ in whole_batches(3)),
        output_signature=({"input_ids": array, "attention_mask": array}, array),
    )
    model.fit(data, verbose=0)
    assert_near(own, values(model), 1e-5)


def test_a_step_returns_the_sums_of_its_batch_before_the_update(built):
    model = built(rate=0.0)
    found, _ = taken(model, AdamW(0.0), 3)  # without changes of the weights, all batches see the same model
    for result, (inputs, labels, _) in zip(found, whole_batches(3), strict=True):
        logits, labels = model(inputs).numpy().astype(np.float64), labels.numpy()
        shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        places = [(i, j) for i, j in np.ndindex(labels.shape) if labels[i, j] != IGNORED_LABEL]
        assert result.number == len(places)
        assert result.right == sum(logits[p].argmax() == labels[p] for p in places)
        assert result.loss == pytest.approx(-sum(np.log(shares[(*p, labels[p])]) for p in places), rel=1e-5)
        assert result.stops is False
    assert len({r.right / r.number for r in found}) > 1


@pytest.mark.slow
@pytest.mark.parametrize(("parts", "batch_size"), [(2, 4), (3, 4), (5, 3)])
def test_steps_in_parts_equal_those_of_whole_batches_with_dropout(built, parts, batch_size):
    steps = -(-len(ROWS) // batch_size) + 1
    model = built()
    before = values(model)
    whole, expected = taken(model, smooth(model), steps, batch_size)
    model = built()
    found, weights = taken(model, smooth(model), steps, batch_size, parts=parts)
    assert_near(weights, expected, 2e-5)
    for a, b in zip(found, whole, strict=True):
        assert (a.right, a.number, a.stops) == (b.right, b.number, b.stops)
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
        assert a.norm == pytest.approx(b.norm, rel=1e-4)
    [table] = [name for name in expected if "word_embeddings" in name]
    used = {int(i) for row in ROWS for i in row.ids} | {0}  # 0 pads
    changed = set(np.flatnonzero((weights[table] != before[table]).any(1)).tolist())
    assert changed == used and len(used) < len(weights[table])


def test_the_result_says_whether_the_process_is_to_stop(built):
    model = built(rate=0.0)
    optimizer = smooth(model)
    optimizer.build(model.trainable_variables)
    step = train_step(model, optimizer, tf.distribute.get_strategy())
    batches = iter(training_batches(ROWS, 4, 0, 6))
    assert [step(batches, stop).stops for stop in (False, True, False)] == [False, True, False]


@pytest.mark.slow
def test_the_same_steps_are_bit_equal(built):
    runs = []
    for _ in range(2):
        model = built()
        runs.append(taken(model, smooth(model), 3))
    assert runs[0][0] == runs[1][0]
    assert_equal(runs[1][1], runs[0][1])


@pytest.mark.slow
def test_steps_after_a_checkpoint_are_bit_equal_to_uninterrupted_ones(built, tmp_path):
    model = built()
    results, expected = taken(model, smooth(model), 5)
    model, optimizer = built(), smooth(built())
    begun, _ = taken(model, optimizer, 2)
    path = tf.train.Checkpoint(model=model, optimizer=optimizer).save(str(tmp_path / "state"))
    model, optimizer = built(), smooth(built())
    optimizer.build(model.trainable_variables)
    tf.train.Checkpoint(model=model, optimizer=optimizer).restore(path).assert_existing_objects_matched()
    ended, weights = taken(model, optimizer, 3, first=(0, 2))
    assert [*begun, *ended] == results
    assert_equal(weights, expected)


def test_a_step_of_a_loss_that_is_not_finite_changes_nothing_and_says_so(built):
    model = built()
    kernel = model.trainable_variables[-2]
    kernel.assign(tf.where(tf.range(kernel.shape[0])[:, None] == 1, np.nan, kernel))
    before = values(model)
    [result], after = taken(model, smooth(model), 1)
    assert np.isnan(result.loss) and not np.isfinite(result.norm)
    assert_equal(after, before)


def scaled(model, scale=2.0**10):
    return keras.mixed_precision.LossScaleOptimizer(smooth(model), initial_scale=scale)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
def test_steps_in_float16_with_scaled_losses_are_near_those_in_float32(built, parts):
    exact = built()
    before = values(exact)
    results, expected = taken(exact, smooth(exact), 3)
    model = built("float16")
    found, weights = taken(model, scaled(model), 3, parts=parts)
    moved = {name: value - before[name] for name, value in expected.items()}
    assert max(np.abs(m).max() for m in moved.values()) > 0.02
    for name, move in moved.items():
        difference = weights[name] - before[name] - move
        assert np.sqrt(np.mean(difference**2)) < 0.05 * np.sqrt(np.mean(move**2)) + 1e-5, name
    for a, b in zip(found, results, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=0.01) and a.number == b.number
        assert a.norm == 0


def test_an_overflow_in_float16_skips_the_step_and_halves_the_scale(built):
    model = built("float16")
    before, optimizer = values(model), scaled(model, 2.0**60)
    [result], after = taken(model, optimizer, 1)
    assert_equal(after, before)
    assert float(optimizer.loss_scale) == 2.0**59
    assert np.isfinite(result.loss) and result.norm == 0

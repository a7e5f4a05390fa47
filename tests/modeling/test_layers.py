import math
import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from support import tiny

from tfner.config import VARIANTS, Config
from tfner.modeling import layers
from tfner.modeling.layers import Dropout, Stack, attention, dropout, dropout_masks, gelu, layer_norm
from tfner.modeling.variants import ENCODER, build_model, for_inference, logits_function

LABELS = 5
STACKED = ("bert", "electra", "roberta", *tiny.LIKE_ROBERTA)


def normal(*shape, seed=0, scale=1.0):
    return tf.constant(np.random.default_rng(seed).normal(0, scale, shape), tf.float32)


def value_and_gradients(function, inputs):
    """The value of a function, and the gradients of a weighted sum of it."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
        total = tf.reduce_sum(value * normal(*value.shape, seed=9))
    return value, tape.gradient(total, inputs)


def assert_same(one, other, tolerance=1e-5):
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        a, b = tf.convert_to_tensor(a).numpy(), tf.convert_to_tensor(b).numpy()
        np.testing.assert_allclose(a, b, atol=tolerance * max(1, np.abs(b).max()))


# The stack and transformers' own layers


def logits_and_gradients(model, inputs, training):
    with tf.GradientTape() as tape:
        logits = model(inputs, training=training)
        loss = tf.reduce_mean((logits * tf.cast(inputs["attention_mask"][..., None], tf.float32)) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    return logits, {
        own_name(v.name): tf.convert_to_tensor(g) for v, g in zip(model.trainable_variables, gradients, strict=True)
    }


def own_name(name):
    """A variable's name without the name of transformers' model, which is numbered."""
    return re.sub("^tf_[^/]*/", "", name)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["bert", "electra", "roberta"])
def test_a_stack_has_the_logits_and_gradients_of_transformers_layers(encoder_folder, monkeypatch, kind, variant):
    folder = encoder_folder(kind, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    settings = Config(variant=variant, dropout=0.0)
    own = build_model(variant, str(folder), LABELS, settings)
    monkeypatch.setattr(layers, "STACKS", ())
    theirs = build_model(variant, str(folder), LABELS, settings)
    weights = {own_name(v.name): v for v in own.weights}
    assert set(weights) == {own_name(v.name) for v in theirs.weights} and len(weights) == len(own.weights)
    for variable in theirs.weights:
        variable.assign(weights[own_name(variable.name)])
    assert isinstance(own.get_layer(ENCODER).encoder, Stack) and not isinstance(theirs.get_layer(ENCODER).encoder, Stack)
    ids, mask = tiny.random_inputs([7, 12, 3], own.get_layer(ENCODER).config.vocab_size)
    inputs = {"input_ids": ids, "attention_mask": mask}
    for training in (False, True):
        (logits, gradients), (expected, wanted) = (logits_and_gradients(m, inputs, training) for m in (own, theirs))
        assert_same(logits, expected)
        assert_same([gradients[name] for name in wanted], list(wanted.values()))
        assert np.mean([np.abs(g.numpy()).max() > 1e-6 for g in wanted.values()]) > 0.8


@pytest.mark.parametrize("kind", STACKED)
def test_classes_whose_layers_compute_the_same_are_replaced_by_a_stack(tmp_path, kind):
    from transformers import AutoConfig

    AutoConfig.for_model(kind, **{**tiny.SIZES.get(kind, tiny.SIZES["roberta"]), "vocab_size": 40}).save_pretrained(tmp_path)
    model = build_model("finetune", str(tmp_path), LABELS, Config(), weights=False)
    assert isinstance(model.get_layer(ENCODER).encoder, Stack)


@pytest.mark.parametrize("settings", [{"is_decoder": True}, {"model_type": "rembert"}])
def test_other_classes_keep_the_layers_of_transformers(tmp_path, settings):
    from transformers import AutoConfig

    settings = {"model_type": "bert", **tiny.SIZES["bert"], "vocab_size": 40, **settings}
    AutoConfig.for_model(**settings).save_pretrained(tmp_path)
    model = build_model("finetune", str(tmp_path), LABELS, Config(), weights=False)
    assert not [layer for layer in model.submodules if isinstance(layer, Stack)]
    assert np.isfinite(model({"input_ids": np.ones((2, 5), np.int32), "attention_mask": np.ones((2, 5), np.int32)})).all()


def test_a_stack_drops_values_only_in_training_and_at_every_dropout_layer(built, monkeypatch):
    encoder = built("bert", "finetune").get_layer(ENCODER).encoder
    hidden, mask = normal(2, 6, 24), tf.zeros((2, 1, 1, 6))

    def states(training):
        return encoder(hidden, mask, training=training)[0].numpy()

    np.testing.assert_array_equal(states(False), states(False))
    places = [d for layer in encoder.layer for d in (layer.attention.self_attention, layer.attention.dense_output)]
    places += [layer.bert_output for layer in encoder.layer]
    rates = [place.dropout.rate for place in places]
    for place in places:
        monkeypatch.setattr(place.dropout, "rate", 0.0)
    np.testing.assert_array_equal(states(True), states(False))
    for place, rate in zip(places, rates, strict=True):
        with monkeypatch.context() as one:
            one.setattr(place.dropout, "rate", rate)
            assert np.abs(states(True) - states(False)).max() > 1e-3


def test_a_stack_in_bfloat16_rounds_only_products(built):
    exact, half = (built("bert", "finetune", precision) for precision in ("float32", "bfloat16"))
    ids, mask = tiny.random_inputs([7, 12, 3], len(tiny.PIECES))
    states = [m.get_layer(ENCODER)(input_ids=ids, attention_mask=mask)[0] for m in (exact, half)]
    assert {s.dtype for s in states} == {tf.float32}
    difference = np.abs(states[0] - states[1]).max() / np.abs(states[0]).max()
    assert 0 < difference < 0.03


def test_a_model_for_inference_has_the_same_logits_and_in_bfloat16_half_the_size(encoder_folder):
    folder = encoder_folder("bert")
    ids, mask = tiny.random_inputs([7, 12, 3], len(tiny.PIECES))
    sizes = {}
    for precision in ("float32", "bfloat16", "float16"):
        model = build_model("finetune", str(folder), LABELS, Config(precision=precision))
        before, weights = logits_function(model)(ids, mask).numpy(), [v.name for v in model.weights]
        assert for_inference(model)
        assert [v.name for v in model.weights] == weights
        function = logits_function(model)
        np.testing.assert_array_equal(function(ids, mask).numpy(), before)
        variables = function.get_concrete_function().variables
        sizes[precision] = sum(
            v.dtype.size * v.shape.num_elements() for v in variables if "layer_._" in v.name or v.dtype.size < 4
        )
    assert sizes["bfloat16"] < 0.6 * sizes["float32"]


def test_an_encoder_without_a_stack_has_no_form_for_inference(built):
    assert not for_inference(built("distilbert", "finetune"))


# Parts of the stack


def plain_attention(drop):
    def attend(query, key, value, mask):
        return drop(tf.nn.softmax(query @ tf.transpose(key, [0, 1, 3, 2]) + mask)) @ value

    return attend


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_attention_has_the_gradients_of_its_formula(monkeypatch, rate):
    stays = tf.cast(np.random.default_rng(3).random((2, 3, 5, 5)) >= rate, tf.float32) / (1 - rate)
    monkeypatch.setattr(layers, "_mask", lambda shape, rate: lambda x: x * stays)
    inputs = [normal(2, 3, 5, 4, seed=i) for i in range(3)]
    mask = tf.constant(np.where(np.arange(5) < 4, 0.0, -10000.0), tf.float32)[None, None, None]
    own = value_and_gradients(lambda *x: attention(*x, mask, rate), inputs)
    assert_same(own, value_and_gradients(lambda *x: plain_attention(lambda p: p * stays)(*x, mask), inputs))


def test_layer_norm_has_the_value_and_gradients_of_keras():
    inputs = [normal(7, 6, scale=3.0), normal(6, seed=1), normal(6, seed=2)]
    keras_layer = keras.layers.LayerNormalization(epsilon=1e-3)
    keras_layer.build((None, 6))

    def theirs(x, gamma, beta):
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)

    own = value_and_gradients(lambda *x: layer_norm(*x, 1e-3), inputs)
    assert_same(own, value_and_gradients(theirs, inputs))
    keras_layer.set_weights([v.numpy() for v in inputs[1:]])
    assert_same(own[0], keras_layer(inputs[0]))


def test_gelu_and_its_gradient_are_exact():
    x = np.linspace(-12, 12, 4001).astype(np.float32)
    share = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.astype(np.float64)])
    density = np.exp(-(x.astype(np.float64) ** 2) / 2) / math.sqrt(2 * math.pi)
    value = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = gelu(value)
    np.testing.assert_allclose(y.numpy(), x * share, atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(y, value).numpy(), share + x * density, atol=2e-6)
    np.testing.assert_allclose(layers._fusable_gelu(tf.constant(x)).numpy(), x * share, atol=1e-6, rtol=1e-6)


def test_gelu_returns_the_precision_of_its_input():
    x = tf.constant([-1.0, 0.5, 3.0], tf.bfloat16)
    expected = [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in (-1.0, 0.5, 3.0)]
    for function in (gelu, layers._fusable_gelu):
        assert function(x).dtype == tf.bfloat16
        np.testing.assert_allclose(tf.cast(function(x), tf.float32).numpy(), expected, rtol=0.02)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_drops_its_share_independently_and_scales_up_the_rest(rate, dtype):
    keras.utils.set_random_seed(1)
    layer, ones = Dropout(rate, dtype=dtype), tf.ones((7, 101, 31), dtype)
    with tf.GradientTape() as tape:
        tape.watch(ones)
        first = layer(ones, training=True)
    second = layer(ones, training=True)
    np.testing.assert_array_equal(tape.gradient(first, ones), first)
    first, second = (x.numpy().astype(np.float64) for x in (first, second))
    assert len(np.unique(first)) == 2  # 0, and 1 scaled up
    assert first.max() == pytest.approx(1 / (1 - rate), rel=1e-4 if dtype == "float32" else 1e-2)
    noise = 4 * np.sqrt(rate * (1 - rate) / first.size)
    dropped = [first == 0, second == 0]
    assert np.mean(dropped[0]) == pytest.approx(rate, abs=noise)
    # one random number decides two neighbours; other places and other calls have other numbers
    for one, other in (
        (dropped[0], dropped[1]),
        (dropped[0][..., ::2][..., :15], dropped[0][..., 1::2]),
        (dropped[0][:-1], dropped[0][1:]),
    ):
        assert np.mean(one & other) == pytest.approx(rate**2, abs=6 * np.sqrt(rate**2 / one.size))


def test_dropout_drops_only_in_training_and_the_same_values_for_the_same_seed():
    layer, ones = Dropout(0.3), tf.ones((5, 3))
    np.testing.assert_array_equal(layer(ones), ones)
    np.testing.assert_array_equal(Dropout(0.0)(ones, training=True), ones)
    drawn = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        drawn.append(tf.function(lambda: layer(ones, training=True))().numpy().tolist())
    assert drawn[0] == drawn[1] != drawn[2]


# Dropout masks that are functions of a seed

ROWS, LENGTH, HIDDEN, HEADS = 7, 5, 3, 3
"""Sizes whose products are odd, so that the masks of most rows start within a block of random numbers."""


def dropped_places(seed, first, rows, rate=0.4):
    """The masks of two places with hidden states, (2, rows, length, hidden), and of two with attention probabilities,
    (2, rows, heads, length, length), of a part of a batch."""
    nothing, each = tf.zeros((rows, HEADS, LENGTH, 2)), tf.eye(LENGTH, batch_shape=(rows, HEADS))
    query = tf.pad(nothing, [[0, 0]] * 3 + [[0, LENGTH - 2]])
    with dropout_masks(tf.constant(seed, tf.uint64), first, tf.constant(rows)):
        found = []
        for _ in range(2):
            hidden = dropout(tf.ones((rows * LENGTH, HIDDEN)), rate)
            found.append((tf.reshape(hidden, (rows, LENGTH, HIDDEN)), attention(query, query, each, tf.constant(0.0), rate)))
    return [np.stack([one.numpy() != 0 for one in place]) for place in zip(*found, strict=True)]


@pytest.mark.parametrize("sizes", [[3, 4], [1] * ROWS, [0, 6, 0, 1], [ROWS]])
@pytest.mark.parametrize("kind", [int, tf.constant])
def test_a_row_has_the_same_masks_in_a_part_as_in_the_whole_batch(sizes, kind):
    starts = np.cumsum([0, *sizes[:-1]])
    parts = [dropped_places(5, kind(int(start)), size) for start, size in zip(starts, sizes, strict=True)]
    for whole, several in zip(dropped_places(5, 0, ROWS), zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(several, 1), whole)


def test_masks_are_the_same_for_the_same_seed_and_differ_for_others_and_in_other_places():
    once, again, other = (dropped_places(seed, 0, 40) for seed in (2**63 + 5, 2**63 + 5, 6))
    for one, same, different in zip(once, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        noise = 5 * np.sqrt(0.24 / one[0].size)
        assert np.mean(one) == pytest.approx(0.6, abs=noise)
        for left, right in ((one, different), (one[0], one[1]), (one[:, 1:], one[:, :-1])):
            assert np.mean(left & right) == pytest.approx(0.36, abs=noise)


def test_masks_within_a_graph_follow_the_seed_and_the_first_row_that_they_are_given():
    @tf.function
    def masked(seed, first, x):
        with dropout_masks(seed, first, tf.shape(x)[0] // LENGTH):
            return dropout(x, 0.4)

    whole = masked(tf.constant(3, tf.uint64), tf.constant(0), tf.ones((ROWS * LENGTH, HIDDEN)))
    part = masked(tf.constant(3, tf.uint64), tf.constant(2), tf.ones((5 * LENGTH, HIDDEN)))
    other = masked(tf.constant(4, tf.uint64), tf.constant(0), tf.ones((ROWS * LENGTH, HIDDEN)))
    np.testing.assert_array_equal(part, whole[2 * LENGTH :])
    assert (other.numpy() != whole.numpy()).any()
    assert masked.experimental_get_tracing_count() <= 2  # the shapes differ, the seeds do not


def test_without_a_seed_masks_differ_from_call_to_call_and_seeds_of_another_block_end_with_it():
    ones = tf.ones((40, 11))
    function = tf.function(lambda: dropout(ones, 0.4))
    with dropout_masks(tf.constant(1, tf.uint64), 0, tf.constant(40)):
        seeded = dropout(ones, 0.4)
        with dropout_masks(tf.constant(2, tf.uint64), 0, tf.constant(40)):
            dropout(ones, 0.4)
        second = dropout(ones, 0.4)
    with dropout_masks(tf.constant(1, tf.uint64), 0, tf.constant(40)):
        np.testing.assert_array_equal([dropout(ones, 0.4), dropout(ones, 0.4)], [seeded, second])
    drawn = [seeded, second, function(), function(), dropout(ones, 0.4), dropout(ones, 0.4)]
    assert len({x.numpy().tobytes() for x in drawn}) == len(drawn)


# XLA


def under_xla(function):
    return tf.function(function, jit_compile=True)


def rounded(x):
    """A tensor with values of float16 and the type float32, so that inputs are the same in both precisions."""
    return tf.cast(tf.cast(x, tf.float16), tf.float32)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16])
@pytest.mark.parametrize("part", ["attention", "gelu", "layer_norm", "dropout"])
def test_parts_have_the_same_values_and_gradients_under_xla(part, dtype):
    states = [rounded(normal(2, 3, 5, 4, seed=i)) for i in range(3)]
    mask = tf.constant(np.where(np.arange(5) < 4, 0.0, -10000.0), tf.float32)[None, None, None]
    function, inputs, types = {
        "attention": (lambda *x: attention(*x, mask, 0.3), states, [dtype] * 3),
        "gelu": (lambda x: gelu(x), [3 * states[0]], [dtype]),
        "layer_norm": (
            lambda *x: layer_norm(*x, 1e-6),
            [normal(7, 6, scale=3.0), normal(6, seed=1), normal(6, seed=2)],
            [tf.float32] * 3,
        ),
        "dropout": (lambda x: dropout(x, 0.3), [states[0]], [dtype]),
    }[part]

    def both(kinds, first, *inputs):
        def own(*inputs):
            return tf.cast(function(*(tf.cast(x, kind) for x, kind in zip(inputs, kinds, strict=True))), tf.float32)

        with dropout_masks(tf.constant(8, tf.uint64), first, tf.constant(2)):
            return value_and_gradients(own, list(inputs))

    one = tf.constant(1)
    compiled = under_xla(lambda *x: both(types, *x))(one, *inputs)
    exact = dtype == tf.float32
    assert_same(compiled, both(types, one, *inputs), 1e-5 if exact else 3e-3)
    assert_same(compiled, both([tf.float32] * len(inputs), one, *inputs), 1e-5 if exact else 1e-2)


@pytest.mark.slow
def test_a_model_has_the_same_logits_and_gradients_under_xla_and_in_float16_nearly_those(encoder_folder):
    folder = str(encoder_folder("bert", num_hidden_layers=1))
    exact, half = (build_model("finetune", folder, LABELS, Config(precision=p)) for p in ("float32", "float16"))
    half.set_weights(exact.get_weights())
    ids, mask = tiny.random_inputs([7, 12, 3], len(tiny.PIECES))

    def passes(model):
        def one(ids, mask, first):
            with dropout_masks(tf.constant(8, tf.uint64), first, tf.constant(3)):
                return logits_and_gradients(model, {"input_ids": ids, "attention_mask": mask}, True)

        inputs = tf.constant(ids), tf.constant(mask), tf.constant(3)
        return one(*inputs), under_xla(one)(*inputs)

    (logits, gradients), compiled = passes(exact)
    assert_same(compiled[0], logits)
    assert_same([compiled[1][name] for name in gradients], list(gradients.values()))
    largest = max(np.abs(g).max() for g in gradients.values())
    for half_logits, half_gradients in passes(half):
        assert half_logits.dtype == tf.float32
        assert 0 < np.abs(half_logits - logits).max() < 0.02 * np.abs(logits).max()
        for name, gradient in gradients.items():
            np.testing.assert_allclose(half_gradients[name], gradient, atol=0.02 * largest, err_msg=name)

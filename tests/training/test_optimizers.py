import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tfner.training.optimizers import AdamW

SHAPES = {"kernel": (4, 3), "bias": (3,), "cube": (2, 3, 2), "scalar": ()}


def some_variables(seed=0):
    generator = np.random.default_rng(seed)
    return [tf.Variable(generator.normal(size=s).astype(np.float32), name=name) for name, s in SHAPES.items()]


def some_gradients(step, scale=1.0):
    generator = np.random.default_rng(100 + step)
    return [(scale * generator.normal(size=s)).astype(np.float32) for s in SHAPES.values()]


def reference(values, gradients_of_steps, rates, decay=0.01, clip=1.0, new=(), factor=1.0, b1=0.9, b2=0.999, epsilon=1e-6):
    """AdamW in float64 as in the papers: gradients clipped together, decoupled weight decay, none for vectors."""
    values = [np.array(v, np.float64) for v in values]
    m, v = [np.zeros_like(x) for x in values], [np.zeros_like(x) for x in values]
    for t, (gradients, rate) in enumerate(zip(gradients_of_steps, rates, strict=True), 1):
        norm = np.sqrt(sum((np.asarray(g, np.float64) ** 2).sum() for g in gradients))
        scale = 1.0 if clip is None else min(1.0, clip / norm)
        for i, gradient in enumerate(gradients):
            gradient = np.asarray(gradient, np.float64) * scale
            own = rate * (factor if i in new else 1.0)
            m[i] = b1 * m[i] + (1 - b1) * gradient
            v[i] = b2 * v[i] + (1 - b2) * gradient**2
            step_size = own * np.sqrt(1 - b2**t) / (1 - b1**t)
            if values[i].ndim > 1:
                values[i] = values[i] - own * decay * values[i]
            values[i] = values[i] - step_size * m[i] / (np.sqrt(v[i]) + epsilon)
    return values


def close(variables, expected, atol=3e-6):
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=atol, err_msg=variable.name)


@pytest.mark.parametrize("clip", [None, 0.5, 1e3])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_steps_equal_the_reference(clip, decay):
    variables = some_variables()
    start = [v.numpy() for v in variables]
    optimizer = AdamW(0.1, decay, new_variables=variables[:2], new_factor=5.0, global_clipnorm=clip)
    steps = [some_gradients(i, 10.0**-i) for i in range(6)]
    rates = [0.05, 0.1, 0.1, 0.0, 0.06, 0.03]
    for gradients, rate in zip(steps, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))
        assert float(optimizer.norm) == pytest.approx(norm, rel=1e-5)
    close(variables, reference(start, steps, rates, decay, clip, new=(0, 1), factor=5.0))


def test_other_betas_and_epsilon_are_used():
    variables = some_variables()
    start = [v.numpy() for v in variables]
    optimizer = AdamW(0.01, beta_1=0.5, beta_2=0.8, epsilon=0.3)
    steps = [some_gradients(i) for i in range(3)]
    for gradients in steps:
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    close(variables, reference(start, steps, [0.01] * 3, b1=0.5, b2=0.8, epsilon=0.3))


def test_biases_and_norms_do_not_decay():
    variables = some_variables()
    start = [v.numpy() for v in variables]
    optimizer = AdamW(0.1, weight_decay=0.5)
    optimizer.apply_gradients([(tf.zeros_like(v), v) for v in variables])
    close(variables, [x * 0.95 if x.ndim > 1 else x for x in start])


def test_gradients_are_clipped_by_their_common_norm():
    variables = some_variables()
    optimizer = AdamW(1.0, weight_decay=0.0, global_clipnorm=1.0, beta_1=0.0, beta_2=0.0, epsilon=1e3)
    start = [v.numpy() for v in variables]
    gradients = some_gradients(0, 100.0)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))
    moved = [(x - v.numpy()) * 1e3 for x, v in zip(start, variables, strict=True)]  # epsilon makes the step linear
    for gradient, step in zip(gradients, moved, strict=True):
        np.testing.assert_allclose(step, gradient / norm, atol=2e-3)


@pytest.mark.parametrize("clip", [None, 0.7])
def test_sparse_gradients_move_the_rows_of_an_embedding_as_dense_ones_do(clip):
    table = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    ids = tf.constant([[1, 4, 1], [0, 4, 1]])  # rows 0, 1 and 4 occur once, three times and twice, the others never
    results = []
    for dense in (False, True):
        variable, bias = tf.Variable(table), tf.Variable([0.5, -0.5, 1.0, 2.0])
        optimizer = AdamW(0.1, weight_decay=0.1, global_clipnorm=clip)
        for step in range(3):
            with tf.GradientTape() as tape:
                rows = tf.gather(variable, ids) if not dense else tf.einsum("bln,nh->blh", tf.one_hot(ids, 6), variable)
                loss = tf.reduce_sum((rows + bias) ** 2 * (step + 1))
            gradients = tape.gradient(loss, [variable, bias])
            assert isinstance(gradients[0], tf.IndexedSlices) is not dense
            optimizer.apply_gradients(zip(gradients, [variable, bias], strict=True))
        results.append((variable.numpy(), bias.numpy()))
    used, never = [0, 1, 4], [2, 3, 5]
    np.testing.assert_allclose(results[0][0][used], results[1][0][used], atol=5e-4)  # the decay of a step is 1 - x, not exp(-x)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-4)
    np.testing.assert_array_equal(results[0][0][never], table[never])


def test_rows_that_some_steps_do_not_use_keep_their_momenta_and_decay_later():
    table = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
    gradients = np.random.default_rng(3).normal(size=(4, 3, 4)).astype(np.float32)
    uses = [[0, 1], [1], [1], [1, 0]]  # the rows that each step uses
    rates = [0.01, 0.02, 0.03, 0.04]
    variable, decay = tf.Variable(table), 0.1
    optimizer = AdamW(keras.optimizers.schedules.PiecewiseConstantDecay([0, 1, 2], rates), decay, global_clipnorm=None)
    for step, rows in enumerate(uses):
        optimizer.apply_gradients([(tf.IndexedSlices(tf.constant(gradients[step][rows]), rows, table.shape), variable)])

    for row in range(3):
        value, m, v, owed = table[row].astype(np.float64), 0.0, 0.0, 0.0
        for step, rows in enumerate(uses):
            owed += rates[step] * decay
            if row in rows:
                gradient = gradients[step][row].astype(np.float64)
                m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
                size = rates[step] * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
                value, owed = value * np.exp(-owed) - size * m / (np.sqrt(v) + 1e-6), 0.0
        np.testing.assert_allclose(variable.numpy()[row], value, atol=1e-5, err_msg=str(row))


def everything(optimizer, variables):
    """The values of the variables and of all that the optimizer keeps, but for the number of steps."""
    return [v.numpy() for v in (*variables, *(v for v in optimizer.variables if v is not optimizer.iterations))]


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("place", ["dense", "slices", "scalar"])
def test_a_step_whose_gradients_are_not_finite_changes_only_the_number_of_steps(clip, bad, place):
    table, kernel, scalar = tf.Variable(tf.reshape(tf.range(12.0), (4, 3))), tf.Variable([[1.0, 2.0]]), tf.Variable(0.5)
    variables = [table, kernel, scalar]
    optimizer = AdamW(0.1, 0.2, new_variables=[kernel], new_factor=3.0, global_clipnorm=clip)
    optimizer.build(variables)

    @tf.function
    def step(slices, dense, single):
        gradient = tf.IndexedSlices(slices, tf.constant([2, 0, 2]), (4, 3))
        optimizer.apply_gradients(zip((gradient, dense, single), variables, strict=True))
        return optimizer.norm

    slices, dense, single = np.ones((3, 3), np.float32), np.ones((1, 2), np.float32), np.float32(1.0)
    good = tf.constant(slices), tf.constant(dense), tf.constant(single)
    assert float(step(*good)) == pytest.approx(np.sqrt(3 * 4 + 3 * 1 + 2 + 1))  # row 2 is used twice
    before = everything(optimizer, variables)
    if place == "slices":
        slices[1, 1] = bad
    elif place == "dense":
        dense[0, 1] = bad
    else:
        single = np.float32(bad)
    norm = float(step(tf.constant(slices), tf.constant(dense), tf.constant(single)))
    assert not np.isfinite(norm)
    assert int(optimizer.iterations) == 2
    for one, other in zip(everything(optimizer, variables), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isfinite(float(step(*good)))
    assert all(np.isfinite(v).all() for v in everything(optimizer, variables))
    assert (table.numpy() != before[0]).any(1).tolist() == [True, False, True, False]


def test_only_new_variables_get_the_multiplied_rate():
    old, new = tf.Variable([[1.0]]), tf.Variable([[1.0]])
    optimizer = AdamW(0.01, weight_decay=0.0, new_variables=[new], new_factor=10.0, global_clipnorm=None)
    optimizer.apply_gradients([(tf.constant([[1.0]]), old), (tf.constant([[1.0]]), new)])
    assert float(old[0, 0]) == pytest.approx(1 - 0.01, abs=1e-5)
    assert float(new[0, 0]) == pytest.approx(1 - 0.1, abs=1e-5)


def small_model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None,), dtype=tf.int32)
    hidden = keras.layers.Embedding(9, 5)(inputs)
    hidden = keras.layers.Dense(6, "tanh", dtype="mixed_float16")(hidden)
    return keras.Model(inputs, keras.layers.Activation("linear", dtype=tf.float32)(keras.layers.Dense(3)(hidden)))


def half_precision_step(optimizer, model, factor=1.0):
    ids, labels = np.array([[1, 2, 3], [4, 5, 1]]), np.array([[0, 1, 2], [2, 1, 0]])
    with tf.GradientTape() as tape:
        loss = factor * tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, model(ids), from_logits=True))
        scaled = optimizer.get_scaled_loss(loss)
    gradients = optimizer.get_unscaled_gradients(tape.gradient(scaled, model.trainable_variables))
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return [tf.convert_to_tensor(g).numpy() for g in gradients]


def test_loss_scaling_of_float16_takes_the_step_of_the_unscaled_gradients():
    model = small_model()
    start = [v.numpy() for v in model.trainable_variables]
    optimizer = keras.mixed_precision.LossScaleOptimizer(
        AdamW(0.1, 0.02, new_variables=model.layers[-2].weights, new_factor=3.0)
    )
    gradients = half_precision_step(optimizer, model)
    assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in gradients)
    new = [i for i, v in enumerate(model.trainable_variables) if any(v is w for w in model.layers[-2].weights)]
    assert len(new) == 2
    expected = reference(start, [gradients], [0.1], 0.02, new=new, factor=3.0)
    expected[0][[0, 6, 7, 8]] = start[0][[0, 6, 7, 8]]  # the step changes only the embeddings that it uses
    close(model.trainable_variables, expected, atol=1e-5)


def test_an_overflow_in_float16_skips_the_step():
    model = small_model()
    start = [v.numpy() for v in model.trainable_variables]
    optimizer = keras.mixed_precision.LossScaleOptimizer(AdamW(0.1), initial_scale=2.0**40)
    half_precision_step(optimizer, model, factor=2.0**60)
    close(model.trainable_variables, start, atol=0)
    assert float(optimizer.loss_scale) == 2.0**39


def test_an_optimizer_is_rebuilt_from_its_config():
    optimizer = AdamW(3e-4, 0.03, (), 7.0, 0.9, 0.8, 0.95, 1e-5, name="mine")
    again = AdamW.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert float(again.learning_rate) == pytest.approx(3e-4)
    assert (again.decay, again.new_factor, again.global_clipnorm) == (0.03, 7.0, 0.9)
    assert (again.beta_1, again.beta_2, again.epsilon, again.name) == (0.8, 0.95, 1e-5, "mine")


def test_steps_from_a_checkpoint_give_the_values_of_uninterrupted_ones(tmp_path):
    steps = [some_gradients(i) for i in range(4)]

    def take(optimizer, variables, numbers):
        for number in numbers:
            optimizer.learning_rate = 0.1 / (number + 1)
            optimizer.apply_gradients(zip(steps[number], variables, strict=True))

    whole, halves, others = some_variables(), some_variables(), some_variables(seed=9)
    take(AdamW(0.1), whole, range(4))
    optimizer = AdamW(0.1)
    take(optimizer, halves, range(2))
    path = tf.train.Checkpoint(optimizer=optimizer, variables=halves).save(str(tmp_path / "state"))
    optimizer = AdamW(0.1)
    optimizer.build(others)
    tf.train.Checkpoint(optimizer=optimizer, variables=others).restore(path).assert_existing_objects_matched()
    take(optimizer, others, range(2, 4))
    for one, other in zip(others, whole, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())

import json
import math
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from support import tiny
from support.errors import check_error, refused

from tfner.config import VARIANTS, Config
from tfner.errors import UserError
from tfner.modeling.layers import Dropout, gelu
from tfner.modeling.pretrained import load_encoder_config, load_tokenizer, piece_limit
from tfner.modeling.variants import (
    BUILDERS,
    ENCODER,
    build_model,
    classifier_note,
    new_variables,
    parameter_counts,
    trained_variables,
)

LABELS = 9
LENGTHS = [7, 12, 3]


def vocabulary(folder):
    return json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"]


def inputs_for(folder, lengths=LENGTHS):
    ids, mask = tiny.random_inputs(lengths, vocabulary(folder))
    return {"input_ids": ids, "attention_mask": mask}


def all_cases(function):
    function = pytest.mark.parametrize("variant", VARIANTS)(function)
    return pytest.mark.parametrize("kind", tiny.ARCHITECTURES)(function)


def test_every_variant_of_the_config_has_a_builder():
    assert tuple(BUILDERS) == tuple(VARIANTS)


# Inputs and outputs


@all_cases
def test_logits_are_float32_and_have_a_value_for_every_label_of_every_piece(encoder_folder, built, kind, variant):
    model = built(kind, variant)
    assert model.output_names == ["logits"]
    assert {name: (t.shape.as_list(), t.dtype) for name, t in model.input.items()} == {
        "input_ids": ([None, None], tf.int32),
        "attention_mask": ([None, None], tf.int32),
    }
    logits = model(inputs_for(encoder_folder(kind)))
    assert logits.shape == (3, 12, LABELS) and logits.dtype == tf.float32
    flat = logits.numpy().reshape(-1, LABELS)
    assert len(np.unique(flat.round(5), axis=0)) > 15  # all positions differ


@all_cases
def test_a_row_has_the_same_logits_alone_and_padded_in_a_batch(encoder_folder, built, kind, variant):
    model, inputs = built(kind, variant), inputs_for(encoder_folder(kind))
    together = model(inputs).numpy()
    for i, length in enumerate(LENGTHS):
        alone = model({name: values[i : i + 1, :length] for name, values in inputs.items()}).numpy()
        np.testing.assert_allclose(together[i, :length], alone[0], atol=1e-5)
        assert np.abs(alone).max() > 0.05


@all_cases
def test_every_input_matters(encoder_folder, built, kind, variant):
    model, inputs = built(kind, variant), inputs_for(encoder_folder(kind))
    logits = model(inputs).numpy()[0]
    other_id, other_mask = {k: v.copy() for k, v in inputs.items()}, {k: v.copy() for k, v in inputs.items()}
    other_id["input_ids"][0, 4] += 1 if other_id["input_ids"][0, 4] < vocabulary(encoder_folder(kind)) - 1 else -1
    other_mask["attention_mask"][0, 4] = 0
    for changed in (other_id, other_mask):
        assert np.abs(model(changed).numpy()[0, 0] - logits[0]).max() > 1e-5


@all_cases
def test_gradients_reach_every_trainable_variable(encoder_folder, built, kind, variant):
    model = built(kind, variant)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs_for(encoder_folder(kind))) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    missing = [v.name for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None]
    assert missing == []


@pytest.mark.parametrize("kind", tiny.ARCHITECTURES)
def test_a_row_of_the_maximal_length_has_finite_logits(encoder_folder, built, kind):
    folder = str(encoder_folder(kind))
    limit = piece_limit(load_encoder_config(folder), load_tokenizer(folder))
    assert limit == tiny.SIZES[kind]["max_position_embeddings"] - (2 if kind == "roberta" else 0)
    inputs = inputs_for(encoder_folder(kind), [limit, 2])
    assert np.isfinite(built(kind, "finetune")(inputs).numpy()).all()


# The same logits as transformers' own models


@pytest.mark.parametrize("kind", ["bert", "distilbert", "electra", "roberta"])
def test_finetune_equals_the_model_of_transformers_with_the_same_weights(encoder_folder, built, kind):
    from transformers import TFAutoModelForTokenClassification

    model, inputs = built(kind, "finetune"), inputs_for(encoder_folder(kind))
    theirs = TFAutoModelForTokenClassification.from_pretrained(encoder_folder(kind), num_labels=LABELS)
    theirs(inputs)
    theirs.classifier.set_weights(model.get_layer("classifier").get_weights())
    np.testing.assert_allclose(model(inputs).numpy(), theirs(inputs).logits.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", tiny.ARCHITECTURES)
def test_replace_classifies_the_output_of_the_second_last_layer(encoder_folder, built, kind):
    from transformers import TFAutoModel

    model, inputs = built(kind, "replace"), inputs_for(encoder_folder(kind))
    states = TFAutoModel.from_pretrained(encoder_folder(kind))(inputs, output_hidden_states=True).hidden_states
    kernel, bias = model.get_layer("classifier").get_weights()
    np.testing.assert_allclose(model(inputs).numpy(), states[-2].numpy() @ kernel + bias, atol=1e-5)
    assert np.abs(states[-2].numpy() - states[-1].numpy()).max() > 0.1


@pytest.mark.parametrize("kind", tiny.ARCHITECTURES)
@pytest.mark.parametrize("variant", ["finetune", "replace"])
def test_dropped_layers_are_the_highest(encoder_folder, kind, variant):
    from transformers import TFAutoModel

    folder, inputs = encoder_folder(kind), inputs_for(encoder_folder(kind))
    states = TFAutoModel.from_pretrained(folder)(inputs, output_hidden_states=True).hidden_states
    left = len(states) - 1 - (variant == "replace")
    for dropped in range(left + 1):
        model = build_model(variant, str(folder), LABELS, Config(drop_layers=dropped))
        kernel, bias = model.get_layer("classifier").get_weights()
        expected = states[left - dropped].numpy() @ kernel + bias
        np.testing.assert_allclose(model(inputs).numpy(), expected, atol=1e-5)
    with pytest.raises(UserError, match=f"expected at most {left}, "):
        build_model(variant, str(folder), LABELS, Config(drop_layers=left + 1))


def test_an_encoder_without_single_layers_keeps_all(tmp_path):
    from transformers import AutoConfig

    sizes = {"vocab_size": len(tiny.PIECES) + 2, "block_sizes": [1, 1], "d_model": 24, "n_head": 2, "d_head": 12}
    AutoConfig.for_model("funnel", **sizes, d_inner=28).save_pretrained(tmp_path)
    model = build_model("finetune", str(tmp_path), LABELS, Config(), weights=False)
    assert model(inputs_for(tmp_path)).shape == (3, 12, LABELS)
    with refused("replace_without_single_layers", path=tmp_path, setting="variant"):
        build_model("replace", str(tmp_path), LABELS, Config())
    with refused("drop_layers_without_single_layers", path=tmp_path, setting="drop_layers"):
        build_model("head", str(tmp_path), LABELS, Config(drop_layers=1))


def test_more_layers_than_there_are_cannot_be_dropped(encoder_folder):
    with refused("drop_layers_too_many", setting="drop_layers", path=encoder_folder("bert")):
        build_model("replace", str(encoder_folder("bert")), LABELS, Config(drop_layers=99))


@pytest.mark.parametrize("kind", tiny.ARCHITECTURES)
def test_frozen_layers_are_the_lowest_with_the_embeddings(built, kind):
    model = built(kind, "finetune")
    number = model.get_layer(ENCODER).config.num_hidden_layers
    every = [v.name for v in model.trainable_variables]
    before = trained_variables(model)
    assert [v.name for v in before] == every
    sizes = []
    for frozen in range(1, number + 1):
        left = trained_variables(model, frozen)
        names = [v.name for v in left]
        assert not any("embeddings" in name for name in names)
        assert {v.name for v in new_variables(model)} <= set(names)
        layers = {int(match[1]) for name in names if (match := re.search(r"layer_\._(\d+)", name))}
        assert layers == set(range(frozen, number))
        sizes.append(len(names))
    assert len(every) > sizes[0] and sizes == sorted(sizes, reverse=True) and len(set(sizes)) == number
    with pytest.raises(UserError, match=f"expected at most {number}") as caught:
        trained_variables(model, number + 1)
    assert caught.value.setting == "freeze_layers"


@pytest.mark.parametrize("kind", ["roberta-prelayernorm", "esm"])
def test_a_layer_above_the_frozen_ones_is_trained(tmp_path, kind):
    from transformers import AutoConfig

    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 28}
    AutoConfig.for_model(kind, vocab_size=31, pad_token_id=1, **sizes).save_pretrained(tmp_path)
    model = build_model("finetune", str(tmp_path), LABELS, Config(), weights=False)
    for frozen in (1, 2):
        new = {v.name for v in new_variables(model)}
        names = [v.name for v in trained_variables(model, frozen) if v.name not in new]
        above = [name for name in names if "layer_._1/" not in name]
        assert len(above) == 2 and all("norm" in name.lower() and "embeddings" not in name for name in above)
        assert (len(names) > 2) == (frozen == 1)


def test_head_is_two_relu_layers_and_a_linear_one(encoder_folder, built):
    from transformers import TFAutoModel

    model, inputs = built("bert", "head"), inputs_for(encoder_folder("bert"))
    hidden = TFAutoModel.from_pretrained(encoder_folder("bert"))(inputs).last_hidden_state.numpy()
    for name in ("head_0", "head_1"):
        kernel, bias = model.get_layer(name).get_weights()
        before = hidden @ kernel + bias
        assert (before < 0).any() and (before > 0).any()
        hidden = np.maximum(before, 0)
    kernel, bias = model.get_layer("classifier").get_weights()
    np.testing.assert_allclose(model(inputs).numpy(), hidden @ kernel + bias, atol=2e-5)


def test_the_units_and_activation_of_the_head_are_settings(encoder_folder):
    settings = Config(variant="head", head_units=(5,), head_activation="tanh")
    model = build_model("head", str(encoder_folder("bert")), LABELS, settings)
    assert [v.shape.as_list() for v in new_variables(model)] == [[24, 5], [5], [5, LABELS], [LABELS]]
    assert model.get_layer("head_0").activation is keras.activations.tanh


# Parameters


def dense(n_in, n_out):
    return n_in * n_out + n_out


def transformer_layer(hidden, intermediate):
    """Query, key, value and output projections, two norms, two feed-forward layers."""
    return 4 * dense(hidden, hidden) + 2 * 2 * hidden + dense(hidden, intermediate) + dense(intermediate, hidden)


ENCODERS = {
    "bert": lambda layers: (31 + 40 + 2) * 24 + 2 * 24 + layers * transformer_layer(24, 28),
    "distilbert": lambda layers: (31 + 41) * 20 + 2 * 20 + layers * transformer_layer(20, 44),
    "roberta": lambda layers, words=None: (words + 44 + 1) * 18 + 2 * 18 + layers * transformer_layer(18, 50),
    "electra": lambda layers: (31 + 43 + 2) * 14 + 2 * 14 + dense(14, 30) + layers * transformer_layer(30, 34),
}
LAYERS = {"bert": 3, "distilbert": 4, "roberta": 2, "electra": 3}
HIDDEN = {"bert": 24, "distilbert": 20, "roberta": 18, "electra": 30}


@all_cases
def test_parameter_counts_equal_those_computed_by_hand(encoder_folder, built, kind, variant):
    model = built(kind, variant)
    layers = LAYERS[kind] - (variant == "replace")
    more = {"words": vocabulary(encoder_folder(kind))} if kind == "roberta" else {}
    encoder, hidden = ENCODERS[kind](layers, **more), HIDDEN[kind]
    new = dense(hidden, 20) + dense(20, 8) + dense(8, LABELS) if variant == "head" else dense(hidden, LABELS)
    assert parameter_counts(model) == {"encoder": encoder, "new": new}
    assert model.count_params() == encoder + new
    assert sum(math.prod(v.shape) for v in new_variables(model)) == new


@all_cases
def test_new_variables_are_those_outside_the_encoder(built, kind, variant):
    model = built(kind, variant)
    encoder = {id(v) for v in model.get_layer(ENCODER).trainable_variables}
    new = {id(v) for v in new_variables(model)}
    assert not encoder & new
    assert encoder | new == {id(v) for v in model.trainable_variables}
    assert len(new) == (6 if variant == "head" else 2)


# Weights


@pytest.mark.parametrize("variant", ["finetune", "head"])
def test_new_layers_are_the_same_for_the_same_seed_and_differ_for_another(encoder_folder, variant):
    source = str(encoder_folder("roberta"))
    first, again, other = (
        [v.numpy() for v in new_variables(build_model(variant, source, LABELS, Config(seed=seed), weights=False))]
        for seed in (3, 3, 4)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all((a != b).any() for a, b in zip(first, other, strict=True) if a.ndim > 1)


def test_layers_of_the_head_have_different_initial_weights(encoder_folder):
    settings = Config(variant="head", head_units=(18, 18))
    model = build_model("head", str(encoder_folder("roberta")), 18, settings, weights=False)
    kernels = [v.numpy().ravel()[:100] for v in new_variables(model) if len(v.shape) > 1]
    for i, one in enumerate(kernels):
        for other in kernels[i + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_a_model_without_weights_is_random_and_loads_those_of_another_model(encoder_folder, built, tmp_path):
    model, inputs = built("bert", "replace"), inputs_for(encoder_folder("bert"))
    fresh = build_model("replace", str(encoder_folder("bert")), LABELS, Config(variant="replace"), weights=False)
    assert np.abs(fresh(inputs).numpy() - model(inputs).numpy()).max() > 1e-2
    model.save_weights(tmp_path / "model.weights.h5")
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(fresh(inputs).numpy(), model(inputs).numpy(), atol=1e-6)


def test_a_model_without_weights_needs_only_the_config_of_a_folder(encoder_folder, tmp_path):
    shutil.copy(encoder_folder("bert") / "config.json", tmp_path)
    model = build_model("finetune", str(tmp_path), LABELS, Config(), weights=False)
    assert parameter_counts(model)["encoder"] == ENCODERS["bert"](3)


def pytorch_name(name: str) -> str:
    """PyTorch's name of a variable such as `tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0`."""
    parts = name.split(":")[0].split("/")[2:]
    path = ".".join(parts).replace("layer_._", "layer.")
    names = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight"}
    head, last = path.rsplit(".", 1)
    known = {"embeddings.weight": "embeddings.word_embeddings.weight"}
    return known.get(f"{head}.{names.get(last, last)}", f"{head}.{names.get(last, last)}")


def write_as_pytorch(folder):
    """Rewrites the weights of a BERT folder as PyTorch saves them, with its names and with dense kernels transposed."""
    from safetensors.numpy import save_file
    from transformers import TFAutoModel

    arrays = {}
    for variable in TFAutoModel.from_pretrained(folder).weights:
        value = variable.numpy()
        if "kernel" in variable.name:
            value = value.reshape(24, -1) if value.ndim == 3 and "attention/output" not in variable.name else value
            value = value.reshape(-1, value.shape[-1]).T
        arrays[pytorch_name(variable.name)] = np.ascontiguousarray(value)
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})


def test_weights_in_the_format_of_pytorch_give_the_same_logits(encoder_folder, built, tmp_path):
    folder = copied(encoder_folder("bert"), tmp_path)
    write_as_pytorch(folder)
    model, theirs = build_model("finetune", str(folder), LABELS, Config()), built("bert", "finetune")
    model.get_layer("classifier").set_weights(theirs.get_layer("classifier").get_weights())
    inputs = inputs_for(folder)
    np.testing.assert_allclose(model(inputs).numpy(), theirs(inputs).numpy(), atol=1e-6)


@pytest.mark.parametrize("other", [{"vocab_size": 50}, {"num_hidden_layers": 4}])
def test_weights_in_pytorchs_format_that_do_not_fit_are_refused(encoder_folder, tmp_path, other):
    folder = copied(encoder_folder("bert"), tmp_path)
    write_as_pytorch(folder)
    changed(folder, other)
    check_weights_refused(folder)


@pytest.mark.parametrize("keep", [600, -100])
def test_truncated_weights_in_pytorchs_format_are_refused(encoder_folder, tmp_path, keep):
    folder = copied(encoder_folder("bert"), tmp_path)
    write_as_pytorch(folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    check_weights_refused(folder)


def test_building_does_not_change_the_config_of_the_folder(encoder_folder, built):
    before = (encoder_folder("bert") / "config.json").read_bytes()
    built("bert", "replace")
    assert (encoder_folder("bert") / "config.json").read_bytes() == before
    assert load_encoder_config(str(encoder_folder("bert"))).num_hidden_layers == 3


def test_weights_in_an_h5_file_are_loaded(encoder_folder, built, tmp_path):
    from transformers import TFAutoModel

    TFAutoModel.from_pretrained(encoder_folder("bert")).save_pretrained(tmp_path, safe_serialization=False)
    assert (tmp_path / "tf_model.h5").exists()
    inputs, model = inputs_for(encoder_folder("bert")), build_model("finetune", str(tmp_path), LABELS, Config())
    model.get_layer("classifier").set_weights(built("bert", "finetune").get_layer("classifier").get_weights())
    np.testing.assert_allclose(model(inputs).numpy(), built("bert", "finetune")(inputs).numpy(), atol=1e-6)


# An encoder with a classification layer of its own


NAMES = ["O", "B-PER", "I-PER"]


@pytest.fixture(scope="module", params=["bert", "distilbert", "roberta"])
def classified(request, tmp_path_factory):
    """The folder of a tiny model for token classification, and the model."""
    from transformers import AutoConfig, TFAutoModelForTokenClassification

    folder = tiny.model_folder(tmp_path_factory.mktemp(request.param), request.param)
    config = AutoConfig.from_pretrained(folder, id2label=dict(enumerate(NAMES)), label2id={n: i for i, n in enumerate(NAMES)})
    model = TFAutoModelForTokenClassification.from_config(config)
    model(model.dummy_inputs)
    tiny.scatter(model, 3)
    model.save_pretrained(folder, safe_serialization=True)
    return folder, model


def test_finetune_goes_on_with_a_classification_layer_for_the_same_labels_in_any_order(classified):
    folder, theirs = classified
    inputs = inputs_for(folder)
    expected = theirs(inputs).logits.numpy()
    model = build_model("finetune", str(folder), 3, Config(), names=NAMES)
    np.testing.assert_allclose(model(inputs).numpy(), expected, atol=1e-5)
    other = build_model("finetune", str(folder), 3, Config(), names=NAMES[::-1])
    np.testing.assert_allclose(other(inputs).numpy(), expected[..., ::-1], atol=1e-5)
    assert "trained further" in str(classifier_note("finetune", str(folder), NAMES[::-1]))


@pytest.mark.parametrize("names", [["O", "B-ORG", "I-ORG"], ["O", "B-PER"], [*NAMES, "B-ORG", "I-ORG"]])
def test_with_other_labels_the_classification_layer_is_new(classified, names):
    folder, _ = classified
    model = build_model("finetune", str(folder), len(names), Config(seed=4), names=names)
    kernel, bias = model.get_layer("classifier").get_weights()
    assert kernel.shape == (model.get_layer("classifier").input_shape[-1], len(names)) and not bias.any()
    assert 0.01 < kernel.std() < 0.03 and np.abs(kernel).max() <= 0.05  # TruncatedNormal with 0.02
    note = str(classifier_note("finetune", str(folder), names))
    assert "left out" in note and note.endswith(": O, B-PER, I-PER")


def test_the_other_variants_leave_a_classification_layer_out(classified):
    folder, _ = classified
    model = build_model("head", str(folder), 3, Config(variant="head"), names=NAMES)
    assert model.get_layer("classifier").input_shape[-1] == Config.head_units[-1]
    assert "head has layers of its own" in str(classifier_note("head", str(folder), NAMES))


def test_a_classification_layer_whose_weights_are_missing_is_refused(classified, tmp_path):
    folder = copied(classified[0], tmp_path)
    tiny.model_folder(tmp_path / "base", load_encoder_config(str(folder)).model_type)
    shutil.copy(tmp_path / "base" / "model.safetensors", folder)
    with pytest.raises(UserError, match=r"variables are missing.*classifier"):
        build_model("finetune", str(folder), 3, Config(), names=NAMES)
    build_model("finetune", str(folder), 2, Config(), names=NAMES[:2])  # the layer is new


def test_an_encoder_without_a_classification_layer_has_no_note(encoder_folder):
    assert classifier_note("finetune", str(encoder_folder("bert")), NAMES) is None


# Precision


@pytest.mark.parametrize(
    ("variant", "precision", "tolerance"),
    [("finetune", "bfloat16", 0.06), ("head", "bfloat16", 0.06), ("finetune", "float16", 0.01)],
)
def test_half_precision_gives_float32_logits_close_to_float32_ones(encoder_folder, built, precision, tolerance, variant):
    exact, inputs = built("bert", variant), inputs_for(encoder_folder("bert"))
    model = built("bert", variant, precision)
    assert all((a == b).all() for a, b in zip(model.get_weights(), exact.get_weights(), strict=True))
    expected, logits = exact(inputs).numpy(), model(inputs)
    assert logits.dtype == tf.float32
    assert {v.dtype for v in model.trainable_variables} == {tf.float32}
    assert model.get_layer("classifier").compute_dtype == precision
    difference = np.abs(logits.numpy() - expected).max() / np.abs(expected).max()
    assert 0 < difference < tolerance


def test_building_or_failing_to_build_does_not_change_the_global_precision(encoder_folder, tmp_path):
    settings = Config(precision="bfloat16")
    assert keras.mixed_precision.global_policy().name == "float32"
    build_model("finetune", str(encoder_folder("roberta")), LABELS, settings, weights=False)
    assert keras.mixed_precision.global_policy().name == "float32"
    shutil.copy(encoder_folder("bert") / "config.json", tmp_path)
    with pytest.raises(UserError):
        build_model("finetune", str(tmp_path), LABELS, settings)
    assert keras.mixed_precision.global_policy().name == "float32"


def test_an_encoder_that_always_calls_its_pooler_is_built_without_one(tmp_path):
    from transformers import AutoConfig

    sizes = {"vocab_size": len(tiny.PIECES) + 2, "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    AutoConfig.for_model("mpnet", **sizes, intermediate_size=28).save_pretrained(tmp_path)
    tiny.wordpiece_tokenizer(tmp_path).save_pretrained(tmp_path)
    model = build_model("finetune", str(tmp_path), LABELS, Config(), weights=False)
    assert not [v.name for v in model.weights if "pooler" in v.name]
    assert np.isfinite(model(inputs_for(tmp_path)).numpy()).all()


@pytest.mark.parametrize("kind", ["bert", "distilbert", "electra", "roberta"])
def test_every_dropout_layer_of_an_encoder_is_replaced(built, kind):
    model = built(kind, "head")
    drops = [layer for layer in model.submodules if "Dropout" in type(layer).__name__]
    assert len(drops) > model.get_layer(ENCODER).config.num_hidden_layers
    assert {type(layer) for layer in drops} == {Dropout}


def test_padding_hardly_changes_logits_in_bfloat16(encoder_folder, built):
    model = built("bert", "finetune", "bfloat16")
    inputs = inputs_for(encoder_folder("bert"))
    together, alone = model(inputs).numpy()[2, :3], model({k: v[2:, :3] for k, v in inputs.items()}).numpy()[0]
    np.testing.assert_allclose(together, alone, atol=0.05 * np.abs(alone).max())


def replaced_gelus(model):
    """The activation functions of tfner in the encoder of a model."""
    found = []
    for layer in model.get_layer(ENCODER).submodules:
        for name in ("intermediate_act_fn", "activation"):
            function = getattr(layer, name, None)
            if getattr(function, "__module__", None) == gelu.__module__:
                found.append(function)
    return found


@pytest.mark.parametrize("kind", tiny.ARCHITECTURES)
def test_the_gelu_of_every_layer_is_replaced(built, kind):
    assert replaced_gelus(built(kind, "finetune")) == [gelu] * LAYERS[kind]


def test_another_activation_is_kept(tmp_path):
    from transformers import TFAutoModel

    folder = tiny.model_folder(tmp_path, "bert", hidden_act="relu", num_hidden_layers=1)
    model, inputs = build_model("finetune", str(folder), LABELS, Config()), inputs_for(folder)
    assert replaced_gelus(model) == []
    hidden = TFAutoModel.from_pretrained(folder)(inputs).last_hidden_state.numpy()
    kernel, bias = model.get_layer("classifier").get_weights()
    np.testing.assert_allclose(model(inputs).numpy(), hidden @ kernel + bias, atol=1e-5)


# Errors


def check_weights_refused(folder, key=None):
    """Checks that the weights of a folder are refused.

    Without a key, the message contains the text of another library, which no golden file can hold.
    """
    with pytest.raises(UserError) as caught:
        build_model("finetune", str(folder), LABELS, Config())
    if key:
        check_error(key, caught.value, path=folder)
    assert (caught.value.path, caught.value.setting) == (str(folder), None)
    assert "weights" in caught.value.message and "\n" not in str(caught.value) and len(str(caught.value)) < 700


def copied(folder, target):
    return shutil.copytree(folder, target / "copy")


def changed(folder, settings):
    """Writes other settings into the folder's config."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | settings), "utf-8")


def test_relative_positions_which_tensorflow_would_leave_out_are_refused(tmp_path):
    folder = tiny.model_folder(tmp_path / "bert", "bert", position_embedding_type="relative_key")
    with refused("encoder_relative_positions", path=folder):
        build_model("finetune", str(folder), LABELS, Config())


def test_an_encoder_decoder_is_refused(tmp_path):
    from transformers import T5Config

    T5Config(vocab_size=31, d_model=8, d_kv=4, d_ff=12, num_layers=2, num_heads=2).save_pretrained(tmp_path)
    with refused("encoder_is_an_encoder_decoder", path=tmp_path):
        build_model("finetune", str(tmp_path), LABELS, Config())


def test_an_architecture_without_a_tensorflow_model_is_refused(tmp_path):
    from transformers import CanineConfig

    CanineConfig().save_pretrained(tmp_path)
    with refused("encoder_without_a_tensorflow_model", path=tmp_path):
        build_model("finetune", str(tmp_path), LABELS, Config())


def test_replace_refuses_an_encoder_of_one_layer(tmp_path):
    folder = tiny.model_folder(tmp_path, "bert", num_hidden_layers=1)
    with refused("replace_with_one_layer", setting="variant", path=folder):
        build_model("replace", str(folder), LABELS, Config())


def test_an_unknown_variant_is_refused(encoder_folder):
    with refused("variant_to_build_unknown", setting="variant"):
        build_model("crf", str(encoder_folder("bert")), LABELS, Config())


@pytest.mark.parametrize("keep", [0, 5, 600, -100])
def test_truncated_weights_are_refused(encoder_folder, tmp_path, keep):
    folder = copied(encoder_folder("bert"), tmp_path)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    check_weights_refused(folder)


def test_truncated_h5_weights_are_refused(encoder_folder, tmp_path):
    from transformers import TFAutoModel

    TFAutoModel.from_pretrained(encoder_folder("bert")).save_pretrained(tmp_path, safe_serialization=False)
    file = tmp_path / "tf_model.h5"
    file.write_bytes(file.read_bytes()[:3000])
    check_weights_refused(tmp_path)


def test_a_missing_weights_file_is_refused(encoder_folder, tmp_path):
    folder = copied(encoder_folder("bert"), tmp_path)
    (folder / "model.safetensors").unlink()
    check_weights_refused(folder)


@pytest.mark.parametrize("other", [{"hidden_size": 32}, {"vocab_size": 50}, {"intermediate_size": 29}])
def test_weights_of_another_shape_are_refused(encoder_folder, tmp_path, other):
    folder = copied(encoder_folder("bert"), tmp_path)
    changed(folder, other)
    check_weights_refused(folder)


def test_weights_of_fewer_layers_than_the_config_says_are_refused(encoder_folder, tmp_path):
    folder = copied(encoder_folder("bert"), tmp_path)
    changed(folder, {"num_hidden_layers": 4})
    check_weights_refused(folder, "weights_of_fewer_layers")


def test_weights_of_another_architecture_are_refused(encoder_folder, tmp_path):
    folder = copied(encoder_folder("bert"), tmp_path)
    shutil.copy(encoder_folder("distilbert") / "model.safetensors", folder)
    check_weights_refused(folder, "weights_of_another_architecture")


# A real pretrained encoder

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing torch fails as if it were not installed
import numpy as np
from tfner.config import Config
from tfner.modeling.variants import build_model, parameter_counts
for variant in ("finetune", "head", "replace"):
    model = build_model(variant, sys.argv[1], 9, Config(variant=variant))
    ids = np.array([[101, 2624, 3799, 2003, 1037, 2103, 102]], np.int32)
    logits = model({"input_ids": ids, "attention_mask": np.ones_like(ids)}).numpy()
    assert logits.shape == (1, 7, 9) and np.isfinite(logits).all() and np.unique(logits).size > 50
    print(variant, *parameter_counts(model).values())
"""


@pytest.mark.slow
def test_a_real_pytorch_encoder_loads_in_every_variant_without_torch(assets):
    source = assets / "models" / "minilm-l6-h384-uncased"
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(source)], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    embeddings, layer = (30522 + 512 + 2) * 384 + 2 * 384, transformer_layer(384, 1536)
    head = dense(384, 20) + dense(20, 8) + dense(8, 9)
    assert done.stdout.splitlines() == [
        f"finetune {embeddings + 6 * layer} {dense(384, 9)}",
        f"head {embeddings + 6 * layer} {head}",
        f"replace {embeddings + 5 * layer} {dense(384, 9)}",
    ]

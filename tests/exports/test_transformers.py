"""Exports for PyTorch transformers give the same logits, read into TensorFlow, and in PyTorch if it is installed."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras
from safetensors import safe_open
from support import tiny
from support.errors import refused
from transformers import AlbertConfig, AutoTokenizer, TFAutoModelForTokenClassification
from transformers.modeling_tf_pytorch_utils import convert_tf_weight_name_to_pt_weight_name

from tfner import export
from tfner.config import make_config
from tfner.exports.transformers import CLASSES, pytorch_weights
from tfner.folder import CARD, DESCRIPTION, SCORES, check_output, next_version
from tfner.modeling.pretrained import load_tokenizer
from tfner.modeling.variants import build_model, logits_function
from tfner.training import state as states

VARIANTS = {"bert": "finetune", "distilbert": "replace", "roberta": "finetune", "electra": "replace"}
VARIANTS |= {"camembert": "finetune", "xlm-roberta": "replace"}
"""The variant of each architecture. A model takes seconds, and the two are independent, so each has only one."""


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A function from an architecture to the Keras model and the folder exported from it; each is made once."""

    @functools.cache
    def make(kind: str) -> tuple[keras.Model, Path]:
        folder = tiny.trained_folder(tmp_path_factory.mktemp(kind), kind, VARIANTS[kind])
        model = states.load_state(folder / "training" / "1").model
        return model, export.export(folder, format="transformers")

    return make


def batch(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    return tiny.random_inputs([9, 4, 6], len(AutoTokenizer.from_pretrained(folder)))


@pytest.mark.parametrize("kind", VARIANTS)
def test_the_files_hold_the_same_model(exported, kind):
    """transformers 4 reads PyTorch files into its TensorFlow classes, so this test does not need PyTorch."""
    model, folder = exported(kind)
    read, info = TFAutoModelForTokenClassification.from_pretrained(folder, output_loading_info=True)
    assert not (info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"])
    with safe_open(folder / "model.safetensors", "numpy") as file:  # full names: reading accepts a missing prefix
        names = {convert_tf_weight_name_to_pt_weight_name(w.name, tf_weight_shape=w.shape)[0] for w in read.weights}
        assert set(file.keys()) == names
    ids, mask = batch(folder)
    expected = logits_function(model)(ids, mask).numpy()
    found = read(input_ids=ids, attention_mask=mask).logits.numpy()
    np.testing.assert_allclose(found[mask == 1], expected[mask == 1], atol=1e-5)


@pytest.mark.parametrize("kind", VARIANTS)
def test_pytorch_gives_the_same_logits(exported, kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: benchmarks/check_exports.py compares with it")
    from transformers import AutoModelForTokenClassification

    model, folder = exported(kind)
    read, info = AutoModelForTokenClassification.from_pretrained(folder, output_loading_info=True)
    assert not (info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"])
    assert type(read).__name__ == CLASSES[kind][0]
    ids, mask = batch(folder)
    expected = logits_function(model)(ids, mask).numpy()
    with torch.no_grad():
        found = read.eval()(input_ids=torch.tensor(ids).long(), attention_mask=torch.tensor(mask)).logits.numpy()
    np.testing.assert_allclose(found[mask == 1], expected[mask == 1], atol=1e-4)


def test_an_encoder_whose_layers_were_all_dropped_is_an_encoder_again(tmp_path):
    model = tiny.trained_folder(tmp_path, "bert", "finetune", drop_layers=3)
    folder = export.export(model, format="transformers")
    again = build_model("finetune", str(folder), len(tiny.LABELS), make_config("standard"), names=tiny.LABELS)
    trained = states.load_state(model / "training" / "1").model
    ids, mask = batch(folder)
    expected, found = (logits_function(one)(ids, mask).numpy()[mask == 1] for one in (trained, again))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_pretrained_model_gets_the_same_names(exported):
    model, folder = exported("roberta")
    config = make_config("standard")
    pretrained = build_model("finetune", str(folder.parents[2] / "encoder"), len(tiny.LABELS), config)
    assert {v.name for v in pretrained.weights} != {v.name for v in model.weights}
    assert pytorch_weights(pretrained, config).keys() == pytorch_weights(model, config).keys()


def test_the_config_describes_the_model(exported):
    _, folder = exported("electra")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["ElectraForTokenClassification"]
    assert config["num_hidden_layers"] == tiny.SIZES["electra"]["num_hidden_layers"] - 1
    assert config["id2label"] == {str(i): name for i, name in enumerate(tiny.LABELS)}
    assert config["label2id"] == {name: i for i, name in enumerate(tiny.LABELS)}
    assert config["classifier_dropout"] == 0.3
    with safe_open(folder / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_the_config_of_distilbert_has_its_own_name_for_layers(exported):
    _, folder = exported("distilbert")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["n_layers"] == tiny.SIZES["distilbert"]["n_layers"] - 1
    assert "num_hidden_layers" not in config


@pytest.mark.parametrize("kind", tiny.ARCHITECTURES)
def test_the_tokenizer_is_that_of_the_training_with_the_longest_row(exported, kind):
    _, folder = exported(kind)
    mine, theirs = load_tokenizer(str(folder.parents[1] / "training" / "1" / "encoder")), AutoTokenizer.from_pretrained(folder)
    assert mine(tiny.WORDS, is_split_into_words=True)["input_ids"] == theirs(tiny.WORDS, is_split_into_words=True)["input_ids"]
    positions = tiny.SIZES[kind]["max_position_embeddings"]
    assert theirs.model_max_length == (positions - 2 if kind == "roberta" else positions)


def test_the_card_describes_this_format(exported):
    _, folder = exported("bert")
    card = (folder / CARD).read_text("utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert 'pipeline("token-classification", FOLDER, aggregation_strategy="first")' in card
    assert f"All settings: `{DESCRIPTION}`" in card
    assert "probabilities" not in card  # the SavedModel's signature
    assert {p.name for p in folder.iterdir()} >= {DESCRIPTION, SCORES, "config.json", "model.safetensors", "tokenizer.json"}


def test_each_export_gets_the_next_number_and_training_can_continue(exported):
    _, first = exported("bert")
    model = first.parents[1]
    assert first == model / "transformers" / "1"
    assert export.export(model, format="transformers") == model / "transformers" / "2"
    check_output(model)
    assert next_version(model) == 2


def test_variant_head_is_refused_and_nothing_is_written(tmp_path):
    model = tiny.trained_folder(tmp_path, "bert", "head")
    with refused("transformers_has_no_head", setting="format"):
        export.export(model, format="transformers")
    assert [p.name for p in model.iterdir()] == ["training"]


def test_an_encoder_without_an_equal_class_is_refused(tmp_path):
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 28, "vocab_size": 40}
    AlbertConfig(embedding_size=16, **sizes).save_pretrained(tmp_path)
    config = make_config("standard")
    with refused("transformers_has_no_class", setting="format"):
        pytorch_weights(build_model("finetune", str(tmp_path), 3, config, weights=False), config)

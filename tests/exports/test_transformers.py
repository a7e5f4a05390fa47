"""Folders for PyTorch transformers: the same numbers come out, with PyTorch where it is installed and through its files."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras
from safetensors import safe_open
from support import tiny
from transformers import AlbertConfig, AutoTokenizer, TFAutoModelForTokenClassification
from transformers.modeling_tf_pytorch_utils import convert_tf_weight_name_to_pt_weight_name

from tfner import export
from tfner.config import make_config
from tfner.errors import UserError
from tfner.exports.transformers import CLASSES, SETTINGS, pytorch_weights
from tfner.folder import check_output, next_number
from tfner.modeling.pretrained import load_tokenizer
from tfner.modeling.variants import build_model, logits_function
from tfner.training import state as states

VARIANTS = {"bert": "finetune", "distilbert": "replace", "roberta": "finetune", "electra": "replace"}
VARIANTS |= {"camembert": "finetune", "xlm-roberta": "replace"}
"""What each architecture is tried with: names and layers do not depend on one another, and every model takes its seconds."""


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """By architecture: the Keras model and the folder that was exported from it; each is made once."""

    @functools.cache
    def make(kind: str) -> tuple[keras.Model, Path]:
        folder = tiny.trained_folder(tmp_path_factory.mktemp(kind), kind, VARIANTS[kind])
        model, _, _ = states.load_state(folder / "training" / "1")
        return model, export.export(folder, format="transformers")

    return make


def batch(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    return tiny.random_inputs([9, 4, 6], len(AutoTokenizer.from_pretrained(folder)))


@pytest.mark.parametrize("kind", VARIANTS)
def test_the_files_hold_the_same_model(exported, kind):
    """transformers 4 reads PyTorch's files into its TensorFlow classes, so this needs no PyTorch."""
    model, folder = exported(kind)
    read, info = TFAutoModelForTokenClassification.from_pretrained(folder, output_loading_info=True)
    assert not (info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"])
    with safe_open(folder / "model.safetensors", "numpy") as file:  # the names in full: reading forgives a missing prefix
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


def test_a_pretrained_model_gets_the_same_names(exported):
    model, folder = exported("roberta")
    config = make_config("standard")
    pretrained = build_model("finetune", str(folder.parents[2] / "encoder"), len(tiny.LABELS), config)
    assert {v.name for v in pretrained.weights} != {v.name for v in model.weights}
    assert pytorch_weights(pretrained, config).keys() == pytorch_weights(model, config).keys()


def test_config_says_what_the_model_is(exported):
    _, folder = exported("electra")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["ElectraForTokenClassification"]
    assert config["num_hidden_layers"] == tiny.SIZES["electra"]["num_hidden_layers"] - 1
    assert config["id2label"] == {str(i): name for i, name in enumerate(tiny.LABELS)}
    assert config["label2id"] == {name: i for i, name in enumerate(tiny.LABELS)}
    assert config["classifier_dropout"] == 0.3
    with safe_open(folder / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_distilbert_counts_its_layers_by_its_own_name(exported):
    _, folder = exported("distilbert")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["n_layers"] == tiny.SIZES["distilbert"]["n_layers"] - 1
    assert "num_hidden_layers" not in config


@pytest.mark.parametrize("kind", tiny.ARCHITECTURES)
def test_the_tokenizer_is_that_of_the_training_and_knows_the_longest_row(exported, kind):
    _, folder = exported(kind)
    mine, theirs = load_tokenizer(str(folder.parents[1] / "training" / "1" / "encoder")), AutoTokenizer.from_pretrained(folder)
    assert mine(tiny.WORDS, is_split_into_words=True)["input_ids"] == theirs(tiny.WORDS, is_split_into_words=True)["input_ids"]
    positions = tiny.SIZES[kind]["max_position_embeddings"]
    assert theirs.model_max_length == (positions - 2 if kind == "roberta" else positions)


def test_the_card_tells_this_format_and_no_path_of_the_export(exported):
    _, folder = exported("bert")
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert 'pipeline("token-classification", FOLDER, aggregation_strategy="first")' in card
    assert f"All settings: `{SETTINGS}`" in card
    assert "probabilities" not in card  # the SavedModel's signature
    assert {p.name for p in folder.iterdir()} >= {SETTINGS, "scores.json", "config.json", "model.safetensors", "tokenizer.json"}


def test_a_number_is_added_each_time_and_training_goes_on(exported):
    _, first = exported("bert")
    model = first.parents[1]
    assert first == model / "transformers" / "1"
    assert export.export(model, format="transformers") == model / "transformers" / "2"
    check_output(model)
    assert next_number(model) == 2


def test_head_is_refused_and_leaves_nothing(tmp_path, capsys):
    model = tiny.trained_folder(tmp_path, "bert", "head")
    assert export.main([str(model), "--format", "transformers"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: --format transformers: expected variant finetune or replace, got head")
    assert "--format onnx" in message
    assert [p.name for p in model.iterdir()] == ["training"]


def test_an_encoder_without_an_equal_class_is_refused_by_name(tmp_path):
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 28, "vocab_size": 40}
    AlbertConfig(embedding_size=16, **sizes).save_pretrained(tmp_path)
    config = make_config("standard")
    with pytest.raises(UserError, match=r"expected an encoder of type bert, .*got albert"):
        pytorch_weights(build_model("finetune", str(tmp_path), 3, config, weights=False), config)


def test_an_existing_folder_is_left_alone(exported, tmp_path, capsys):
    _, folder = exported("bert")
    argv = [str(folder.parents[1]), "--format", "transformers", "--json", "--output"]
    assert export.main([*argv, str(tmp_path)]) == 2
    assert "expected a new folder, but it exists" in capsys.readouterr().err
    assert export.main([*argv, str(tmp_path / "new")]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(tmp_path / "new")}
    assert (tmp_path / "new" / "model.safetensors").is_file()


def test_an_unknown_format_is_refused(tmp_path, capsys):
    assert export.main([str(tmp_path), "--format", "torchscript"]) == 2
    assert "expected one of savedmodel, transformers, onnx, got 'torchscript'" in capsys.readouterr().err

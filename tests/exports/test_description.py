"""The files of an export besides its graph: the same for every format."""

import json

import pytest
from support import tiny
from transformers import AutoTokenizer

from tfner.exports.description import describe_export, write_description
from tfner.folder import DESCRIPTION, WEIGHTS, digest
from tfner.tagging.exported import read_exported
from tfner.training.state import load_state


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return load_state(tiny.trained_folder(tmp_path_factory.mktemp("described"), "roberta", "replace") / "training" / "1")


def test_labels_and_row_length_are_those_of_the_model(trained, tmp_path):
    write_description(tmp_path, trained, ["input_ids", "attention_mask"])
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["label2id"] == {name: i for i, name in enumerate(tiny.LABELS)}
    assert config["num_hidden_layers"] == tiny.SIZES["roberta"]["num_hidden_layers"] - 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_input_names == ["input_ids", "attention_mask"]
    exported = read_exported(tmp_path)
    assert exported.max_pieces == tokenizer.model_max_length == trained.row_encoder.max_pieces
    assert exported.heads()["ner"].row_encoder.encode([]).rows == ()


def test_the_weights_are_named_by_their_checksum(trained, tmp_path):
    describe_export(tmp_path, trained, "int8", {"f1_after": 0.5})
    values = json.loads((tmp_path / DESCRIPTION).read_text("utf-8"))
    assert values["weights"] == digest(trained.state / WEIGHTS)
    assert (values["precision"], values["measured"]) == ("int8", {"f1_after": 0.5})

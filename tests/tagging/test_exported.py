"""What is read of an export besides its graph."""

import json

import pytest

from tfner.config import make_config
from tfner.errors import UserError
from tfner.folder import DESCRIPTION, EXTRA, LABELS
from tfner.labels import CONLL_LABELS, LabelSet
from tfner.modeling.calibration import UNCALIBRATED, Calibration
from tfner.tagging.exported import describe, read_exported

NER = {"ner": CONLL_LABELS}, {"ner": UNCALIBRATED}
"""Labels and calibrations."""


def test_what_is_described_is_read(tmp_path):
    config = make_config(variant="head", head_units=(5, 3), context="document")
    text = describe(config, *NER, 77, "abc", precision="int8", measured={"f1_after": 0.5})
    (tmp_path / DESCRIPTION).write_text(text, "utf-8")
    found = read_exported(tmp_path)
    assert (found.config, found.labels, found.max_pieces, found.weights) == (config, NER[0], 77, "abc")
    assert (found.precision, found.measured, found.tokenizer) == ("int8", {"f1_after": 0.5}, tmp_path)


def test_labels_of_words_are_plain(tmp_path):
    parts = {"pos": LabelSet(("NN", "B-X"), plain=True)}, {"pos": UNCALIBRATED}
    (tmp_path / DESCRIPTION).write_text(describe(make_config(task="pos"), *parts, 9, "", precision="float32", measured={}))
    assert read_exported(tmp_path).labels["pos"].plain


def test_several_tasks_have_labels_and_calibrations_of_their_own(tmp_path):
    labels = {"pos": LabelSet(("NN", "B-X"), plain=True), "ner": CONLL_LABELS}
    parts = labels, {"pos": Calibration(2.0), "ner": Calibration(0.5, {"PER": 0.25}, 0.9)}
    text = describe(make_config(task="pos,ner"), *parts, 9, "", precision="float32", measured={})
    (tmp_path / DESCRIPTION).write_text(text, "utf-8")
    found = read_exported(tmp_path)
    assert (found.labels, found.calibrations) == parts


def test_a_version_is_read(exported):
    found = read_exported(exported)
    assert list(found.labels["ner"].names) == json.loads((exported / EXTRA / LABELS).read_text())
    assert (len(found.weights), found.measured) == (64, {})
    assert found.heads()["ner"].row_encoder.max_pieces == found.max_pieces


@pytest.mark.parametrize(
    "change",
    [{"max_pieces": "9"}, {"weights": 3}, {"precision": None}, {"measured": []}, {"labels": 3}, {"labels": []}, {"config": []}],
)
def test_a_value_of_the_wrong_kind_is_one_error_with_the_command_that_exports_again(tmp_path, change):
    folder = tmp_path / "head" / "openvino" / "1"
    folder.mkdir(parents=True)
    values = json.loads(describe(make_config(), *NER, 9, "", precision="float32", measured={}))
    for text in (json.dumps(values | change), "", "[]", "null"):
        (folder / DESCRIPTION).write_text(text)
        with pytest.raises(UserError) as caught:
            read_exported(folder)
        assert caught.value.path == folder
        assert "\n" not in str(caught.value)


def test_a_folder_without_a_description_names_the_command(tmp_path):
    folder = tmp_path / "my head" / "openvino" / "1"
    with pytest.raises(UserError, match="--format openvino") as caught:
        read_exported(folder)
    assert "my head'" in caught.value.message  # quoted for a shell

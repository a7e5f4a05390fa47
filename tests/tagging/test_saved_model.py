"""The tagger of an exported model: probabilities, and folders that are incomplete or damaged."""

import json
import shutil

import numpy as np
import pytest
from support import tiny
from support.errors import refused

from tfner.contents import CONTENTS
from tfner.corpus import Sentence
from tfner.errors import UserError
from tfner.folder import CONFIG, EXTRA, LABELS, LIMITS, TOKENIZER, WEIGHTS
from tfner.tagging.load import load_tagger
from tfner.tagging.saved_model import SavedModelTagger


def test_probabilities_of_every_piece_add_up_to_one(local):
    ids, mask = tiny.random_inputs([7, 3], len(tiny.PIECES))
    found = local.probabilities(ids, mask)
    assert found.shape == (2, 7, len(local.labels))
    assert found.dtype == np.float32
    assert found.sum(-1) == pytest.approx(1, abs=1e-5)
    assert np.ptp(found[0], axis=0).max() > 0.01  # different pieces, different probabilities


def test_settings_and_labels_come_from_the_folder(local, exported):
    extra = exported / EXTRA
    assert list(local.labels.names) == json.loads((extra / LABELS).read_text())
    assert local.config.to_json() == (extra / CONFIG).read_text()
    assert local.name == str(exported)
    assert local.row_encoder.max_pieces == json.loads((extra / LIMITS).read_text())["max_pieces"]


def test_a_folder_of_versions_stands_for_its_highest(exported, tmp_path):
    for number in ("2", "10"):
        shutil.copytree(exported, tmp_path / number)
    with load_tagger(tmp_path) as tagger:
        assert tagger.name == str(tmp_path / "10")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with refused("model_folder_missing", path=tmp_path / "nowhere"):
        load_tagger(tmp_path / "nowhere")


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "1")


@pytest.mark.parametrize("name", [CONFIG, LABELS, LIMITS])
def test_a_missing_file_is_named(copy, name):
    (copy / EXTRA / name).unlink()
    with refused(f"model_without_{name}", path=copy):
        load_tagger(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}"])
@pytest.mark.parametrize("name", [CONFIG, LABELS, LIMITS])
def test_a_damaged_file_is_one_error_about_the_folder(copy, name, text):
    if (name, text) == (CONFIG, "{}"):
        return  # an older config without settings: the defaults apply
    (copy / EXTRA / name).write_text(text)
    with pytest.raises(UserError) as caught:
        load_tagger(copy)
    assert caught.value.path in (copy, None)
    assert "\n" not in str(caught.value)


def test_settings_of_another_version_of_tfner_are_refused(copy):
    (copy / EXTRA / CONFIG).write_text('{"colour": "red"}')
    with refused("model_of_another_tfner", path=copy):
        load_tagger(copy)


def test_a_missing_tokenizer_is_refused(copy):
    shutil.rmtree(copy / EXTRA / TOKENIZER)
    with pytest.raises(UserError) as caught:
        load_tagger(copy)
    assert "tokenizer" in str(caught.value)


def test_damaged_variables_are_refused(copy):
    variables = next((copy / "variables").glob("*.data*"))
    variables.write_bytes(variables.read_bytes()[:1000])
    (copy / EXTRA / CONTENTS).unlink()  # which would notice it first
    with pytest.raises(UserError) as caught:
        load_tagger(copy)
    assert caught.value.path == copy
    assert caught.value.message.startswith("the SavedModel cannot be loaded")


def test_a_closed_tagger_raises_and_holds_no_model(exported):
    with SavedModelTagger(exported) as tagger:
        assert tagger.tag("Peter Blackburn said in Nice")
    assert tagger._model is tagger._pieces is None
    ids, mask = tiny.random_inputs([3], len(tiny.PIECES))
    for use in (
        lambda: tagger.tag("EU"),
        lambda: tagger.predict([Sentence(("EU",), ())]),
        lambda: tagger.probabilities(ids, mask),
    ):
        with refused("tagger_of_folder_closed", path=exported):
            use()


def test_weights_are_not_needed(exported):
    assert not list(exported.rglob(WEIGHTS))

"""The folder of an export for OpenVINO, and models whose encoder is not a BERT."""

import json

import numpy as np
import pytest
from support import tiny
from support.errors import refused

from tfner import export
from tfner.folder import CARD, DESCRIPTION
from tfner.modeling.variants import logits_function
from tfner.tagging.load import load_tagger
from tfner.training.state import load_state


def test_the_folder_has_all_files(runtimes):
    found = {path.name for path in (runtimes / "openvino" / "2").iterdir()}
    assert found >= {"model.xml", "model.bin", "config.json", "tokenizer.json", "scores.json", DESCRIPTION, CARD}
    card = (runtimes / "openvino" / "2" / CARD).read_text()
    assert "library_name: openvino" in card
    assert "neither TensorFlow nor transformers" in card


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "variant"), [("distilbert", "replace"), ("roberta", "head"), ("electra", "finetune")])
def test_other_encoders_give_the_probabilities_of_tensorflow(tmp_path, kind, variant):
    corpus = str(tiny.labelled_corpus(tmp_path / "corpus"))
    folder = tiny.trained_folder(tmp_path, kind, variant, corpus=corpus, precision="float32")
    exported = export.export(folder, format="openvino", say=lambda line: None)
    trained = load_state(folder / "training" / "1")
    logits = logits_function(trained.model)
    with load_tagger(exported) as tagger:
        for lengths in ([9, 4, 6], [1], [tiny.POSITIONS - 8]):
            ids, mask = tiny.random_inputs(lengths, len(tiny.PIECES))
            values = logits(ids, mask).numpy().astype(np.float64)
            expected = np.exp(values - values.max(-1, keepdims=True))
            expected /= expected.sum(-1, keepdims=True)
            assert np.abs(tagger.probabilities(ids, mask) - expected)[mask == 1].max() < 1e-4


@pytest.mark.slow
def test_bfloat16_is_a_setting_of_the_same_graph(runtimes, tmp_path):
    folder = export.export(runtimes, format="openvino", precision="bfloat16", output=tmp_path / "new", say=lambda line: None)
    assert (folder / "model.bin").read_bytes() == (runtimes / "openvino" / "1" / "model.bin").read_bytes()
    assert json.loads((folder / DESCRIPTION).read_text())["precision"] == "bfloat16"
    with load_tagger(folder) as tagger:
        assert tagger.precision == "bfloat16"


def test_nncf_that_is_not_installed_is_refused_for_int8_alone(runtimes, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "nncf" else name)
    with refused("nncf_missing", setting="format"):
        export.export(runtimes, format="openvino", precision="int8")

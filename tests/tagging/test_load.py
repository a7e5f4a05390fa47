"""Which tagger a name and a runtime lead to."""

import json
import shlex
import shutil

import pytest
from support.errors import refused

from tfner import export
from tfner.config import SENTENCES
from tfner.contents import CONTENTS
from tfner.demo.corpus import demo_corpus
from tfner.errors import UserError
from tfner.folder import CONFIG, DESCRIPTION, EXTRA, LIMITS, TRAINING, WEIGHTS
from tfner.labels import spans
from tfner.tagging import load
from tfner.tagging.load import find_export, is_address, load_tagger, runtime_of
from tfner.tagging.saved_model import SavedModelTagger
from tfner.tagging.served import ServedTagger
from tfner.tagging.tagger import Tagger


def test_a_folder_is_loaded_and_an_address_is_asked(exported, address):
    for function in (load_tagger, Tagger.load):
        with function(str(exported)) as local, function(address) as served:
            assert type(local) is SavedModelTagger
            assert type(served) is ServedTagger
            assert (local.name, served.name) == (str(exported), address)


def test_options_reach_the_tagger_of_an_address(address):
    with load_tagger(address, deadline=7.5, texts=3, size=100) as tagger:
        assert (tagger._client.deadline, tagger.texts, tagger.size) == (7.5, 3, 100)


@pytest.mark.parametrize("name", ["saved_models/head", "/models/head/1", "C:\\models\\head", "head"])
def test_a_path_is_not_an_address(name):
    assert not is_address(name)


def test_an_address_of_another_kind_is_refused_without_looking_for_a_folder():
    with refused("address_of_another_kind", path="ftp://host/head"):
        load_tagger("ftp://host/head")


# --- runtimes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(runtimes, tmp_path):
    """A model with a version and exports for other runtimes, whose speeds `set_speed` decides."""
    folder = shutil.copytree(runtimes, tmp_path / "model")
    for path in folder.rglob(CONTENTS):  # so that the tests may change files
        path.unlink()
    return folder


def set_speed(folder, words_per_second, tensorflow=100):
    path = folder / DESCRIPTION
    values = json.loads(path.read_text())
    values["measured"] |= {"words_per_second": words_per_second, "words_per_second_tensorflow": tensorflow}
    path.write_text(json.dumps(values))


def set_speeds(copy, **speeds):
    for runtime in ("openvino", "onnx"):
        for number in "12":
            set_speed(copy / runtime / number, speeds.get(runtime + number, 50))


def test_auto_takes_the_export_that_gains_most(copy):
    set_speeds(copy, openvino2=300, onnx1=200)
    assert find_export(copy) == find_export(copy / "1") == copy / "openvino" / "2"
    set_speed(copy / "onnx" / "1", 900, tensorflow=100)
    set_speed(copy / "openvino" / "2", 1800, tensorflow=600)  # exported on a faster machine
    assert find_export(copy) == copy / "onnx" / "1"
    assert find_export(copy, "openvino") == copy / "openvino" / "2"


def test_auto_takes_tensorflow_where_it_is_faster(copy):
    set_speeds(copy)
    assert find_export(copy) == copy / "1"
    assert runtime_of(copy / "1") == "tensorflow"


def test_auto_takes_what_is_installed(copy, monkeypatch):
    set_speeds(copy, openvino2=300, onnx1=200)
    found = {"openvino", "onnxruntime", "tensorflow"}
    monkeypatch.setattr(load, "find_spec", lambda name: name if name in found else None)
    found.remove("openvino")
    assert find_export(copy) == copy / "onnx" / "1"
    found.remove("onnxruntime")
    assert find_export(copy) == copy / "1"
    shutil.rmtree(copy / "1")
    found.remove("tensorflow")
    with refused("no_runtime_installed", path=copy):
        find_export(copy)


def test_without_tensorflow_auto_takes_an_export_that_is_slower(copy, monkeypatch):
    set_speeds(copy, onnx1=60)
    monkeypatch.setattr(load, "find_spec", lambda name: None if name == "tensorflow" else name)
    assert find_export(copy) == copy / "onnx" / "1"


def test_an_export_of_other_weights_is_not_used(copy):
    set_speeds(copy, openvino2=300)
    limits = copy / "1" / EXTRA / LIMITS
    limits.write_text(json.dumps(json.loads(limits.read_text()) | {"weights": "of another training"}))
    assert find_export(copy) == copy / "1"
    for runtime in ("openvino", "onnx"):
        with refused(f"{runtime}_of_other_weights", setting="runtime", path=copy):
            find_export(copy, runtime)


def test_an_export_that_divides_texts_in_another_way_is_not_used(copy):
    set_speeds(copy, openvino2=300)
    path = copy / "1" / EXTRA / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sentences": "none"}))
    assert find_export(copy) == copy / "1"
    with pytest.raises(UserError, match="of version 1"):
        find_export(copy, "openvino")


def test_a_copy_without_a_version_is_used(copy):
    set_speeds(copy, openvino2=300)
    shutil.rmtree(copy / "1")
    assert find_export(copy) == find_export(copy / "openvino") == copy / "openvino" / "2"
    assert find_export(copy / "openvino" / "1") == copy / "openvino" / "1"


def test_a_runtime_without_an_export_is_refused_with_the_command(exported):
    with refused("openvino_not_exported", setting="runtime", path=exported):
        find_export(exported, "openvino")


def test_texts_are_divided_as_asked_or_as_the_model_says(exported, address):
    text = "Peter\nBlackburn. Nice\nsaid"
    with load_tagger(exported) as tagger:
        assert tagger.sentences == "split"
        usual = next(iter(tagger.tagged([text])))[2].starts
    starts = {how: next(iter(load_tagger(exported, sentences=how).tagged([text])))[2].starts for how in SENTENCES}
    assert usual == starts["split"] == [0, 1, 3]
    assert (list(starts["line"]), list(starts["none"])) == ([0, 1, 4], [0])
    with refused("unknown_sentences", setting="sentences"):
        load_tagger(exported, sentences="paragraph")
    with pytest.raises(UserError, match="server decides") as caught:
        load_tagger(address, sentences="line")
    assert (caught.value.setting, caught.value.path) == ("sentences", address)


def test_tags_are_chosen_as_asked_or_as_the_model_says(exported, address):
    for asked, used in ((None, "viterbi"), ("viterbi", "viterbi"), ("greedy", "greedy")):
        with load_tagger(exported, decode=asked) as tagger:
            assert tagger.decode == used
            tagged = tagger.predict(demo_corpus().splits["test"][:100])
            legal = [spans(one.tags) == spans(one.tags, strict=True) for one in tagged]
            assert all(legal) == (used == "viterbi")
    with refused("unknown_decode", setting="decode"):
        load_tagger(exported, decode="beam")
    with pytest.raises(UserError, match="server decides"):
        load_tagger(address, decode="viterbi")


def test_tensorflow_needs_no_other_export(copy):
    (copy / "onnx" / "1" / DESCRIPTION).write_text("{")
    assert find_export(copy, "tensorflow") == copy / "1"
    shutil.rmtree(copy / "1")
    with pytest.raises(UserError, match="train"):
        find_export(copy, "tensorflow")


def test_the_remedy_for_a_version_without_an_export_names_its_training(copy):
    shutil.copytree(copy / TRAINING / "1", copy / TRAINING / "2")
    weights = copy / TRAINING / "2" / WEIGHTS
    weights.write_bytes(weights.read_bytes() + b"x")  # of another training
    config = copy / "1" / EXTRA / CONFIG
    config.write_text(config.read_text().replace("viterbi", "greedy"))
    with refused("no_export_of_the_version", setting="runtime", path=copy / "1"):
        find_export(copy / "1", "openvino")
    shutil.rmtree(copy / TRAINING / "1")
    with refused("training_of_the_version_is_gone", setting="runtime", path=copy / "1"):
        find_export(copy / "1", "openvino")


def test_the_remedy_for_an_earlier_version_makes_an_export_of_it(copy):
    shutil.rmtree(copy / "onnx")
    export.export(copy, sentences="line", decode="greedy", temperature=2.0, min_precision=0, say=lambda line: None)
    with refused("no_export_of_an_earlier_version", setting="runtime", path=copy / "1") as caught:
        find_export(copy / "1", "onnx")
    command = str(caught.value.for_command_line()).partition("python -m tfner.export ")[2]
    assert export.main([*shlex.split(command), "--max-f1-loss", "1"]) == 0
    assert find_export(copy / "1", "onnx") == copy / "onnx" / "1"


def test_a_runtime_that_does_not_fit_what_is_named_is_refused(copy, address):
    folder = copy / "openvino" / "1"
    with refused("runtime_of_another_export", setting="runtime", path=folder):
        load_tagger(folder, "onnx")
    with pytest.raises(UserError, match="server decides") as caught:
        load_tagger(address, "onnx")
    assert (caught.value.setting, caught.value.path) == ("runtime", address)
    with refused("unknown_runtime", setting="runtime"):
        load_tagger(copy, "torch")

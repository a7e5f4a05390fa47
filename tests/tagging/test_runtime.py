"""Exports for OpenVINO and ONNX Runtime find what TensorFlow finds, and need neither TensorFlow nor transformers."""

import ast
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from support import tiny
from support.errors import refused
from support.trainings import TEXT

from tfner import evaluate, predict
from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.errors import UserError
from tfner.folder import DESCRIPTION, GRAPHS, LABELS
from tfner.modeling.tokenizer import FILE
from tfner.tagging.load import load_tagger

EXACT = ["openvino/1", "onnx/1"]
"""The exports in float32; a number higher are those in int8."""
INPUTS = [TEXT, "", "  Köln: «Ümit Özkan» traf London  . " * 40, ["Maria", "", "in", "Lisbon"], [], "x", "😀 Nice, é Unice"]


@pytest.fixture(scope="module")
def tensorflow(runtimes):
    return load_tagger(runtimes / "1", "tensorflow")


@pytest.fixture(scope="module", params=EXACT)
def tagger(request, runtimes):
    return load_tagger(runtimes / request.param)


@pytest.fixture
def copy(runtimes, tmp_path):
    return shutil.copytree(runtimes, tmp_path / "model")


def without_scores(entities):
    return [replace(entity, score=0) for entity in entities]


def test_every_sentence_gets_the_entities_and_scores_of_tensorflow(tagger, tensorflow, corpus):
    sentences = [s for split in load_corpus(str(corpus)).splits.values() for s in split]
    items = [" ".join(s.words) for s in sentences] + [s.words for s in sentences] + INPUTS
    found, expected = (list(one.tag_many(items)) for one in (tagger, tensorflow))
    assert sum(map(len, expected)) > 100
    assert [without_scores(e) for e in found] == [without_scores(e) for e in expected]
    scores = [[e.score for entities in one for e in entities] for one in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_each_text_gets_what_it_gets_alone(tagger):
    together = list(tagger.tag_many(INPUTS))
    alone = [next(tagger.tag_many([item])) for item in INPUTS]
    assert [without_scores(e) for e in together] == [without_scores(e) for e in alone]


def test_probabilities_of_every_piece_add_up_to_one(tagger, tensorflow):
    for lengths in ([7, 3], [5], [33], [64]):  # rows alone are padded
        ids, mask = tiny.random_inputs(lengths, 100)
        found, expected = (one.probabilities(ids, mask) for one in (tagger, tensorflow))
        assert found.shape == (len(lengths), max(lengths), len(tagger.labels))
        assert found.dtype == np.float32
        assert found.sum(-1) == pytest.approx(1, abs=1e-5)
        assert np.abs(found - expected)[mask == 1].max() < 1e-4


def test_several_batches_beside_each_other_give_the_same(tagger, corpus, monkeypatch):
    sentences = load_corpus(str(corpus)).splits["train"]
    expected = tagger.predict(sentences)
    monkeypatch.setattr("tfner.tagging.runtime.PIECES_PER_BATCH", 100)
    found = tagger.predict(sentences)
    assert True in tagger._loaded  # the graph for batches beside each other
    assert [t.tags for t in found] == [t.tags for t in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_threads_can_share_a_tagger(tagger):
    expected = [without_scores(tagger.tag(text)) for text in ("Maria works in Lisbon.", TEXT)]
    wrong = []

    def work(number):
        for _ in range(20):
            if without_scores(tagger.tag(("Maria works in Lisbon.", TEXT)[number])) != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("runtime", GRAPHS)
def test_in_int8_too_each_sentence_gets_exactly_what_it_gets_alone(runtimes, corpus, runtime):
    sentences = load_corpus(str(corpus)).splits["train"]
    with load_tagger(runtimes / runtime / "2") as tagger:
        for together, sentence in zip(tagger.predict(sentences), sentences, strict=True):
            (alone,) = tagger.predict([sentence])
            assert together.tags == alone.tags
            assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


@pytest.mark.parametrize("runtime", GRAPHS)
def test_int8_keeps_f1_and_says_what_it_is(runtimes, runtime):
    with load_tagger(runtimes / runtime / "2") as tagger:
        assert (tagger.runtime, tagger.precision) == (runtime, "int8")
        assert tagger.tag(TEXT)
    measured = json.loads((runtimes / runtime / "2" / DESCRIPTION).read_text())["measured"]
    assert measured["f1_before"] - measured["f1_after"] <= 0.002
    assert measured["same_tags"] > 0.95
    assert measured["mib"] < json.loads((runtimes / runtime / "1" / DESCRIPTION).read_text())["measured"]["mib"]


def test_neither_tensorflow_nor_transformers_nor_the_network_is_needed(runtimes):
    program = f"""
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        print("network:", event, arguments)
sys.addaudithook(hook)
from tfner import predict
for name in {[*EXACT, "openvino/2", "onnx/2"]!r}:
    assert predict.main([{str(runtimes)!r} + "/" + name, {TEXT!r}]) == 0
files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
print("from", sorted({{file.split("site-packages/")[1].split("/")[0] for file in files if "site-packages/" in file}}))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    printed, _, packages = result.stdout.rpartition("from ")
    assert printed.count("Ahmed") >= 4 and "network" not in printed
    # what docs/how-to/other-runtimes.md installs for a machine that only tags
    installed = {"numpy", "tokenizers", "tqdm", "filelock", "openvino", "onnxruntime"}
    installed |= {"absl", "packaging"}  # OpenVINO imports these where they are there
    assert {name for name in ast.literal_eval(packages) if not name.startswith("_")} <= installed


@pytest.mark.parametrize("runtime", GRAPHS)
def test_a_damaged_graph_is_one_line_with_the_command_that_exports_again(copy, runtime):
    graph = copy / runtime / "1" / GRAPHS[runtime]
    for damage in (graph.read_bytes()[:1000], b"", b"\0" * 100):
        graph.write_bytes(damage)
        with pytest.raises(UserError, match=f"--format {runtime}") as caught:
            load_tagger(copy / runtime / "1").tag("x")
        assert caught.value.path == graph.parent
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(copy):
    for name in (FILE, DESCRIPTION, "model.bin"):
        folder = shutil.copytree(copy / "openvino" / "1", copy / "openvino" / f"without-{name}")
        (folder / name).unlink()
        with pytest.raises(UserError) as caught:
            load_tagger(folder)
        assert caught.value.path == folder


def test_a_runtime_that_is_not_installed_is_named(runtimes, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with refused("openvino_missing", path=runtimes / "openvino" / "1"):
        load_tagger(runtimes / "openvino" / "1")


def test_a_closed_tagger_raises(runtimes):
    for name in EXACT:
        with load_tagger(runtimes / name) as tagger:
            pass
        with pytest.raises(UserError, match="closed"):
            tagger.tag("x")
        assert tagger._loaded == {}


def test_the_taggers_of_all_tasks_share_the_loaded_graphs(together):
    with load_tagger(together, "openvino") as tagger:
        other = tagger.for_task("pos")
        other.predict([Sentence(tuple(TEXT.split()), ())] * 60)
        assert tagger._loaded.keys() == {False, True} and other._loaded is tagger._loaded


def test_predict_says_which_runtime_it_took(runtimes, capsys):
    for runtime, line in (("onnx", "tagging with ONNX Runtime, "), ("tensorflow", ""), ("openvino", "tagging with OpenVINO, ")):
        assert predict.main([str(runtimes), TEXT, "--json", "--runtime", runtime]) == 0
        output = capsys.readouterr()
        assert output.err.startswith(line) and output.err.count("\n") == bool(line)
        assert json.loads(output.out)["text"] == TEXT


def test_evaluate_scores_a_runtime_and_keeps_it_apart(copy, capsys):
    assert evaluate.main([str(copy), "--runtime", "openvino", "--split", "validation", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    (folder,) = (copy / "evaluations").iterdir()
    assert folder.name.startswith("openvino-") and folder.name.endswith("-validation")
    measured = json.loads((copy / folder.name.replace("-", "/", 1).split("-")[0] / DESCRIPTION).read_text())["measured"]
    assert scores["overall"]["f1"] == pytest.approx(measured["f1_after"], abs=1e-6)


def test_labels_are_those_of_the_description(copy):
    path = copy / "onnx" / "1" / DESCRIPTION
    values = json.loads(path.read_text())
    with load_tagger(path.parent) as tagger:
        assert list(tagger.labels.names) == values["labels"]
    assert not (path.parent / LABELS).exists()

"""The gate: exports that lose F1 are refused, whatever layer is damaged, and nothing is left of them."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from support.errors import refused
from support.trainings import refused_line, write_corpus

from tfner import export
from tfner.corpus import Sentence
from tfner.exports import int8
from tfner.exports import onnx as onnx_format
from tfner.exports.gate import Gate, Way
from tfner.folder import CARD, DESCRIPTION, GRAPHS, TRAINING
from tfner.modeling.variants import logits_function
from tfner.tagging.in_memory import InMemoryTagger
from tfner.training.state import load_state

DAMAGED = 10


@pytest.fixture(scope="module")
def trained(model):
    return load_state(model / TRAINING / "1")


@pytest.fixture
def copy(model, tmp_path):
    """A model without exports for other runtimes."""
    return shutil.copytree(model, tmp_path / "model")


@pytest.fixture(scope="module")
def sentences(corpus):
    from tfner.data.load import load_corpus

    return load_corpus(str(corpus)).splits["validation"]


def damaged(graph, number):
    """A graph in which the rows of one matrix of weights are in reverse order."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.ModelProto.FromString(graph.SerializeToString())
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    products = [n for n in graph.graph.node if n.op_type == "MatMul" and any(name in weights for name in n.input)]
    (name,) = (name for name in products[number].input if name in weights)
    weights[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(weights[name])[::-1]), name))
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_of_ten_exports_with_one_damaged_layer_each_ten_are_refused(copy, monkeypatch, format):
    make, made = onnx_format.onnx_graph, {}  # converted once

    def graph(*arguments):
        if "graph" not in made:
            made["graph"] = make(*arguments)
        return damaged(made["graph"], made["number"])

    monkeypatch.setattr(f"tfner.exports.{format}.onnx_graph", graph)
    for made["number"] in range(DAMAGED):
        lines = []
        with pytest.raises(export.UserError, match="does not compute what the model does"):
            export.export(copy, format=format, say=lines.append)
        assert len(lines) == 1  # less exact precisions are not tried
    assert not list(copy.rglob(GRAPHS[format]))


def test_a_precision_that_loses_too_much_is_refused_and_the_fastest_other_one_is_named(copy, capsys, monkeypatch):
    # whatever is left in float32, it does not help
    quantize = int8.dynamic
    monkeypatch.setattr(int8, "dynamic", lambda graph, left: quantize(damaged(graph, 3), left))
    line = refused_line_after(capsys, copy, "--format", "onnx", "--precision", "int8")
    assert "--precision int8: validation F1 falls by more than --max-f1-loss 0.002" in line
    assert "the fastest precision within it is --precision float32" in line
    assert not (copy / "onnx").exists()


def refused_line_after(capsys, *argv):
    """The line of an export that is refused after it has printed what it measured."""
    assert export.main(list(map(str, argv))) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_more_loss_can_be_allowed(copy, monkeypatch):
    monkeypatch.setattr("tfner.exports.int8.dynamic", lambda graph, left: damaged(graph, 3))
    folder = export.export(copy, format="onnx", precision="int8", max_f1_loss=1, say=lambda line: None)
    measured = json.loads((folder / DESCRIPTION).read_text())["measured"]
    assert measured["f1_before"] - measured["f1_after"] > 0.002


def test_what_was_measured_is_in_the_description_and_the_card(runtimes, sentences):
    for runtime in GRAPHS:
        folder = runtimes / runtime / "1"
        measured = json.loads((folder / DESCRIPTION).read_text())["measured"]
        assert measured["sentences"] == len(sentences)
        assert measured["f1_before"] == measured["f1_after"] > 0.1
        assert measured["same_tags"] == 1
        assert measured["largest_score_difference"] < 1e-4
        card = (folder / CARD).read_text()
        assert f"| F1 | {measured['f1_before']:.4f} | {measured['f1_after']:.4f} |" in card
        assert f"{measured['mib']} MiB" in card


def test_ways_are_tried_until_one_passes(trained, sentences, tmp_path):
    lines, sent = [], []
    gate = Gate(trained, {"ner": sentences}, 0.002, lines.append)
    exact = InMemoryTagger(logits_function(trained.model), trained.heads, trained.config)
    wrong = InMemoryTagger(lambda ids, mask: -logits_function(trained.model)(ids, mask), trained.heads, trained.config)
    taggers = {"a": wrong, "b": exact}

    def ways():
        for name in "abc":  # c would not be loaded
            sent.append((yield Way(name, lambda folder, name=name: (folder / "way").write_text(name))))

    found = gate.first_that_passes(tmp_path, ways(), lambda folder: taggers[(folder / "way").read_text()])
    assert found["graph"] == "b"
    assert [line[:2] for line in lines] == ["a:", "b:"]
    assert len(sent) == 1 and sent[0] < gate.before.f1


def test_a_loss_of_just_the_limit_passes(trained, sentences):
    gate = Gate(trained, {"ner": sentences}, 0.25, lambda line: None)
    assert not gate.fault_of(dataclasses.replace(gate.before, f1_of={"ner": gate.before.f1 - 0.25}))
    assert gate.fault_of(dataclasses.replace(gate.before, f1_of={"ner": gate.before.f1 - 0.2501}))


@pytest.mark.parametrize(("factor", "found"), [(1, False), (1.00001, False), (1.2, True)])
def test_in_float32_scores_that_differ_are_refused_although_f1_is_the_same(trained, sentences, factor, found):
    gate, logits = Gate(trained, {"ner": sentences}, 0.002, lambda line: None), logits_function(trained.model)
    measured = gate.measure(InMemoryTagger(lambda ids, mask: factor * logits(ids, mask), trained.heads, trained.config))
    assert measured.f1 == gate.before.f1
    assert not gate.fault_of(measured)
    assert bool(gate.fault_of(measured, exact=True)) == found
    gate.exact = False  # as of a model that was trained in bfloat16
    assert not gate.fault_of(measured, exact=True)


def test_in_float32_one_word_in_a_thousand_may_get_another_tag(trained, sentences):
    gate = Gate(trained, {"ner": sentences}, 0.002, lambda line: None)
    words = sum(len(sentence.words) for sentence in sentences)
    assert words < 1000
    tagged = gate.before.tagged["ner"]
    other = dataclasses.replace(tagged[0], tags=["B-MISC", *tagged[0].tags[1:]])
    fault = gate.fault_of(dataclasses.replace(gate.before, tagged={"ner": [other, *tagged[1:]]}), exact=True)
    assert fault.startswith(f"1 of {words} words get another tag")


def test_a_model_that_finds_nothing_cannot_be_compared(copy, tmp_path):
    (tmp_path / "corpus").mkdir()
    for split in ("train", "validation"):
        (tmp_path / "corpus" / f"{split}.txt").write_text("it O\nrained O\n\n" * 3)
    options = {"format": "onnx", "corpus": str(tmp_path / "corpus"), "say": lambda line: None}
    with refused("gate_f1_of_0", setting="corpus"):
        export.export(copy, precision="int8", **options)
    export.export(copy, **options)  # in float32, tags and scores are compared
    export.export(copy, precision="int8", max_f1_loss=1, **options)


def test_a_corpus_without_a_validation_split_is_refused(copy, tmp_path, capsys):
    (tmp_path / "corpus").mkdir()
    write_corpus(tmp_path / "corpus", sizes={"train": 20, "test": 5})
    line = refused_line(capsys, export, copy, "--format", "onnx", "--corpus", tmp_path / "corpus")
    assert "validation" in line and "--corpus" in line


def test_a_corpus_with_other_tags_is_refused(copy, tmp_path, capsys):
    path = tmp_path / "corpus"
    path.mkdir()
    for split in ("train", "validation"):
        (path / f"{split}.txt").write_text("Maria B-HUMAN\nsaid O\n\n" * 3)
    assert "B-HUMAN" in refused_line(capsys, export, copy, "--format", "onnx", "--corpus", path)


def test_a_corpus_that_is_gone_is_refused(copy, tmp_path, capsys):
    line = refused_line(capsys, export, copy, "--format", "onnx", "--corpus", tmp_path / "nowhere")
    assert "validation" in line and "--corpus" in line


def test_sentences_without_words_do_not_matter(trained, sentences):
    some = Gate(trained, {"ner": [Sentence((), ()), *sentences]}, 0.1, lambda line: None)
    assert not some.fault_of(some.before, exact=True)


@pytest.mark.parametrize("loss", [-0.1, 1.5, float("nan")])
def test_an_impossible_limit_is_refused(copy, loss):
    with refused(f"max_f1_loss_{loss}", setting="max_f1_loss"):
        export.export(copy, format="onnx", max_f1_loss=loss)


def test_a_precision_that_a_format_does_not_have_is_refused(copy):
    with refused("onnx_in_bfloat16", setting="format"):
        export.export(copy, format="onnx", precision="bfloat16")
    with refused("savedmodel_in_int8", setting="format"):
        export.export(copy, precision="int8")

"""The signatures of other runtimes answer as the graph of the SavedModel does."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny
from support.local_server import ThreadServer
from support.trainings import TEXT

from tfner import export
from tfner.contract import PIECES, SIGNATURES, WORDS
from tfner.contract import TEXT as TEXTS
from tfner.demo.corpus import demo_corpus
from tfner.folder import CARD, CONFIG, EXTRA, GRAPHS, TRAINING, read_settings
from tfner.serving.rest import RestError
from tfner.serving.servable import load_servable
from tfner.tagging.exported import read_exported
from tfner.tagging.load import load_tagger
from tfner.tagging.signatures import make_servable
from tfner.training.state import change_settings


@pytest.fixture(scope="module")
def graph(runtimes):
    return load_servable(runtimes / "1")


@pytest.fixture(scope="module", params=["openvino", "onnx"])
def servable(request, runtimes):
    folder = runtimes / request.param / "1"
    return make_servable(load_tagger(folder), "model", 1, folder)


def as_bytes(values):
    array = np.empty(len(values), object)
    array[:] = [value if isinstance(value, bytes) else value.encode() for value in values]
    return array


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        if array.dtype == np.float32:
            np.testing.assert_allclose(found[name], array, atol=1e-4, err_msg=name)
        else:
            assert found[name].tolist() == array.tolist(), name


def test_texts_get_the_entities_and_words_of_the_graph(servable, graph):
    long, broken = "  Köln: «Ümit Özkan» traf London  . " * 30, b"Maria \xff in \xe2\x28 Lisbon"
    texts = [TEXT, "", " \n ", long, "x\0y Maria\0", broken, "😀 Nice"]
    for some in (texts, texts[:1], texts[1:2]):
        inputs = {"text": as_bytes(some)}
        assert_equal(servable.call(TEXTS.name, inputs), graph.call(TEXTS.name, inputs))


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.one_of(st.text(max_size=30), st.sampled_from(["Maria lives in Lisbon.", TEXT])), min_size=1, max_size=4)
)
def test_any_texts_get_what_the_graph_gives_them(servable, graph, texts):
    inputs = {"text": as_bytes(texts)}
    assert_equal(servable.call(TEXTS.name, inputs), graph.call(TEXTS.name, inputs))


def test_the_graph_accepts_some_entities(graph):
    found = graph.call(TEXTS.name, {"text": as_bytes([" ".join(s.words) for s in demo_corpus().splits["test"][:100]])})
    accepted = found["entity_accepted"][np.arange(found["entity_accepted"].shape[1]) < found["entity_count"][:, None]]
    assert accepted.any() and not accepted.all()


def test_a_model_answers_the_same_wherever_it_runs_and_its_cards_describe_it(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    shutil.rmtree(folder / "1")
    state = folder / TRAINING / "1"
    change_settings(state, replace(read_settings(state)[0], context="document"))
    asked = {"decode": "viterbi", "temperature": 1.5, "min_precision": 0.1}
    version = export.export(folder, output=folder / "1", say=lambda line: None, **asked)
    exports = [export.export(folder, format=name, max_f1_loss=1.0, say=lambda line: None) for name in GRAPHS]
    own = load_servable(version)
    servables = [own, *(make_servable(load_tagger(one), one.parent.name, 1, one) for one in exports)]

    sentences = [s.words for s in demo_corpus().splits["test"][:120]]
    texts = [" ".join(word for words in sentences[i : i + 4] for word in words) for i in range(0, 120, 4)]
    rows = [[*words, *[""] * (max(map(len, sentences)) - len(words))] for words in sentences]
    for signature, values in ((TEXTS, as_bytes(texts)), (WORDS, np.stack([as_bytes(row) for row in rows]))):
        (name,) = signature.inputs
        expected = own.call(signature.name, {name: values})
        for one in servables[1:]:
            assert_equal(one.call(signature.name, {name: values}), expected)
    with ThreadServer(servables) as server:
        addresses = [f"{server.address}v1/models/{one.name}" for one in servables]
        first, *others = (list(load_tagger(one).tag_many([*texts, *sentences])) for one in (version, *exports, *addresses))
    assert {e.accepted for one in first for e in one} == {True, False}
    for found in others:
        assert [[replace(e, score=0) for e in one] for one in found] == [[replace(e, score=0) for e in one] for one in first]
        scores = [[e.score for one in each for e in one] for each in (found, first)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    assert max(len(e.text.split()) for one in first for e in one) > 1
    within, alone = ([e.score for one in some for e in one] for some in (first[: len(texts)], first[len(texts) :]))
    assert alone != pytest.approx(within, abs=1e-3)  # neighbours matter

    calibration = read_exported(version).calibrations["ner"]
    cards = [(one / CARD).read_text("utf-8") for one in (version / EXTRA, *exports)]
    for card in cards:
        assert "Tags are chosen by `viterbi`" in card and "divided by 1.500" in card and "shared rows" in card
        for kind, least in calibration.thresholds.items():
            assert f"| `{kind}` | {'never' if least is None else f'{least:.4f}'} |" in card


def test_words_get_the_labels_of_the_graph(servable, graph):
    rows = [["Maria", "", "in", "Lisbon"], ["\u200b", "x y", "Köln", ""], ["", "", "", ""]]
    inputs = {"words": np.stack([as_bytes(row) for row in rows])}
    assert_equal(servable.call(WORDS.name, inputs), graph.call(WORDS.name, inputs))


def test_pieces_get_the_probabilities_of_the_graph(servable, graph):
    ids, mask = tiny.random_inputs([9, 4], 200)
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    (found,), (expected,) = (one.call(PIECES.name, inputs).values() for one in (servable, graph))
    np.testing.assert_allclose(found[mask == 1], expected[mask == 1], atol=1e-4)


def test_masks_with_gaps_get_the_probabilities_of_the_graph(servable, graph):
    ids, _ = tiny.random_inputs([5] * 3, 200)
    mask = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    inputs = {"input_ids": ids, "attention_mask": mask}
    (found,), (expected,) = (one.call(PIECES.name, inputs).values() for one in (servable, graph))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    mask[1] = 0
    with pytest.raises(RestError, match="expected a 1 in each row of attention_mask, got none in row 1"):
        servable.call(PIECES.name, inputs)


def test_the_ids_are_those_of_the_encoder_not_of_the_tokenizer(runtimes, tmp_path):
    (tmp_path / CONFIG).write_text('{"vocab_size": 7}')
    servable = make_servable(load_tagger(runtimes / "onnx" / "1"), "model", 1, tmp_path)
    for number in (6, 7):
        inputs = {name: np.array([[number]], np.int32) for name in PIECES.inputs}
        if number < 7:
            assert servable.call(PIECES.name, inputs)
        else:
            with pytest.raises(RestError, match="expected input_ids from 0 to 6, got 7"):
                servable.call(PIECES.name, inputs)


LONG = np.ones((1, 10_000), np.int32)


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        ([[10**6]], [[1]], r"expected input_ids from 0 to \d+, got 1000000"),
        ([[1, -1]], [[1, 1]], r"expected input_ids from 0 to \d+, got -1"),
        (LONG, LONG, r"expected rows of at most \d+ word pieces, got 10000"),
        (LONG[:, :3], LONG[:, :4], "expected input_ids and attention_mask of one shape, got"),
    ],
)
def test_pieces_that_the_encoder_cannot_take_are_refused_in_the_same_words(servable, graph, ids, mask, message):
    inputs = {"input_ids": np.array(ids, np.int32), "attention_mask": np.array(mask, np.int32)}
    for one in (servable, graph):
        with pytest.raises(RestError, match=message) as caught:
            one.call(PIECES.name, inputs)
        assert caught.value.status == 400


def test_signatures_and_metadata_are_those_of_the_graph(servable, graph):
    assert servable.signatures == graph.signatures
    assert servable.takes_text
    for signature in SIGNATURES:
        own, expected = (one.signature_def[signature.name] for one in (servable, graph))
        assert own.keys() == expected.keys()
        for side in ("inputs", "outputs"):
            assert own[side].keys() == expected[side].keys()
            for name, tensor in expected[side].items():
                assert own[side][name].keys() == tensor.keys()
                assert own[side][name]["dtype"] == tensor["dtype"]
                assert len(own[side][name]["tensor_shape"]["dim"]) == len(tensor["tensor_shape"]["dim"])

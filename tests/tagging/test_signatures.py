"""The signatures of other runtimes answer as the graph of the SavedModel does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny
from support.trainings import TEXT

from tfner.contract import PIECES, SIGNATURES, WORDS
from tfner.contract import TEXT as TEXTS
from tfner.demo.corpus import demo_corpus
from tfner.serving.rest import RestError
from tfner.serving.servable import load_servable
from tfner.tagging.load import load_tagger
from tfner.tagging.signatures import make_servable


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


def test_words_get_the_labels_of_the_graph(servable, graph):
    rows = [["Maria", "", "in", "Lisbon"], ["\u200b", "x y", "Köln", ""], ["", "", "", ""]]
    inputs = {"words": np.stack([as_bytes(row) for row in rows])}
    assert_equal(servable.call(WORDS.name, inputs), graph.call(WORDS.name, inputs))


def test_pieces_get_the_probabilities_of_the_graph(servable, graph):
    ids, mask = tiny.random_inputs([9, 4], 200)
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    (found,), (expected,) = (one.call(PIECES.name, inputs).values() for one in (servable, graph))
    np.testing.assert_allclose(found[mask == 1], expected[mask == 1], atol=1e-4)


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

"""Merging requests: each gets the outputs that it gets alone, and a request that fails does so alone."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfner.serving.microbatch import AnswerTooLarge, Batching, Microbatcher, Overloaded


def letters(texts):
    """Stands in for a model: the vowels of each text, padded to the most of a text, and its reverse."""
    if any(b"!" in text for text in texts):
        raise ValueError("no ! here")
    found = [[bytes([c]) for c in text if c in b"aeiou"] for text in texts]
    width = max(map(len, found))
    vowels = np.full((len(texts), width), b"", object)
    score = np.zeros((len(texts), width), np.float32)
    for row, items in enumerate(found):
        vowels[row, : len(items)] = items
        score[row, : len(items)] = [len(texts[row]) / (i + 1) for i in range(len(items))]
    reverse = np.empty(len(texts), object)
    reverse[:] = [text[::-1] for text in texts]
    return {
        "vowel_count": np.array(list(map(len, found)), np.int32),
        "vowel_text": vowels,
        "vowel_score": score,
        "reverse": reverse,
    }


def strings(texts):
    array = np.empty(len(texts), object)
    array[:] = [text.encode() for text in texts]
    return array


class Gate:
    """A function for a Microbatcher that records its calls and can be held back."""

    def __init__(self):
        self.open, self.entered, self.calls, self.inside = threading.Event(), threading.Semaphore(0), [], 0
        self.open.set()

    def __call__(self, signature, inputs):
        self.inside += 1
        assert self.inside == 1, "two calls at a time"
        self.calls.append((signature, inputs))
        self.entered.release()
        assert self.open.wait(30)
        self.inside -= 1
        return letters(inputs["text"]) if "text" in inputs else {"double": inputs["ids"] * 2}


@pytest.fixture
def gate():
    return Gate()


def batcher(gate, **limits):
    return Microbatcher(gate, Batching(**({"wait": 0} | limits)))


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        assert one[name].shape == other[name].shape
        assert one[name].tolist() == other[name].tolist()


def held(gate, some):
    """Occupies the thread with a first request, so that the next ones wait together."""
    gate.open.clear()
    first = some.submit("tag", {"text": strings(["first"])})
    assert gate.entered.acquire(timeout=30)
    return first


def test_waiting_requests_are_merged_and_each_gets_the_outputs_that_it_gets_alone(gate):
    some = batcher(gate)
    held(gate, some)
    requests = [["banana", "x"], ["sky"], ["aeiouaeiou", "", "id"]]
    futures = [some.submit("tag", {"text": strings(texts)}) for texts in requests]
    gate.open.set()
    for future, texts in zip(futures, requests, strict=True):
        same(future.result(30), letters(strings(texts)))
    some.close()
    assert [len(inputs["text"]) for _, inputs in gate.calls] == [1, 6]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.text("abeou", max_size=9), min_size=1, max_size=7), min_size=1, max_size=9),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_no_cut_or_merge_mixes_up_requests(requests, rows, size):
    gate = Gate()
    some = batcher(gate, rows=rows, size=size)
    with ThreadPoolExecutor(4) as pool:
        futures = list(pool.map(lambda texts: some.submit("tag", {"text": strings(texts)}), requests))
    for future, texts in zip(futures, requests, strict=True):
        same(future.result(30), letters(strings(texts)))
    some.close()
    for _, inputs in gate.calls:
        texts = inputs["text"]
        assert len(texts) <= rows
        assert sum(map(len, texts)) <= size or len([text for text in texts if text]) == 1
    assert sum(len(inputs["text"]) for _, inputs in gate.calls) == sum(map(len, requests))


def test_a_short_request_does_not_wait_for_all_of_a_long_one(gate):
    some = batcher(gate, rows=10)
    held(gate, some)
    long = some.submit("tag", {"text": strings(["a"] * 100)})
    short = some.submit("tag", {"text": strings(["e"])})
    gate.open.set()
    long.result(30), short.result(30)
    some.close()
    assert next(i for i, (_, inputs) in enumerate(gate.calls) if b"e" in inputs["text"]) == 2


def test_different_signatures_and_shapes_are_not_merged(gate):
    some = batcher(gate)
    held(gate, some)
    ids = [np.arange(6).reshape(2, 3), np.arange(4).reshape(2, 2), np.arange(3).reshape(1, 3)]
    futures = [some.submit("pieces", {"ids": array}) for array in ids]
    text = some.submit("tag", {"text": strings(["a"])})
    gate.open.set()
    for future, array in zip(futures, ids, strict=True):
        assert future.result(30)["double"].tolist() == (array * 2).tolist()
    text.result(30)
    some.close()
    assert [inputs["ids"].shape for signature, inputs in gate.calls if signature == "pieces"] == [(3, 3), (2, 2)]


def test_a_request_that_fails_fails_alone(gate):
    some = batcher(gate, rows=4)
    held(gate, some)
    good, bad, late = (some.submit("tag", {"text": strings(texts)}) for texts in (["a"], ["e", "!", *"xyzxyz"], ["o"]))
    gate.open.set()
    with pytest.raises(ValueError, match="no ! here"):
        bad.result(30)
    same(good.result(30), letters(strings(["a"])))
    same(late.result(30), letters(strings(["o"])))
    same(some.submit("tag", {"text": strings(["u"])}).result(30), letters(strings(["u"])))
    some.close()
    assert some._waiting == 0


def test_an_answer_whose_padding_would_be_too_large_is_refused_after_the_call_that_shows_it(gate):
    some = batcher(gate, rows=10, values=20 * (1 + 2 * 9 + 1))  # count, two outputs of 9 columns, reverse
    held(gate, some)
    fits, wide, other = (some.submit("tag", {"text": strings(texts)}) for texts in (["a" * 9] * 20, ["a" * 10] * 20, ["e"]))
    gate.open.set()
    with pytest.raises(AnswerTooLarge, match="at most 400 values, got 440 or more, because all 20 rows are padded"):
        wide.result(30)
    same(fits.result(30), letters(strings(["a" * 9] * 20)))
    same(other.result(30), letters(strings(["e"])))
    some.close()
    calls = [inputs["text"] for _, inputs in gate.calls]
    assert sum(b"a" * 10 in texts for texts in calls) == 1
    assert some._waiting == 0


def test_a_request_with_one_long_row_takes_little_memory(gate):
    some, texts = batcher(gate, values=10**5), strings(["a" * 20_000, *"a" * 2_000])
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge):
            some.submit("tag", {"text": texts}).result(60)
        assert tracemalloc.get_traced_memory()[1] < 60e6  # joined, the parts would take 480 MB
    finally:
        tracemalloc.stop()
    some.close()


def test_outputs_that_cannot_be_split_are_an_error_and_the_thread_continues():
    answers = iter([{"x": np.float32(1)}, {"x_count": np.array([1]), "x_text": np.array([0])}, {"x": np.array([7])}])
    some = Microbatcher(lambda signature, inputs: next(answers), Batching(wait=0))
    for _ in range(2):
        with pytest.raises((IndexError, TypeError)):
            some.submit("tag", {"ids": np.array([1])}).result(30)
    assert some.submit("tag", {"ids": np.array([1])}).result(30)["x"].tolist() == [7]
    some.close()


def test_a_full_queue_refuses_and_recovers(gate):
    some = batcher(gate, waiting=5)
    held(gate, some)
    waiting = some.submit("tag", {"text": strings(["a"] * 4)})
    with pytest.raises(Overloaded, match="4 texts are waiting, and 2 more are too many"):
        some.submit("tag", {"text": strings(["e"] * 2)})
    fits = some.submit("tag", {"text": strings(["i"])})
    gate.open.set()
    waiting.result(30), fits.result(30)
    same(some.submit("tag", {"text": strings(["o"] * 9)}).result(30), letters(strings(["o"] * 9)))
    some.close()


def test_closing_answers_waiting_requests_and_refuses_new_ones(gate):
    some = batcher(gate)
    held(gate, some)
    waiting = some.submit("tag", {"text": strings(["a"])})
    gate.open.set()
    some.close()
    same(waiting.result(0), letters(strings(["a"])))
    with pytest.raises(Overloaded):
        some.submit("tag", {"text": strings(["a"])})


def test_a_request_cannot_be_cancelled(gate):
    some = batcher(gate)
    future = some.submit("tag", {"text": strings(["a"])})
    assert not future.cancel()
    future.result(30)
    some.close()

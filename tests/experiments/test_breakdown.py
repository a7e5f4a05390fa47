"""Counts by document, kinds of entities, errors and notable sentences, on a few sentences that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfner.corpus import Sentence
from tfner.experiments.breakdown import (
    FEWEST,
    SEEN,
    SEEN_OTHERWISE,
    UNSEEN,
    Kinds,
    counted_units,
    document_counts,
    error_counts,
    notable_sentences,
    score_by_kind,
)
from tfner.labels import Span, iob2, labelled_spans, spans

TRAIN = (
    Sentence(("Nice", "beat", "New", "York"), ("B-ORG", "O", "B-LOC", "I-LOC")),
    Sentence(("in", "Nice"), ("O", "B-LOC")),
    Sentence(("Paris", "sleeps"), ("B-PER", "O")),
)
TEST = (
    Sentence(("Nice", "and", "Paris"), ("B-LOC", "O", "B-LOC"), 0),
    Sentence(("New", "York", "City", "Hall", "opens"), ("B-LOC", "I-LOC", "I-LOC", "I-LOC", "O"), 0),
    Sentence(("Rome", "is", "old"), ("B-LOC", "O", "O"), 1),
)
PREDICTED = [["B-LOC", "O", "B-PER"], ["B-LOC", "I-LOC", "O", "O", "O"], ["O", "O", "B-MISC"]]


def test_documents_are_counted_in_order_and_sentences_where_they_are_not_marked_or_few():
    many = [Sentence(s.words, s.tags, 2 * n + s.document) for n in range(FEWEST // 2) for s in TEST]
    assert document_counts(many, PREDICTED * (FEWEST // 2), False).tolist() == [[3, 3, 1], [1, 1, 0]] * (FEWEST // 2)
    assert counted_units(many) == "documents"
    by_sentence = [[2, 2, 1], [1, 1, 0], [1, 1, 0]]
    unmarked = [Sentence(s.words, s.tags) for s in TEST]
    for sentences, reason in ((unmarked, "not marked"), (TEST, "fewer than 20 documents")):
        assert document_counts(sentences, PREDICTED, False).tolist() == by_sentence
        assert counted_units(sentences).startswith("sentences, as ")
        assert reason in counted_units(sentences)


def test_with_plain_labels_every_word_counts():
    sentences = [Sentence(("a", "dog"), ("DT", "NN"))]
    assert document_counts(sentences, [["DT", "JJ"]], True).tolist() == [[2, 2, 1]]
    assert labelled_spans(["DT", "NN"], True) == [Span("DT", 0, 1), Span("NN", 1, 2)]


@pytest.mark.parametrize(
    ("sentence", "span", "novelty", "length"),
    [
        (TEST[0], Span("LOC", 0, 1), SEEN, "1 word"),
        (TEST[0], Span("LOC", 2, 3), SEEN_OTHERWISE, "1 word"),
        (TEST[0], Span("PER", 2, 3), SEEN, "1 word"),
        (TEST[1], Span("LOC", 0, 2), SEEN, "2 words"),
        (TEST[1], Span("LOC", 0, 4), UNSEEN, "4 or more"),
    ],
)
def test_the_kind_of_an_entity_follows_from_training_and_its_words(sentence, span, novelty, length):
    kinds = Kinds(TRAIN, False)
    assert (kinds.novelty(sentence, span), kinds.length(sentence, span)) == (novelty, length)
    assert kinds.sentence_length(sentence, span) == "1 to 9 words"


def test_scores_of_kinds_divide_gold_and_predicted_entities_by_the_same_rule():
    scores = score_by_kind(TEST, PREDICTED, False, Kinds(TRAIN, False).novelty)
    assert {name: (s.number, s.predicted, s.correct) for name, s in scores.items()} == {
        SEEN: (1, 3, 1),
        SEEN_OTHERWISE: (1, 0, 0),
        UNSEEN: (2, 1, 0),
    }


def test_errors_are_of_boundary_and_type_and_missed_and_spurious():
    assert error_counts(TEST, PREDICTED) == {"boundary": 1, "type": 1, "missed": 1, "spurious": 1}
    assert error_counts([TEST[2]], [["O", "O", "O"]]) == {"boundary": 0, "type": 0, "missed": 1, "spurious": 0}
    assert error_counts([Sentence(("a",), ("O",))], [["O"]]) == dict.fromkeys(("boundary", "type", "missed", "spurious"), 0)


TAGS = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_errors_and_correct_entities_add_up(pairs):
    """Every gold entity is correct, of another boundary, or missed; with nervaluate's own matching, whatever the type."""
    sentences, predicted = [], []
    for gold, tags in pairs:
        length = min(len(gold), len(tags))
        sentences.append(Sentence(("w",) * length, tuple(iob2(gold[:length]))))
        predicted.append(tags[:length])
    errors = error_counts(sentences, predicted)
    same_words = sum(
        len({s[1:] for s in spans(sentence.tags)} & {s[1:] for s in spans(tags)})
        for sentence, tags in zip(sentences, predicted, strict=True)
    )
    gold_number = sum(len(spans(sentence.tags)) for sentence in sentences)
    assert errors["missed"] + errors["boundary"] <= gold_number
    assert errors["missed"] + errors["boundary"] + same_words >= gold_number


def test_notable_sentences_are_those_of_disagreement_and_those_that_all_get_wrong():
    right = [list(s.tags) for s in TEST]
    predicted = {"a": [[*right[:2], PREDICTED[2]], [*right[:2], PREDICTED[2]]], "b": [right[:1] + PREDICTED[1:], PREDICTED]}
    disagree, shared = notable_sentences(TEST, predicted, False)
    assert [(one.number, dict(one.right)) for one in disagree] == [(2, {"a": 1, "b": 0}), (1, {"a": 1, "b": 0.5})]
    assert [one.number for one in shared] == [3]
    assert shared[0].predicted["a"] == ("O", "O", "B-MISC")
    assert notable_sentences(TEST, {"a": [right]}, False) == ([], [])


def test_equal_counts_of_documents_sum_to_those_of_the_corpus():
    counts = document_counts(TEST, PREDICTED, False)
    assert np.array_equal(counts.sum(axis=0), [4, 4, 1])

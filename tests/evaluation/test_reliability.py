"""Scores and the share that is right, against a slow definition."""

import numpy as np
import pytest

from tfner.evaluation.reliability import BINS, accepted_table, count_accepted, reliability, scored_entities, scored_words


def test_the_error_is_the_weighted_gap_between_score_and_share():
    generator = np.random.default_rng(0)
    scores, right = generator.random(5000), generator.random(5000) < 0.5
    gap = 0.0
    for k in range(BINS):
        own = (scores >= k / BINS) & ((scores < (k + 1) / BINS) | (k == BINS - 1))
        gap += own.sum() / 5000 * abs(scores[own].mean() - right[own].mean())
    found = reliability(scores, right)
    assert found.error == pytest.approx(gap)
    assert sum(found.counts) == 5000
    assert found.to_json()["error"] == found.error


def test_scores_that_are_probabilities_have_almost_no_error():
    scores = np.random.default_rng(1).random(200_000)
    assert reliability(scores, np.random.default_rng(2).random(200_000) < scores).error < 0.01
    assert reliability([1.0, 1.0], [True, True]).error == 0
    assert reliability([], []).error == 0


GOLD = [["B-PER", "I-PER", "O"], ["O", "B-LOC"], []]
PREDICTED = [["B-PER", "I-PER", "B-LOC"], ["O", "I-LOC"], []]
PROBABILITIES = [np.array([0.9, 0.7, 0.5]), np.array([0.6, 0.8]), np.zeros(0)]


def test_every_word_and_every_predicted_entity_has_a_score():
    scores, right = scored_words(GOLD, PREDICTED, PROBABILITIES)
    assert (scores.tolist(), right.tolist()) == ([0.9, 0.7, 0.5, 0.6, 0.8], [True, True, False, True, False])
    kinds, scores, right = scored_entities(GOLD, PREDICTED, PROBABILITIES, plain=False)
    assert (kinds, right.tolist()) == (["PER", "LOC", "LOC"], [True, False, True])
    assert scores.tolist() == pytest.approx([0.8, 0.5, 0.8])


def test_with_plain_labels_every_word_is_a_prediction():
    tags, scored = ([["A", "B", "A"]], [["A", "A", "A"]]), [np.array([0.5, 0.25, 0])]  # the last word has no pieces
    kinds, scores, right = scored_entities(*tags, scored, plain=True)
    assert (kinds, scores.tolist(), right.tolist()) == (["A", "A"], [0.5, 0.25], [True, False])
    assert [values.tolist() for values in scored_words(*tags, scored)] == [[0.5, 0.25], [True, False]]


def test_other_numbers_of_words_are_refused():
    with pytest.raises(ValueError, match="every word needs both"):
        scored_words([["O"]], [["O", "O"]], [np.zeros(1)])
    with pytest.raises(ValueError, match="every sentence needs both"):
        scored_entities([["O"]], [], [np.zeros(1)], plain=False)


def test_accepted_entities_are_counted_by_type():
    kinds, scores, right = scored_entities(GOLD, PREDICTED, PROBABILITIES, plain=False)
    counts = count_accepted(kinds, scores, right, lambda kind, score: kind == "LOC" and score > 0.6)
    table = accepted_table(counts)
    assert [line.split() for line in table.splitlines()[1:]] == [
        ["LOC", "2", "1", "1.0000"],
        ["PER", "1", "0", "-"],
        ["overall", "3", "1", "1.0000"],
    ]

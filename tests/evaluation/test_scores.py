import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report as lenient_report
from seqeval.metrics.v1 import classification_report as strict_report
from seqeval.scheme import IOB2

from tfner.data.load import load_corpus
from tfner.evaluation.scores import (
    Score,
    Scores,
    all_one_class,
    bootstrap_interval,
    format_confusion,
    format_scores,
    score,
)
from tfner.labels import CONLL_LABELS, LabelSet

AB = LabelSet.from_types(["A", "BB"])
POS = LabelSet(("DT", "NN", "VB"), plain=True)

# 3 gold entities, 4 predicted, 1 correct; the last predicted entity starts with I-
GOLD = [["B-A", "I-A", "O"], ["B-BB", "O", "B-A", "O"]]
PREDICTED = [["B-A", "I-A", "B-BB"], ["B-A", "O", "B-A", "I-A"]]


def conlleval_counts(gold, predicted):
    """Gold, predicted and correct chunks by type, counted word by word with the rules of conlleval.pl."""

    def parts(tag):
        return (tag, "") if tag == "O" else tuple(tag.split("-", 1))

    def ends(before, now):
        (tag, kind), (next_tag, next_kind) = before, now
        return tag in "BI" and (next_tag in "BO" or kind != next_kind)

    def begins(before, now):
        (tag, kind), (next_tag, next_kind) = before, now
        return next_tag == "B" or (next_tag == "I" and (tag == "O" or kind != next_kind))

    number, found, correct = Counter(), Counter(), Counter()
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        last_gold = last_found = ("O", "")
        in_correct = None  # the type of the open chunk, as long as both sides agree
        for g, p in [*zip(map(parts, gold_tags), map(parts, predicted_tags), strict=True), (("O", ""), ("O", ""))]:
            gold_ends, found_ends = ends(last_gold, g), ends(last_found, p)
            if in_correct is not None:
                if gold_ends and found_ends:
                    correct[in_correct] += 1
                    in_correct = None
                elif gold_ends != found_ends or g[1] != p[1]:
                    in_correct = None
            gold_begins, found_begins = begins(last_gold, g), begins(last_found, p)
            if gold_begins and found_begins and g[1] == p[1]:
                in_correct = g[1]
            number[g[1]] += gold_begins
            found[p[1]] += found_begins
            last_gold, last_found = g, p
    return number, found, correct


def assert_equals_both_references(gold, predicted, labels):
    scores = score(gold, predicted, labels)
    number, found, correct = conlleval_counts(gold, predicted)
    for kind, ours in scores.per_type.items():
        assert (ours.number, ours.predicted, ours.correct) == (number[kind], found[kind], correct[kind]), kind
    assert (scores.overall.number, scores.overall.correct) == (number.total(), correct.total())
    for ours in (*scores.per_type.values(), scores.overall, scores.strict):  # seqeval's shares, and our counts
        counted = Score.from_counts(ours.number, ours.predicted, ours.correct)
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx(
            (counted.precision, counted.recall, counted.f1), abs=1e-12
        )
    lenient = lenient_report(gold, predicted, output_dict=True, zero_division=0)
    strict = strict_report(gold, predicted, output_dict=True, zero_division=0, scheme=IOB2)
    pairs = [(scores.per_type[kind], lenient[kind]) for kind in lenient if " avg" not in kind]
    pairs += [(scores.overall, lenient["micro avg"]), (scores.strict, strict["micro avg"])]
    for ours, theirs in pairs:
        assert [ours.precision, ours.recall, ours.f1] == pytest.approx(
            [theirs["precision"], theirs["recall"], theirs["f1-score"]], abs=1e-12
        )
        assert ours.number == theirs["support"]
    assert set(lenient) - {"micro avg", "macro avg", "weighted avg"} == {
        kind for kind, s in scores.per_type.items() if s.number or s.predicted
    }


tag_pairs = st.tuples(st.sampled_from(AB.names), st.sampled_from(AB.names))
same_tags = st.sampled_from(AB.names).map(lambda tag: (tag, tag))  # without these, hardly any entity would be correct
sentence_pairs = st.lists(st.lists(same_tags | tag_pairs, min_size=1, max_size=8), min_size=1, max_size=5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # from seqeval if one side has no entities
@given(sentence_pairs)
@settings(deadline=None, max_examples=200)
def test_scores_equal_those_of_seqeval_and_conlleval_on_random_tags(pairs):
    gold = [[g for g, _ in sentence] for sentence in pairs]
    predicted = [[p for _, p in sentence] for sentence in pairs]
    if any(tag != "O" for side in (gold, predicted) for tags in side for tag in tags):  # seqeval fails without entities
        assert_equals_both_references(gold, predicted, AB)


def perturbed(sentences, share, names, seed=0):
    """The sentences with a share of their tags replaced by random ones."""
    generator = random.Random(seed)
    return [[generator.choice(names) if generator.random() < share else tag for tag in tags] for tags in sentences]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_scores_equal_those_of_seqeval_and_conlleval_on_perturbed_conll_2003(assets, share):
    gold = [list(s.tags) for s in load_corpus(str(assets / "data" / "conll2003")).splits["test"]]
    assert_equals_both_references(gold, perturbed(gold, share, CONLL_LABELS.names), CONLL_LABELS)


def test_scores_of_a_small_example_are_those_counted_by_hand():
    scores = score(GOLD, PREDICTED, AB)
    assert (scores.overall.number, scores.overall.predicted, scores.overall.correct) == (3, 4, 1)
    assert scores.overall.precision == 1 / 4
    assert scores.overall.recall == 1 / 3
    assert scores.overall.f1 == pytest.approx(2 / 7)
    assert scores.accuracy == 4 / 7
    assert (scores.words, scores.sentences) == (7, 2)


def test_an_orphan_inside_tag_counts_but_not_strictly():
    scores = score([["O", "B-A"]], [["O", "I-A"]], AB)
    assert (scores.overall.f1, scores.strict.f1, scores.strict.predicted, scores.accuracy) == (1.0, 0.0, 0, 0.5)


def test_no_entity_crosses_from_one_sentence_to_the_next():
    apart, joined = [["B-A"], ["I-A"]], [["B-A", "I-A"]]
    assert score(apart, apart, AB).overall.number == 2
    assert score(joined, joined, AB).overall.number == 1


@pytest.mark.parametrize(("gold", "predicted"), [([], []), ([[]], [[]]), ([["O"]], [["O"]])])
def test_scores_without_entities_are_zero(gold, predicted):
    scores = score(gold, predicted, AB, interval_samples=10)
    assert (scores.overall, scores.strict) == (Score.from_counts(0, 0, 0),) * 2
    assert scores.interval == ((0.0, 0.0) if gold else None)
    assert format_scores(scores) and format_confusion(scores)


def test_confusion_has_gold_in_rows_and_predictions_in_columns():
    scores = score(GOLD, PREDICTED, AB)
    at = {name: i for i, name in enumerate(scores.labels)}
    assert scores.confusion.dtype == np.int64
    assert scores.confusion[at["B-BB"], at["B-A"]] == 1
    assert scores.confusion[at["B-A"], at["B-BB"]] == 0
    assert scores.confusion[at["O"], at["I-A"]] == 1
    assert scores.confusion.sum() == 7


def test_a_gold_type_unknown_to_the_model_is_missed_and_has_a_row():
    scores = score([["B-NEW", "I-NEW", "B-A"]], [["O", "O", "B-A"]], AB)
    assert scores.labels == (*AB.names, "B-NEW", "I-NEW")
    assert scores.confusion[scores.labels.index("I-NEW"), 0] == 1
    assert scores.per_type["NEW"] == Score.from_counts(1, 0, 0)
    assert scores.overall.recall == 0.5
    assert "B-NEW" in format_confusion(scores)


def test_plain_labels_are_scored_word_by_word():
    scores = score([["DT", "NN", "VB"], ["NN", "FW"]], [["DT", "VB", "VB"], ["NN", "NN"]], POS)
    assert scores.labels == ("DT", "NN", "VB", "FW")
    assert scores.per_type["NN"] == Score.from_counts(number=2, predicted=2, correct=1)
    assert scores.per_type["FW"] == Score.from_counts(number=1, predicted=0, correct=0)
    assert scores.overall == scores.strict == Score.from_counts(5, 5, 3)
    assert scores.accuracy == scores.overall.f1 == 0.6
    assert "strict" not in format_scores(scores)


def test_unequal_numbers_raise_with_their_position():
    with pytest.raises(ValueError, match="2 sentences have gold tags and 1 predictions"):
        score([["O"], ["O"]], [["O"]], AB)
    with pytest.raises(ValueError, match="sentence 1 has 2 gold tags and 1 predictions"):
        score([["O"], ["O", "O"]], [["O"], ["O"]], AB)


@pytest.mark.parametrize("samples", [0, 50])
def test_scores_are_the_same_after_json(samples):
    scores = score(GOLD, PREDICTED, AB, interval_samples=samples)
    again = Scores.from_json(json.loads(json.dumps(scores.to_json())))
    assert again.to_json() == scores.to_json()
    assert (again.overall, again.interval, again.labels) == (scores.overall, scores.interval, scores.labels)
    assert np.array_equal(again.confusion, scores.confusion)


def test_json_has_its_documented_keys():
    value = score(GOLD, PREDICTED, AB, interval_samples=10).to_json()
    assert {"overall", "strict", "per_type", "accuracy", "words", "sentences", "confusion", "f1_interval"} <= set(value)
    assert {"precision", "recall", "f1", "number"} <= set(value["per_type"]["BB"])
    assert value["confusion"]["labels"] == list(AB.names)


def test_the_interval_contains_f1_and_depends_on_the_seed():
    counts = np.array([[3, 3, 2], [1, 2, 1], [0, 0, 0], [2, 1, 0]] * 50)
    f1 = 2 * counts[:, 2].sum() / counts[:, :2].sum()
    low, high = bootstrap_interval(counts, seed=1)
    assert low < f1 < high
    assert (low, high) == bootstrap_interval(counts, seed=1) != bootstrap_interval(counts, seed=2)


def test_the_interval_has_the_width_that_theory_gives():
    # one gold and one predicted entity in each sentence: F1 is a mean of coin tosses with standard error sqrt(pq / n)
    right = np.arange(2000) < 1500
    low, high = bootstrap_interval(np.stack([np.ones(2000), np.ones(2000), right], axis=1), samples=4000)
    assert [low, high] == pytest.approx([0.75 - 1.96 * 0.009682, 0.75 + 1.96 * 0.009682], abs=0.0015)


def test_all_one_class_names_the_label():
    assert all_one_class([["O", "O"], [], ["O"]]) == "O"
    assert all_one_class([["O"], ["B-A"]]) is None
    assert all_one_class([]) is None


def test_the_table_lists_types_that_occur_and_then_the_totals():
    lines = format_scores(score(GOLD, PREDICTED, LabelSet.from_types(["A", "BB", "C"]), interval_samples=10)).splitlines()
    assert [line.split()[0] for line in lines if line] == ["type", "A", "BB", "overall", "strict", "accuracy", "overall"]
    assert lines[1].split() == ["A", "0.3333", "0.5000", "0.4000", "2"]


def test_a_matrix_too_wide_for_a_terminal_is_printed_as_a_list():
    labels = LabelSet(tuple(f"TAG{i:02}" for i in range(45)), plain=True)
    gold = [["TAG00"] * 10 + ["TAG44"] * 4]
    predicted = [["TAG00"] * 7 + ["TAG44"] * 3 + ["TAG44"] * 2 + ["TAG07"] * 2]
    lines = format_confusion(score(gold, predicted, labels)).splitlines()
    assert lines[1].split() == ["TAG00", "TAG44", "3", "30.0%"]
    assert lines[2].split() == ["TAG44", "TAG07", "2", "50.0%"]
    assert lines[3] == "5 of the 5 words with a wrong tag"
    nine = [list(CONLL_LABELS.names)]
    assert len(format_confusion(score(nine, nine, CONLL_LABELS)).splitlines()) == 10

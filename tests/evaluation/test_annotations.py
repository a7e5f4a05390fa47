"""Two annotations of the same sentences."""

from tfner.evaluation.annotations import format_both, suspects
from tfner.evaluation.mistakes import mistakes
from tfner.evaluation.scores import score
from tfner.labels import CONLL_LABELS

N = 150
GOLD = [["B-PER", "O"]] * N
SECOND = [["B-ORG", "O"]] * 90 + [["B-PER", "O"]] * 60
PREDICTED = [["B-ORG", "O"]] * 120 + [["B-PER", "O"]] * 30
WORDS = [("Nice", ".")] * N


def found(probability):
    return mistakes(WORDS, GOLD, PREDICTED, [[probability(i), 1.0] for i in range(N)], N)


def test_the_first_suspects_are_compared_with_the_second_annotation():
    best = suspects(GOLD, SECOND, found(lambda i: 0.9 if i < 90 else 0.5))
    assert (best.number, best.differing, best.first, best.all_differing) == (120, 90, ((100, 90),), 90)
    worst = suspects(GOLD, SECOND, found(lambda i: 0.5 if i < 90 else 0.9))
    assert worst.first == ((100, 70),)
    assert "has other tags at such a word in 90 (90%)" in str(best)
    assert "of all 120 that it contradicts, in 90 (75%); in the whole split, 90 sentences" in str(best)


def test_a_suspect_counts_only_where_the_second_annotation_differs_at_a_word_that_the_model_contradicts():
    gold, second, predicted = [["B-PER", "O"]], [["B-ORG", "O"]], [["B-PER", "B-LOC"]]
    found = mistakes(WORDS[:1], gold, predicted, [[0.9, 0.9]], 1)
    one = suspects(gold, second, found)
    assert (one.number, one.differing, one.all_differing) == (1, 0, 1)


def test_a_model_without_mistakes_has_no_suspects():
    none = suspects(GOLD, SECOND, [])
    assert (none.number, none.first) == (0, ())
    assert str(none) == "of all 0 that it contradicts, in 0; in the whole split, 90 sentences"


def test_scores_under_both_annotations_are_in_one_table():
    table = format_both(score(GOLD, PREDICTED, CONLL_LABELS), score(SECOND, PREDICTED, CONLL_LABELS))
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()[1:]}
    assert rows["PER"] == ["0.3333", "150", "0.6667", "60"]
    assert rows["overall"] == ["0.2000", "150", "0.8000", "150"]

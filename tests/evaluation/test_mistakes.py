import pytest

from tfner.evaluation.mistakes import format_mistake, mistakes
from tfner.labels import Span


def test_confident_mistakes_come_first_and_equal_ones_keep_their_order():
    gold = [["B-A"], ["O"], ["O", "O"], ["O"], ["O"]]
    predicted = [["I-A"], ["B-A"], ["B-A", "B-A"], ["O"], ["B-A"]]
    found = mistakes([["w"] * len(g) for g in gold], gold, predicted, [[0.9], [0.75], [0.5, 0.4], [0.9], [0.75]])
    assert [m.sentence for m in found] == [1, 4, 2]  # 0 is correct as conlleval reads it, and so is 3
    assert [m.certainty for m in found] == [0.75, 0.75, 0.5]
    assert found[2].spurious == (Span("A", 0, 1), Span("A", 1, 2))
    assert len(mistakes([["w"] * len(g) for g in gold], gold, predicted, [[0.5] * len(g) for g in gold], 1)) == 1


def test_each_kind_of_mistake_has_its_line():
    sentence = "West Indian all-rounder Phil Simmons met Leeds United in Oval Road on Grace Road ."
    words = sentence.split()
    gold = ["B-MISC", "I-MISC", "O", "B-PER", "I-PER", "O", "B-ORG", "I-ORG", "O", "B-LOC", "I-LOC", "O", "O", "O", "O"]
    predicted = ["O", "O", "O", "B-LOC", "I-LOC", "O", "B-ORG", "O", "O", "O", "B-ORG", "O", "O", "B-LOC", "O"]
    ps = [0.5] * 15
    ps[3:5], ps[6], ps[13] = [0.9, 0.8], 0.75, 0.98
    [mistake] = mistakes([words], [gold], [predicted], [ps])
    assert [" ".join(line.split()) for line in format_mistake(mistake).splitlines()] == [
        "sentence 0: " + sentence,
        'missed MISC "West Indian"',
        'wrong type LOC "Phil Simmons" 0.85, right: PER',
        'wrong boundary ORG "Leeds" 0.75, right: ORG "Leeds United"',
        'wrong both ORG "Road" 0.50, right: LOC "Oval Road"',
        'spurious LOC "Road" 0.98',
    ]
    assert str(mistake) == format_mistake(mistake)


def test_of_two_gold_entities_under_one_prediction_the_shorter_is_missed():
    [mistake] = mistakes([["a", "b", "c"]], [["B-A", "I-A", "B-BB"]], [["B-A", "I-A", "I-A"]], [[0.5] * 3])
    lines = [" ".join(line.split()) for line in str(mistake).splitlines()[1:]]
    assert lines == ['wrong boundary A "a b c" 0.50, right: A "a b"', 'missed BB "c"']


def test_a_long_sentence_is_cut_to_the_words_around_its_mistakes():
    n = 1238
    gold = ["O"] * n
    predicted = ["B-A" if i == 600 else "O" for i in range(n)]
    text = str(mistakes([[f"w{i}" for i in range(n)]], [gold], [predicted], [[0.9] * n])[0])
    assert "… w588 w589" in text.replace("\n ", "")
    assert "w612 …" in text.replace("\n ", "")
    assert len(text) < 400


def test_each_mistake_of_plain_tags_is_one_word():
    [mistake] = mistakes([["the", "dog"]], [["DT", "NN"]], [["DT", "VB"]], [[0.9, 0.8]], plain=True)
    assert (mistake.missed, mistake.spurious) == ((Span("NN", 1, 2),), (Span("VB", 1, 2),))
    assert 'VB "dog" 0.80, right: NN' in str(mistake)


def test_probabilities_of_another_length_raise_with_their_position():
    with pytest.raises(ValueError, match="sentence 0"):
        mistakes([["a"]], [["O"]], [["O"]], [[0.1, 0.2]])

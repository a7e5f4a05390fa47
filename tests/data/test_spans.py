"""Texts with marked spans: the forms of doccano and Label Studio, whole words, overlaps, sentences."""

import json

import pytest
from support.errors import refused

from tfner.data.jsonl import read_jsonl
from tfner.data.spans import read_spans

TEXT = "Ahmed works at Unice in Nice. He left."
TAGS = ("B-PER", "O", "O", "B-ORG", "O", "B-LOC", "O")
SPANS = [(0, 5, "PER"), (15, 20, "ORG"), (24, 28, "LOC")]


def read(*rows):
    notes = []
    found = read_spans(enumerate(rows, start=1), "train.jsonl", notes.append)
    return [(s.words, s.tags) for s in found], notes


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "text": TEXT, "label": SPANS},
        {"id": 1, "text": TEXT, "entities": [{"id": 7, "label": t, "start_offset": a, "end_offset": b} for a, b, t in SPANS]},
        {"text": TEXT, "label": [{"start": a, "end": b, "text": TEXT[a:b], "labels": [t]} for a, b, t in SPANS]},
        {"text": TEXT, "spans": [{"start": a, "end": b, "label": t} for a, b, t in SPANS]},
        {
            "data": {"text": TEXT},
            "annotations": [
                {"result": [{"type": "labels", "value": {"start": a, "end": b, "labels": [t]}} for a, b, t in SPANS]}
            ],
        },
    ],
)
def test_every_form_of_marked_spans_gives_the_same_sentences(tmp_path, row):
    for text in (json.dumps(row) + "\n", json.dumps([row])):
        first, second = read_jsonl(text, tmp_path / "train.json", "ner")
        assert (first.words, first.tags) == (("Ahmed", "works", "at", "Unice", "in", "Nice", "."), TAGS)
        assert (second.words, second.tags) == (("He", "left", "."), ("O",) * 3)
        assert first.document == second.document == 0


def test_spans_of_parts_of_words_are_widened_with_a_note():
    found, notes = read({"text": "Unicef's aid", "label": [[0, 4, "ORG"]]})
    assert found == [(("Unicef", "'s", "aid"), ("B-ORG", "O", "O"))]
    assert notes == ["marked spans widened to whole words: 1"]


def test_of_spans_that_overlap_the_longest_is_taken_and_none_is_lost_in_silence():
    found, notes = read({"text": "Bank of Nice  ", "label": [[8, 12, "LOC"], [0, 12, "ORG"], [12, 14, "X"], [0, 12, "Y"]]})
    assert found == [(("Bank", "of", "Nice"), ("B-ORG", "I-ORG", "I-ORG"))]
    assert notes == [
        "marked spans left out, as they overlap longer or earlier ones: 2",
        "marked spans left out, as they hold no word: 1",
    ]


def test_offsets_in_units_of_utf_16_are_recognized_by_the_text_of_the_span():
    marked = {"start": 13, "end": 23, "text": "annotation", "labels": ["X"]}
    found, notes = read({"data": {"text": "💩This is an annotation."}, "annotations": [{"result": [{"value": marked}]}]})
    assert found[0][1] == ("O", "O", "O", "O", "B-X", "O")
    assert notes == []


def test_of_several_annotations_the_first_that_was_not_cancelled_is_taken_with_a_note():
    def annotation(kind, **more):
        return {"result": [{"value": {"start": 0, "end": 3, "labels": [kind]}}, {"type": "relation"}], **more}

    row = {"data": {"text": "Ada runs"}, "annotations": [annotation("X", was_cancelled=True), annotation("A"), annotation("B")]}
    assert read(row) == (
        [(("Ada", "runs"), ("B-A", "O"))],
        ["further annotations of a text left out, as the first is taken: 1"],
    )


@pytest.mark.parametrize(
    ("key", "text", "task"),
    [
        ("spans_as_pos", '{"text": "Ada", "label": [[0, 3, "PER"]]}', "pos"),
        ("spans_without_words", '{"text": " ", "label": []}', "ner"),
        ("spans_with_half_a_character", '{"text": "Nice \\\\ud800 x", "label": []}', "ner"),
    ],
)
def test_texts_that_teach_nothing_are_refused(tmp_path, key, text, task):
    half = key.endswith("character")
    with refused(key, setting="task" if task == "pos" else None, path=tmp_path / "train.jsonl", line=1 if half else None):
        read_jsonl(text.replace("\\\\", "\\"), tmp_path / "train.jsonl", task)


def test_no_sentence_ends_within_a_span():
    found, _ = read({"text": "He saw Yahoo! Inc. today.", "label": [[7, 18, "ORG"]]})
    assert len(found) == 1
    assert found[0][1][2:5] == ("B-ORG", "I-ORG", "I-ORG")


@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("spans_beyond_the_text", {"text": "Nice", "label": [[0, 5, "LOC"]]}),
        ("spans_without_a_type", {"text": "Nice", "label": [[0, 4]]}),
        ("spans_missing", {"text": "Nice"}),
        ("spans_without_annotations", {"data": {"text": "Nice"}, "annotations": []}),
        ("spans_of_text", {"text": "Nice", "label": "LOC"}),
    ],
)
def test_anything_else_is_refused_with_its_line(key, row):
    with refused(key, path="train.jsonl", line=2):
        read({"text": "x", "label": []}, row)

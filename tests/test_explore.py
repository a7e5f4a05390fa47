import json
import subprocess
import sys
import time

import pytest

from tfner.data.load import load_corpus
from tfner.explore import explore, main


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.txt").write_text(
        "-DOCSTART- O\n\nAda I-PER\nLovelace I-PER\nlives O\nin O\nRome I-LOC\n\nYes O\n", encoding="utf-8"
    )
    (tmp_path / "test.txt").write_text("北京 B-ZOO\n\u200b O\n. O\n", encoding="utf-8")
    return tmp_path


def test_the_report_has_counts_notes_and_tags_under_words(folder):
    report = explore(load_corpus(folder, unseen_labels="keep"))
    assert report.split("\n\n", 1)[1].splitlines() == [
        "           train  test",
        "sentences      2     1",
        "documents      1     -",
        "words          6     3",
        "entities       2     1",
        "  PER          1     0",
        "  LOC          1     0",
        "  ZOO          0     1",
        "",
        "note: train: tags converted from IOB1 to IOB2",
        "note: label ZOO occurs once in test (first in sentence 1) but not in train; it can only be missed",
        "",
        "train 1",
        "Ada   Lovelace lives in Rome",
        "B-PER I-PER    O     O  B-LOC",
        "",
        "train 2",
        "Yes",
        "O",
    ]


def test_long_sentences_are_wrapped_in_pairs_of_lines(folder):
    report = explore(load_corpus(folder, unseen_labels="keep"), sentences=1, width=14)
    assert report.splitlines()[-4:] == ["Ada   Lovelace", "B-PER I-PER", "lives in Rome", "O     O  B-LOC"]


def test_wide_characters_take_two_columns_and_invisible_ones_are_escaped(folder):
    report = explore(load_corpus(folder / "test.txt"))
    assert report.splitlines()[-2:] == ["北京  \\u200b .", "B-ZOO O      O"]


def test_pos_is_counted_per_tag(tmp_path):
    (tmp_path / "train.txt").write_text("a NN O\nb NN O\nc VB O\n", encoding="utf-8")
    assert explore(load_corpus(tmp_path, task="pos"), sentences=0).splitlines()[-2:] == [
        "  NN           2",
        "  VB           1",
    ]


def test_json_prints_the_counts_alone(folder, capsys):
    assert main([str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "train": {"sentences": 2, "documents": 1, "words": 6, "entities": {"PER": 1, "LOC": 1, "ZOO": 0}},
        "test": {"sentences": 1, "documents": None, "words": 3, "entities": {"PER": 0, "LOC": 0, "ZOO": 1}},
    }


def test_without_arguments_it_shows_the_embedded_corpus(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("demo, ner: 9 labels")


@pytest.mark.parametrize(
    ("arguments", "about"), [(["./nowhere"], "./nowhere"), (["demo", "--sentences", "-1"], "--sentences -1")]
)
def test_a_mistake_is_one_line_and_exit_status_2(arguments, about, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {about}: ")
    assert captured.err.count("\n") == 1


def test_help_shows_defaults_and_is_quick():
    started = time.monotonic()
    run = subprocess.run([sys.executable, "-m", "tfner.explore", "--help"], check=True, capture_output=True, text=True)
    assert time.monotonic() - started < 2  # seconds
    assert {"[demo]", "[3]", "[ner]"} <= set(run.stdout.split())

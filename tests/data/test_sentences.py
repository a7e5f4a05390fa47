from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfner.data.sentences import sentence_starts
from tfner.data.words import split_words


def sentences(text, how="split"):
    words = split_words(text)
    starts = [words[i][0] for i in sentence_starts(text, words, how)]
    return [text[a:b].strip() for a, b in pairwise([*starts, len(text)])]


@pytest.mark.parametrize(
    "text",
    [  # `|` separates the sentences; the text is the line without it
        "Peter left. |Anna stayed! |Why? |She had to... |They met in Nice.",
        "Mr. Smith of the U.S. Senate met J. J. Lehto at 5 p.m. in St. Louis. |Dr. No was not there.",
        'He said "No." |Then he left (at last). |“Really?” |‘Yes.’ |[Applause.] |It was over.',
        "Prices rose by 1.5 to 12. |Visit www.example.org. |1. Yes. |2. No",
        "Gen. Clark and Sen. Smith met on 5th Ave. near Mt. Rushmore. |Gen",
        "We met at 10 a.m. and left",
        "Who? me. and what... then! of course",
        "東京です。|次の文！|「はい。」|次",
        "Μένει εδώ. |Ποιος; ναι. όχι",
        "यह वाक्य है। |दूसरा वाक्य",
        "Wait!!! |What?! |No.",
        "He said ``so.'' |Then he left.",
        "a.b.c",
        ". . .",
    ],
)
def test_sentences_end_at_full_stops_before_words_not_in_lower_case(text):
    assert sentences(text.replace("|", "")) == [one.strip() for one in text.split("|")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028", " \n\t"])
def test_lines_end_sentences_unless_the_next_word_is_in_lower_case(end):
    assert sentences(f"LONDON{end}Peter left{end}Nice") == ["LONDON", "Peter left", "Nice"]
    assert len(sentences(f"Peter left{end}the house", "line")) == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_wrapped_line_goes_on_unless_a_blank_line_follows(end):
    assert len(sentences(f"Peter left{end}the house")) == 1
    assert len(sentences(f"Peter left{end} {end}the house")) == 2


def test_a_number_that_begins_a_line_belongs_to_it():
    assert sentences("Steps:\n1. Mix.\n2. Bake at 30. Eat") == ["Steps:", "1. Mix.", "2. Bake at 30.", "Eat"]


def test_other_ways_to_divide_a_text():
    text = "Peter left. Anna\nstayed."
    assert sentences(text, "line") == ["Peter left. Anna", "stayed."]
    assert sentences(text, "none") == [text]


@pytest.mark.parametrize("how", ["split", "line", "none"])
def test_a_text_without_words_has_no_sentences(how):
    assert sentences("", how) == sentences(" \n\n", how) == []


@given(st.text() | st.text("aB.!?\u3002\"') \n\r\u2028"), st.sampled_from(["split", "line", "none"]))
def test_every_word_is_in_exactly_one_sentence(text, how):
    words = split_words(text)
    starts = sentence_starts(text, words, how)
    assert starts == sorted(set(starts))
    assert starts[:1] == [0] * bool(words)
    assert all(0 <= start < len(words) for start in starts)

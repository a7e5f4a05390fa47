import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfner.data.words import PATTERN, split_words


def words(text):
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    "line",
    [  # `|` separates the words; the text is the line without it
        "The |U.S. |team |beat |F.C. |Porto |3-1 |on |1996-08-22|.",
        "U.S.-led |forces |near |St. |Louis|, |Mr. |J.J.Lehto |said|.",
        "Germany|'s |O'Brien |met |d'Affaires |N'Diaye|'s |team |at |o'clock|.",
        "I|'m |sure |we|'ll |see |they|'ve |won|, |she|'d |and |you|'re|...",
        "I |don't |know |and |ca |n't |say",
        "The |players|' |strike|, |'|Titanic|' |and |'|session|'",
        "a |53-year-old |well-known |year-on-year |AN-NAHAR",
        "1,000.50 |at |12:30 |or |1:54.342|, |+0.7 |and |.576|, |5-1/2 |92.0-94.5",
        "1. |Ada |2. |Bob |in |1996|.",
        "50|% |of |US$|100|, |$|5 |and |€|7",
        'He |said|: |"|no|" |(|twice|)|; |why|?',
        "New |York|--|London |word |...|and",
        "@paulwalk |sees |#StarWars |on |http://bit.ly/cuy0yt|, |:) |!!!",
        "derivatives@reuters.com|, |www.example.org/a?b=1|. |radio.woai.com",
        "S&P |fell |at |5 |p.m. |vs. |4 |a.m.",
        "Nice|–|Paris|, |«|Le |Monde|»|, |“|x|”",
        "Vía |Láctea|, |¿|qué|? |Zoë|’s |naïve |cafe\u0301|.",
        "北|京|市 |Москва|, |القاهرة|، |हिन्दी|।",
        "great|👍🏽|👩\u200d👩\u200d👧 |☀\ufe0f",
        "🇫🇷|🇩🇪 |to|🇫🇷|x|🇫",
    ],
)
def test_text_is_split_as_in_conll_corpora(line):
    assert words(line.replace("|", "")) == [word.strip() for word in line.split("|")]


def test_offsets_are_half_open_characters_of_the_original_text():
    assert split_words("  Ünal 's\u00a0👍!\n") == [(2, 6), (7, 9), (10, 11), (11, 12)]


def test_a_text_of_white_space_has_no_words():
    assert split_words("") == split_words(" \t\n\u2028\u3000\x85") == []


TEXTS = st.text() | st.text("aZ9é\u0301'’.-,:/@#&$%+!?() \n\u00a0\u200b\u200d\ufe0f👍北_sStT")


@given(TEXTS)
def test_every_character_other_than_white_space_is_in_exactly_one_word(text):
    spans = split_words(text)
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = {i for start, end in spans for i in range(start, end)}
    assert covered == {i for i, character in enumerate(text) if not character.isspace()}


@given(TEXTS)
def test_a_combining_mark_stays_with_its_letter(text):
    ends = {end for _, end in split_words(text)}
    assert not any(re.match("[^\\W_][\u0300-\u036f]", text[i - 1 : i + 1]) for i in ends)


@pytest.mark.slow
@settings(deadline=None)  # the first example includes the import
@given(TEXTS)
def test_the_pattern_matches_the_same_words_in_a_tensorflow_graph(text):
    import tensorflow as tf  # collecting the tests does not need it

    marked = tf.strings.regex_replace(text, f"({PATTERN})", "<\\1>").numpy().decode()
    assert marked == "".join(f"<{part}>" if is_word else part for part, is_word in parts(text))


def parts(text):
    """The words of a text and the parts between them, each with whether it is a word."""
    position = 0
    for start, end in split_words(text):
        yield text[position:start], False
        yield text[start:end], True
        position = end
    yield text[position:], False


@pytest.mark.parametrize(("split", "sentences", "of_words"), [("validation", 0.99, 0.999), ("test", 0.98, 0.999)])
def test_sentences_of_conll2003_joined_by_spaces_are_split_into_their_words(conll2003, split, sentences, of_words):
    found = conll2003.splits[split]
    same = kept = 0
    for sentence in found:
        again = words(" ".join(sentence.words))
        same += again == list(sentence.words)
        kept += len(boundaries(again) & boundaries(sentence.words))
    assert same / len(found) >= sentences
    assert kept / sum(len(s.words) for s in found) >= of_words


def boundaries(of_words):
    """The starts and ends of the words, in characters other than white space."""
    ends = [sum(map(len, of_words[: i + 1])) for i in range(len(of_words))]
    return set(zip([0, *ends], ends, strict=False))

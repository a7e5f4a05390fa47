"""CSV tables with a header."""

import pytest
from support.errors import refused

from tfner.data.load import load_corpus
from tfner.data.table import is_table, read_table
from tfner.errors import UserError

KAGGLE = """Sentence #,Word,POS,Tag
Sentence: 1,"Smith, J",NNP,B-per
,runs,VBZ,O

Sentence: 2,.,.,O
"""


def test_a_table_has_a_sentence_for_each_value_of_its_column_of_sentences():
    first, second = read_table(KAGGLE, "train.csv", "ner")
    assert (first.words, first.tags) == (("Smith, J", "runs"), ("B-per", "O"))
    assert (second.words, second.tags, second.where(0)) == ((".",), ("O",), 5)
    assert read_table(KAGGLE, "train.csv", "pos")[0].tags == ("NNP", "VBZ")


def test_only_a_header_makes_a_table(tmp_path):
    assert is_table(KAGGLE)
    assert not is_table("Ada B-PER\n")
    (tmp_path / "train.csv").write_text("Ada B-PER\n, O\n")
    assert load_corpus(tmp_path / "train.csv").splits["train"][0].words == ("Ada", ",")
    (tmp_path / "train.csv").write_text(KAGGLE)
    assert load_corpus(tmp_path / "train.csv").splits["train"][0].tags == ("B-per", "O")
    with refused("table_with_a_tag_column", setting="tag_column", path=tmp_path / "train.csv"):
        load_corpus(tmp_path / "train.csv", tag_column=3)


@pytest.mark.parametrize(
    ("key", "line", "text"),
    [
        ("table_without_tags", 1, "sentence,word\n1,a\n"),
        ("table_without_sentences", 1, "word,tag\na,O\n"),
        ("table_with_a_short_row", 3, "sentence,word,tag\n1,a,O\n1,b\n"),
        ("table_with_a_long_row", 3, "sentence,word,tag\n1,paid,O\n1,1,000,O\n"),
        ("table_with_an_empty_word", 2, "sentence,word,tag\n1, ,O\n"),
        ("table_with_an_open_quotation_mark", 4, 'sentence,word,tag\n1,",O\n1,Nice,B-LOC\n1,",O\n1,x,O\n'),
        ("table_with_a_quotation_mark_elsewhere", 4, 'sentence,word,x,tag\n1,is,",O\n1,Nice,x,B-LOC\n1,in,",O\n1,x,x,O\n'),
        ("table_without_rows", None, "sentence,word,tag\n"),
    ],
)
def test_anything_else_is_refused(key, line, text):
    with refused(key, path="train.csv", line=line):
        read_table(text, "train.csv", "ner")


@pytest.mark.parametrize(
    ("line", "text"), [(1, "sentence,word,tag\rx\n1,a,O\n"), (2, "sentence,word,tag\n1," + "a" * 200_000 + ",O\n")]
)
def test_what_is_no_table_is_refused_with_its_line(line, text):
    with pytest.raises(UserError, match="expected comma-separated values") as caught:  # the rest depends on Python's version
        read_table(text, "train.csv", "ner")
    assert caught.value.line == line

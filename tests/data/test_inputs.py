import pytest

from tfner.data.inputs import guess_format, read_inputs
from tfner.errors import UserError


def test_text_is_a_line_each_and_empty_lines_count():
    assert list(read_inputs(["Anna works.\r\n", "\n", "Bob  rests.\n"], "text")) == ["Anna works.", "", "Bob  rests."]


def test_json_lines_give_texts_or_words():
    lines = ['{"text": "Anna works."}\n', '{"tokens": ["Anna", "works", "."]}\n']
    assert list(read_inputs(lines, "jsonl")) == ["Anna works.", ("Anna", "works", ".")]


def test_conll_columns_give_the_first_column_and_skip_document_marks():
    lines = ["-DOCSTART- -X- O O\n", "\n", "EU NNP I-NP I-ORG\n", "rejects VBZ I-VP O\r\n", " \n", "Peter NNP I-NP I-PER"]
    assert list(read_inputs(lines, "conll")) == [("EU", "rejects"), ("Peter",)]


def test_tab_separated_words_may_hold_spaces():
    assert list(read_inputs(["10 000\tO\n"], "conll")) == [("10 000",)]


@pytest.mark.parametrize("line", ["plain text", "[1]", '{"words": ["a"]}', '{"tokens": [1]}', '{"text": 3}'])
def test_a_line_that_is_not_what_was_promised_is_named(line):
    with pytest.raises(UserError, match="in:2: expected a JSON object"):
        list(read_inputs(['{"text": "fine"}', line], "jsonl", "in"))


def test_an_unknown_format_is_refused():
    with pytest.raises(UserError, match="expected one of text, jsonl, conll"):
        list(read_inputs([], "xml"))


def test_input_is_read_no_further_than_asked():
    def lines():
        yield "one\n"
        raise AssertionError("read ahead")

    assert next(read_inputs(lines(), "text")) == "one"


def test_formats_follow_file_names():
    names = ("a.jsonl", "a.json", "eng.conll", "a.iob2", "a.txt", "", "esp.testa")
    assert [guess_format(name) for name in names] == ["jsonl", "jsonl", "conll", "conll", "text", "text", "text"]

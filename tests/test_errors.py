import pickle
from pathlib import Path

import pytest

from tfner.errors import UserError, one_line, setting


def test_a_setting_is_a_flag_on_the_command_line_and_a_keyword_in_python():
    error = UserError(f"{setting('max_pieces', 600)}: expected at most 512: choose fewer, or {setting('encoder', 'BERT')}")
    assert error.for_command_line() == "--max-pieces 600: expected at most 512: choose fewer, or --encoder BERT"
    assert str(error) == "max_pieces=600: expected at most 512: choose fewer, or encoder='BERT'"
    assert (error.setting, error.path, error.line) == ("max_pieces", None, None)


@pytest.mark.parametrize(
    ("marked", "command_line", "python"),
    [
        (setting("text_encoding"), "--text-encoding", "text_encoding="),
        (setting("one_document", True), "--one-document", "one_document=True"),
        (setting("output", Path("a b")), "--output a b", "output='a b'"),
    ],
)
def test_a_setting_can_be_named_alone_or_be_a_switch_or_a_path(marked, command_line, python):
    error = UserError(f"give {marked} too")
    assert error.for_command_line() == f"give {command_line} too"
    assert str(error) == f"give {python} too"


def test_a_file_and_its_line_come_first():
    assert str(UserError("expected 4 columns", "train.txt", 3)) == "train.txt:3: expected 4 columns"
    assert str(UserError("expected text", Path("train.txt"))) == "train.txt: expected text"


def test_text_of_the_user_is_never_read_as_a_setting():
    text = "--corpus @user {max_pieces} corpus="
    error = UserError(text)
    assert (str(error), error.for_command_line(), error.setting) == (text, text, None)


def test_an_error_survives_another_process():
    error = pickle.loads(pickle.dumps(UserError(f"{setting('seed', -1)}: expected at least 0", "x", 2)))
    assert error.for_command_line() == "x:2: --seed -1: expected at least 0"


def test_a_long_message_ends_between_words():
    message = ValueError("first line\n  second line " + "word " * 50)
    line = one_line(message, 30)
    assert line == "first line second line word ..." and one_line("short\none") == "short one"


def test_a_word_too_long_is_cut():
    assert one_line("x" * 500, 200) == "x" * 200 + " ..."

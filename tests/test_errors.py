from tfner.errors import one_line


def test_a_long_message_ends_between_words():
    message = ValueError("first line\n  second line " + "word " * 50)
    line = one_line(message, 30)
    assert line == "first line second line word ..." and one_line("short\none") == "short one"


def test_a_word_too_long_is_cut():
    assert one_line("x" * 500, 200) == "x" * 200 + " ..."

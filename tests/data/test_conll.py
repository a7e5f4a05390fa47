import pytest
from support.errors import refused

from tfner.data.conll import columns, read_columns, sentence_lines


def read(text, task="ner", tag_column=None):
    """The words and tags of the sentences of a text."""
    return [(s.words, s.tags) for s in read_columns(text, "train.txt", task, tag_column)]


def documents(text):
    return [(s.words, s.document) for s in read_columns(text, "train.txt", "ner")]


def test_blank_lines_may_contain_white_space_and_lines_may_end_in_crlf():
    assert read("Ada\tB-PER\r\n\t\r\n \nruns\tO\n\n\n\u00a0 \n.\tO") == [
        (("Ada",), ("B-PER",)),
        (("runs",), ("O",)),
        ((".",), ("O",)),
    ]


def test_words_may_contain_line_separators_and_spaces_beyond_ascii():
    words = ("a\u2028b", "c\u0085", "\u00a0", "\u200b", "New York", "", "d\re")
    assert read("".join(f"{word}\tO\n" for word in words)) == [(words, ("O",) * len(words))]


def test_several_spaces_separate_as_one_does():
    assert columns("Ada   NNP  B-PER") == ["Ada", "NNP", "B-PER"]
    assert read("Ada   NNP  B-PER \n") == [(("Ada",), ("B-PER",))]


def test_with_a_tab_in_the_line_spaces_do_not_separate():
    assert columns(" New York\t\tO") == [" New York", "", "O"]


def test_a_document_mark_starts_a_document_and_is_no_sentence():
    mark = "-DOCSTART- -X- O O\n"
    text = f"a X O O\n\n{mark}\n{mark}\nb X O O\n\nc X O O\n{mark}d X O O\n"
    assert documents(text) == [(("a",), 0), (("b",), 1), (("c",), 1), (("d",), 2)]


def test_a_document_mark_counts_only_in_the_first_column():
    assert documents("a O\n-DOCSTART-x O\nb-DOCSTART- O\n") == [(("a", "-DOCSTART-x", "b-DOCSTART-"), None)]


def test_a_document_mark_at_the_end_makes_the_file_one_document():
    assert documents("a O\n\n-DOCSTART- O\n") == [(("a",), 0)]


def test_without_marks_sentences_have_no_document():
    assert documents("a O\n\nb O\n") == [(("a",), None), (("b",), None)]


def test_sentences_know_the_lines_of_their_words():
    first, second = read_columns("\n\na O\nb O\n\nc O\n", "train.txt", "ner")
    assert [first.where(0), first.where(1), second.where(0)] == [3, 4, 6]


def test_lines_are_read_no_further_than_the_end_of_the_sentence():
    def lines():
        yield from ["a O\n", "\n"]
        raise AssertionError("read ahead")

    assert next(sentence_lines(lines())) == (1, ["a O"])


@pytest.mark.parametrize(
    ("text", "options", "tag"),
    [
        ("w NN B-NP B-PER\n", {}, "B-PER"),
        ("w NN B-NP B-PER\n", {"task": "pos"}, "NN"),
        ("w NN B-NP B-PER\n", {"task": "chunk"}, "B-NP"),
        ("w NN B-PER\n", {"task": "pos"}, "NN"),
        ("w B-PER\n", {}, "B-PER"),
        ("w B-X lemma NN more\n", {"tag_column": 2}, "B-X"),
        ("w B-X lemma NN more\n", {"tag_column": -2, "task": "pos"}, "NN"),
    ],
)
def test_the_task_or_the_tag_column_selects_the_column(text, options, tag):
    assert read(text, **options)[0][1] == (tag,)


@pytest.mark.parametrize("task", ["pos", "chunk"])
def test_a_task_without_a_known_column_asks_for_the_tag_column(task):
    with refused(f"conll_unknown_column_{task}", setting="task", path="train.txt", line=1):
        read("w B-PER\n", task)


@pytest.mark.parametrize("tag_column", [0, 1, 4, -3])
def test_a_tag_column_out_of_range_is_refused_with_the_range(tag_column):
    key = f"conll_tag_column_out_of_range_{tag_column}".replace("-", "minus_")
    with refused(key, setting="tag_column", path="train.txt", line=1):
        read("w NN O\n", tag_column=tag_column)


def test_a_line_with_another_number_of_columns_is_refused():
    with refused("conll_ragged_columns", path="train.txt", line=3):
        read("EU NNP I-NP I-ORG\n\nrejects VBZ O\n")


def test_a_word_without_a_tag_is_refused():
    with refused("conll_missing_tag", path="train.txt", line=2):
        read("a\tO\nb\t\n")


def test_a_file_of_one_column_is_refused():
    with refused("conll_one_column", path="train.txt", line=1):
        read("a\nb\n")


@pytest.mark.parametrize("text", ["", "\n \n\t\n", "-DOCSTART- -X- O O\n"])
def test_a_file_without_sentences_is_refused(text):
    with refused("conll_no_sentence", path="train.txt"):
        read(text)


def noted(text, task="ner", tag_column=None):
    """The words and tags of the sentences of a text, and the notes."""
    notes = []
    return [(s.words, s.tags) for s in read_columns(text, "train.txt", task, tag_column, notes.append)], notes


@pytest.mark.parametrize(
    ("text", "comments"),
    [
        ("# id 1 domain=en\nAda _ _ B-PER\nruns _ _ O\n\n# id 2\n. _ _ O\n", 2),  # as in MultiCoNER
        ("#\tsource of the text\n# and more\nAda\tx\tB-PER\nruns\tx\tO\n\n.\tx\tO\n", 2),
        ("# Licence: none\n\nAda B-PER\nruns O\n\n# 1\n\n. O\n", 2),
    ],
)
def test_comments_before_a_sentence_are_left_out_with_a_note(text, comments):
    found, notes = noted(text)
    assert found == [(("Ada", "runs"), ("B-PER", "O")), ((".",), ("O",))]
    assert notes == [f"{comments} comment lines beginning with # left out"]


def test_a_number_sign_may_be_a_word():
    text = "# O\n1 O\n\n# O\n\n# 1 O\n"
    assert noted("# O\n1 O\n\n# O\n") == ([(("#", "1"), ("O", "O")), (("#",), ("O",))], [])
    assert noted("# #\n1 CD\n", tag_column=2) == ([(("#", "1"), ("#", "CD"))], [])
    assert noted(text)[0] == [(("#", "1"), ("O", "O")), (("#",), ("O",))]  # the last line has too many columns


@pytest.mark.parametrize(
    ("text", "task", "words"),
    [
        ("# newdoc\nHi\tUH\n", "pos", ("Hi",)),
        ("# sent_id = 12\nHi\tx\ty\tO\n", "ner", ("Hi",)),
        ("#London\tLOC\nis\tO\n", "ner", ("#London", "is")),
        ("#London B_LOC\nis O\n", "ner", ("#London", "is")),
        ("#np\t#\nit\tO\n", "pos", ("#np", "it")),
        ("#nlp O\n\nGo O\n", "ner", ("#nlp",)),
    ],
)
def test_a_comment_is_told_from_a_word_by_how_the_other_lines_are_written(text, task, words):
    assert read(text, task, 2 if task == "pos" else None)[0][0] == words


def test_where_the_first_column_numbers_the_words_they_are_in_the_second():
    text = "# source\n1\tAda\tB-PER\tO\n2\truns\tO\tB-X\n\n1\t1\tO\tO\n"  # as in GermEval 2014
    found, notes = noted(text)
    assert found == [(("Ada", "runs"), ("B-PER", "O")), (("1",), ("O",))]
    assert notes[1:] == ["the first column numbers the words, which are in the second; tags are read from column 3"]
    assert noted(text, tag_column=4)[0][0] == (("Ada", "runs"), ("O", "B-X"))
    assert noted("1 CD O\n2 CD O\n\nof IN O\n")[0][0][0] == ("1", "2")  # not in every sentence
    conll = "1 EU NNP B-NP B-ORG\n2 runs VBZ B-VP O\n"
    assert read(conll) == [(("EU", "runs"), ("B-ORG", "O"))]
    assert read(conll, "chunk") == [(("EU", "runs"), ("B-NP", "B-VP"))]


def conllu(number, word, tag):
    return "\t".join([number, word, "_", tag, f"X{number}", "_", "_", "_", "_", "O"]) + "\n"


CONLLU = "# text = du Ada\n# text_en = a b c d e f g\n" + "".join(
    conllu(*columns)
    for columns in (("1-2", "du", "_"), ("1", "de", "ADP"), ("2", "le", "DET"), ("2.1", "x", "VERB"), ("3", "Ada", "PROPN"))
)


def test_conllu_gives_its_words_with_their_universal_tags():
    (sentence,) = read_columns(CONLLU, "train.conllu", "pos")
    assert (sentence.words, sentence.tags) == (("de", "le", "Ada"), ("ADP", "DET", "PROPN"))
    assert [sentence.where(word) for word in range(3)] == [4, 5, 7]
    assert read(CONLLU, "pos", tag_column=5)[0][1] == ("X1", "X2", "X3")
    with refused("conllu_without_entities", setting="task", path="train.txt", line=3):
        read(CONLLU)

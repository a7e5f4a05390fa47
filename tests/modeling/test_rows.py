import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny
from support.encoding import EU, PETER, check_invariants, decoded_tags, numbers
from support.errors import refused

from tfner.config import make_config
from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.errors import UserError
from tfner.labels import CONLL_LABELS, IGNORED_LABEL, LabelSet
from tfner.modeling.batches import pad
from tfner.modeling.rows import DOCUMENT_PIECES, SPECIAL, EncodingReport, RowEncoder, make_row_encoder, row_table

# The example of the study


def test_the_sentence_of_the_study_has_the_pieces_of_figure_4(cased):
    row = RowEncoder(cased, CONLL_LABELS, "all").encode([EU]).rows[0]
    assert " ".join(cased.convert_ids_to_tokens(row.ids)) == "[CLS] EU rejects German call to boycott British la ##mb . [SEP]"


def test_with_all_pieces_labelled_the_labels_are_those_of_figure_4(cased):
    row = RowEncoder(cased, CONLL_LABELS, "all").encode([EU]).rows[0]
    assert row.labels.tolist() == [-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100]


def test_two_padded_sentences_are_those_of_figure_5(cased):
    encoder = RowEncoder(cased, CONLL_LABELS, "all")
    inputs, labels = pad(encoder.encode([EU, PETER]).rows, encoder.pad_id)
    assert labels.tolist() == [[-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100], [-100, 1, 2] + [-100] * 9]
    assert inputs["attention_mask"].tolist() == [[1] * 12, [1] * 4 + [0] * 8]
    assert cased.convert_ids_to_tokens(inputs["input_ids"][1]) == ["[CLS]", "Peter", "Blackburn", "[SEP]"] + ["[PAD]"] * 8


def test_with_first_the_second_piece_of_a_word_is_ignored(cased):
    row = RowEncoder(cased, CONLL_LABELS, "first").encode([EU]).rows[0]
    assert row.labels.tolist() == [-100, 3, 0, 7, 0, 0, 0, 7, 0, -100, 0, -100]


def test_every_piece_has_the_number_of_its_word(cased):
    row = RowEncoder(cased, CONLL_LABELS).encode([EU]).rows[0]
    assert row.words.tolist() == [-1, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, -1]
    assert row.sentences.tolist() == [-1] + [0] * 10 + [-1]
    assert row.speaks.tolist() == [False] + [True] * 8 + [False, True, False]


def test_later_pieces_of_a_beginning_are_labelled_inside(wordpiece):
    sentence = Sentence(("unbelievables", "lamb", "x"), ("B-LOC", "I-LOC", "B-LOC"))
    ids = CONLL_LABELS.ids
    row = RowEncoder(wordpiece, CONLL_LABELS, "all").encode([sentence]).rows[0]
    assert wordpiece.convert_ids_to_tokens(row.ids)[1:-1] == ["un", "##believ", "##able", "##s", "la", "##mb", "x"]
    assert row.labels.tolist() == [-100, ids["B-LOC"], *[ids["I-LOC"]] * 5, ids["B-LOC"], -100]


def test_later_pieces_of_a_plain_label_have_the_same_label(wordpiece):
    labels = LabelSet(("B-like", "NN"), plain=True)
    row = RowEncoder(wordpiece, labels, "all").encode([Sentence(("lamb", "x"), ("B-like", "NN"))]).rows[0]
    assert row.labels.tolist() == [-100, 0, 0, 1, -100]


# Encoding and decoding

ROUNDS = [
    pytest.param("train", "all", 512, "sentence", id="train-all-512"),
    pytest.param("valid", "first", 512, "sentence", id="valid-first-512"),
    pytest.param("valid", "all", 24, "sentence", id="valid-all-windows-of-24"),
    pytest.param("test", "first", 24, "sentence", id="test-first-windows-of-24"),
    pytest.param("valid", "first", 128, "document", id="valid-first-documents-of-128"),
    pytest.param("test", "all", 128, "document", id="test-all-documents-of-128"),
]


@pytest.mark.parametrize(("part", "label_pieces", "max_pieces", "context"), ROUNDS)
@pytest.mark.parametrize("name", ["conll2003", "conll2002_esp"])
def test_tags_of_real_corpora_survive_encoding_and_decoding(assets, cased, name, part, label_pieces, max_pieces, context):
    file = {
        "conll2003": f"{part}.txt",
        "conll2002_esp": "esp." + {"train": "train", "valid": "testa", "test": "testb"}[part],
    }[name]
    corpus = load_corpus(assets / "data" / name / file, text_encoding="latin-1", one_document=name == "conll2002_esp")
    (sentences,) = corpus.splits.values()
    assert len(sentences) > 1500
    encoder = RowEncoder(cased, corpus.labels, label_pieces, max_pieces, context)
    encoded = encoder.encode(sentences)
    decoded = decoded_tags(encoder, encoded)
    assert [i for i, s in enumerate(sentences) if decoded[i] != list(s.tags)] == []
    report = encoded.report
    assert max(map(len, encoded.rows)) <= max_pieces
    assert report.words_without_pieces == 0
    if context == "document":
        assert report.rows < len(sentences) * 0.75
    if max_pieces == 24:
        assert report.windowed_sentences > 300
    else:
        assert report.cut_words == 0


def test_windows_of_the_spanish_sentence_of_1238_words_keep_every_word(assets, cased):
    corpus = load_corpus(assets / "data/conll2002_esp/esp.train", text_encoding="latin-1")
    longest = max(corpus.splits["train"], key=lambda s: len(s.words))
    assert len(longest.words) == 1238
    encoder = RowEncoder(cased, corpus.labels, "all")
    encoded = encoder.encode([longest])
    assert len(encoded.rows) > 3
    assert encoded.report.windowed_sentences == 1
    check_invariants(encoder, [longest], encoded)


WITHOUT_PIECES = ["", "\u200b", "\x00", "\x1f\x7f", "\ufeff", "\u200b\u200e"]
ANY_WORD = st.one_of(
    st.text(max_size=6), st.sampled_from(WITHOUT_PIECES), st.sampled_from(tiny.WORDS), st.sampled_from(tiny.PIECES)
)
TAGGED = st.lists(st.tuples(ANY_WORD, st.sampled_from(CONLL_LABELS.names)), max_size=14)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(TAGGED, max_size=5),
    st.sampled_from(["first", "all"]),
    st.sampled_from([5, 8, 13, 40]),
    st.sampled_from(["sentence", "document"]),
)
def test_tags_of_random_unicode_words_survive_encoding_and_decoding(
    wordpiece, byte_level, drawn, label_pieces, max_pieces, context
):
    sentences = [Sentence(tuple(w for w, _ in pairs), tuple(t for _, t in pairs), i // 2) for i, pairs in enumerate(drawn)]
    for tokenizer in (wordpiece, byte_level):
        encoder = RowEncoder(tokenizer, CONLL_LABELS, label_pieces, max_pieces, context)
        encoded = encoder.encode(sentences)
        check_invariants(encoder, sentences, encoded)
        wordless = {
            word
            for s in sentences
            for word in s.words
            if not tokenizer([word], is_split_into_words=True, add_special_tokens=False)["input_ids"]
        }
        expected = [["O" if w in wordless else t for w, t in zip(s.words, s.tags, strict=True)] for s in sentences]
        assert decoded_tags(encoder, encoded) == expected


@pytest.mark.parametrize("word", WITHOUT_PIECES)
def test_a_word_without_pieces_is_outside_and_shifts_no_neighbour(wordpiece, word):
    sentence = Sentence(("Peter", word, "Blackburn", word), ("B-PER", "B-ORG", "I-PER", "O"))
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([sentence])
    assert encoded.rows[0].words.tolist() == [-1, 0, 2, -1]
    assert decoded_tags(encoder, encoded) == [["B-PER", "O", "I-PER", "O"]]
    assert (encoded.report.words_without_pieces, encoded.report.entity_words_without_pieces) == (2, 1)
    assert encoded.report.warnings()[0].startswith("2 words have no word piece")


@pytest.mark.parametrize("words", [(), ("",), ("\u200b", "\x00")])
def test_a_sentence_without_pieces_has_no_row_and_is_predicted_as_outside(wordpiece, words):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([EU, Sentence(words, ("O",) * len(words)), PETER])
    assert [set(row.sentences.tolist()) - {SPECIAL} for row in encoded.rows] == [{0}, {2}]
    assert decoded_tags(encoder, encoded) == [list(EU.tags), ["O"] * len(words), list(PETER.tags)]


def test_no_sentences_give_no_rows(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([])
    assert encoded.rows == () and decoded_tags(encoder, encoded) == []


def test_a_word_spelled_like_a_special_piece_is_encoded_as_text(wordpiece):
    sentence = Sentence(("[SEP]", "[CLS]", "x"), ("B-ORG", "O", "B-LOC"))
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([sentence])
    row = encoded.rows[0]
    assert not {wordpiece.sep_token_id, wordpiece.cls_token_id} & set(row.ids[1:-1].tolist())
    assert sorted(set(row.words.tolist())) == [-1, 0, 1, 2]
    assert decoded_tags(encoder, encoded) == [list(sentence.tags)]


def test_a_word_of_unknown_characters_has_one_unknown_piece(wordpiece):
    row = RowEncoder(wordpiece, CONLL_LABELS).encode([Sentence(("東京", "x"), ("B-LOC", "O"))]).rows[0]
    assert wordpiece.unk_token_id in row.ids
    assert row.labels[1] == CONLL_LABELS.ids["B-LOC"]


# Windows


def test_a_long_sentence_is_spread_over_windows_and_each_word_used_once(wordpiece):
    words = tuple(tiny.WORDS[i % len(tiny.WORDS)] for i in range(60))
    sentence = Sentence(words, tuple(CONLL_LABELS.names[i % 9] for i in range(60)))
    encoder = RowEncoder(wordpiece, CONLL_LABELS, "first", max_pieces=22)
    encoded = encoder.encode([sentence])
    assert len(encoded.rows) > 3
    assert encoded.report.pieces > len(words) + 2 * len(encoded.rows)  # windows overlap
    for before, after in zip(encoded.rows, encoded.rows[1:], strict=False):
        assert set(before.words.tolist()) & set(after.words.tolist()) - {SPECIAL}
    check_invariants(encoder, [sentence], encoded)
    assert decoded_tags(encoder, encoded) == [list(sentence.tags)]


def test_a_word_of_more_pieces_than_a_row_is_cut_counted_and_used(wordpiece):
    sentence = Sentence(("x", "un" + "s" * 30, "y"), ("O", "B-LOC", "B-PER"))
    encoder = RowEncoder(wordpiece, CONLL_LABELS, "all", max_pieces=10)
    encoded = encoder.encode([sentence])
    assert encoded.report.cut_words == 1
    assert encoded.report.warnings()[-1].startswith("1 word has more pieces than fit into a row")
    check_invariants(encoder, [sentence], encoded)
    assert decoded_tags(encoder, encoded) == [list(sentence.tags)]


def test_a_sentence_of_exactly_the_limit_has_a_single_row(wordpiece):
    sentence = Sentence(("x",) * 8, ("O",) * 8)
    assert RowEncoder(wordpiece, CONLL_LABELS, max_pieces=10).encode([sentence]).report.windowed_sentences == 0
    assert RowEncoder(wordpiece, CONLL_LABELS, max_pieces=9).encode([sentence]).report.windowed_sentences == 1


# Document rows


def test_a_document_row_has_a_separator_between_its_sentences(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS, "all", context="document")
    encoded = encoder.encode([EU, PETER])
    pieces = wordpiece.convert_ids_to_tokens(encoded.rows[0].ids)
    expected = "[CLS] EU rejects German call to boycott British la ##mb . [SEP] Peter Blackburn [SEP]"
    assert pieces == expected.split()
    assert encoded.rows[0].labels.tolist() == [-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100, 1, 2, -100]
    assert decoded_tags(encoder, encoded) == [list(EU.tags), list(PETER.tags)]


def test_a_document_row_never_crosses_into_another_document(wordpiece):
    sentences = [Sentence(("x",), ("O",), document) for document in (0, 0, 1, 1, 1, 2)]
    encoded = RowEncoder(wordpiece, CONLL_LABELS, context="document").encode(sentences)
    assert [numbers(row) for row in encoded.rows] == [[0, 1], [2, 3, 4], [5]]


def test_sentences_without_document_marks_have_rows_of_their_own(wordpiece):
    sentences = [Sentence(("x",), ("O",), None)] * 3
    encoded = RowEncoder(wordpiece, CONLL_LABELS, context="document").encode(sentences)
    assert [numbers(row) for row in encoded.rows] == [[0], [1], [2]]


def test_a_sentence_without_pieces_divides_no_document_row(wordpiece):
    sentences = [Sentence(words, (), 0) for words in (("x",), (), ("\u200b",), ("y",))]
    encoded = RowEncoder(wordpiece, CONLL_LABELS, context="document").encode(sentences)
    assert [sorted(set(row.sentences) - {SPECIAL}) for row in encoded.rows] == [[0, 3]]


def test_a_document_row_is_filled_up_to_its_limit(wordpiece):
    sentences = [Sentence(("x", "y"), ("O", "O"), 0)] * 4
    for limit, expected in ((7, [[0, 1], [2, 3]]), (10, [[0, 1, 2], [3]]), (9, [[0, 1], [2, 3]])):
        encoded = RowEncoder(wordpiece, CONLL_LABELS, max_pieces=limit, context="document").encode(sentences)
        assert [numbers(row) for row in encoded.rows] == expected
        assert max(map(len, encoded.rows)) <= limit


def test_drawn_extents_give_rows_of_every_length_with_each_sentence_once(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS, max_pieces=64, context="mixed")
    sentences = [EU, PETER] * 200
    rows, again = (encoder.encode(sentences, np.random.default_rng(1)).rows for _ in range(2))
    held = [numbers(row) for row in rows]
    assert [number for own in held for number in own] == list(range(400))
    assert held == [numbers(row) for row in again]
    assert held != [numbers(row) for row in encoder.encode(sentences, np.random.default_rng(2)).rows]
    sizes = np.bincount([len(own) for own in held])
    assert 0.4 < sizes[1] / len(held) < 0.75 and len(np.flatnonzero(sizes)) > 4
    assert max(map(len, rows)) <= 64
    whole = RowEncoder(wordpiece, CONLL_LABELS, max_pieces=64, context="document").encode(sentences).rows
    assert [numbers(row) for row in encoder.encode(sentences).rows] == [numbers(row) for row in whole]


def test_a_sentence_longer_than_a_document_row_has_rows_of_its_own(wordpiece):
    long = Sentence(("x",) * 20, ("O",) * 20, 0)
    encoder = RowEncoder(wordpiece, CONLL_LABELS, max_pieces=12, context="document")
    sentences = [PETER, long, PETER, PETER]
    encoded = encoder.encode(sentences)
    rows = [numbers(row) for row in encoded.rows]
    assert rows[0] == [0] and rows[-1] == [2, 3] and all(row == [1] for row in rows[1:-1])
    check_invariants(encoder, sentences, encoded)


def test_document_rows_of_a_real_corpus_hold_consecutive_sentences_of_one_document(assets, cased):
    sentences = load_corpus(assets / "data/conll2003/valid.txt").splits["validation"]
    encoder = RowEncoder(cased, CONLL_LABELS, "first", 128, "document")
    encoded = encoder.encode(sentences)
    for row in encoded.rows:
        part = numbers(row)
        assert part == list(range(part[0], part[-1] + 1))
        assert len({sentences[i].document for i in part}) == 1
        assert (row.ids == cased.sep_token_id).sum() == len(part)
    check_invariants(encoder, sentences, encoded)


# Values of pieces and words


def test_values_of_any_shape_are_returned_per_word(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([Sentence(("lamb", "", "x"), ()), Sentence(("y",), ())])
    values = [np.arange(len(row) * 2).reshape(-1, 2) + 100 * i for i, row in enumerate(encoded.rows)]
    first, second = encoder.to_words(encoded, values, fill=-7)
    assert first.tolist() == [[2, 3], [-7, -7], [6, 7]] and second.tolist() == [[102, 103]]


def test_values_may_be_longer_than_their_row(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([PETER])
    assert encoder.to_words(encoded, [np.arange(50)], fill=0)[0].tolist() == [1, 2]


def test_the_value_of_a_word_is_that_of_its_first_piece(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS, "all")
    encoded = encoder.encode([Sentence(("unbelievables", "lamb", "x"), ())])
    assert encoder.to_words(encoded, [np.arange(9)], fill=0)[0].tolist() == [1, 5, 7]


def test_without_rows_all_words_have_the_fill_value(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    assert encoder.to_words(encoder.encode([]), [], fill=0) == []
    (words,) = encoder.to_words(encoder.encode([Sentence(("", ""), ())]), [], fill=[4, 5])
    assert words.tolist() == [[4, 5], [4, 5]]


# Reports


def test_sentences_without_tags_have_no_labels(wordpiece):
    encoded = RowEncoder(wordpiece, CONLL_LABELS).encode([Sentence(EU.words, ())])
    assert (encoded.rows[0].labels == IGNORED_LABEL).all()
    assert encoded.rows[0].speaks.sum() == 9


def test_reports_add_up_field_by_field():
    one, two = EncodingReport(*range(1, 9)), EncodingReport(*range(10, 90, 10))
    assert one + two == EncodingReport(11, 22, 33, 44, 55, 66, 77, 88)


def test_a_report_without_losses_has_no_warnings():
    assert EncodingReport(sentences=3, words=9, rows=3, pieces=15).warnings() == []


def test_a_report_has_one_warning_for_each_kind_of_loss():
    assert EncodingReport(0, 0, 0, 0, 1, 1, 0, 1).warnings() == [
        "1 sentence is longer than a row and spread over overlapping windows; no word is lost",
        "1 word has no word piece and is always predicted as outside (of these, 0 in entities, scored as missed)",
        "1 word has more pieces than fit into a row; the model sees only the first of them",
    ]
    assert EncodingReport(0, 0, 0, 0, 2, 3, 1, 4).warnings() == [
        "2 sentences are longer than a row and spread over overlapping windows; no word is lost",
        "3 words have no word piece and are always predicted as outside (of these, 1 in entities, scored as missed)",
        "4 words have more pieces than fit into a row; the model sees only the first of them",
    ]


def test_a_row_is_shown_as_a_table_of_its_pieces(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    row = encoder.encode([Sentence(("Peter", "lamb"), ("B-PER", "O"))]).rows[0]
    lines = [line.split() for line in row_table(row, wordpiece, CONLL_LABELS).splitlines()]
    assert lines == [
        ["piece", "word", "label"],
        ["[CLS]", "-100"],
        ["Peter", "0", "1", "B-PER"],
        ["la", "1", "0", "O"],
        ["##mb", "1", "-100"],
        ["[SEP]", "-100"],
    ]


# Settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 200),
        ({"context": "document"}, DOCUMENT_PIECES),
        ({"max_pieces": 50}, 50),
        ({"max_pieces": 200, "context": "document"}, 200),
    ],
)
def test_the_row_length_is_the_setting_or_the_limit_or_that_of_document_rows(wordpiece, given, expected):
    assert make_row_encoder(wordpiece, CONLL_LABELS, make_config(**given), 200).max_pieces == expected


def test_document_rows_are_not_longer_than_the_limit(wordpiece):
    assert make_row_encoder(wordpiece, CONLL_LABELS, make_config(context="document"), 40).max_pieces == 40


def test_the_row_encoder_follows_the_config(wordpiece):
    encoder = make_row_encoder(wordpiece, CONLL_LABELS, make_config(label_pieces="all", context="document"), 40)
    assert (encoder.label_pieces, encoder.packs) == ("all", True)


def test_a_row_length_above_the_limit_is_refused(wordpiece):
    with refused("row_above_the_limit", setting="max_pieces"):
        make_row_encoder(wordpiece, CONLL_LABELS, make_config(max_pieces=201), 200)


def test_rows_too_short_for_words_are_refused(wordpiece):
    with refused("row_too_short", setting="max_pieces"):
        RowEncoder(wordpiece, CONLL_LABELS, max_pieces=3)
    for shorter in (2, 0, -1):
        with pytest.raises(UserError) as caught:
            RowEncoder(wordpiece, CONLL_LABELS, max_pieces=shorter)
        assert caught.value.setting == "max_pieces"


@pytest.mark.parametrize(("name", "value"), [("label_pieces", "last"), ("context", "corpus")])
def test_an_unknown_choice_is_refused(wordpiece, name, value):
    with refused(f"row_encoder_{name}_unknown", setting=name):
        RowEncoder(wordpiece, CONLL_LABELS, **{name: value})


def test_a_slow_tokenizer_is_refused(tmp_path):
    from transformers import BertTokenizer

    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(tiny.PIECES), "utf-8")
    with refused("tokenizer_slow"):
        RowEncoder(BertTokenizer(str(vocabulary)), CONLL_LABELS)


# Sentences that cannot be encoded


def test_more_tags_than_words_are_refused(wordpiece):
    with refused("sentence_with_more_tags_than_words"):
        RowEncoder(wordpiece, CONLL_LABELS).encode([EU, Sentence(("a", "b"), ("O", "O", "O"))])


def test_fewer_tags_than_words_are_refused(wordpiece):
    with refused("sentence_with_fewer_tags_than_words"):
        RowEncoder(wordpiece, CONLL_LABELS).encode([Sentence(("a", "b"), ("O",))])


def test_a_tag_outside_the_label_set_is_refused(wordpiece):
    with refused("tag_outside_the_label_set"):
        RowEncoder(wordpiece, CONLL_LABELS).encode([EU, Sentence(("x",), ("B-ART",))])


# Byte-level tokenizers


def test_byte_level_words_begin_with_a_space(byte_level):
    row = RowEncoder(byte_level, CONLL_LABELS, "all").encode([PETER]).rows[0]
    assert byte_level.convert_ids_to_tokens(row.ids) == ["<s>", "ĠPeter", "ĠBlackburn", "</s>"]
    assert row.labels.tolist() == [-100, 1, 2, -100]


def test_byte_level_pieces_of_a_word_align(byte_level):
    sentence = Sentence(("Blackburns", "", "Zürich"), ("B-PER", "O", "B-LOC"))
    encoder = RowEncoder(byte_level, CONLL_LABELS, "all")
    encoded = encoder.encode([sentence])
    check_invariants(encoder, [sentence], encoded)
    row = encoded.rows[0]
    assert (row.words == 0).sum() > 1 and (row.words == 2).sum() > 4
    assert decoded_tags(encoder, encoded) == [list(sentence.tags)]


def test_byte_level_document_rows_are_separated_by_its_own_piece(byte_level):
    row = RowEncoder(byte_level, CONLL_LABELS, context="document").encode([PETER, PETER]).rows[0]
    expected = ["<s>", "ĠPeter", "ĠBlackburn", "</s>", "ĠPeter", "ĠBlackburn", "</s>"]
    assert byte_level.convert_ids_to_tokens(row.ids) == expected


def test_padding_uses_the_id_of_the_tokenizer(byte_level, wordpiece):
    assert RowEncoder(byte_level, CONLL_LABELS).pad_id == byte_level.convert_tokens_to_ids("<pad>") == 1
    assert RowEncoder(wordpiece, CONLL_LABELS).pad_id == 0

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny

from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.errors import UserError
from tfner.labels import CONLL_LABELS, IGNORED_LABEL, LabelSet
from tfner.modeling.batches import pad
from tfner.modeling.pretrained import encoder_source, from_hub_or_folder, load_encoder_config, load_tokenizer, piece_limit
from tfner.modeling.rows import SPECIAL, EncodingReport, RowEncoder

EU = Sentence(
    tuple(tiny.WORDS[:9]),
    ("B-ORG", "O", "B-MISC", "O", "O", "O", "B-MISC", "O", "O"),
    document=0,
)
PETER = Sentence(("Peter", "Blackburn"), ("B-PER", "I-PER"), document=0)


@pytest.fixture(scope="session")
def cased(assets):
    """The study's tokenizer, bert-base-cased."""
    from transformers import BertTokenizerFast

    return BertTokenizerFast.from_pretrained(assets / "models" / "bert-base-cased-tokenizer")


@pytest.fixture(scope="session")
def wordpiece(tmp_path_factory):
    return tiny.wordpiece_tokenizer(tmp_path_factory.mktemp("wordpiece"))


@pytest.fixture(scope="session")
def byte_level_folder(tmp_path_factory):
    """A tokenizer's folder as RoBERTa's: without add_prefix_space, and with a config."""
    from transformers import RobertaConfig

    folder = tmp_path_factory.mktemp("bytes")
    tiny.byte_level_tokenizer(folder).save_pretrained(folder)
    RobertaConfig(**tiny.SIZES["roberta"]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def byte_level(byte_level_folder):
    return load_tokenizer(str(byte_level_folder))


@pytest.fixture(params=["wordpiece", "byte_level"])
def tokenizer(request):
    return request.getfixturevalue(request.param)


def labels_of(encoded):
    return [row.labels for row in encoded.rows]


def check_invariants(encoder, sentences, encoded):
    """What holds for every encoding, checked piece by piece against the tokenizer's pieces of each single word."""
    pieces = {}  # of every word that occurs

    def alone(word):
        if word not in pieces:
            options = {"is_split_into_words": True, "add_special_tokens": False, "split_special_tokens": True}
            ids = encoder.tokenizer([word], **options)["input_ids"]
            pieces[word] = ids
        return pieces[word]

    spoken, labelled, cut = {}, {}, 0
    for row in encoded.rows:
        assert len(row) <= encoder.max_pieces
        assert row.speaks.any(), "a row that speaks for no word is wasted"
        special = row.words == SPECIAL
        assert (special == (row.sentences == SPECIAL)).all()
        assert special[0] and special[-1]
        assert (row.labels[special] == IGNORED_LABEL).all()
        assert not row.speaks[special].any()
        keys = list(zip(row.sentences.tolist(), row.words.tolist(), strict=True))
        for key in dict.fromkeys(keys):
            if key[0] == SPECIAL:
                continue
            at = [i for i, other in enumerate(keys) if other == key]
            assert at == list(range(at[0], at[-1] + 1))
            sentence = sentences[key[0]]
            whole = alone(sentence.words[key[1]])
            assert not row.speaks[at[1:]].any()
            if row.speaks[at[0]]:  # a word of another window may stand here in part
                assert row.ids[at].tolist() == whole[: len(at)]
                cut += len(at) < len(whole)
                assert len(at) == len(whole) or len(row) == encoder.max_pieces
            if row.speaks[at[0]]:
                spoken[key] = spoken.get(key, 0) + 1
            if (row.labels[at] != IGNORED_LABEL).any():
                labelled[key] = labelled.get(key, 0) + 1
                assert row.speaks[at[0]]
                tag = sentence.tags[key[1]]
                rest = "I" + tag[1:] if tag.startswith("B-") and not encoder.labels.plain else tag
                later = encoder.labels.ids[rest] if encoder.label_pieces == "all" else IGNORED_LABEL
                assert row.labels[at].tolist() == [encoder.labels.ids[tag]] + [later] * (len(at) - 1)
    expected = {(s, w): 1 for s, sentence in enumerate(sentences) for w, word in enumerate(sentence.words) if alone(word)}
    assert spoken == expected
    assert labelled == {key: 1 for key in expected if sentences[key[0]].tags}
    words = sum(len(s.words) for s in sentences)
    assert encoded.lengths == tuple(len(s.words) for s in sentences)
    kept = encoded.report
    assert (kept.sentences, kept.words, kept.rows) == (len(sentences), words, len(encoded.rows))
    assert kept.pieces == sum(len(row) for row in encoded.rows)
    assert kept.words_without_pieces == words - len(expected)
    assert kept.cut_words == cut


# The study's own example


def test_the_studys_sentence_becomes_the_pieces_of_its_figure_4(cased):
    row = RowEncoder(cased, CONLL_LABELS, "all").encode([EU]).rows[0]
    assert " ".join(cased.convert_ids_to_tokens(row.ids)) == "[CLS] EU rejects German call to boycott British la ##mb . [SEP]"


def test_all_pieces_labelled_are_the_labels_of_the_studys_figure_4(cased):
    row = RowEncoder(cased, CONLL_LABELS, "all").encode([EU]).rows[0]
    assert row.labels.tolist() == [-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100]


def test_the_padded_pair_is_the_studys_figure_5(cased):
    encoder = RowEncoder(cased, CONLL_LABELS, "all")
    inputs, labels = pad(encoder.encode([EU, PETER]).rows, encoder.pad_id)
    assert labels.tolist() == [[-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100], [-100, 1, 2] + [-100] * 9]
    assert inputs["attention_mask"].tolist() == [[1] * 12, [1] * 4 + [0] * 8]
    assert cased.convert_ids_to_tokens(inputs["input_ids"][1]) == ["[CLS]", "Peter", "Blackburn", "[SEP]"] + ["[PAD]"] * 8


def test_with_first_the_second_piece_of_a_word_is_ignored(cased):
    row = RowEncoder(cased, CONLL_LABELS, "first").encode([EU]).rows[0]
    assert row.labels.tolist() == [-100, 3, 0, 7, 0, 0, 0, 7, 0, -100, 0, -100]


def test_every_piece_knows_its_word(cased):
    row = RowEncoder(cased, CONLL_LABELS).encode([EU]).rows[0]
    assert row.words.tolist() == [-1, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, -1]
    assert row.sentences.tolist() == [-1] + [0] * 10 + [-1]
    assert row.speaks.tolist() == [False] + [True] * 8 + [False, True, False]


def test_a_beginning_goes_on_as_inside_within_a_word(wordpiece):
    sentence = Sentence(("unbelievables", "lamb", "x"), ("B-LOC", "I-LOC", "B-LOC"))
    ids = CONLL_LABELS.ids
    row = RowEncoder(wordpiece, CONLL_LABELS, "all").encode([sentence]).rows[0]
    assert wordpiece.convert_ids_to_tokens(row.ids)[1:-1] == ["un", "##believ", "##able", "##s", "la", "##mb", "x"]
    assert row.labels.tolist() == [-100, ids["B-LOC"], *[ids["I-LOC"]] * 5, ids["B-LOC"], -100]


def test_a_plain_label_goes_on_as_itself_within_a_word(wordpiece):
    labels = LabelSet(("B-like", "NN"), plain=True)
    row = RowEncoder(wordpiece, labels, "all").encode([Sentence(("lamb", "x"), ("B-like", "NN"))]).rows[0]
    assert row.labels.tolist() == [-100, 0, 0, 1, -100]


# Round trips

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
def test_tags_come_back_from_real_corpora(assets, cased, name, part, label_pieces, max_pieces, context):
    file = {
        "conll2003": f"{part}.txt",
        "conll2002_esp": "esp." + {"train": "train", "valid": "testa", "test": "testb"}[part],
    }[name]
    corpus = load_corpus(assets / "data" / name / file, text_encoding="latin-1", one_document=name == "conll2002_esp")
    (sentences,) = corpus.splits.values()
    assert len(sentences) > 1500
    encoder = RowEncoder(cased, corpus.labels, label_pieces, max_pieces, context)
    encoded = encoder.encode(sentences)
    decoded = encoder.decode_tags(encoded, labels_of(encoded))
    assert [i for i, s in enumerate(sentences) if decoded[i] != list(s.tags)] == []
    longest, kept, number = max(map(len, encoded.rows)), encoded.report, len(sentences)
    assert longest <= max_pieces
    assert kept.words_without_pieces == 0
    if context == "document":
        assert kept.rows < number * 0.75
    if max_pieces == 24:
        assert kept.windowed_sentences > 300
    else:
        assert kept.cut_words == 0


def test_the_spanish_sentence_of_1238_words_becomes_windows_that_keep_every_word(assets, cased):
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
def test_tags_of_random_unicode_words_come_back(wordpiece, byte_level, drawn, label_pieces, max_pieces, context):
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
        assert encoder.decode_tags(encoded, labels_of(encoded)) == expected


@pytest.mark.parametrize("word", WITHOUT_PIECES)
def test_a_word_without_pieces_is_outside_and_shifts_no_neighbour(wordpiece, word):
    sentence = Sentence(("Peter", word, "Blackburn", word), ("B-PER", "B-ORG", "I-PER", "O"))
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([sentence])
    assert encoded.rows[0].words.tolist() == [-1, 0, 2, -1]
    assert encoder.decode_tags(encoded, labels_of(encoded)) == [["B-PER", "O", "I-PER", "O"]]
    assert (encoded.report.words_without_pieces, encoded.report.entity_words_without_pieces) == (2, 1)
    assert "2 words yield no word piece" in encoded.report.warnings()[0]


@pytest.mark.parametrize("words", [(), ("",), ("\u200b", "\x00")])
def test_a_sentence_without_pieces_makes_no_row_and_still_gets_its_predictions(wordpiece, words):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([EU, Sentence(words, ("O",) * len(words)), PETER])
    assert [set(row.sentences.tolist()) - {SPECIAL} for row in encoded.rows] == [{0}, {2}]
    assert encoder.decode_tags(encoded, labels_of(encoded)) == [list(EU.tags), ["O"] * len(words), list(PETER.tags)]


def test_no_sentences_give_no_rows(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([])
    assert encoded.rows == () and encoder.decode_tags(encoded, []) == []


def test_a_word_spelled_like_a_special_piece_stays_a_word(wordpiece):
    sentence = Sentence(("[SEP]", "[CLS]", "x"), ("B-ORG", "O", "B-LOC"))
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([sentence])
    row = encoded.rows[0]
    assert not {wordpiece.sep_token_id, wordpiece.cls_token_id} & set(row.ids[1:-1].tolist())
    assert sorted(set(row.words.tolist())) == [-1, 0, 1, 2]
    assert encoder.decode_tags(encoded, labels_of(encoded)) == [list(sentence.tags)]


def test_the_characters_a_tokenizer_knows_not_get_one_unknown_piece(wordpiece):
    row = RowEncoder(wordpiece, CONLL_LABELS).encode([Sentence(("東京", "x"), ("B-LOC", "O"))]).rows[0]
    assert wordpiece.unk_token_id in row.ids
    assert row.labels[1] == CONLL_LABELS.ids["B-LOC"]


# Windows


def test_a_long_sentence_becomes_overlapping_windows_in_which_each_word_speaks_once(wordpiece):
    words = tuple(tiny.WORDS[i % len(tiny.WORDS)] for i in range(60))
    sentence = Sentence(words, tuple(CONLL_LABELS.names[i % 9] for i in range(60)))
    encoder = RowEncoder(wordpiece, CONLL_LABELS, "first", max_pieces=22)
    encoded = encoder.encode([sentence])
    assert len(encoded.rows) > 3
    assert encoded.report.pieces > len(words) + 2 * len(encoded.rows)  # windows overlap
    for before, after in zip(encoded.rows, encoded.rows[1:], strict=False):
        assert set(before.words.tolist()) & set(after.words.tolist()) - {SPECIAL}
    check_invariants(encoder, [sentence], encoded)
    assert encoder.decode_tags(encoded, labels_of(encoded)) == [list(sentence.tags)]


def test_a_word_in_two_windows_speaks_where_it_stands_further_from_the_cut(wordpiece):
    words = ("x", "y") * 30
    encoded = RowEncoder(wordpiece, CONLL_LABELS, max_pieces=22).encode([Sentence(words, ("O",) * 60)])
    for row, following in zip(encoded.rows, encoded.rows[1:], strict=False):
        common = sorted(set(row.words.tolist()) & set(following.words.tolist()) - {SPECIAL})
        spoken_before = [w for w in common if w in row.words[row.speaks]]
        spoken_after = [w for w in common if w in following.words[following.speaks]]
        assert spoken_before + spoken_after == common
        assert abs(len(spoken_before) - len(spoken_after)) <= 1


def test_a_word_of_more_pieces_than_a_row_is_cut_counted_and_still_speaks(wordpiece):
    sentence = Sentence(("x", "un" + "s" * 30, "y"), ("O", "B-LOC", "B-PER"))
    encoder = RowEncoder(wordpiece, CONLL_LABELS, "all", max_pieces=10)
    encoded = encoder.encode([sentence])
    assert encoded.report.cut_words == 1
    assert "1 words have more pieces than their row" in encoded.report.warnings()[-1]
    check_invariants(encoder, [sentence], encoded)
    assert encoder.decode_tags(encoded, labels_of(encoded)) == [list(sentence.tags)]


def test_a_window_that_would_speak_for_no_word_is_not_made(wordpiece):
    sentence = Sentence(("x", "un" + "s" * 40, "y"), ("O",) * 3)
    encoded = RowEncoder(wordpiece, CONLL_LABELS, max_pieces=10).encode([sentence])
    assert [row.words[row.speaks].tolist() for row in encoded.rows] == [[0, 1], [2]]


def test_a_row_of_just_the_limit_is_no_window(wordpiece):
    sentence = Sentence(("x",) * 8, ("O",) * 8)
    assert RowEncoder(wordpiece, CONLL_LABELS, max_pieces=10).encode([sentence]).report.windowed_sentences == 0
    assert RowEncoder(wordpiece, CONLL_LABELS, max_pieces=9).encode([sentence]).report.windowed_sentences == 1


# Document rows


def numbers(row):
    return sorted(set(row.sentences.tolist()) - {SPECIAL})


def test_a_document_row_has_a_separator_between_its_sentences(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS, "all", context="document")
    encoded = encoder.encode([EU, PETER])
    pieces = wordpiece.convert_ids_to_tokens(encoded.rows[0].ids)
    expected = "[CLS] EU rejects German call to boycott British la ##mb . [SEP] Peter Blackburn [SEP]"
    assert pieces == expected.split()
    assert encoded.rows[0].labels.tolist() == [-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100, 1, 2, -100]
    assert encoder.decode_tags(encoded, labels_of(encoded)) == [list(EU.tags), list(PETER.tags)]


def test_a_document_row_never_crosses_into_another_document(wordpiece):
    sentences = [Sentence(("x",), ("O",), document) for document in (0, 0, 1, 1, 1, 2)]
    encoded = RowEncoder(wordpiece, CONLL_LABELS, context="document").encode(sentences)
    assert [numbers(row) for row in encoded.rows] == [[0, 1], [2, 3, 4], [5]]


def test_sentences_without_document_marks_stay_alone(wordpiece):
    sentences = [Sentence(("x",), ("O",), None)] * 3
    encoded = RowEncoder(wordpiece, CONLL_LABELS, context="document").encode(sentences)
    assert [numbers(row) for row in encoded.rows] == [[0], [1], [2]]


def test_a_document_row_is_filled_up_to_its_limit_and_not_beyond(wordpiece):
    sentences = [Sentence(("x", "y"), ("O", "O"), 0)] * 4
    for limit, expected in ((7, [[0, 1], [2, 3]]), (10, [[0, 1, 2], [3]]), (9, [[0, 1], [2, 3]])):
        encoded = RowEncoder(wordpiece, CONLL_LABELS, max_pieces=limit, context="document").encode(sentences)
        assert [numbers(row) for row in encoded.rows] == expected
        assert max(map(len, encoded.rows)) <= limit


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


# Values, counts, refusals


def test_values_of_any_shape_come_back_per_word(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([Sentence(("lamb", "", "x"), ()), Sentence(("y",), ())])
    values = [np.arange(len(row) * 2).reshape(-1, 2) + 100 * i for i, row in enumerate(encoded.rows)]
    first, second = encoder.decode(encoded, values, fill=-7)
    assert first.tolist() == [[2, 3], [-7, -7], [6, 7]] and second.tolist() == [[102, 103]]


def test_values_may_be_longer_than_their_row(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    encoded = encoder.encode([PETER])
    assert encoder.decode(encoded, [np.arange(50)], fill=0)[0].tolist() == [1, 2]


def test_sentences_without_tags_are_encoded_with_nothing_to_learn(wordpiece):
    encoded = RowEncoder(wordpiece, CONLL_LABELS).encode([Sentence(EU.words, ())])
    assert (encoded.rows[0].labels == IGNORED_LABEL).all()
    assert encoded.rows[0].speaks.sum() == 9


def test_what_was_kept_adds_up():
    one, two = EncodingReport(*range(1, 9)), EncodingReport(*range(10, 90, 10))
    assert one + two == EncodingReport(11, 22, 33, 44, 55, 66, 77, 88)
    assert EncodingReport(sentences=3, words=9, rows=3, pieces=15).warnings() == []


def test_more_tags_than_words_are_refused(wordpiece):
    with pytest.raises(UserError, match="sentence 2 has 2 words and 3 tags"):
        RowEncoder(wordpiece, CONLL_LABELS).encode([EU, Sentence(("a", "b"), ("O", "O", "O"))])


def test_fewer_tags_than_words_are_refused(wordpiece):
    with pytest.raises(UserError, match="sentence 1 has 2 words and 1 tags"):
        RowEncoder(wordpiece, CONLL_LABELS).encode([Sentence(("a", "b"), ("O",))])


def test_a_tag_outside_the_label_set_is_refused(wordpiece):
    with pytest.raises(UserError, match=r"sentence 2: tag 'B-ART' is not in the label set O B-PER"):
        RowEncoder(wordpiece, CONLL_LABELS).encode([EU, Sentence(("x",), ("B-ART",))])


def test_a_slow_tokenizer_is_refused(tmp_path):
    from transformers import BertTokenizer

    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(tiny.PIECES), "utf-8")
    with pytest.raises(UserError, match="BertTokenizer is a slow tokenizer"):
        RowEncoder(BertTokenizer(str(vocabulary)), CONLL_LABELS)


def test_a_folder_with_a_tokenizer_that_is_only_slow_is_refused(tmp_path):
    from transformers import CanineConfig, CanineTokenizer

    CanineTokenizer().save_pretrained(tmp_path)
    CanineConfig().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="CanineTokenizer is a slow tokenizer"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("limit", [-1, 0, 2, 3])
def test_rows_too_short_for_words_are_refused(wordpiece, limit):
    with pytest.raises(UserError, match="leaves no room for words: expected at least 4"):
        RowEncoder(wordpiece, CONLL_LABELS, max_pieces=limit)


@pytest.mark.parametrize("wrong", [{"label_pieces": "last"}, {"context": "corpus"}])
def test_an_unknown_setting_is_refused(wordpiece, wrong):
    with pytest.raises(UserError, match=r"label_pieces .* and context "):
        RowEncoder(wordpiece, CONLL_LABELS, **wrong)


# Byte-level tokenizers


def test_byte_level_words_get_the_space_before_them(byte_level):
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
    assert encoder.decode_tags(encoded, labels_of(encoded)) == [list(sentence.tags)]


def test_byte_level_document_rows_are_separated_by_its_own_piece(byte_level):
    row = RowEncoder(byte_level, CONLL_LABELS, context="document").encode([PETER, PETER]).rows[0]
    expected = ["<s>", "ĠPeter", "ĠBlackburn", "</s>", "ĠPeter", "ĠBlackburn", "</s>"]
    assert byte_level.convert_ids_to_tokens(row.ids) == expected


def test_padding_takes_the_tokenizers_own_id(byte_level, wordpiece):
    assert RowEncoder(byte_level, CONLL_LABELS).pad_id == byte_level.convert_tokens_to_ids("<pad>") == 1
    assert RowEncoder(wordpiece, CONLL_LABELS).pad_id == 0


def test_the_row_limit_is_the_encoders_positions_less_what_roberta_keeps_back(byte_level_folder, byte_level, wordpiece):
    from transformers import BertConfig

    positions = tiny.SIZES["roberta"]["max_position_embeddings"]
    assert piece_limit(load_encoder_config(str(byte_level_folder)), byte_level) == positions - 2
    assert piece_limit(BertConfig(max_position_embeddings=40), wordpiece) == 40


# Where encoders come from


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/no-such-folder-of-tfner", "a/b/c"])
def test_a_path_that_does_not_exist_is_refused(name):
    with pytest.raises(UserError, match="no such model folder"):
        encoder_source(name)


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(UserError, match="no such model folder"):
        encoder_source(file)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"config\.json is missing"):
        encoder_source(tmp_path)


def test_a_folder_with_a_config_and_a_hub_name_pass(byte_level_folder):
    assert encoder_source(byte_level_folder) == str(byte_level_folder)
    assert encoder_source("bert-base-cased") == "bert-base-cased"
    assert encoder_source("google/electra-small-discriminator") == "google/electra-small-discriminator"


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_type": "no-such-type"}'])
def test_a_config_that_is_none_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text, "utf-8")
    with pytest.raises(UserError) as error:
        load_encoder_config(str(tmp_path))
    assert str(tmp_path) in one_line(error) and "config cannot be loaded" in one_line(error)


def test_a_folder_without_tokenizer_files_is_refused_in_one_line(tmp_path):
    from transformers import BertConfig

    BertConfig(**tiny.SIZES["bert"]).save_pretrained(tmp_path)
    with pytest.raises(UserError) as error:
        load_tokenizer(str(tmp_path))
    assert "tokenizer cannot be loaded" in one_line(error)


@pytest.mark.parametrize("damage", ["", "{", '{"version": "1.0"}', json.dumps({"model": {"type": "None"}})])
def test_a_damaged_tokenizer_file_is_refused_in_one_line(tmp_path, damage):
    from transformers import BertConfig

    tiny.wordpiece_tokenizer(tmp_path).save_pretrained(tmp_path)
    BertConfig(**tiny.SIZES["bert"]).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(damage, "utf-8")
    with pytest.raises(UserError) as error:
        load_tokenizer(str(tmp_path))
    assert "tokenizer cannot be loaded" in one_line(error)


def test_a_defect_of_ours_keeps_its_own_exception(tmp_path):
    def load(name):
        raise AssertionError("ours")

    with pytest.raises(AssertionError, match="ours"):
        from_hub_or_folder(str(tmp_path), "config", load)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "https://hub.invalid"])
@pytest.mark.parametrize("function", ["load_tokenizer", "load_encoder_config"])
def test_a_hub_out_of_reach_is_one_line_with_the_ways_out_and_within_20_seconds(tmp_path, endpoint, function):
    program = (
        "import sys, time, transformers\n"
        f"from tfner.modeling.pretrained import {function}\n"
        "from tfner.errors import UserError\n"
        "start = time.perf_counter()\n"
        f"try: {function}('bert-base-cased')\n"
        "except UserError as error: print(time.perf_counter() - start, error, sep='\\n')\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_OFFLINE"))}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seconds, message = done.stdout.splitlines()
    assert "'bert-base-cased' cannot be loaded from the Hugging Face hub" in message
    assert "--encoder FOLDER" in message and "--encoder demo" in message
    assert float(seconds) < 20

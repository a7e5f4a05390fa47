"""The graph gives the word pieces of the Hugging Face fast tokenizer."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny

from tfner.data.load import load_corpus
from tfner.exports.wordpiece import WordPiece, unsupported
from tfner.modeling.pretrained import load_tokenizer

AWKWARD = ["", " ", "a b", "##", "[MASK]", "a[SEP]b", "[UNK]", "x" * 100, "x" * 101, "é" * 100, "東" * 300, "İ" * 101, "\0"]
ENCODERS = ["bert-base-cased-tokenizer", "minilm-l6-h384-uncased"]


class Pair:
    """A tokenizer and its graph."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.graph = tf.function(WordPiece(tokenizer), input_signature=[tf.TensorSpec((None,), tf.string)])

    def different(self, words):
        """The words that the two split differently, with the piece ids of both."""
        ids, splits = self.graph(tf.constant(words, tf.string))
        own = tf.RaggedTensor.from_row_splits(ids, splits).to_list()
        options = {"is_split_into_words": True, "add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        expected = self.tokenizer([[word] for word in words], **options)["input_ids"]
        return [(word, a, b) for word, a, b in zip(words, own, expected, strict=True) if a != b]


@pytest.fixture(scope="module")
def cased(tmp_path_factory):
    return Pair(tiny.wordpiece_tokenizer(tmp_path_factory.mktemp("cased")))


@pytest.fixture(scope="module", params=ENCODERS)
def real(request):
    return Pair(load_tokenizer(str(request.getfixturevalue("assets") / "models" / request.param)))


def test_awkward_words_are_split_as_the_tokenizer_splits_them(cased):
    assert cased.different(AWKWARD) == []
    assert cased.different(tiny.WORDS) == []


def test_no_words_have_no_pieces(cased):
    ids, splits = cased.graph(tf.constant([], tf.string))
    assert ids.shape == (0,)
    assert splits.numpy().tolist() == [0]


@settings(deadline=None)
@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.text("xyzs#.[]\u0301 \u200d")))
def test_random_words_are_split_as_the_tokenizer_splits_them(cased, words):
    assert cased.different(words) == []


def test_awkward_words_are_split_as_by_real_tokenizers(real):
    assert real.different(AWKWARD) == []


@pytest.mark.slow
def test_every_character_is_treated_as_by_real_tokenizers(real):
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    assert real.different([f"a{point}b" for point in points]) == []


@pytest.mark.parametrize("name", ["conll2003", "wnut17", "conll2002_esp"])
def test_words_of_real_corpora_are_split_as_by_real_tokenizers(assets, real, name):
    words = {word for split in load_corpus(assets / "data" / name).splits.values() for s in split for word in s.words}
    assert len(words) > 20_000
    assert real.different(sorted(words)) == []


def test_a_tokenizer_other_than_wordpiece_is_unsupported(tmp_path):
    tokenizer = tiny.byte_level_tokenizer(tmp_path)
    assert unsupported(tokenizer) == "the model of its tokenizer is BPE, not WordPiece"
    with pytest.raises(ValueError, match="BPE"):
        WordPiece(tokenizer)


def test_a_tokenizer_with_added_tokens_is_unsupported(tmp_path):
    tokenizer = tiny.wordpiece_tokenizer(tmp_path)
    tokenizer.add_tokens(["<place>"])
    assert unsupported(tokenizer) == "its tokenizer has added tokens, such as '<place>'"

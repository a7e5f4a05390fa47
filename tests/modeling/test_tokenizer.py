"""Words to word pieces: the pieces of transformers, without transformers."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny
from support.errors import refused

from tfner.errors import UserError
from tfner.modeling.tokenizer import FILE, OPTIONS, WordTokenizer

SENTENCES = [tiny.WORDS, [], ["", "Unice", "\u200b", "[SEP]", "unbelievables"], ["Köln", "x y", "New York"], ["[CLS]", "<s>"]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of each kind of tokenizer, as transformers saves it."""
    from tfner.modeling.pretrained import load_tokenizer

    found = {}
    for kind, make in (("wordpiece", tiny.wordpiece_tokenizer), ("byte-level", tiny.byte_level_tokenizer)):
        first, folder = (tmp_path_factory.mktemp(kind) for _ in range(2))
        make(first).save_pretrained(first)
        load_tokenizer(str(first)).save_pretrained(folder)
        found[kind] = folder
    return found


def loaded(folder):
    """The tokenizer of transformers, as tfner loads it."""
    from tfner.modeling.pretrained import load_tokenizer

    return load_tokenizer(str(folder))


def expected(tokenizer, sentences):
    """The pieces and word numbers that transformers gives."""
    options = {"is_split_into_words": True, "add_special_tokens": False, "split_special_tokens": True, "verbose": False}
    found = [tokenizer(list(words), **options) for words in sentences]
    return [(one["input_ids"], one.word_ids()) for one in found]


@pytest.mark.parametrize("kind", ["wordpiece", "byte-level"])
def test_pieces_and_words_are_those_of_transformers(folders, kind):
    tokenizer = loaded(folders[kind])
    for own in (WordTokenizer.of(tokenizer), WordTokenizer.from_folder(folders[kind])):
        assert list(own.split(SENTENCES)) == expected(tokenizer, SENTENCES)
        assert own.pad_id == tokenizer.pad_token_id
        with_specials = tokenizer(["Nice"], is_split_into_words=True)["input_ids"]
        assert own.opening + next(own.split([["Nice"]]))[0] + own.closing == with_specials
        assert own.names(with_specials) == tokenizer.convert_ids_to_tokens(with_specials)


@settings(max_examples=60, deadline=None)
@given(sentences=st.lists(st.lists(st.text(max_size=8), max_size=5), max_size=4))
def test_any_words_give_the_pieces_of_transformers(folders, sentences):
    for kind, folder in folders.items():
        own = WordTokenizer.from_folder(folder)
        assert list(own.split(sentences)) == expected(loaded(folder), sentences), kind


def test_more_sentences_than_a_block_keep_their_order(folders):
    own = WordTokenizer.from_folder(folders["wordpiece"])
    sentences = [[tiny.WORDS[i % 9]] for i in range(4500)]
    alone = {word: next(own.split([[word]])) for word in tiny.WORDS[:9]}
    assert list(own.split(sentences)) == [alone[words[0]] for words in sentences]


def test_a_tokenizer_that_truncates_and_pads_does_neither_here(folders, tmp_path):
    tokenizer = loaded(folders["wordpiece"])
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    tokenizer.save_pretrained(tmp_path)
    for own in (WordTokenizer.of(tokenizer), WordTokenizer.from_folder(tmp_path)):
        (ids, words) = next(own.split([tiny.WORDS]))
        assert len(ids) > 9 and words[-1] == len(tiny.WORDS) - 1
    assert tokenizer.backend_tokenizer.truncation  # the tokenizer of transformers is left as it was


def test_a_tokenizer_for_words_at_the_start_of_a_text_is_refused(tmp_path):
    with refused("tokenizer_without_prefix_space"):
        WordTokenizer.of(tiny.byte_level_tokenizer(tmp_path))


@pytest.mark.parametrize("name", [FILE, OPTIONS])
@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"model": 3}'])
def test_a_missing_or_damaged_file_is_one_error_about_the_folder(folders, tmp_path, name, text):
    for source in folders["wordpiece"].iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
    if (name, text) == (OPTIONS, '{"model": 3}'):
        assert WordTokenizer.from_folder(tmp_path).pad_id == 0  # a tokenizer without padding
        return
    with pytest.raises(UserError) as caught:
        WordTokenizer.from_folder(tmp_path)
    assert caught.value.path == tmp_path
    assert "\n" not in str(caught.value)


def test_neither_transformers_nor_tensorflow_is_imported(folders):
    program = (
        "import sys, json\nfrom pathlib import Path\nfrom tfner.modeling.tokenizer import WordTokenizer\n"
        f"own = WordTokenizer.from_folder(Path({str(folders['byte-level'])!r}))\n"
        "heavy = [name for name in ('transformers', 'tensorflow') if name in sys.modules]\n"
        "print(json.dumps([list(own.split([['Peter', 'said']])), heavy]))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (pieces, words), heavy = json.loads(result.stdout)[0][0], json.loads(result.stdout)[1]
    assert words[0] == 0 and words[-1] == 1 and len(pieces) == len(words)
    assert heavy == []

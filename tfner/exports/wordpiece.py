"""WordPiece in a TensorFlow graph: the same piece ids as the Hugging Face fast tokenizer returns.

Takes a tokenizer and returns a function from words to pieces. A BERT tokenizer normalizes and separates text character by
character; here its own normalizer and pre-tokenizer fill one table, so that neither rules nor Unicode data are written twice.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

_PAGE = 256  # code points in a page of the table: many pages of Unicode are equal (empty, or all CJK)
_NOTHING, _ITSELF = -1, -2  # special values in the table, which otherwise holds code points


def unsupported(tokenizer: Any) -> str | None:
    """The reason why a fast tokenizer cannot be part of a graph, or None if it can."""
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    for part, expected in (("model", "WordPiece"), ("normalizer", "BertNormalizer"), ("pre_tokenizer", "BertPreTokenizer")):
        found = (parts[part] or {}).get("type")
        if found != expected:
            return f"the {part} of its tokenizer is {found or 'missing'}, not {expected}"
    added = [token["content"] for token in parts["added_tokens"] if not token["special"]]
    if added:
        return f"its tokenizer has added tokens, such as {added[0]!r}"
    return None


class WordPiece:
    """A fast WordPiece tokenizer as graph operations. Its vocabulary and its table become constants of the calling graph.

    Raises:
        ValueError: for a tokenizer that is `unsupported`.
    """

    def __init__(self, tokenizer: Any):
        reason = unsupported(tokenizer)
        if reason:
            raise ValueError(reason)
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
        model = backend["model"]
        size = max(model["vocab"].values()) + 1
        names = {number: name for name, number in model["vocab"].items()}
        self._vocabulary = [names.get(i, f"\0{i}") for i in range(size)]  # unused ids get a piece that cannot occur
        self._unknown, self._suffix = model["unk_token"], model["continuing_subword_prefix"]
        self._most_characters = model["max_input_chars_per_word"]
        self._pages, self._table = _character_table(json.dumps([backend["normalizer"], backend["pre_tokenizer"]]))

    def __call__(self, words: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The pieces of words.

        Args:
            words: string (words,), valid UTF-8.

        Returns:
            Piece ids, int32 (pieces,), and the positions where the pieces of each word begin and end, int32 (words + 1,).
        """
        points = tf.strings.unicode_decode(words, "UTF-8")
        page = tf.gather(tf.constant(self._pages), points.values // _PAGE)
        mapped = tf.gather(tf.constant(self._table), page * _PAGE + points.values % _PAGE)
        mapped = tf.where(mapped == _ITSELF, points.values[:, None], mapped)
        kept = mapped != _NOTHING
        ends = tf.concat([[0], tf.cumsum(tf.math.count_nonzero(kept, 1, dtype=tf.int64))], 0)
        splits = tf.gather(ends, points.row_splits)
        clean = tf.RaggedTensor.from_row_splits(tf.boolean_mask(mapped, kept), splits, validate=False)
        parts = tf.strings.split(tf.strings.unicode_encode(clean, "UTF-8"))
        too_long = tf.strings.length(parts.values, "UTF8_CHAR") > self._most_characters
        tokenizer = tf_text.FastWordpieceTokenizer(
            self._vocabulary,
            self._suffix,
            max_bytes_per_word=4 * self._most_characters,
            token_out_type=tf.int32,
            unknown_token=self._unknown,
            no_pretokenization=True,
        )
        pieces = tokenizer.tokenize(tf.where(too_long, self._unknown, parts.values))
        return pieces.values, tf.cast(tf.gather(pieces.row_splits, parts.row_splits), tf.int32)


@functools.cache
def _character_table(parts: str) -> tuple[np.ndarray, np.ndarray]:
    """What the normalizer and pre-tokenizer of a tokenizer, given as JSON, replace each code point by.

    Returns:
        The number of the page of each 256 code points, int32 (4352,), and the lines of all distinct pages, int32 (lines,
        widest). Line `pages[c // 256] * 256 + c % 256` holds the code points that replace `c`, with `_ITSELF` for `c` itself,
        padded with `_NOTHING`. A space separates words.
    """
    from tokenizers import Tokenizer, models

    normalizer, pre_tokenizer = json.loads(parts)
    probe = json.loads(Tokenizer(models.WordPiece()).to_str())
    probe = Tokenizer.from_str(json.dumps(probe | {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer}))
    normalize = probe.normalizer.normalize_str

    @functools.cache
    def cut(character: str) -> str:
        parts = probe.pre_tokenizer.pre_tokenize_str(f"0{character}0")
        return {1: character, 2: " ", 3: f" {character} "}[len(parts)]

    distinct: dict[tuple[tuple[int, ...], ...], int] = {}
    numbers = []
    for first in range(0, 0x110000, _PAGE):
        characters = [chr(c) for c in range(first, first + _PAGE)]
        if "\ud800" <= characters[0] <= "\udfff":  # surrogates do not occur in text
            becomes = [""] * _PAGE
        elif first == 0:
            becomes = [normalize(c) for c in characters]
        else:  # all at once, separated by a digit that no character of the page is replaced by
            becomes = normalize("0".join(["", *characters, ""])).split("0")[1:-1]
        together = "0".join(["", *becomes, ""])
        if len(probe.pre_tokenizer.pre_tokenize_str(together)) > 1:
            becomes = ["".join(map(cut, text)) for text in becomes]
        page = tuple(
            tuple(_ITSELF if c == own else ord(c) for c in text) for own, text in zip(characters, becomes, strict=True)
        )
        numbers.append(distinct.setdefault(page, len(distinct)))
    lines = [line for page in distinct for line in page]
    table = np.full((len(lines), max(map(len, lines))), _NOTHING, np.int32)
    for i, line in enumerate(lines):
        table[i, : len(line)] = line
    return np.array(numbers, np.int32), table

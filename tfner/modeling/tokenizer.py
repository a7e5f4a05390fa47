"""Words to word pieces, with the tokenizers library alone.

Takes a fast tokenizer of transformers, or the folder of a saved one, and returns the piece ids of sentences with the word of
each piece. Neither transformers nor TensorFlow is imported, so that a machine that only tags needs neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tfner.errors import UserError, one_line

FILE, OPTIONS = "tokenizer.json", "tokenizer_config.json"
"""What transformers saves a fast tokenizer in."""
_BLOCK = 2000  # sentences per call: enough for the library's threads, few enough to bound memory


class WordTokenizer:
    """Splits words into word pieces. A word spelled `[SEP]` is text, not a special piece.

    Args:
        backend: the tokenizer; its own truncation and padding are turned off.
        pad_id: the id of the piece that pads rows.
    """

    def __init__(self, backend: Tokenizer, pad_id: int):
        self.backend, self.pad_id = backend, pad_id
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True  # split their texts
        self.opening, self.closing = self._special_pieces()
        """The piece ids before and after a text, such as [CLS] and [SEP]."""

    @classmethod
    def of(cls, tokenizer: Any) -> WordTokenizer:
        """A tokenizer that splits as a tokenizer of transformers does, which is not changed.

        Raises UserError for a slow tokenizer, and for one that takes words at the start of a text only.
        """
        require_fast(tokenizer)
        text = tokenizer.backend_tokenizer.to_str()
        splitter = json.loads(text)["pre_tokenizer"] or {}
        if any(
            one.get("add_prefix_space") is False for one in (splitter, *splitter.get("pretokenizers", ()))
        ):  # byte-level BPE
            raise UserError("expected a tokenizer that puts a space before every word: load it with add_prefix_space=True")
        return cls(Tokenizer.from_str(text), tokenizer.pad_token_id or 0)

    @classmethod
    def from_folder(cls, folder: Path) -> WordTokenizer:
        """A tokenizer that transformers saved in a folder. Raises UserError where its files are missing or damaged."""
        try:
            text = (folder / FILE).read_text("utf-8")
            padding = json.loads((folder / OPTIONS).read_text("utf-8")).get("pad_token")
            backend = Tokenizer.from_str(text)
            name = padding.get("content") if isinstance(padding, dict) else padding
            return cls(backend, (backend.token_to_id(name) if isinstance(name, str) else None) or 0)
        except Exception as error:
            # tokenizers raises a bare Exception for a damaged file
            known = (OSError, ValueError, AttributeError, RecursionError)
            if not isinstance(error, known) and type(error) is not Exception:
                raise
            raise UserError(f"expected {FILE} and {OPTIONS} of a fast tokenizer ({one_line(error)})", folder) from error

    def split(self, sentences: Sequence[Sequence[str]]) -> Iterator[tuple[list[int], list[int]]]:
        """For every sentence its piece ids, and the number of the word that each piece is from."""
        for start in range(0, len(sentences), _BLOCK):
            block = [list(words) for words in sentences[start : start + _BLOCK]]
            for encoding in self.backend.encode_batch(block, is_pretokenized=True, add_special_tokens=False):
                yield encoding.ids, encoding.word_ids

    def names(self, ids: Sequence[int]) -> list[str]:
        """The pieces with these ids, as the vocabulary writes them."""
        return [self.backend.id_to_token(number) for number in ids]

    def _special_pieces(self) -> tuple[list[int], list[int]]:
        bare, full = (self.backend.encode(["a"], is_pretokenized=True, add_special_tokens=add).ids for add in (False, True))
        at = next((i for i in range(len(full)) if full[i : i + len(bare)] == bare), None)
        if at is None:
            raise UserError("this tokenizer changes the pieces of a word where it adds special pieces: choose another encoder")
        return full[:at], full[at + len(bare) :]


def require_fast(tokenizer: Any) -> None:
    """Raises UserError for a slow tokenizer: only fast tokenizers tell which word a piece is from."""
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"expected a fast tokenizer, which tells the word of each piece, found the slow {type(tokenizer).__name__}: save "
            "its folder again with AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(...), or choose another "
            "encoder",
            getattr(tokenizer, "name_or_path", None) or None,
        )

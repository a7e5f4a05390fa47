"""Divides the words of a text into sentences, by a rule that Python and a TensorFlow graph share.

Takes a text and the offsets of its words, and returns where sentences begin. With `line`, each line is a sentence. With
`split`, a sentence begins

- after a line break, unless the next word is in lower case and no line between is blank: lines are often wrapped within a
  sentence;
- after a full stop, a question mark, an exclamation mark or an ellipsis that is a word by itself (unlike that of `U.S.`) or
  ends a number, and the quotation marks and brackets directly after it, if white space follows and the next word is neither in
  lower case nor such a mark. Chinese and Japanese full stops need no white space.

`benchmarks/sentences/run.py` compares the rule with other splitters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from tfner.data.words import SPACE

# The patterns use only what RE2 and Python's re treat in the same way, as in `words`.
_BREAKS = "\n-\r\x1c-\x1e\x85\u2028\u2029"  # as for str.splitlines
_WIDE = "\u3002\uff01\uff1f\uff61"  # Chinese and Japanese
_FINALS = ".!?\u2026\u0589\u061f\u06d4\u0964" + _WIDE  # the others are Armenian, Arabic, Urdu and Devanagari

BREAK = f"[{SPACE}]*[{_BREAKS}][{SPACE}]*"
"""White space with a line break."""
BLANK = f"[{SPACE}]*(?:\n[{SPACE}]*\n|\r[{SPACE}]*\r|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029])[{SPACE}]*"
"""White space with a blank line, or with a separator of paragraphs or pages."""
FINAL = f"[{_FINALS}]+"
"""A word that may end a sentence."""
NUMBERED = r"[0-9]{1,2}\."
"""A word that may end a sentence as well, unless it begins a line or follows `FINAL`: there it numbers what follows."""
ABBREVIATION = "Adm|Ave|Capt|Col|Fig|Ft|Gen|Gov|Maj|Mt|Rep|Sen|Sgt|Vol"
"""A word after which a full stop ends no sentence. `words` knows others, whose full stop is a part of them."""
WIDE = f"[{_WIDE}]+"
"""A word that may end a sentence without white space after it."""
CLOSING = "''|[\"'\u201d\u2019)\\]\xbb\u300d\u300f\uff09]"
"""A word that may follow one that ends a sentence, and belongs to the same sentence."""
LOWER = "Ll"
"""The Unicode category of the first letter of a word in lower case."""
MOST_CLOSING = 2
"""How many of `CLOSING` may follow."""

_BREAK, _BLANK, _FINAL, _NUMBERED, _ABBREVIATION, _WIDE_FINAL, _CLOSING = map(
    re.compile, (BREAK, BLANK, FINAL, NUMBERED, ABBREVIATION, WIDE, CLOSING)
)
_ANY = re.compile(f"[{_BREAKS}{_FINALS}]")


def sentence_starts(text: str, words: Sequence[tuple[int, int]], how: str) -> list[int]:
    """The number of the first word of each sentence, ascending; empty for a text without words.

    Args:
        text: the text.
        words: the offsets of its words, from `words.split_words`.
        how: one of `config.SENTENCES`. With `none`, the text is one sentence.
    """
    starts = [0] if words else []
    if how == "none" or not words or not _ANY.search(text, 0, words[-1][0]):
        return starts
    gaps = enumerate(pairwise(words), 1)
    if how == "line":
        return starts + [number for number, ((_, end), (after, _)) in gaps if _BREAK.fullmatch(text, end, after)]
    ended = wide = False  # whether the words before may end a sentence, and need no white space
    closing = 0
    mark = _FINAL.fullmatch(text, *words[0])
    final = bool(mark)
    for number, ((start, end), (after, after_end)) in gaps:
        glued = number > 1 and words[number - 2][1] == start
        if final:
            ended, wide, closing = True, bool(_WIDE_FINAL.fullmatch(text, start, end)), 0
        elif ended and glued and closing < MOST_CLOSING and _CLOSING.fullmatch(text, start, end):
            closing += 1
        else:
            ended = wide = False
        line = bool(_BREAK.fullmatch(text, end, after))
        numbers = line or mark
        mark = _FINAL.fullmatch(text, after, after_end)
        if mark:
            final = not (end == after and _ABBREVIATION.fullmatch(text, start, end))
        else:
            final = not numbers and bool(_NUMBERED.fullmatch(text, after, after_end))
        if line and _BLANK.fullmatch(text, end, after):
            begins = True
        elif unicodedata.category(text[after]) == LOWER:
            begins = False
        elif end == after:
            begins = wide and not mark and not _CLOSING.fullmatch(text, after, after_end)
        else:
            begins = line or (ended and not mark)
        if begins:
            starts.append(number)
    return starts

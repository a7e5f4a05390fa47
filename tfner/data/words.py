"""Splits text into words as CoNLL corpora do, with one regular expression that Python and a TensorFlow graph share.

Takes a text and returns the character offsets of its words. Every character other than white space is in exactly one word. The
module `sentences` divides the words into sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# The pattern uses only what RE2 and Python's re treat in the same way: literal characters, ranges and leftmost-first
# alternatives, without look-around. The exception is \b: RE2 knows only ASCII letters there, as Python does with re.ASCII. It
# is used only after ASCII letters, and letters and marks beyond ASCII that follow it are part of the word.
SPACE = "\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""The characters for which `str.isspace` is true, as a character class. Words contain none of them."""
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # each is a word, as in BERT's tokenizer
_MARKS = "\u0300-\u036f\ufe0e\ufe0f"
_MODIFIERS = _MARKS + "\U0001f3fb-\U0001f3ff\u20e3"  # marks, skin tones and keycaps after emoji
_JOINER = "\u200d"
_NOT_IN_WORDS = (
    r"\x00-/:-@\[-\^`{-\xa9\xab\xac\xae-\xb1\xb4\xb6-\xb8\xbb\xbf\xd7\xf7"  # ASCII (but _) and Latin-1
    "\u037e\u0387\u0589\u05be\u05c0\u05c3\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965"  # Greek to Devanagari
    "\u1680\u2000-\u200b\u200e-\u2064\u20a0-\u20cf\u2122\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u30fb"
    "\ufe10-\ufe19\ufe30-\ufe6f\ufeff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffe6\ufffc\ufffd"
    "\U000e0000-\U000e007f" + _EMOJI + _IDEOGRAPH
)


def _letter(but: str = "") -> str:
    """A character class: letters, digits, marks, the underscore and every other character that `_NOT_IN_WORDS` does not list.

    Args:
        but: characters to leave out as well.
    """
    return f"[^{_NOT_IN_WORDS}{but}]"


_LETTER = _letter()
_APOSTROPHE = "['’]"
_END = rf"\b{_LETTER}*"  # ends a word after an ASCII letter, and takes letters and marks beyond ASCII with it
# An apostrophe and what follows it within a word (O'Brien, d'un, n't). 's, 'm, 'd, 're, 've and 'll are words by themselves.
_SUFFIX = (
    rf"{_APOSTROPHE}(?:{_LETTER}{{3,}}|{_letter('rRvVlL')}{_LETTER}|[rRvV]{_letter('eE')}|[lL]{_letter('lL')}"
    rf"|[a-ce-ln-rt-zA-CE-LN-RT-Z]{_END})"
)
_ABBREVIATION = r"(?:M[rs]|Mrs|Dr|Prof|St|ST|Lt|Rev|Inc|Corp|Calif|Fla|Ill|Wash|Jan|Feb|Aug|Oct|Nov|Dec|vs|vol)\."
_NUMBER = r"[0-9]+(?:[.,:/][0-9]+)*"
_PART = (  # a part of a hyphenated word
    rf"(?:(?:[A-Z]\.)+{_LETTER}*|(?:[a-z]\.){{2,}}|(?:[a-z]\.)+[a-z]{_END}|{_ABBREVIATION}"
    rf"|[A-Z]+&[A-Z]{_LETTER}*|{_NUMBER}{_LETTER}*|{_LETTER}+(?:{_SUFFIX})*)"
)
_ADDRESS = rf"[^{SPACE}\"<>]*[A-Za-z0-9/]{_LETTER}*"  # up to the last letter, digit or slash before white space

# The first alternative that matches wins. Where a match can fail late, its length is bounded, which keeps the time linear.
_ALTERNATIVES = (
    rf"(?:[Hh]ttps?://|www\.){_ADDRESS}",
    rf"[A-Za-z0-9][A-Za-z0-9._%+\-]{{0,63}}@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+{_LETTER}*",  # an e-mail address
    rf"(?:[A-Za-z0-9\-]{{1,63}}\.){{1,6}}(?:com|org|net|edu|gov)\b(?:/{_ADDRESS})?{_LETTER}*",
    rf"[@#]{_LETTER}+",
    r"&(?:amp|lt|gt|quot);",
    r"[A-Z]{1,2}\$",
    rf"[+.]?[0-9]+[.,:/]{_NUMBER}{_LETTER}*(?:-{_PART})*",
    r"[0-9]{1,2}\.",  # numbers in a list, as 1. and 12.; a year before a full stop has four digits
    rf"(?:[+.]{_NUMBER}{_LETTER}*|{_PART})(?:-{_PART})*",
    rf"{_APOSTROPHE}(?:[smdSMD]|re|RE|ve|VE|ll|LL){_END}",
    r"\.{2,}|-{2,}|\*{2,}|!{2,}|\?{2,}|~{2,}|``|''|[:;]-?[()]",
    "[\U0001f1e6-\U0001f1ff]{2}",  # a flag is a pair of letters
    rf"[{_EMOJI}][{_MODIFIERS}]*(?:{_JOINER}[{_EMOJI}][{_MODIFIERS}]*)*",
    rf"[^{SPACE}][{_MARKS}]*",
)

PATTERN = "|".join(_ALTERNATIVES)
"""A word, for RE2, or for Python with `re.ASCII`. The words of a text are the repeated leftmost matches."""

_WORD = re.compile(PATTERN, re.ASCII)


def as_text(item: str | Sequence[str]) -> str:
    """A text as it is, or the words of a sentence joined by spaces."""
    return item if isinstance(item, str) else " ".join(item)


def split_words(text: str) -> list[tuple[int, int]]:
    """The words of a text, in order, as half-open character offsets: a word is `text[start:end]`.

    Words contain no white space (`str.isspace`). Every other character is in exactly one word.
    """
    return [match.span() for match in _WORD.finditer(text)]

"""Raw text into words, the way CoNLL corpora are split: one regular expression, the same in Python and in a TensorFlow graph.

In goes a text, out come the character offsets of its words. Nothing is lost: every character that is not white space
belongs to exactly one word. Sentences are not looked for.
"""

from __future__ import annotations

import re

# Only what RE2 and Python's re mean alike: literal characters, ranges, leftmost-first alternatives, no look-around. The one
# exception is \b, which is ASCII's in RE2 and has to be asked for in Python (re.ASCII); it stands only at the end of ASCII
# letters, and what other letters and marks may follow there are taken along.
SPACE = "\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What ``str.isspace`` calls white space, as a character class; no word holds any of it."""
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # a word each, as for BERT
_MARKS = "\u0300-\u036f\ufe0e\ufe0f"
_MODIFIERS = _MARKS + "\U0001f3fb-\U0001f3ff\u20e3"  # of emoji: skin tones, keycaps
_JOINER = "\u200d"
_NOT_IN_WORDS = (
    r"\x00-/:-@\[-\^`{-\xa9\xab\xac\xae-\xb1\xb4\xb6-\xb8\xbb\xbf\xd7\xf7"  # ASCII (but _) and Latin-1
    "\u037e\u0387\u0589\u05be\u05c0\u05c3\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965"  # Greek to Devanagari
    "\u1680\u2000-\u200b\u200e-\u2064\u20a0-\u20cf\u2122\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u30fb"
    "\ufe10-\ufe19\ufe30-\ufe6f\ufeff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffe6\ufffc\ufffd"
    "\U000e0000-\U000e007f" + _EMOJI + _IDEOGRAPH
)


def _letter(but: str = "") -> str:
    """A character class: letters, digits, marks and the underscore, all that is not known as something else."""
    return f"[^{_NOT_IN_WORDS}{but}]"


_LETTER = _letter()
_APOSTROPHE = "['’]"
_END = rf"\b{_LETTER}*"  # after an ASCII letter: the word is over, but for letters and marks beyond ASCII
# What follows an apostrophe within a word (O'Brien, d'un, n't), unlike 's, 'm, 'd, 're, 've and 'll, which are words
_SUFFIX = (
    rf"{_APOSTROPHE}(?:{_LETTER}{{3,}}|{_letter('rRvVlL')}{_LETTER}|[rRvV]{_letter('eE')}|[lL]{_letter('lL')}"
    rf"|[a-ce-ln-rt-zA-CE-LN-RT-Z]{_END})"
)
_ABBREVIATION = r"(?:M[rs]|Mrs|Dr|Prof|St|ST|Lt|Rev|Inc|Corp|Calif|Fla|Ill|Wash|Jan|Feb|Aug|Oct|Nov|Dec|vs|vol)\."
_NUMBER = r"[0-9]+(?:[.,:/][0-9]+)*"
_PART = (  # what hyphens join
    rf"(?:(?:[A-Z]\.)+{_LETTER}*|(?:[a-z]\.){{2,}}|(?:[a-z]\.)+[a-z]{_END}|{_ABBREVIATION}"
    rf"|[A-Z]+&[A-Z]{_LETTER}*|{_NUMBER}{_LETTER}*|{_LETTER}+(?:{_SUFFIX})*)"
)
_ADDRESS = rf"[^{SPACE}\"<>]*[A-Za-z0-9/]{_LETTER}*"  # to the last letter, digit or slash before white space

_ALTERNATIVES = (  # in this order; where a try may fail late, its length is bounded, so that the time stays linear
    rf"(?:[Hh]ttps?://|www\.){_ADDRESS}",
    rf"[A-Za-z0-9][A-Za-z0-9._%+\-]{{0,63}}@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+{_LETTER}*",  # mail
    rf"(?:[A-Za-z0-9\-]{{1,63}}\.){{1,6}}(?:com|org|net|edu|gov)\b(?:/{_ADDRESS})?{_LETTER}*",
    rf"[@#]{_LETTER}+",
    r"&(?:amp|lt|gt|quot);",
    r"[A-Z]{1,2}\$",
    rf"[+.]?[0-9]+[.,:/]{_NUMBER}{_LETTER}*(?:-{_PART})*",
    r"[0-9]{1,2}\.",  # 1. and 12. as numbers of a list; a year before a full stop has four digits
    rf"(?:[+.]{_NUMBER}{_LETTER}*|{_PART})(?:-{_PART})*",
    rf"{_APOSTROPHE}(?:[smdSMD]|re|RE|ve|VE|ll|LL){_END}",
    r"\.{2,}|-{2,}|\*{2,}|!{2,}|\?{2,}|~{2,}|``|''|[:;]-?[()]",
    rf"[{_EMOJI}][{_MODIFIERS}]*(?:{_JOINER}[{_EMOJI}][{_MODIFIERS}]*)*",
    rf"[^{SPACE}][{_MARKS}]*",
)

PATTERN = "|".join(_ALTERNATIVES)
"""A word. In RE2 as it is; in Python with ``re.ASCII``. Repeated leftmost matches are the words of a text."""

_WORD = re.compile(PATTERN, re.ASCII)


def split_words(text: str) -> list[tuple[int, int]]:
    """The words of a text, in order, as half-open character offsets: a word is ``text[start:end]``.

    Words hold no white space (``str.isspace``), and all other characters stand in exactly one word.
    """
    return [match.span() for match in _WORD.finditer(text)]

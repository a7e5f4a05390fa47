"""Chunk tags of the embedded corpus, derived from parts of speech.

Takes the tokens of a sentence and returns IOB2 tags of NP, VP, PP, SBAR, ADVP, ADJP, PRT and INTJ chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfner.demo.names import Token
from tfner.labels import OUTSIDE

_NOUNS = {"NN", "NNS", "NNP", "NNPS", "PRP", "CD", "WP", "WDT", "EX", "$", "DT", "PDT", "PRP$", "JJ", "JJR", "JJS", "POS"}
_NOUN_STARTS = {"DT", "PDT", "PRP$", "PRP", "POS", "WP", "WDT", "EX"}
_VERBS = {"MD", "VB", "VBD", "VBZ", "VBP", "VBN", "VBG"}
_CLAUSE_WORDS = {"that", "while", "if", "although", "because", "whether"}


def chunk_tags(tokens: Sequence[Token]) -> list[str]:
    """The chunk tag of each token."""
    kinds = _kinds(tokens)
    tags: list[str] = []
    for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        inside_name = token.ner.startswith("I")
        starts = (
            i == 0
            or kinds[i - 1] != kind
            or (token.apart and not inside_name)
            or (kind == "NP" and token.pos in _NOUN_STARTS and not inside_name and tokens[i - 1].pos != "PDT")
        )
        tags.append(OUTSIDE if not kind else f"{'B' if starts else 'I'}-{kind}")
    return _with_adjective_chunks(tokens, tags)


def _kinds(tokens: Sequence[Token]) -> list[str]:
    """The kind of chunk that each token is in, or an empty string."""
    kinds: list[str] = []
    for i, token in enumerate(tokens):
        pos = token.pos
        following = next((t.pos for t in tokens[i + 1 :] if t.pos != "RB"), "")
        if pos in _NOUNS or (token.ner != OUTSIDE and pos in ("IN", "CC") and token.ner[0] == "I"):
            kind = "NP"
        elif pos in _VERBS or (pos == "TO" and following == "VB"):
            kind = "VP"
        elif pos == "SBAR" or (pos == "IN" and token.word.lower() in _CLAUSE_WORDS):
            kind = "SBAR"
        elif pos in ("IN", "TO"):
            kind = "PP"
        elif pos == "RP":
            kind = "PRT"
        elif pos in ("RB", "RBR", "WRB"):
            inside = kinds and kinds[-1] == "VP" and following in _VERBS
            kind = "VP" if inside else "NP" if following in ("CD", "JJ") and kinds and kinds[-1] == "NP" else "ADVP"
        else:
            kind = "INTJ" if pos == "UH" else ""
        kinds.append(kind)
    return kinds


def _with_adjective_chunks(tokens: Sequence[Token], tags: Sequence[str]) -> list[str]:
    """The same tags with ADJP for each NP chunk that holds only adjectives and adverbs."""
    tags = list(tags)
    start = 0
    while start < len(tags):
        end = start + 1
        if tags[start] == "B-NP":
            while end < len(tags) and tags[end] == "I-NP":
                end += 1
            if all(token.pos in ("JJ", "JJR", "RB") for token in tokens[start:end]):
                tags[start:end] = ["B-ADJP"] + ["I-ADJP"] * (end - start - 1)
        start = end
    return tags

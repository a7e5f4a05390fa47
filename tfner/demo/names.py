"""Names of the embedded corpus: people, places, organisations and more, drawn from the lists of `tfner.demo.grammar`.

Takes a seed and returns words with their parts of speech and entity tags. Some names are kept out of the train split, so that a
trained model meets new names in validation and test. Sentences are generated in `tfner.demo.documents`.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from tfner.demo import grammar
from tfner.labels import OUTSIDE

HELD_OUT = 0.25
"""Share of each list of names that never occurs in train."""
HELD_OUT_RATE = 0.3
"""Share of the names drawn for validation and test that are held out of train."""

_LISTS = {
    "given": grammar.GIVEN,
    "surname": grammar.SURNAMES + grammar.SHARED,
    "place": grammar.PLACES,
    "shared": grammar.SHARED,
    "country": [line[0] for line in grammar.COUNTRIES],
    "adj": [line[1] for line in grammar.COUNTRIES],
    "people": [line[2] for line in grammar.COUNTRIES],
    "brand": grammar.BRANDS,
    "acronym": grammar.ACRONYMS,
    "sea": grammar.SEAS,
}
_FIXED = {
    "firm": grammar.FIRMS,
    "club": grammar.CLUBS,
    "mascot": grammar.MASCOTS,
    "newspaper": grammar.PAPERS,
    "portfolio": grammar.MINISTRIES,
    "partyname": grammar.PARTIES,
    "titleadj": grammar.TITLE_ADJECTIVES,
    "titlenoun": grammar.TITLE_NOUNS,
    "model": grammar.MODELS,
    "initial": [f"{letter}." for letter in "ABCDEFGHJKLMNPRSTVWY"],
}
_LIST_TAGS = {"adj": "JJ", "people": "NNPS", "model": "CD"}
_WORD_TAGS = {"&": "CC", "'s": "POS"}


class Token(NamedTuple):
    """A word with its part of speech and its entity tag (IOB2); `apart` keeps a chunk from running across its left edge."""

    word: str
    pos: str
    ner: str = OUTSIDE
    apart: bool = False


class Names:
    """Draws the names of one split.

    Args:
        rng: the source of randomness.
        held: the words that train does not have, from `held_out_names`.
        rate: the share of names that are drawn from those words.
    """

    def __init__(self, rng: random.Random, held: set[str], rate: float):
        self.rng, self.rate = rng, rate
        self._pools = [
            {kind: [name for name in names if (name in held) is wanted] for kind, names in _LISTS.items()}
            for wanted in (False, True)
        ]

    def draw(self, slot: str) -> list[Token]:
        """A new name for a slot of `grammar.NAMES`: the tokens of one entity."""
        kind, patterns = grammar.NAMES[slot]
        pool = self._pools[self.rng.random() < self.rate]
        tokens: list[Token] = []
        for part in self.rng.choice(patterns).split():
            part, _, pos = part.partition("/")
            if part.startswith("@"):
                name, hyphen, rest = part[1:].partition("-")
                names = pool.get(name) or _FIXED[name]
                part = self.rng.choice(names) + hyphen + rest
                pos = pos or _LIST_TAGS.get(name, "NNP")
            for word in part.split():
                tokens.append(Token(word, pos or _WORD_TAGS.get(word, "NNP"), f"{'I' if tokens else 'B'}-{kind}"))
        return tokens


def held_out_names(seed: int = 0) -> set[str]:
    """The words of names that the corpus of a seed does not have in its train split."""
    rng = random.Random(f"{seed} held out")
    held: set[str] = set()
    for kind, names in _LISTS.items():
        if kind not in ("adj", "people"):
            share = HELD_OUT * (0.6 if kind == "country" else 1)
            held.update(rng.sample(names, round(share * len(names))))
    for country, adjective, people in grammar.COUNTRIES:
        if country in held:
            held.update((adjective, people))
    return held

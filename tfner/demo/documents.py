"""Documents of the embedded corpus, generated from the sentence templates of `tfner.demo.grammar`.

Takes a split and a seed and yields documents: lists of sentences, which are lists of `Token`s. The tags of a task are chosen in
`tfner.demo.corpus`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from tfner.demo import grammar
from tfner.demo.names import HELD_OUT_RATE, Names, Token
from tfner.labels import OUTSIDE

TAIL_RATE = 0.4
"""Share of the plain sentences that continue with a second part."""

_TEMPLATE_PART = re.compile(r"[()|]|<\w+>|\{\w+\}|[^\s()|<>{}]+")
_BRACKETS = {"[": "(", "]": ")"}  # round ones mark alternatives in a template
_HAVE_BE = {"have", "has", "had", "is", "was", "were", "are", "be", "been"}
_TAGS: dict[str, list[str]] = {}
for _tag, _words in grammar.LEXICON.items():
    for _word in _words:
        _TAGS.setdefault(_word, []).append(_tag)


def documents(split: str, seed: int, held: set[str]) -> Iterator[list[list[Token]]]:
    """Yields documents of a split without end, each as a list of sentences. `held` is what `held_out_names` returns."""
    rng = random.Random(f"{seed} {split}")
    names = Names(rng, held, 0.0 if split == "train" else HELD_OUT_RATE)
    kinds, weights = list(grammar.WEIGHTS), list(grammar.WEIGHTS.values())
    while True:
        headlines, leads, bodies = grammar.DOCUMENTS[rng.choices(kinds, weights)[0]]
        document = _Document(rng, names)
        chosen = [rng.choice(leads)]
        if "isodate" in chosen[0]:
            chosen.append(rng.choice(leads[1:]))
        chosen += rng.sample(bodies, rng.randint(3, 9))
        chosen = [_with_tail(template, rng) for template in chosen]
        headline = document.sentence(rng.choice(headlines), upper=True)
        yield [headline, *(document.sentence(template, upper="isodate" in template) for template in chosen)]


def _with_tail(template: str, rng: random.Random) -> str:
    """The template, for some sentences continued with who said it, when, why, or what others did."""
    if template.endswith(" .") and '"' not in template and ":" not in template and rng.random() < TAIL_RATE:
        return f"{template[:-2]} <tail> ."
    return template


class _Document:
    """Generates the sentences of one document. Its slots `{p1}`, `{t2}` ... keep their names, which are shortened later on."""

    _KINDS: ClassVar = {"p": "person", "t": "team", "o": "company", "c": "city", "k": "country"}

    def __init__(self, rng: random.Random, names: Names):
        self.rng, self.names = rng, names
        self.known: dict[str, list[Token]] = {}
        self.mentioned: set[str] = set()

    def sentence(self, template: str, upper: bool = False) -> list[Token]:
        """The tokens of a filled-in template, with `upper` in capitals, as in headlines."""
        tokens: list[Token] = []
        apart = False
        for part in self._choose(_TEMPLATE_PART.findall(template)):
            if part == "~":
                apart = True
                continue
            if part.startswith("{"):
                new = self.slot(part[1:-1])
            else:
                word, slash, pos = part.partition("/")
                new = [Token(_BRACKETS.get(word, word), pos if slash and pos else tag_of(part, tokens))]
            tokens += [new[0]._replace(apart=apart or new[0].apart), *new[1:]]
            apart = False
        if upper:
            return [token._replace(word=token.word.upper()) for token in tokens]
        at = 1 if tokens[0].word in ('"', "-") else 0
        if tokens[at].ner == OUTSIDE:
            tokens[at] = tokens[at]._replace(word=tokens[at].word[:1].upper() + tokens[at].word[1:])
        return tokens

    def slot(self, name: str) -> list[Token]:
        """The tokens for a slot: a new or known name, or a number or date."""
        if name in grammar.NAMES:
            return self.names.draw(name)
        if name == "nat1":
            country = self.known.setdefault("k1", self.names.draw("country"))[0].word
            adjective = next(line[1] for line in grammar.COUNTRIES if line[0] == country)
            return [Token(adjective, "JJ", "B-MISC")]
        if name[0] in self._KINDS and name[1:].isdigit():
            return self._mention(name)
        return [Token(word, pos) for word, pos in _number(name, self.rng)]

    def _mention(self, name: str) -> list[Token]:
        """The full name of a slot at its first mention, later mostly its short form."""
        full = self.known.setdefault(name, self.names.draw(self._KINDS[name[0]]))
        first = name not in self.mentioned
        self.mentioned.add(name)
        if len(full) == 1 or first or self.rng.random() < 0.2:
            return full
        kind = full[0].ner
        short = full[-1] if name[0] == "p" or (full[-1].word in grammar.MASCOTS and self.rng.random() < 0.5) else full[0]
        return [short._replace(ner=kind)] if len(short.word) > 2 else full

    def _choose(self, parts: Sequence[str]) -> list[str]:
        """The words, slots and `~` that remain of a template after alternatives and rules are chosen."""

        def sequence(i: int) -> tuple[list[list[str]], int]:
            options: list[list[str]] = [[]]
            while i < len(parts) and parts[i] != ")":
                if parts[i] == "(":
                    inner, i = sequence(i + 1)
                    options[-1] += self.rng.choice(inner)
                elif parts[i] == "|":
                    options.append([])
                else:
                    options[-1].append(parts[i])
                i += 1
            return options, i

        (chosen,), _ = sequence(0)
        result: list[str] = []
        for part in chosen:
            if part.startswith("<") and part.endswith(">"):
                result += self._choose(_TEMPLATE_PART.findall(self.rng.choice(grammar.RULES[part[1:-1]])))
            else:
                result.append(part)
        return result


def _number(name: str, rng: random.Random) -> list[tuple[str, str]]:
    """The words for a slot of a number, a date or the like, with their parts of speech."""
    month = rng.choice(grammar.MONTHS)
    if name == "money":
        return [
            ("$", "$"),
            (f"{rng.randint(1, 99)}.{rng.randint(1, 9)}", "CD"),
            (rng.choice(["million", "million", "billion"]), "CD"),
        ]
    if name == "pct":
        return [(f"{rng.randint(0, 30)}.{rng.randint(1, 9)}", "CD"), (rng.choice(["percent", "percent", "pct"]), "NN")]
    if name == "date":
        return [(month, "NNP"), (str(rng.randint(1, 31)), "CD")]
    if name == "tennis":
        return [(f"{a}-{rng.randint(0, 5)}", "CD") for a in rng.choices("667", k=rng.choice([2, 2, 3]))]
    makers: dict[str, Callable[[], tuple[str, str]]] = {
        "num": lambda: (rng.choice([f"{rng.randint(1, 40)},{rng.randint(0, 999):03}", str(rng.randint(10, 999))]), "CD"),
        "num1": lambda: (str(rng.randint(1, 9)), "CD"),
        "num2": lambda: (str(rng.randint(10, 89)), "CD"),
        "rank": lambda: (f"{rng.randint(1, 20)}.", "CD"),
        "ord": lambda: (rng.choice(["second", "third", "12th", "27th", "38th", "54th", "61st", "72nd", "83rd", "90th"]), "JJ"),
        "min": lambda: (str(rng.randint(1, 90)), "CD"),
        "score": lambda: (f"{rng.randint(0, 5)}-{rng.randint(0, 4)}", "CD"),
        "laptime": lambda: (f"{rng.randint(1, 3)}:{rng.randint(10, 59)}.{rng.randint(100, 999)}", "CD"),
        "time": lambda: (f"{rng.randint(0, 23):02}{rng.choice(['00', '15', '30', '45'])}", "CD"),
        "year": lambda: (str(rng.randint(1950, 1996)), "CD"),
        "isodate": lambda: (f"1996-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}", "CD"),
        "phone": lambda: (f"+{rng.randint(20, 99)}-{rng.randint(10, 999)}-{rng.randint(1000, 9999)}", "CD"),
        "day": lambda: (rng.choice(grammar.DAYS), "NNP"),
        "month": lambda: (month, "NNP"),
        "ministry_word": lambda: (rng.choice(grammar.MINISTRIES), "NNP"),
    }
    return [makers[name]()]


def tag_of(word: str, before: Sequence[Token]) -> str:
    """The part of speech of a template's word by the lexicon; where it lists several, the tokens before the word decide."""
    tags = _TAGS.get(word) or _TAGS.get(word.lower()) or _TAGS.get(word.capitalize())
    assert tags, f"{word!r} is not in the lexicon"
    previous = next((token for token in reversed(before) if token.pos != "RB"), None)
    if previous is not None:
        if previous.word.lower() in _HAVE_BE and ("VBN" in tags or ("VBD" in tags and "NN" not in tags)):
            return "VBN"
        if previous.pos in ("MD", "TO") and "VB" in tags:
            return "VB"
        if previous.pos in ("DT", "JJ", "JJS", "PRP$", "POS", "CD", "IN", "NN", "VBD", "VB", "VBG"):
            for noun in ("JJ", "NN", "NNS"):
                if noun in tags:
                    return noun
    return next((tag for tag in ("CD", "VBD", "VBP", "VBZ", "IN", "RB") if tag in tags), tags[0])

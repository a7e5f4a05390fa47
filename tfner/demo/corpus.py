"""The embedded corpus: what tfner trains on when nothing else is named, without a network.

In goes a task and a seed, out comes a generated `Corpus`; `demo_grammar` holds its words and sentences. Nothing in it is
real news.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterable
from typing import ClassVar, NamedTuple

from tfner.config import TASKS
from tfner.corpus import Corpus, Sentence
from tfner.demo import grammar
from tfner.errors import UserError
from tfner.labels import CONLL_LABELS, OUTSIDE, LabelSet

SIZES = {"train": 5000, "validation": 400, "test": 400}  # sentences
HELD_OUT = 0.25  # of each list of names: never in train
TAIL_RATE = 0.4  # of the plain sentences that go on with a second part
HELD_OUT_RATE = 0.3  # of the names drawn for validation and test

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
_ATOM_TAGS = {"adj": "JJ", "people": "NNPS", "model": "CD"}
_TOKEN = re.compile(r"[()|]|<\w+>|\{\w+\}|[^\s()|<>{}]+")
_TAGS: dict[str, list[str]] = {}
for _tag, _words in grammar.LEXICON.items():
    for _word in _words:
        _TAGS.setdefault(_word, []).append(_tag)


class Token(NamedTuple):
    """A word with its part of speech, entity tag (IOB2) and whether a chunk may not run across its left edge."""

    word: str
    pos: str
    ner: str = OUTSIDE
    apart: bool = False


class _Names:
    """Draws names of one split from a `random.Random`; in validation and test some of them from the held-out ones."""

    def __init__(self, rng: random.Random, held: set[str], rate: float):
        self.rng, self.rate = rng, rate
        self.pools = [
            {kind: [name for name in names if (name in held) is wanted] for kind, names in _LISTS.items()}
            for wanted in (False, True)
        ]

    def draw(self, slot: str) -> list[Token]:
        """A new name for a slot of `grammar.NAMES`: its words as tokens of one entity."""
        kind, patterns = grammar.NAMES[slot]
        pool = self.pools[self.rng.random() < self.rate]
        tokens: list[Token] = []
        for part in self.rng.choice(patterns).split():
            part, _, pos = part.partition("/")
            if part.startswith("@"):
                name, hyphen, rest = part[1:].partition("-")
                names = pool.get(name) or _FIXED[name]
                part = self.rng.choice(names) + hyphen + rest
                pos = pos or _ATOM_TAGS.get(name, "NNP")
            for word in part.split():
                tokens.append(Token(word, pos or {"&": "CC", "'s": "POS"}.get(word, "NNP"), f"{'I' if tokens else 'B'}-{kind}"))
        return tokens


class _Document:
    """Writes one document: remembers whom its slots `{p1}`, `{t2}` ... stand for and names them in short later on."""

    _KINDS: ClassVar = {"p": "person", "t": "team", "o": "company", "c": "city", "k": "country"}

    def __init__(self, rng: random.Random, names: _Names):
        self.rng, self.names = rng, names
        self.known: dict[str, list[Token]] = {}
        self.mentioned: set[str] = set()

    def slot(self, name: str) -> list[Token]:
        """The tokens for a slot: a name, new or known, or a number or date."""
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
        full = self.known.setdefault(name, self.names.draw(self._KINDS[name[0]]))
        first = name not in self.mentioned
        self.mentioned.add(name)
        if len(full) == 1 or first or self.rng.random() < 0.2:
            return full
        kind = full[0].ner
        short = full[-1] if name[0] == "p" or (full[-1].word in grammar.MASCOTS and self.rng.random() < 0.5) else full[0]
        return [short._replace(ner=kind)] if len(short.word) > 2 else full

    def sentence(self, template: str, upper: bool = False) -> list[Token]:
        """A template filled in; `upper` in capitals, as headlines are."""
        parts = _TOKEN.findall(template)
        tokens: list[Token] = []
        apart = False
        for part in self._choose(parts):
            if part == "~":
                apart = True
                continue
            if part.startswith("{"):
                new = self.slot(part[1:-1])
            else:
                word, slash, pos = part.partition("/")
                new = [Token({"[": "(", "]": ")"}.get(word, word), pos if slash and pos else _tag_of(part, tokens))]
            tokens += [new[0]._replace(apart=apart or new[0].apart), *new[1:]]
            apart = False
        if upper:
            return [token._replace(word=token.word.upper()) for token in tokens]
        at = 1 if tokens[0].word in ('"', "-") else 0
        if tokens[at].ner == OUTSIDE:
            tokens[at] = tokens[at]._replace(word=tokens[at].word[:1].upper() + tokens[at].word[1:])
        return tokens

    def _choose(self, parts: list[str]) -> list[str]:
        """Resolves alternatives and rules: what is left are words, slots and `~`."""

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
                result += self._choose(_TOKEN.findall(self.rng.choice(grammar.RULES[part[1:-1]])))
            else:
                result.append(part)
        return result


def _number(name: str, rng: random.Random) -> list[tuple[str, str]]:
    """A number, date or the like for a slot, as words with their parts of speech."""
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
    word, pos = {
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
    }[name]()
    return [(word, pos)]


_HAVE_BE = {"have", "has", "had", "is", "was", "were", "are", "be", "been"}


def _tag_of(word: str, before: list[Token]) -> str:
    """The part of speech of a template's word, by the lexicon and, where that names several, the words before it."""
    tags = _TAGS.get(word) or _TAGS.get(word.lower()) or _TAGS.get(word.capitalize())
    if tags is None:
        raise AssertionError(f"{word!r} is not in the lexicon")
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


_NOUNS = {"NN", "NNS", "NNP", "NNPS", "PRP", "CD", "WP", "WDT", "EX", "$", "DT", "PDT", "PRP$", "JJ", "JJR", "JJS", "POS"}
_NOUN_STARTS = {"DT", "PDT", "PRP$", "PRP", "POS", "WP", "WDT", "EX"}
_VERBS = {"MD", "VB", "VBD", "VBZ", "VBP", "VBN", "VBG"}
_CLAUSE_WORDS = {"that", "while", "if", "although", "because", "whether"}


def _chunk_tags(tokens: list[Token]) -> list[str]:
    """IOB2 chunk tags from parts of speech: NP, VP, PP, SBAR, ADVP, ADJP, PRT, INTJ."""
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
    return _adjective_chunks(tokens, tags)


def _adjective_chunks(tokens: list[Token], tags: list[str]) -> list[str]:
    """Makes an NP chunk that has only adjectives (and stands after a verb) an ADJP."""
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


def _documents(split: str, seed: int, held: set[str]) -> Iterable[list[list[Token]]]:
    """Endless documents of a split, each a list of sentences."""
    rng = random.Random(f"{seed} {split}")
    names = _Names(rng, held, 0.0 if split == "train" else HELD_OUT_RATE)
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
    """Some sentences go on: with who said it, when, why, or what others did."""
    if template.endswith(" .") and '"' not in template and ":" not in template and rng.random() < TAIL_RATE:
        return f"{template[:-2]} <tail> ."
    return template


def held_out_names(seed: int = 0) -> set[str]:
    """The words of names that `demo_corpus(seed=seed)` keeps out of its train split."""
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


@functools.cache
def demo_corpus(task: str = "ner", seed: int = 0) -> Corpus:
    """Generates the embedded corpus: the same words for every task, with the task's tags.

    Of the names in validation and test about three in ten hold words that never occur in train (`held_out_names`).
    The same seed gives the same corpus in every process.

    Raises UserError for a task that is none of `TASKS`.
    """
    if task not in TASKS:
        raise UserError(f"task {task!r} is unknown: expected one of {', '.join(TASKS)}")
    tags_of: Callable[[list[Token]], list[str]] = {
        "ner": lambda tokens: [token.ner for token in tokens],
        "pos": lambda tokens: [{"SBAR": "IN"}.get(token.pos, token.pos) for token in tokens],
        "chunk": _chunk_tags,
    }[task]
    held = held_out_names(seed)
    splits: dict[str, tuple[Sentence, ...]] = {}
    for split, size in SIZES.items():
        sentences: list[Sentence] = []
        for number, document in enumerate(_documents(split, seed, held)):
            for tokens in document:
                sentences.append(Sentence(tuple(token.word for token in tokens), tuple(tags_of(tokens)), number))
            if len(sentences) >= size:
                break
        splits[split] = tuple(sentences)
    labels = CONLL_LABELS
    if task != "ner":
        labels = LabelSet.from_tags((s.tags for split in splits.values() for s in split), plain=task == "pos")
    return Corpus("demo", task, splits, labels)

"""The embedded corpus and encoder: what tfner trains on when nothing else is named, without a network.

In goes a task and a seed, out comes a generated ``Corpus`` (``demo_grammar`` holds its words), or the folder of a small BERT
with a vocabulary made from that corpus and random weights, but for heads that start at a word's neighbours. Nothing here is
real news, and the encoder knows no language: it learns all it will know in the training.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from tfner import demo_grammar as grammar
from tfner.corpus import TASKS, Corpus, Sentence
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
    """Draws names of one split from a ``random.Random``; in validation and test some of them from the held-out ones."""

    def __init__(self, rng: random.Random, held: set[str], rate: float):
        self.rng, self.rate = rng, rate
        self.pools = [
            {kind: [name for name in names if (name in held) is wanted] for kind, names in _LISTS.items()}
            for wanted in (False, True)
        ]

    def draw(self, slot: str) -> list[Token]:
        """A new name for a slot of ``grammar.NAMES``: its words as tokens of one entity."""
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
    """Writes one document: remembers whom its slots ``{p1}``, ``{t2}`` ... stand for and names them in short later on."""

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
        """A template filled in; ``upper`` in capitals, as headlines are."""
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
        """Resolves alternatives and rules: what is left are words, slots and ``~``."""

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
    """The words of names that ``demo_corpus(seed=seed)`` keeps out of its train split."""
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


def demo_corpus(task: str = "ner", seed: int = 0) -> Corpus:
    """Generates the embedded corpus: the same words for every task, with the task's tags.

    Of the names in validation and test about a third never occur in train (``held_out_names``). The same seed gives the same
    corpus in every process.

    Raises UserError for a task that is none of ``TASKS``.
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


# The encoder from here on.

ENCODER_SEED = 0
OFTEN, OFTEN_CAPITALISED = 3, 60  # times in train: a word becomes one piece
SHARED_BY = 5  # words with a beginning or ending in common: it becomes a piece
ENCODER = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 512,
    "initializer_range": 0.02,
}
POSITION_UNITS = 32  # of a hidden vector: kept for the position at the start; a head's size
POSITION_SCALE = 0.04
LOOK_AT = (-1, 1, -2, 2)  # places from a word at which the heads start to look
SHARPNESS = 1.2  # of that look, as a factor of queries and keys
KERNEL_SCALE = 0.5
_FILES = ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def demo_encoder(folder: Path | None = None) -> Path:
    """The folder of the embedded encoder, made on the first call: a small cased BERT that has learnt nothing yet.

    Its WordPiece vocabulary comes from the train split of ``demo_corpus()``, its weights from a seed (``_initial_weights`` says
    how), the same in every process and without touching anyone's random state. ``folder`` is where to put it; by default a
    subfolder of the user's cache (``$XDG_CACHE_HOME`` or ``~/.cache``). It is written beside and renamed into place, and
    used again when complete.

    Raises UserError where the folder cannot be written.
    """
    if folder is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "tfner" / f"demo-encoder-{_fingerprint()}"
    folder = Path(folder)
    if _complete(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"the embedded encoder needs a folder to write to, but {folder.parent} cannot be written ({error.strerror}): "
            "set XDG_CACHE_HOME to a folder that can"
        ) from error
    try:
        _write_encoder(beside)
        beside.chmod(0o755)
        if folder.is_dir() and not _complete(folder):
            others = sorted(path.name for path in folder.iterdir() if path.name not in (*_FILES, "special_tokens_map.json"))
            if others:
                raise UserError(f"{folder} holds something else ({others[0]}): name a new folder for the embedded encoder")
            shutil.rmtree(folder)
        try:
            beside.rename(folder)
        except OSError:
            if not _complete(folder):  # otherwise another process was faster
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _FILES)


def _fingerprint() -> str:
    """Changes with whatever decides the encoder's contents."""
    settings = repr((sorted(ENCODER.items()), ENCODER_SEED, POSITION_UNITS, POSITION_SCALE, LOOK_AT, SHARPNESS, KERNEL_SCALE))
    return hashlib.sha256("\n".join(["1", settings, *_vocabulary()]).encode()).hexdigest()[:12]


def _vocabulary() -> list[str]:
    """Word pieces in the order of their ids, from the train split of ``demo_corpus()``.

    Special tokens; every printable ASCII and Latin-1 character alone and as a continuation (so that no ordinary word becomes
    [UNK] whole); words that occur often; beginnings and endings that several words share. Rare words, most names among them,
    come in pieces, so that the model learns to read names it has not seen.
    """
    words = Counter(word for sentence in demo_corpus().splits["train"] for word in sentence.words)
    pieces = [word for word, count in words.items() if count >= (OFTEN if word.islower() else OFTEN_CAPITALISED)]
    shared: Counter[str] = Counter()
    for word in words:
        if word.isalpha():
            shared.update(word[:n] for n in (2, 3, 4) if len(word) > n)
            shared.update(f"##{word[-n:]}" for n in (2, 3, 4) if len(word) > n)
    pieces += [piece for piece, count in shared.items() if count >= SHARED_BY]
    characters = [chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x100)) if code != 0xAD]
    return list(dict.fromkeys(_SPECIAL + characters + [f"##{c}" for c in characters] + sorted(pieces)))


def _write_encoder(folder: Path) -> None:
    """Writes the model folder: no TensorFlow, and nobody's random state, is needed for it."""
    from safetensors.numpy import save_file
    from transformers import BertConfig, BertTokenizerFast

    vocabulary = _vocabulary()
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary), encoding="utf-8")
    limit = ENCODER["max_position_embeddings"]
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False, strip_accents=False, model_max_length=limit)
    tokenizer.save_pretrained(folder)
    BertConfig(vocab_size=len(vocabulary), architectures=["BertModel"], **ENCODER).save_pretrained(folder)
    save_file(_initial_weights(len(vocabulary)), folder / "model.safetensors", metadata={"format": "pt"})


def _initial_weights(vocabulary_size: int) -> dict[str, np.ndarray]:
    """Seeded start values for a BERT by PyTorch's names, float32; kernels have shape (outputs, inputs).

    Kernels are normal with deviation ``KERNEL_SCALE``/sqrt(inputs), LayerNorms ones, biases zeros. Word embeddings leave the
    first ``POSITION_UNITS`` units free; there positions are sines and cosines, and in every layer the heads start with
    queries and keys that meet ``LOOK_AT`` places from a word. A few thousand sentences do not teach a random BERT where a
    word's neighbours are; this start does.
    """
    rng = np.random.default_rng(ENCODER_SEED)
    units, hidden, wide = POSITION_UNITS, ENCODER["hidden_size"], ENCODER["intermediate_size"]
    pairs, size = units // 2, hidden // ENCODER["num_attention_heads"]
    frequencies = np.pi * 0.01 ** (np.arange(pairs) / (pairs - 1))  # radians per place
    angles = np.arange(ENCODER["max_position_embeddings"])[:, None] * frequencies
    weights: dict[str, np.ndarray] = {}

    def dense(name: str, outputs: int, inputs: int) -> np.ndarray:
        weights[f"{name}.weight"] = rng.normal(scale=KERNEL_SCALE * inputs**-0.5, size=(outputs, inputs)).astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(outputs, np.float32)
        return weights[f"{name}.weight"]

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)

    def turn(places: int) -> np.ndarray:
        """Maps the position units of place p to those of p + places; shape (units, units)."""
        cos, sin = np.diag(np.cos(places * frequencies)), np.diag(np.sin(places * frequencies))
        return np.block([[cos, sin], [-sin, cos]])

    for kind, rows in (("word", vocabulary_size), ("token_type", 2)):
        table = rng.normal(scale=0.02, size=(rows, hidden)).astype(np.float32)
        table[:, :units] = 0
        weights[f"embeddings.{kind}_embeddings.weight"] = table
    positions = np.zeros((len(angles), hidden), np.float32)
    positions[:, :units] = POSITION_SCALE * np.hstack([np.sin(angles), np.cos(angles)])
    weights["embeddings.position_embeddings.weight"] = positions
    norm("embeddings.LayerNorm")
    for layer in range(ENCODER["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        query, key = (dense(f"{name}.attention.self.{part}", hidden, hidden) for part in ("query", "key"))
        for head, places in enumerate(LOOK_AT):
            rows = slice(head * size, (head + 1) * size)
            for kernel, start in ((query, turn(places)), (key, np.eye(units))):
                kernel[rows] *= 0.25
                kernel[rows, :units] = SHARPNESS * start
        dense(f"{name}.attention.self.value", hidden, hidden)
        dense(f"{name}.attention.output.dense", hidden, hidden)
        norm(f"{name}.attention.output.LayerNorm")
        dense(f"{name}.intermediate.dense", wide, hidden)
        dense(f"{name}.output.dense", hidden, wide)
        norm(f"{name}.output.LayerNorm")
    dense("pooler.dense", hidden, hidden)
    return weights

"""Label sets, tag schemes, and the conversion of tags into entities.

Takes tags as corpora write them (IOB1, IOB2, BIOES, BILOU, or plain tags such as POS) and returns IOB2 tags, label ids and
spans. Files, word pieces and tensors are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple

from tfner.errors import UserError, setting

IGNORED_LABEL = -100
"""Label id of a position that is neither learned nor counted, the value that PyTorch and transformers use too."""

OUTSIDE = "O"
CONLL_TYPES = ("PER", "ORG", "LOC", "MISC")

_STARTS = {"B", "S", "U"}  # a new entity starts here, whatever came before
_CLOSES = {"E", "L", "S", "U"}  # the entity ends with this word, whatever comes after
_PREFIXES = {"B", "I"} | _STARTS | _CLOSES
_LOOSE = re.compile(r"([BIESLUM])[-_](.+)", re.IGNORECASE)
"""A tag as some corpora write it."""


class Span(NamedTuple):
    """An entity in tags: its type and its words `start` to `end`, half-open, from 0."""

    type: str
    start: int
    end: int


@dataclass(frozen=True)
class Entity:
    """An entity found in a text.

    `start` and `end` are offsets in characters, `first_word` and `end_word` in words; both pairs are half-open. `score` is the
    mean probability of the predicted labels of the entity's words. `accepted` says whether the score reaches the threshold of
    the type; models without thresholds accept every entity.
    """

    type: str
    text: str
    start: int
    end: int
    score: float
    first_word: int
    end_word: int
    accepted: bool = True


def split_tag(tag: str) -> tuple[str, str]:
    """Splits `"B-PER"` into `("B", "PER")` and `"O"` into `("O", "")`.

    Raises UserError for anything that is neither `O` nor one of B, I, E, S, L, U, a hyphen and a type.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, hyphen, entity_type = tag.partition("-")
    if prefix not in _PREFIXES or not hyphen or not entity_type:
        raise UserError(
            f"tag {tag!r} fits no known scheme: expected O, or a type with one of B-, I- (IOB1, IOB2), E-, S- (BIOES), L-, U- "
            f"(BILOU) before it, as in B-PER; for tags without prefixes use {setting('task', 'pos')}"
        )
    return prefix, entity_type


def standard_tags(tags: Collection[str]) -> dict[str, str]:
    """The usual spelling of each tag that a corpus has.

    `b-per` and `B_PER` become `B-per` and `B-PER` if all are written with a prefix; the `M-` of BMES becomes `I-`. Without any
    prefix but with `O`, each type becomes `I-` and the type, as in IOB1: neighbouring words of one type are an entity. Tags
    that fit neither are left as they are, for `split_tag` to refuse.
    """
    inside = {tag for tag in tags if tag not in ("O", "o")}
    matches = {tag: match for tag in inside if (match := _LOOSE.fullmatch(tag))}
    if len(matches) == len(inside):
        usual = {tag: f"{match[1].upper().replace('M', 'I')}-{match[2]}" for tag, match in matches.items()}
    elif "O" in tags and not any(match[1] in "BI" or tag[1] == "-" for tag, match in matches.items()):
        usual = {tag: f"I-{tag}" for tag in inside if tag}
    else:
        return {tag: tag for tag in tags}
    return {tag: usual.get(tag, OUTSIDE if tag == "o" else tag) for tag in tags}


def breaks(tags: Sequence[str]) -> int:
    """How often the tags of a sentence break the rules of BIOES and BILOU: an entity that is not begun, or not ended."""
    found, open_type = 0, ""
    for prefix, entity_type in (*map(split_tag, tags), (OUTSIDE, "")):
        continues = prefix != OUTSIDE and prefix not in _STARTS
        found += continues != bool(open_type) or (continues and entity_type != open_type)
        open_type = entity_type if prefix in ("B", "I") else ""
    return found


def spans(tags: Sequence[str], strict: bool = False) -> list[Span]:
    """The entities of one sentence, in order, from tags of any known scheme.

    As in conlleval, an `I-X` that continues nothing (at the start, after `O` or after another type) starts an entity. With
    `strict`, only `B-X` starts one, and such an `I-X` belongs to none (seqeval's strict IOB2 mode).

    Raises UserError for a tag that `split_tag` refuses.
    """
    found: list[Span] = []
    open_type, open_start = "", 0
    for position, tag in enumerate(tags):
        prefix, entity_type = split_tag(tag)
        continues = prefix not in _STARTS and entity_type == open_type
        if open_type and not continues:
            found.append(Span(open_type, open_start, position))
            open_type = ""
        if not open_type and (prefix in _STARTS or (prefix != OUTSIDE and not strict)):
            open_type, open_start = entity_type, position
        if open_type and prefix in _CLOSES:
            found.append(Span(open_type, open_start, position + 1))
            open_type = ""
    if open_type:
        found.append(Span(open_type, open_start, len(tags)))
    return found


def labelled_spans(tags: Sequence[str], plain: bool) -> list[Span]:
    """The entities of one sentence, as `spans` finds them; with plain labels, a span for each word."""
    return [Span(tag, i, i + 1) for i, tag in enumerate(tags)] if plain else spans(tags)


def iob2(tags: Sequence[str]) -> list[str]:
    """The same entities as IOB2 tags: every entity starts with `B-`, and words outside of entities are `O`."""
    result = [OUTSIDE] * len(tags)
    for entity_type, start, end in spans(tags):
        result[start:end] = [f"B-{entity_type}"] + [f"I-{entity_type}"] * (end - start - 1)
    return result


def scheme(sentences: Iterable[Sequence[str]]) -> str:
    """The tag scheme of sentences: `IOB1`, `IOB2`, `BIOES`, `BILOU`, or `IOB` where IOB1 and IOB2 are mixed.

    Where several schemes fit (no entity needs a `B-` to separate it from a neighbour), any `B-` means IOB2.

    Raises UserError for an unknown tag, and where the end marks of BIOES and BILOU are mixed.
    """
    prefixes: set[str] = set()
    orphans = needless = False  # an I- that continues nothing; a B- that need not be one
    for tags in sentences:
        previous_type = ""
        for tag in tags:
            prefix, entity_type = split_tag(tag)
            prefixes.add(prefix)
            orphans |= prefix == "I" and entity_type != previous_type
            needless |= prefix == "B" and entity_type != previous_type
            previous_type = entity_type
    bioes, bilou = prefixes & {"E", "S"}, prefixes & {"L", "U"}
    if bioes and bilou:
        raise UserError(
            f"found the prefixes {', '.join(sorted(bioes | bilou))} together, but BIOES uses E and S, BILOU uses L and U: "
            "convert the file to one scheme"
        )
    if bioes or bilou:
        return "BIOES" if bioes else "BILOU"
    if orphans:
        return "IOB" if needless else "IOB1"
    return "IOB2"


@dataclass(frozen=True)
class LabelSet:
    """The labels of a task in the order of their ids, 0 to n - 1.

    `plain` labels (POS) are used as they are; otherwise the names are IOB2 tags.

    Raises UserError where there is no name, a name occurs twice, or a name is not IOB2 although it has to be.
    """

    names: tuple[str, ...]
    plain: bool = False

    def __post_init__(self) -> None:
        if not self.names:
            raise UserError("a label set needs at least one label")
        if len(set(self.names)) != len(self.names):
            raise UserError(f"expected labels that differ, but one occurs twice in {' '.join(self.names)}")
        if not self.plain:
            for name in self.names:
                if split_tag(name)[0] not in ("O", "B", "I"):
                    raise UserError(f"label {name!r} is not IOB2: expected O, B-TYPE or I-TYPE")

    @classmethod
    def from_types(cls, types: Iterable[str]) -> LabelSet:
        """IOB2 labels: `O`, then `B-` and `I-` of each type.

        The types of CoNLL-2003 come first, in the study's order (PER, ORG, LOC, MISC); the others follow, sorted.
        """
        types = set(types)
        ordered = [t for t in CONLL_TYPES if t in types] + sorted(types.difference(CONLL_TYPES))
        return cls((OUTSIDE, *(f"{prefix}-{t}" for t in ordered for prefix in "BI")))

    @classmethod
    def from_tags(cls, sentences: Iterable[Sequence[str]], plain: bool = False) -> LabelSet:
        """The labels that occur in sentences, with both `B-` and `I-` of every type; plain labels are sorted."""
        tags = {tag for sentence in sentences for tag in sentence}
        if plain:
            return cls(tuple(sorted(tags)), plain=True)
        return cls.from_types({split_tag(tag)[1] for tag in tags} - {""})

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each label by its name."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The entity types in the order of their first label; for plain labels, the labels themselves."""
        if self.plain:
            return self.names
        return tuple(dict.fromkeys(t for t in (split_tag(name)[1] for name in self.names) if t))

    @property
    def default(self) -> str:
        """The label of a word that the model cannot see: `O`, or `X` or the first label of a plain set."""
        return next((name for name in (OUTSIDE, "X") if name in self.ids), self.names[0])

    def inside(self, label_id: int) -> int:
        """The label of the later pieces of a word: `I-X` for `B-X`, otherwise the label itself."""
        name = self.names[label_id]
        if self.plain or not name.startswith("B-"):
            return label_id
        return self.ids["I-" + name[2:]]

    def __len__(self) -> int:
        return len(self.names)


def columns_of(label_sets: Iterable[LabelSet]) -> list[slice]:
    """The part of a model's last dimension that each label set has, where one model has several."""
    ends = list(accumulate(map(len, label_sets), initial=0))
    return [slice(*pair) for pair in pairwise(ends)]


CONLL_LABELS = LabelSet.from_types(CONLL_TYPES)
"""`O B-PER I-PER B-ORG I-ORG B-LOC I-LOC B-MISC I-MISC`, with ids 0 to 8 as in the study."""

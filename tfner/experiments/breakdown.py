"""Where models are right and wrong: counts by document, F1 by kind of entity, kinds of error, sentences worth a look.

Takes sentences with gold and predicted tags. With plain labels, such as POS, every word counts as an entity.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfner.corpus import Sentence
from tfner.evaluation.scores import Score, Tags
from tfner.labels import Span, labelled_spans, spans

LENGTHS = ("1 word", "2 words", "3 words", "4 or more")
SENTENCE_LENGTHS = {"1 to 9 words": 9, "10 to 19": 19, "20 to 29": 29, "30 to 39": 39, "40 or more": 10**9}
SEEN, SEEN_OTHERWISE, UNSEEN = "seen", "seen, other type", "unseen"
ERRORS = ("boundary", "type", "missed", "spurious")
FEWEST = 20
"""Documents below which sentences are counted: n documents cannot give a p value below 2 / 2^n, and a bootstrap of a few of
them is too narrow."""


def counted_units(sentences: Sequence[Sentence]) -> str:
    """What `document_counts` counts, as text: documents, or sentences where documents are not marked or fewer than FEWEST."""
    documents = _documents(sentences)
    if not documents:
        return "sentences, as documents are not marked"
    return "documents" if documents >= FEWEST else f"sentences, as there are fewer than {FEWEST} documents"


def document_counts(sentences: Sequence[Sentence], predicted: Sequence[Tags], plain: bool) -> np.ndarray:
    """Gold, predicted and correct entities of each document, or sentence (see `counted_units`), int64, shape (documents, 3)."""
    by_sentence = _documents(sentences) < FEWEST
    counts: dict[int | None, np.ndarray] = defaultdict(lambda: np.zeros(3, np.int64))
    for i, (sentence, tags) in enumerate(zip(sentences, predicted, strict=True)):
        gold, found = set(labelled_spans(sentence.tags, plain)), set(labelled_spans(tags, plain))
        counts[i if by_sentence else sentence.document] += (len(gold), len(found), len(gold & found))
    return np.stack(list(counts.values()))


def _documents(sentences: Sequence[Sentence]) -> int:
    """The number of documents that are marked."""
    return len({sentence.document for sentence in sentences} - {None})


class Kinds:
    """The ways to divide entities into kinds, for one corpus.

    Args:
        train: the training sentences, for the words that were seen.
        plain: whether labels are not entities.
    """

    def __init__(self, train: Sequence[Sentence], plain: bool):
        self.plain = plain
        self._types: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for sentence in train:
            for span in labelled_spans(sentence.tags, plain):
                self._types[sentence.words[span.start : span.end]].add(span.type)

    def length(self, sentence: Sentence, span: Span) -> str:
        """The number of words of an entity."""
        return LENGTHS[min(span.end - span.start, len(LENGTHS)) - 1]

    def sentence_length(self, sentence: Sentence, span: Span) -> str:
        """The number of words of its sentence."""
        return next(name for name, most in SENTENCE_LENGTHS.items() if len(sentence.words) <= most)

    def novelty(self, sentence: Sentence, span: Span) -> str:
        """Whether its words are an entity in training, of its own type or of others only."""
        types = self._types.get(sentence.words[span.start : span.end])
        return UNSEEN if not types else SEEN if span.type in types else SEEN_OTHERWISE

    def by_name(self) -> dict[str, tuple[tuple[str, ...], Callable[[Sentence, Span], str]]]:
        """For each way its kinds in order, and the function that tells the kind of an entity."""
        ways: dict[str, tuple[tuple[str, ...], Callable[[Sentence, Span], str]]] = {
            "sentence length": (tuple(SENTENCE_LENGTHS), self.sentence_length),
            "words in training": ((SEEN, SEEN_OTHERWISE, UNSEEN), self.novelty),
        }
        return ways if self.plain else {"entity length": (LENGTHS, self.length), **ways}


def score_by_kind(
    sentences: Sequence[Sentence], predicted: Sequence[Tags], plain: bool, kind: Callable[[Sentence, Span], str]
) -> dict[str, Score]:
    """The score of each kind. Gold and predicted entities are divided by the same rule."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for sentence, tags in zip(sentences, predicted, strict=True):
        gold, found = set(labelled_spans(sentence.tags, plain)), set(labelled_spans(tags, plain))
        for column, side in enumerate((gold, found, gold & found)):
            for span in side:
                counts[kind(sentence, span)][column] += 1
    return {name: Score.from_counts(*values) for name, values in counts.items()}


def error_counts(sentences: Sequence[Sentence], predicted: Sequence[Tags]) -> dict[str, int]:
    """The errors of each kind, as nervaluate counts them.

    Each prediction is paired with at most one gold entity that it overlaps. `boundary`: their words differ, whatever the types.
    `type`: their types differ. `missed` and `spurious`: a gold entity, or a prediction, without a partner. An error may be of
    boundary and of type.
    """
    from nervaluate import Evaluator

    gold = [list(sentence.tags) for sentence in sentences]
    types = sorted({span.type for tags in (*gold, *predicted) for span in spans(tags)})
    if not types:
        return dict.fromkeys(ERRORS, 0)
    overall: Any = Evaluator(gold, [list(tags) for tags in predicted], tags=types, loader="list").evaluate()["overall"]
    exact, of_type = overall["exact"], overall["ent_type"]
    return dict(zip(ERRORS, (exact.incorrect, of_type.incorrect, exact.missed, exact.spurious), strict=True))


@dataclass(frozen=True)
class Notable:
    """A sentence worth a look.

    Attributes:
        number: its number in the split, from 1.
        sentence: its words and gold tags.
        predicted: by model the tags of most of its seeds.
        right: by model the share of seeds that tag it without a mistake.
    """

    number: int
    sentence: Sentence
    predicted: Mapping[str, Tags]
    right: Mapping[str, float]


def notable_sentences(
    sentences: Sequence[Sentence], predicted: Mapping[str, Sequence[Sequence[Tags]]], plain: bool, limit: int = 10
) -> tuple[list[Notable], list[Notable]]:
    """The sentences that models disagree about most, and those that every seed of every model gets wrong.

    Args:
        sentences: the sentences of the split.
        predicted: by model and seed the tags of each sentence.
        plain: whether labels are not entities.
        limit: the number of sentences of each list. The shorter sentence comes first among equals.
    """
    found = []
    for i, sentence in enumerate(sentences):
        gold = labelled_spans(sentence.tags, plain)
        tags = {name: [tuple(of_seed[i]) for of_seed in of_model] for name, of_model in predicted.items()}
        right = {name: float(np.mean([labelled_spans(t, plain) == gold for t in of_model])) for name, of_model in tags.items()}
        if min(right.values()) < 1:
            most = {name: Counter(of_model).most_common(1)[0][0] for name, of_model in tags.items()}
            found.append(Notable(i + 1, sentence, most, right))

    def disagreement(one: Notable) -> float:
        return max(one.right.values()) - min(one.right.values())

    disagree = sorted(found, key=lambda one: (-disagreement(one), len(one.sentence.words)))
    shared = [one for one in found if not any(one.right.values())]
    shared.sort(key=lambda one: (-_missed_by_all(one, plain), len(one.sentence.words)))
    return [one for one in disagree if disagreement(one) > 0][:limit], shared[:limit]


def _missed_by_all(one: Notable, plain: bool) -> int:
    gold = set(labelled_spans(one.sentence.tags, plain))
    return len(gold.difference(*(labelled_spans(tags, plain) for tags in one.predicted.values())))

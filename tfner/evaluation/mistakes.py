"""The sentences that a model tags wrongly, the worst first.

Takes words, gold and predicted tags and the model's probabilities, and returns `Mistake`s, which are also text. Scores are
computed in `scores`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfner.evaluation.scores import check_aligned
from tfner.labels import Span, iob2, spans

_WIDTH = 100  # characters of a line of words
_LONG, _CONTEXT = 60, 12  # a sentence of more than _LONG words is cut to _CONTEXT words on each side of its mistakes


@dataclass(frozen=True)
class Mistake:
    """A sentence with at least one wrong word.

    Attributes:
        sentence: the index of the sentence in the split, from 0.
        words, gold, predicted: its words with their gold and predicted tags.
        probabilities: the probability of the predicted label of each word.
        missed: gold spans that are not predicted; half-open, in words. With plain tags, each span is one word.
        spurious: predicted spans that are not gold.
        certainty: the highest probability of a wrong word.
    """

    sentence: int
    words: tuple[str, ...]
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    probabilities: tuple[float, ...]
    missed: tuple[Span, ...]
    spurious: tuple[Span, ...]
    certainty: float

    def __str__(self) -> str:
        return format_mistake(self)


def mistakes(
    words: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    probabilities: Sequence[Sequence[float] | np.ndarray],
    limit: int = 10,
    plain: bool = False,
) -> list[Mistake]:
    """The `limit` worst sentences.

    Sentences are sorted by `certainty`, the highest first, because confident mistakes are the most informative; equal ones keep
    their order. A word is wrong if its entity is wrong: an `I-` that starts an entity, as conlleval reads it, equals a `B-`.

    Args:
        words, gold, predicted, probabilities: one sequence for each sentence. Tags are IOB2, or any strings if `plain`.
        limit: the largest number of sentences to return.
        plain: True for tags that are not entities, such as POS.

    Raises:
        ValueError: if the numbers of sentences or of words differ.
    """
    for other in (predicted, words, probabilities):
        check_aligned(gold, other)
    found = []
    for i, (own_words, own_gold, own_predicted, ps) in enumerate(zip(words, gold, predicted, probabilities, strict=True)):
        gold_tags, predicted_tags = (own_gold, own_predicted) if plain else (iob2(own_gold), iob2(own_predicted))
        wrong = [k for k, (g, p) in enumerate(zip(gold_tags, predicted_tags, strict=True)) if g != p]
        if not wrong:
            continue
        if plain:
            wanted, got = ({Span(tags[k], k, k + 1) for k in wrong} for tags in (gold_tags, predicted_tags))
        else:
            wanted, got = set(spans(gold_tags)), set(spans(predicted_tags))
        found.append(
            Mistake(
                sentence=i,
                words=tuple(own_words),
                gold=tuple(own_gold),
                predicted=tuple(own_predicted),
                probabilities=tuple(ps),
                missed=tuple(sorted(wanted - got, key=lambda span: span.start)),
                spurious=tuple(sorted(got - wanted, key=lambda span: span.start)),
                certainty=float(max(ps[k] for k in wrong)),
            )
        )
    return sorted(found, key=lambda mistake: -mistake.certainty)[:limit]


def format_mistake(mistake: Mistake) -> str:
    """The sentence, then one line for each mistake: its kind, the prediction with its mean probability, and the gold entity.

    The kinds are `wrong type` (the words match), `wrong boundary` (the type matches, the words overlap), `wrong both` (only
    the words overlap), `spurious` (no gold entity overlaps) and `missed` (no prediction is compared with it).
    """
    lines = textwrap.wrap(
        f"sentence {mistake.sentence}: {_excerpt(mistake)}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False
    )
    return "\n".join(lines + [f"  {kind:<14}  {text}" for kind, text in _lines(mistake)])


def _lines(mistake: Mistake) -> Iterator[tuple[str, str]]:
    """Kind and text of each mistake, in the order of the sentence.

    A predicted span is compared with the gold span that shares most words with it. A gold span that is compared with no
    predicted span is missed.
    """

    def quote(span: Span) -> str:
        return f'{span.type} "{" ".join(mistake.words[span.start : span.end])}"'

    def shared(one: Span, other: Span) -> int:
        return min(one.end, other.end) - max(one.start, other.start)

    lines: list[tuple[int, str, str]] = []
    compared: set[Span] = set()
    for span in mistake.spurious:
        ps = mistake.probabilities[span.start : span.end]
        text = f"{quote(span)} {sum(ps) / len(ps):.2f}"
        right = max(mistake.missed, key=lambda gold: shared(span, gold), default=None)
        if right is None or shared(span, right) <= 0:
            lines.append((span.start, "spurious", text))
            continue
        compared.add(right)
        if (right.start, right.end) == (span.start, span.end):
            lines.append((span.start, "wrong type", f"{text}, right: {right.type}"))
        else:
            kind = "wrong boundary" if right.type == span.type else "wrong both"
            lines.append((span.start, kind, f"{text}, right: {quote(right)}"))
    lines += [(span.start, "missed", quote(span)) for span in mistake.missed if span not in compared]
    return ((kind, text) for _, kind, text in sorted(lines, key=lambda line: line[0]))


def _excerpt(mistake: Mistake) -> str:
    """The words of the sentence; in a long one, an ellipsis replaces words that are far from every mistake."""
    words = mistake.words
    if len(words) <= _LONG:
        return " ".join(words)
    near: set[int] = set()
    for span in mistake.missed + mistake.spurious:
        near.update(range(span.start - _CONTEXT, span.end + _CONTEXT))
    shown = [word if i in near else "…" for i, word in enumerate(words)]
    return " ".join(word for i, word in enumerate(shown) if i in near or i == 0 or i - 1 in near)

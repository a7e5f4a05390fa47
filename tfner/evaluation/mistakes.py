"""The sentences a model gets wrong, the worst first: what to read after the scores.

In come words, gold and predicted tags and the model's probabilities; out come `Mistake`s and their text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfner.evaluation.scores import check_aligned
from tfner.labels import Span, iob2, spans

_WIDTH = 100  # characters of a line of words
_LONG, _CONTEXT = 60, 12  # of a sentence of more words than _LONG, only _CONTEXT words around each mistake are shown


@dataclass(frozen=True)
class Mistake:
    """A sentence (its index in the split) with at least one word tagged wrongly.

    `probabilities`: of each word's predicted label. `missed` are gold spans that were not predicted, `spurious` predicted
    ones that are not gold, in words, half-open; of plain tags each is one word. `badness`: the sum of the probabilities of
    the words that are wrong.
    """

    sentence: int
    words: tuple[str, ...]
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    probabilities: tuple[float, ...]
    missed: tuple[Span, ...]
    spurious: tuple[Span, ...]
    badness: float

    def __str__(self) -> str:
        return format_mistake(self)


def mistakes(
    words: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    probabilities: Sequence[Sequence[float]],
    limit: int = 10,
    plain: bool = False,
) -> list[Mistake]:
    """The `limit` worst sentences: most probability on wrong words first (sure mistakes tell most), then in their order.

    All arguments: one sequence per sentence. Tags are IOB2, or anything if `plain`. A word is wrong where the entities
    are: an `I-` that starts an entity as conlleval reads it is as good as a `B-`.

    Raises ValueError where the numbers of sentences or of words differ.
    """
    for other in (predicted, words, probabilities):
        check_aligned(gold, other)
    found = []
    for i, rows in enumerate(zip(words, gold, predicted, probabilities, strict=True)):
        _, gold_tags, predicted_tags, ps = rows
        if not plain:
            gold_tags, predicted_tags = iob2(gold_tags), iob2(predicted_tags)
        wrong = [k for k, (g, p) in enumerate(zip(gold_tags, predicted_tags, strict=True)) if g != p]
        if not wrong:
            continue
        if plain:
            wanted, got = ({Span(tags[k], k, k + 1) for k in wrong} for tags in (gold_tags, predicted_tags))
        else:
            wanted, got = set(spans(gold_tags)), set(spans(predicted_tags))
        missed, spurious = (tuple(sorted(side, key=lambda span: span.start)) for side in (wanted - got, got - wanted))
        found.append(Mistake(i, *map(tuple, rows), missed, spurious, badness=float(sum(ps[k] for k in wrong))))
    return sorted(found, key=lambda mistake: -mistake.badness)[:limit]


def format_mistake(mistake: Mistake) -> str:
    """The sentence, then a line for each of its mistakes: its kind, what was predicted and how surely, what is right.

    `wrong type`: the words are right; `wrong boundary`: the type is right and some of the words; `wrong both`: only
    some of the words; `spurious`: nothing is there; `missed`: nothing was predicted there.
    """
    lines = textwrap.wrap(
        f"sentence {mistake.sentence}: {_excerpt(mistake)}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False
    )
    return "\n".join(lines + [f"  {kind:<14}  {text}" for kind, text in _lines(mistake)])


def _lines(mistake: Mistake) -> Iterator[tuple[str, str]]:
    """Kind and text of each mistake, in the sentence's order. A predicted span is set against the gold span it shares most
    words with; a gold span that no predicted one was set against is missed."""

    def quote(span: Span) -> str:
        return f'{span.type} "{" ".join(mistake.words[span.start : span.end])}"'

    def shared(one: Span, other: Span) -> int:
        return min(one.end, other.end) - max(one.start, other.start)

    lines, answered = [], set()
    for span in mistake.spurious:
        ps = mistake.probabilities[span.start : span.end]
        text = f"{quote(span)} {sum(ps) / len(ps):.2f}"
        right = max(mistake.missed, key=lambda gold: shared(span, gold), default=None)
        if right is None or shared(span, right) <= 0:
            lines.append((span.start, "spurious", text))
            continue
        answered.add(right)
        if (right.start, right.end) == (span.start, span.end):
            lines.append((span.start, "wrong type", f"{text}, right: {right.type}"))
        else:
            kind = "wrong boundary" if right.type == span.type else "wrong both"
            lines.append((span.start, kind, f"{text}, right: {quote(right)}"))
    lines += [(span.start, "missed", quote(span)) for span in mistake.missed if span not in answered]
    return ((kind, text) for _, kind, text in sorted(lines, key=lambda line: line[0]))


def _excerpt(mistake: Mistake) -> str:
    """The words, those far from every mistake of a long sentence replaced by an ellipsis."""
    words = mistake.words
    if len(words) <= _LONG:
        return " ".join(words)
    near = set()
    for span in mistake.missed + mistake.spurious:
        near.update(range(span.start - _CONTEXT, span.end + _CONTEXT))
    shown = [word if i in near else "…" for i, word in enumerate(words)]
    return " ".join(word for i, word in enumerate(shown) if i in near or i == 0 or i - 1 in near)

"""Two annotations of the same sentences: scores under each, and how well the mistakes of a model find their differences.

Takes the gold tags, those of the second annotation, and the mistakes of a model under the first. Reading is left to
`data.load`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfner.evaluation.mistakes import Mistake
from tfner.evaluation.scores import Scores
from tfner.terminal import table

FIRST = (100, 200)
"""How many of the worst sentences are looked at."""


@dataclass(frozen=True)
class Suspects:
    """How many of the sentences that a model contradicts most surely have another annotation where it contradicts the first.

    Attributes:
        number: sentences whose predicted tags differ from the first annotation.
        differing: those of them in which the second annotation differs from the first at a word where the model does, too.
        first: for some numbers of those that it contradicts most surely, how many of these do.
        all_differing: sentences in which the annotations differ anywhere.
    """

    number: int
    differing: int
    first: tuple[tuple[int, int], ...]
    all_differing: int

    def __str__(self) -> str:
        lines = [
            f"of the {most} sentences that the model contradicts most surely, the second annotation has other tags at such a "
            f"word in {found} ({found / most:.0%})"
            for most, found in self.first
        ]
        share = f" ({self.differing / self.number:.0%})" if self.number else ""
        lines.append(
            f"of all {self.number:,} that it contradicts, in {self.differing:,}{share}; in the whole split, "
            f"{self.all_differing:,} sentences"
        )
        return "\n".join(lines)


def suspects(gold: Sequence[Sequence[str]], other: Sequence[Sequence[str]], found: Sequence[Mistake]) -> Suspects:
    """What a second annotation says of a model's mistakes.

    Args:
        gold: the tags of each sentence that the model is scored with.
        other: those of the second annotation.
        found: all mistakes under the first, the surest first.
    """
    hits = [
        any(p != g != o for p, g, o in zip(mistake.predicted, mistake.gold, other[mistake.sentence], strict=True))
        for mistake in found
    ]
    first = tuple((most, sum(hits[:most])) for most in FIRST if most <= len(hits))
    differing = sum(list(one) != list(two) for one, two in zip(gold, other, strict=True))
    return Suspects(len(found), sum(hits), first, differing)


def format_both(scores: Scores, other: Scores) -> str:
    """F1 of each type and overall under both annotations, as a table."""
    rows: list[tuple[object, ...]] = [("type", "f1", "number", "f1, second annotation", "number")]
    kinds = dict.fromkeys((*scores.per_type, *other.per_type))
    pairs = [(kind, scores.per_type.get(kind), other.per_type.get(kind)) for kind in kinds]
    for name, one, two in (*pairs, ("overall", scores.overall, other.overall), ("strict", scores.strict, other.strict)):
        if one or two:
            cells = (cell for own in (one, two) for cell in ((f"{own.f1:.4f}", own.number) if own else ("", "")))
            rows.append((name, *cells))
    return table(rows)

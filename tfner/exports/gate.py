"""Checks an export for another runtime on the validation split before it is kept.

Takes a trained model, validation sentences, and ways to write a graph, the best first. Keeps the first with which F1 does not
fall too far and, in float32, tags and scores stay the same, and returns what was measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfner.corpus import Sentence
from tfner.errors import UserError, setting
from tfner.evaluation.scores import score
from tfner.modeling.decoding import Tagged
from tfner.modeling.variants import logits_function
from tfner.tagging.in_memory import InMemoryTagger
from tfner.tagging.tagger import RowTagger
from tfner.training.state import TrainedModel

_WARM_UP = 200  # sentences tagged before the time is taken
_OTHER_TAGS, _OTHER_SCORE = 1e-3, 1e-3
"""The share of words that may get another tag in float32, and how far the scores of the others may differ. Of the 51,362 words
of CoNLL-2003's validation split, none got another tag, and scores differed by at most 6.3e-6 (ONNX Runtime) and 3.6e-6
(OpenVINO, a 6-layer encoder)."""


@dataclass(frozen=True)
class Way:
    """A way to write a graph.

    Attributes:
        name: what it is, for messages.
        write: fills a folder with it.
        exact: whether the graph computes in float32, so that it gives the tags and scores of a model in float32.
    """

    name: str
    write: Callable[[Path], None]
    exact: bool = False


@dataclass(frozen=True)
class Measured:
    """What a tagger reached on the validation split: entity F1 and its tags for each task, and words per second."""

    f1_of: Mapping[str, float]
    words_per_second: float
    tagged: Mapping[str, Sequence[Tagged]]

    @property
    def f1(self) -> float:
        """The mean of the F1 of the tasks."""
        return sum(self.f1_of.values()) / len(self.f1_of)


def one_way(name: str, write: Callable[[Path], None], exact: bool = False) -> Generator[Way, float, None]:
    """A single way to write a graph."""
    yield Way(name, write, exact)


class Gate:
    """Compares exports with the trained model.

    Args:
        trained: the model.
        sentences: for each task the validation sentences, with their tags.
        max_f1_loss: how far F1 may fall in any task.
        say: called with each line for the terminal.
    """

    def __init__(
        self,
        trained: TrainedModel,
        sentences: Mapping[str, Sequence[Sentence]],
        max_f1_loss: float,
        say: Callable[[str], None],
    ):
        self.labels = {task: head.row_encoder.labels for task, head in trained.heads.items()}
        self.sentences, self.max_f1_loss, self.say = sentences, max_f1_loss, say
        self.before = self.measure(InMemoryTagger(logits_function(trained.model), trained.heads, trained.config))
        self.exact = trained.config.precision == "float32" and not tf.config.list_physical_devices("GPU")
        """Whether the model computes in float32; a GPU multiplies in TF32."""
        self.fault = ""
        """Why the last graph was refused, or empty."""

    def measure(self, tagger: RowTagger) -> Measured:
        """Tags the validation sentences, which have the same words for all tasks."""
        sentences = next(iter(self.sentences.values()))
        tagger.predict_tasks(sentences[:_WARM_UP])
        start = time.perf_counter()
        tagged = tagger.predict_tasks(sentences)
        seconds = time.perf_counter() - start
        f1_of = {
            task: score([s.tags for s in self.sentences[task]], [t.tags for t in own], self.labels[task]).overall.f1
            for task, own in tagged.items()
        }
        return Measured(f1_of, sum(len(s.words) for s in sentences) / seconds, tagged)

    def changes(self, measured: Measured) -> dict[str, float]:
        """How F1 changes in each task."""
        return {task: measured.f1_of[task] - f1 for task, f1 in self.before.f1_of.items()}

    def fault_of(self, measured: Measured, exact: bool = False) -> str:
        """Why a graph is refused: F1 falls too far in a task, or an `exact` graph gives other tags or scores. Else empty."""
        if any(-change > self.max_f1_loss for change in self.changes(measured).values()):
            of_task = " of a task" if len(self.labels) > 1 else ""
            return f"validation F1{of_task} falls by more than {setting('max_f1_loss', self.max_f1_loss)}"
        if self.exact and exact:
            same, differences = self._differences(measured)
            most = differences.max(initial=0, where=same)
            if (~same).mean() > _OTHER_TAGS or most > _OTHER_SCORE:
                return f"{(~same).sum():,} of {same.size:,} words get another tag, and scores differ by up to {most:.2g}"
        return ""

    def first_that_passes(
        self, folder: Path, ways: Generator[Way, float, None], load: Callable[[Path], RowTagger]
    ) -> Mapping[str, Any] | None:
        """Writes graphs into a folder until one passes.

        Args:
            folder: the folder of the export, complete except for the graph.
            ways: the ways to write the graph, the best first. It is sent the F1 of each; of several tasks, that of the one that
                loses most counts.
            load: loads the folder.

        Returns:
            What was measured, for `DESCRIPTION` and the model card, or None where no graph passes.

        Raises:
            UserError: if F1 alone decides, but is 0 for the trained model, so that no graph could lose any.
        """
        f1: Any = None  # the first way is asked for without one
        while True:
            try:
                way = ways.send(f1)
            except StopIteration:
                return None
            nothing = [task for task, f1 in self.before.f1_of.items() if not f1]
            if nothing and self.max_f1_loss < 1 and not (self.exact and way.exact):
                of_task = f" of {nothing[0]}" if len(self.labels) > 1 else ""
                raise UserError(
                    f"an export is compared by its validation F1{of_task}, which is 0 with the trained model: give a corpus "
                    f"with entities that it finds, with {setting('corpus')}"
                )
            way.write(folder)
            with load(folder) as tagger:
                measured = self.measure(tagger)
            changes = self.changes(measured)
            f1 = self.before.f1 + min(changes.values())
            of_tasks = (
                f"{f'{task} ' if len(changes) > 1 else ''}{measured.f1_of[task]:.4f} ({change:+.4f})"
                for task, change in changes.items()
            )
            self.say(
                f"{way.name}: validation F1 {', '.join(of_tasks)}, "
                f"{measured.words_per_second:,.0f} words/s (TensorFlow: {self.before.words_per_second:,.0f})"
            )
            self.fault = self.fault_of(measured, way.exact)
            if not self.fault:
                return {"graph": way.name, **self._comparison(measured), "mib": round(_mib(folder), 1)}

    def _comparison(self, measured: Measured) -> dict[str, Any]:
        same, differences = self._differences(measured)
        return {
            "sentences": len(next(iter(self.sentences.values()))),
            "f1_before": round(self.before.f1, 6),
            "f1_after": round(measured.f1, 6),
            "same_tags": round(float(same.mean()), 6),
            "largest_score_difference": float(f"{differences.max():.2g}"),
            "words_per_second": round(measured.words_per_second),
            "words_per_second_tensorflow": round(self.before.words_per_second),
        }

    def _differences(self, measured: Measured) -> tuple[np.ndarray, np.ndarray]:
        """For each word whether it gets the same tag, bool, and by how much its score differs, float32."""
        pairs = [pair for task, own in measured.tagged.items() for pair in zip(self.before.tagged[task], own, strict=True)]
        same = np.concatenate([np.array(one.tags) == np.array(other.tags) for one, other in pairs])
        return same, np.concatenate([np.abs(one.probabilities - other.probabilities) for one, other in pairs])


def refusal(gate: Gate, precision: str, alternative: tuple[str, Mapping[str, Any]] | None) -> UserError:
    """The error for a precision whose graphs do not pass.

    Args:
        gate: what refused it.
        precision: the precision.
        alternative: the fastest of the more exact precisions that passes, and what was measured; None where there is none.
    """
    given = setting("precision", precision)
    if alternative is None:
        return UserError(
            f"{given}: {gate.fault}, in float32 too: the export does not compute what the model does: use another format"
        )
    name, measured = alternative
    of_task = " of a task" if len(gate.labels) > 1 else ""
    return UserError(
        f"{given}: validation F1{of_task} falls by more than {setting('max_f1_loss', gate.max_f1_loss)}: the fastest precision "
        f"within it is {setting('precision', name)} "
        f"({measured['words_per_second']:,} words/s, F1 {measured['f1_after']:.4f}); use that, or allow more"
    )


def _mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20

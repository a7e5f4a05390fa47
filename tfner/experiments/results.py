"""What a comparison found, as data: models with their runs by corpus, claims about them, and the facts of the comparison.

Takes a `Plan` and its finished runs, and returns `Results`, also as JSON. Tables and pages are made in `report`.
"""

from __future__ import annotations

import platform
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

import tfner
from tfner.corpus import Corpus, Sentence
from tfner.evaluation.scores import NO_ENTITIES, Score, Scores, Tags
from tfner.experiments.breakdown import Kinds, Notable, document_counts, error_counts, notable_sentences, score_by_kind
from tfner.experiments.claims import Claim, compare_pairs, mean_f1, mean_interval
from tfner.experiments.plan import Condition, Plan
from tfner.experiments.runs import Failed, Finished
from tfner.machine import processor, usable_cores
from tfner.terminal import counted

PACKAGES = ("tensorflow", "tf-keras", "transformers", "datasets", "numpy", "seqeval", "nervaluate")


@dataclass(frozen=True)
class Model:
    """A condition with its finished runs, in the order of their seeds."""

    condition: Condition
    runs: tuple[Finished, ...]

    @property
    def name(self) -> str:
        return self.condition.name

    @property
    def seeds(self) -> list[int]:
        return [run.run.config.seed for run in self.runs]

    def scores(self, split: str) -> list[Scores]:
        """The scores of each seed."""
        return [run.scores[split] for run in self.runs]


@dataclass(frozen=True)
class Group:
    """The models that were trained and tested on the same sentences, and what can be said about them.

    Attributes:
        corpus: their corpus.
        split: the split that is compared: test, or validation where there is no test split.
        models: the models with at least one finished run.
        claims: of each pair.
    """

    corpus: Corpus
    split: str
    models: tuple[Model, ...]

    @property
    def title(self) -> str:
        return f"{Path(self.corpus.name).name or self.corpus.name} ({self.corpus.task})"

    @property
    def apart(self) -> list[tuple[str, str]]:
        """The pairs of models that cannot be compared, as no seed of one is a seed of the other."""
        pairs = combinations(self.models, 2)
        return [(one.name, other.name) for one, other in pairs if not set(one.seeds) & set(other.seeds)]

    @property
    def shown(self) -> tuple[str, ...]:
        """The splits whose scores are shown."""
        return tuple(dict.fromkeys((self.split, "validation")))

    @property
    def plain(self) -> bool:
        return self.corpus.labels.plain

    @property
    def sentences(self) -> Sequence[Sentence]:
        return self.corpus.splits[self.split]

    def predicted(self, model: Model) -> list[Sequence[Tags]]:
        """By seed the predicted tags of the split."""
        return [run.predictions[self.split] for run in model.runs]

    @cached_property
    def counts(self) -> dict[str, dict[int, np.ndarray]]:
        """By model and seed the gold, predicted and correct entities of each document."""
        return {
            model.name: {
                seed: document_counts(self.sentences, tags, self.plain)
                for seed, tags in zip(model.seeds, self.predicted(model), strict=True)
            }
            for model in self.models
        }

    @cached_property
    def claims(self) -> list[Claim]:
        return compare_pairs(self.counts)

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """By model the 95 % interval of its mean F1."""
        return {name: mean_interval(np.stack(list(by_seed.values()))) for name, by_seed in self.counts.items()}

    @cached_property
    def by_kind(self) -> dict[str, dict[str, dict[str, list[Score]]]]:
        """By way to divide entities, kind and model, the score of each seed. Kinds that do not occur are left out."""
        ways: dict[str, dict[str, dict[str, list[Score]]]] = {}
        for way, (names, kind) in Kinds(self.corpus.splits["train"], self.plain).by_name().items():
            found: dict[str, dict[str, list[Score]]] = {name: {} for name in names}
            for model in self.models:
                scores = [score_by_kind(self.sentences, tags, self.plain, kind) for tags in self.predicted(model)]
                for name in names:
                    if any(name in of_seed for of_seed in scores):
                        found[name][model.name] = [of_seed.get(name, NO_ENTITIES) for of_seed in scores]
            ways[way] = {name: by_model for name, by_model in found.items() if by_model}
        return ways

    @cached_property
    def errors(self) -> dict[str, list[dict[str, int]]]:
        """By model and seed, the number of errors of each kind; empty for plain labels."""
        if self.plain:
            return {}
        return {model.name: [error_counts(self.sentences, tags) for tags in self.predicted(model)] for model in self.models}

    @cached_property
    def notable(self) -> tuple[list[Notable], list[Notable]]:
        """The sentences that models disagree about, and those that all get wrong."""
        return notable_sentences(self.sentences, {model.name: self.predicted(model) for model in self.models}, self.plain)

    def confusion(self, model: Model) -> Scores:
        """The scores of the first seed with the confusion matrix of all seeds together."""
        scores = model.scores(self.split)
        labels = max((s.labels for s in scores), key=len)
        total = np.zeros((len(labels), len(labels)), np.int64)
        for one in scores:
            at = [labels.index(name) for name in one.labels]
            total[np.ix_(at, at)] += one.confusion
        return Scores(**{**vars(scores[0]), "confusion": total, "labels": labels, "interval": None})


@dataclass(frozen=True)
class Results:
    """Everything that a comparison found."""

    plan: Plan
    groups: tuple[Group, ...]
    failed: tuple[Failed, ...]
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The results as a value for `json.dumps`. What differs when the same comparison runs again is in `measured`."""
        return {
            "facts": dict(self.facts),
            "groups": [_group_json(group) for group in self.groups],
            "failed": {failed.run.name: failed.error for failed in self.failed},
            "measured": {
                run.run.name: {
                    "export_bytes": run.export_bytes,
                    "training_seconds": run.training_seconds,
                    "tagged_words_per_second": run.tagged_words_per_second,
                    "wall_seconds": run.wall_seconds,
                }
                for group in self.groups
                for model in group.models
                for run in model.runs
            },
        }


def collect(
    plan: Plan, finished: Sequence[Finished], failed: Sequence[Failed], facts: Mapping[str, Any], split: str = "test"
) -> Results:
    """The results of finished runs, compared on a split; on validation where a corpus does not have it."""
    by_condition: dict[str, list[Finished]] = defaultdict(list)
    for run in finished:
        by_condition[run.run.condition.name].append(run)
    by_corpus: dict[str, list[Model]] = defaultdict(list)
    for condition in plan.conditions:
        if runs := by_condition[condition.name]:
            by_corpus[runs[0].run.fingerprint["corpus"]].append(Model(condition, tuple(runs)))
    groups = []
    for models in by_corpus.values():
        corpus = plan.corpus(models[0].condition)
        groups.append(Group(corpus, split if split in corpus.splits else "validation", tuple(models)))
    return Results(plan, tuple(groups), tuple(failed), facts)


def find_facts(command: str, tuning: str) -> dict[str, Any]:
    """The machine, the packages and the command of a comparison, and how its settings were chosen."""
    home, commit = Path(tfner.__file__).parents[1], ""
    if (home / ".git").exists():  # else git would find the repository that tfner is installed within
        git = ["git", "-C", str(home), "describe", "--always", "--dirty", "--exclude=*"]
        with suppress(FileNotFoundError):  # git is not installed
            commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "command": command,
        "tuning": tuning,
        "tfner": f"{tfner.__version__}{f', commit {commit}' if commit else ''}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "processor": f"{processor()}, {counted(len(usable_cores()), 'core')}",
    }


def mean_and_deviation(values: Sequence[float], digits: int = 4) -> str:
    """The mean and the standard deviation of several seeds as text; one value alone without it."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def _group_json(group: Group) -> dict[str, Any]:
    models = {}
    for model in group.models:
        rows = {}
        for run in model.runs:
            scores = {
                split: {k: v for k, v in run.scores[split].to_json().items() if k != "confusion"} for split in group.shown
            }
            rows[run.run.config.seed] = {"scores": scores, "history": _without_times(run.history)}
        counts = np.stack(list(group.counts[model.name].values()))
        models[model.name] = {
            "settings": {k: v for k, v in asdict(model.condition.config).items() if k not in ("output", "seed", "tensorboard")},
            "parameters": model.runs[0].parameters,
            "devices": sorted({run.devices for run in model.runs}),
            "seeds": rows,
            "mean_f1": mean_f1(counts),
            "mean_f1_interval": group.intervals[model.name],
            "errors": group.errors.get(model.name),
            "f1_by_kind": {
                way: {kind: [s.f1 for s in by_model[model.name]] for kind, by_model in kinds.items() if model.name in by_model}
                for way, kinds in group.by_kind.items()
            },
        }
    return {
        "corpus": group.corpus.name,
        "task": group.corpus.task,
        "split": group.split,
        "counts": {split: {k: c[k] for k in ("sentences", "documents", "words")} for split, c in group.corpus.counts().items()},
        "models": models,
        "claims": [{**asdict(claim), "holds": claim.holds, "text": str(claim)} for claim in group.claims],
    }


def _without_times(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "words_per_second")} for row in history]

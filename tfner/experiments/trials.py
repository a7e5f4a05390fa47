"""The trials on the study's collapse: plans them, and trains those that are not finished.

Takes a corpus and an encoder, and writes `runs/NAME.json` for each trial and seed.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

from tfner import __version__
from tfner.config import Config, as_flag, make_config
from tfner.corpus import Corpus
from tfner.errors import UserError, setting
from tfner.experiments.choices import DECISIVE, TRIALS, Trial
from tfner.experiments.plan import REPORT_FILES, RUNS, corpus_checksum, differences, encoder_checksum, read_corpus, slug
from tfner.experiments.runs import alone, duration
from tfner.folder import check_output, write_json, write_whole
from tfner.terminal import quiet_imports, table

ONE_CLASS = 0.99
"""The share of the most frequent label from which a model counts as collapsed. O has 0.83 of the words of CoNLL-2003."""
SETTINGS = ("encoder", "corpus", "tag_column", "text_encoding", "one_document", "epochs", "precision")
"""The settings that the experiment takes. Those of the models and their training are the study's."""


@dataclass(frozen=True)
class Outcome:
    """A finished trial with one seed: the rows that `study.train` yields, and the seconds that it took."""

    trial: Trial
    seed: int
    rows: Sequence[Mapping[str, Any]]
    seconds: float

    @property
    def last(self) -> Mapping[str, Any]:
        """The row of the last epoch, whose model the study used.

        Its EarlyStopping had a patience of 5 in 4 epochs, so it never stopped, and Keras before 2.16 restores the best weights
        only where it stops.
        """
        return self.rows[-1]

    @property
    def restored(self) -> Mapping[str, Any]:
        """The row of the epoch that EarlyStopping on the accuracy of all positions restores today: the first of the best."""
        return max(self.rows, key=lambda row: row["val_accuracy"])

    @property
    def collapsed(self) -> bool:
        """Whether the model of the last epoch gives (nearly) all words the same label."""
        return bool(self.last["top_share"] >= ONE_CLASS)


@dataclass(frozen=True)
class Study:
    """The experiment: what is trained, and where the results are. `plan_study` makes one.

    Attributes:
        folder: its folder.
        config: the settings SETTINGS.
        corpus: a corpus of entities with a validation split, in which O is class 0.
        seeds: the number of seeds: 0, 1, ... are used.
        share: the share of the sentences of both splits, from their beginning, that trials other than the decisive ones use.
        trials: what is trained.
    """

    folder: Path
    config: Config
    corpus: Corpus
    seeds: int
    share: float
    trials: Sequence[Trial]

    @property
    def command(self) -> str:
        """The command that asks for the same."""
        words = ["python", "-m", "tfner.compare", "--study", "collapse", "--seeds", self.seeds, "--share", self.share]
        words += ["--output", self.folder]
        for name in SETTINGS:
            value = getattr(self.config, name)
            if value != getattr(Config, name):
                words += as_flag(name, value)
        return shlex.join(map(str, words))

    def share_of(self, trial: Trial) -> float:
        """The share of the sentences that a trial uses: the decisive ones use all."""
        return 1.0 if trial.part == DECISIVE else self.share

    def path(self, trial: Trial, seed: int) -> Path:
        """The file of a trial's results."""
        return self.folder / RUNS / f"{trial.part}-{slug(trial.name)}-seed{seed}.json"

    def fingerprint(self, trial: Trial, seed: int) -> dict[str, Any]:
        """What decides whether results are those of this trial."""
        settings = {"epochs": self.config.epochs, "precision": self.config.precision, "share": self.share_of(trial)}
        return {
            "settings": {**settings, "seed": seed, **json.loads(json.dumps(asdict(trial.choices)))},
            **self._checksums,
            "tfner": __version__,
        }

    @cached_property
    def _checksums(self) -> dict[str, str]:
        return {"corpus": corpus_checksum(self.corpus), "encoder": encoder_checksum(self.config.encoder)}

    def finished(self, trial: Trial, seed: int) -> Outcome | None:
        """The results of a trial, or None. Raises UserError for those of other settings, sentences or another encoder."""
        path = self.path(trial, seed)
        if not path.is_file():
            return None
        value = json.loads(path.read_text("utf-8"))
        if differs := differences(value["fingerprint"], self.fingerprint(trial, seed)):
            raise UserError(f"was planned differently ({'; '.join(differs)}): choose another {setting('output')}", path)
        return Outcome(trial, seed, value["rows"], value["seconds"])

    def runs(self) -> list[tuple[int, Trial]]:
        """All trials in the order in which they are trained: the decisive ones, which take longest, come last."""
        parts = [[t for t in self.trials if (t.part == DECISIVE) is last] for last in (False, True)]
        return [(seed, trial) for part in parts for seed in range(self.seeds) for trial in part]


def plan_study(
    seeds: int = 2,
    share: float = 1.0,
    output: str | Path | None = None,
    trials: Sequence[Trial] = TRIALS,
    **settings: Any,
) -> Study:
    """Plans the experiment and reads its corpus. Nothing is written.

    Args:
        seeds: the number of seeds, 0, 1, ..., that each trial is trained with.
        share: the share of the sentences that trials other than the decisive ones use.
        output: the folder of the results [`comparisons/collapse`].
        trials: what is trained, some of `choices.TRIALS`.
        settings: some of SETTINGS; `epochs` is 4 if it is not given, the most that the study trained.

    Raises:
        UserError: for other settings, values that cannot be used, a corpus that cannot be read or whose class 0 is not O, and a
            folder that holds something else, or results of other settings.
    """
    for name in settings:
        if name not in SETTINGS:
            taken = ", ".join(map(setting, SETTINGS))
            raise UserError(f"{setting(name)}: the study's trainings do not take this setting, only {taken}")
    if not 0 < share <= 1:
        raise UserError(f"{setting('share', share)}: expected more than 0, at most 1")
    if seeds < 1:
        raise UserError(f"{setting('seeds', seeds)}: expected at least one")
    config = make_config(**{"epochs": 4, **settings})
    if not isinstance(config.epochs, int):
        raise UserError(f"{setting('epochs', config.epochs)}: expected a number, as the study trained up to 4 epochs")
    folder = Path(output or Path("comparisons", "collapse")).expanduser()
    check_output(folder, "a study", (RUNS, *REPORT_FILES))
    corpus = read_corpus(config, folder)
    if corpus.labels.plain or corpus.labels.names[0] != "O":
        raise UserError(
            f"{setting('corpus', config.corpus)}: expected entities, with O as class 0: {corpus.labels.names[0]} is"
        )
    study = Study(folder, config, corpus, seeds, share, trials)
    for seed, trial in study.runs():
        study.finished(trial, seed)
    return study


def dry_run(study: Study, say: Callable[[str], None] = print) -> None:
    """Says which trials the experiment has, and which are finished."""
    rows = [("part", "trial", "seed", "state")]
    known = {(seed, trial): study.finished(trial, seed) for seed, trial in study.runs()}
    rows += [(t.part, t.name, str(seed), "finished" if outcome else "new") for (seed, t), outcome in known.items()]
    say(table(rows, left=2))
    left, done = [trial for (_, trial), outcome in known.items() if not outcome], list(filter(None, known.values()))
    if left and not done:
        say("the time that the others take is known when one is finished")
    elif left:
        say(f"about {duration(_expected(study, left, done))} in all")


def carry_out(study: Study, say: Callable[[str], None] = print) -> list[Outcome]:
    """Trains every trial that is not finished; returns the results of all, in the order of the trials.

    A trial that is interrupted starts again with its first epoch.
    """
    with alone(study.folder):
        known = {(seed, trial): study.finished(trial, seed) for seed, trial in study.runs()}
        done, left = list(filter(None, known.values())), [run for run, outcome in known.items() if not outcome]
        for number, (seed, trial) in enumerate(known, start=1):
            if (seed, trial) not in left:
                continue
            outcome = _train(study, trial, seed)
            done.append(outcome)
            left.remove((seed, trial))
            f1, share, label = (outcome.last[name] for name in ("f1", "top_share", "top_class"))
            what = f"{share:.1%} of the words are {label}" if outcome.collapsed else f"F1 {f1:.4f}"
            line = f"{number:>3} of {len(known)}  {trial.part}: {trial.name}, seed {seed}: {what}, {duration(outcome.seconds)}"
            seconds = _expected(study, [trial for _, trial in left], done)
            say(f"{line}; about {duration(seconds)} left" if left else line)
    return sorted(done, key=lambda outcome: (study.trials.index(outcome.trial), outcome.seed))


def _expected(study: Study, left: Sequence[Trial], done: Sequence[Outcome]) -> float:
    """The seconds that trials take: as long as with other seeds, or as others of their kind by their share of the sentences."""

    def kind(trial: Trial) -> tuple[str, int]:
        return trial.choices.length, trial.choices.batch_size

    seconds = 0.0
    for trial in left:
        same = [o for o in done if o.trial == trial] or [o for o in done if kind(o.trial) == kind(trial)] or done
        seconds += mean(o.seconds / study.share_of(o.trial) for o in same) * study.share_of(trial)
    return seconds


def _train(study: Study, trial: Trial, seed: int) -> Outcome:
    with quiet_imports():
        from tfner.experiments.study import train

    start = time.monotonic()
    config = study.config
    assert isinstance(config.epochs, int)
    options = (study.share_of(trial), config.epochs, config.precision)
    rows = list(train(trial.choices, config.encoder, study.corpus, seed, *options))
    seconds = time.monotonic() - start
    path = study.path(trial, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    value = {"fingerprint": study.fingerprint(trial, seed), "rows": rows, "seconds": seconds}
    write_whole(path, lambda draft: write_json(draft, value))
    return Outcome(trial, seed, rows, seconds)

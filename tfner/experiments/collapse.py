"""Why models 2 and 3 of the study predict one class: trains the trials, and reports what each choice does.

Takes a corpus and an encoder, and writes `runs/NAME.json` for each trial and seed. What is finished is not trained again.
"""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tfner import __version__
from tfner.config import Config, make_config
from tfner.corpus import Corpus, Sentence
from tfner.errors import UserError, setting
from tfner.experiments import figures
from tfner.experiments.choices import DECISIVE, FAILING, LENGTH, TRIALS, WORKING, Trial
from tfner.experiments.plan import REPORT, REPORT_FILES, RUNS, corpus_checksum, differences, encoder_checksum, slug
from tfner.experiments.report import Section, Table, write_report
from tfner.experiments.results import find_facts, mean_and_deviation
from tfner.experiments.runs import duration
from tfner.folder import check_output, write_json, write_whole
from tfner.terminal import quiet_imports, table
from tfner.training.request import check_request

ONE_CLASS = 0.99
"""The share of the most frequent label from which a model counts as collapsed. O has 0.83 of the words of CoNLL-2003."""
TITLE = "Why models 2 and 3 of the study predict one class"
TITLES = {
    FAILING: "Choices repaired in the study's run",
    WORKING: "Choices of the study added to a run that works",
    DECISIVE: "Decisive runs, on all sentences",
}
SETTINGS = ("encoder", "corpus", "tag_column", "text_encoding", "one_document", "epochs", "precision")
"""The settings that the experiment takes. Those of the models and their training are the study's."""
STUDY_FIGURES = {
    "model 2 of the study": [
        (0.4675, 0.0048, 0.4688, 0.0041),
        (0.3120, 0.0539, 0.2557, 0.9735),
        (0.3035, 0.3936, 0.4871, 0.0028),
        (2.5516, 0.2771, 0.7554, 0.9735),
    ],
    "model 3 of the study": [
        (0.2356, 0.8845, 0.1798, 0.9735),
        (0.1882, 0.9737, 0.2017, 0.9735),
        (0.1875, 0.9747, 0.1971, 0.9735),
        (0.1988, 0.9192, 0.1649, 0.9735),
    ],
}
"""Loss, accuracy, validation loss and accuracy of each epoch, from the study's Figures 10 (model 2) and 11 (model 3)."""


@dataclass(frozen=True)
class Outcome:
    """A finished trial with one seed: the rows that `study.train` yields, and the seconds that it took."""

    trial: Trial
    seed: int
    rows: Sequence[Mapping[str, Any]]
    seconds: float

    @property
    def kept(self) -> Mapping[str, Any]:
        """The row of the epoch that EarlyStopping on the accuracy of all positions keeps: the first with the highest."""
        return max(self.rows, key=lambda row: row["val_accuracy"])

    @property
    def collapsed(self) -> bool:
        """Whether the model that EarlyStopping keeps gives (nearly) all words the same label."""
        return bool(self.kept["top_share"] >= ONE_CLASS)


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
                words += ["--" + name.replace("_", "-"), *([] if value is True else [value])]
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
            "corpus": corpus_checksum(self.corpus),
            "encoder": encoder_checksum(self.config.encoder),
            "tfner": __version__,
        }

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
    corpus = check_request(replace(config, output=str(folder / RUNS / "new")))
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
    rows += [(t.part, t.name, str(seed), "finished" if study.finished(t, seed) else "new") for seed, t in study.runs()]
    say(table(rows, left=2))


def carry_out(study: Study, say: Callable[[str], None] = print) -> list[Outcome]:
    """Trains every trial that is not finished; returns the results of all, in the order of the trials.

    A trial that is interrupted starts again with its first epoch.
    """
    done: list[Outcome] = []
    runs = study.runs()
    for number, (seed, trial) in enumerate(runs, start=1):
        if known := study.finished(trial, seed):
            done.append(known)
            continue
        outcome = _train(study, trial, seed)
        done.append(outcome)
        f1, share, label = (outcome.kept[name] for name in ("f1", "top_share", "top_class"))
        what = f"{share:.1%} of the words are {label}" if outcome.collapsed else f"F1 {f1:.4f}"
        say(f"{number:>3} of {len(runs)}  {trial.part}: {trial.name}, seed {seed}: {what}, {duration(outcome.seconds)}")
    return sorted(done, key=lambda outcome: (study.trials.index(outcome.trial), outcome.seed))


def conduct(study: Study, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Trains what is not finished, and writes the report of all trials.

    Args:
        study: the experiment.
        say: called with each line for the terminal.

    Returns:
        The results, as they are in `results.json`.
    """
    outcomes = carry_out(study, say)
    facts = find_facts(study.command, "")
    value = to_json(outcomes, facts)
    write_report(study.folder, list(sections(study, outcomes, facts)), value, TITLE)
    for part, title in TITLES.items():
        rows = [("trial", "seeds", "collapsed", "F1 of the kept epoch")]
        for name, own in _by_name(outcomes, part).items():
            f1 = mean_and_deviation([outcome.kept["f1"] for outcome in own])
            rows.append((name, str(len(own)), str(sum(outcome.collapsed for outcome in own)), f1))
        if len(rows) > 1:
            say(f"\n{title}\n{table(rows)}")
    say(f"\nthe report is {study.folder / REPORT}")
    return value


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


def sections(study: Study, outcomes: Sequence[Outcome], facts: Mapping[str, Any]) -> Iterator[Section]:
    """The parts of the report, which `report.to_markdown` and `report.to_html` take."""
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    rate = max(row["rate"] for outcome in outcomes for row in outcome.rows)
    precisions = sorted({row.get("precision", study.config.precision) for outcome in outcomes for row in outcome.rows})
    yield Section(
        "Conditions",
        2,
        [
            f"Made with `{facts['command']}`.",
            f"tfner {facts['tfner']}; Python {facts['python']}; {packages}; {facts['processor']}.",
            f"Encoder {Path(study.config.encoder).name}, corpus {Path(study.corpus.name).name}, {study.config.epochs} epochs, "
            f"{', '.join(precisions)}. Trials use {_sentences(study, study.share)}, decisive ones {_sentences(study, 1.0)}.",
            "The study's Adam ran at 1e-3, which is 20 times tfner's default rate for bert-base; for this encoder, that "
            f"is {rate:g}.",
            "Accuracy counts all positions of rows of 100 pieces, padding as class 0: what the study saw. Accuracy without "
            "padding counts the other pieces, F1 entities as conlleval does. All are of the validation split after each epoch. "
            "The kept epoch is the one with the highest accuracy, which EarlyStopping restored in the study; a model has "
            f"collapsed if it gives {ONE_CLASS:.0%} of the words the same label in this epoch.",
        ],
    )
    for part, title in TITLES.items():
        if own := _by_name(outcomes, part):
            yield _part(title, own)
    yield from _beside(outcomes, one_class_accuracies(study.corpus.splits["validation"]))


def one_class_accuracies(sentences: Sequence[Sentence]) -> dict[str, float]:
    """By label, the accuracy of a model that predicts this label everywhere, counted as in the study.

    Rows have 100 pieces, one for each word, and all other positions count as O.
    """
    counts = Counter(tag for sentence in sentences for tag in sentence.tags[: LENGTH - 2])
    positions = LENGTH * len(sentences)
    counts["O"] += positions - counts.total()
    return {tag: number / positions for tag, number in counts.most_common()}


def _by_name(outcomes: Sequence[Outcome], part: str) -> dict[str, list[Outcome]]:
    """The outcomes of each trial of a part."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.trial.part == part:
            found.setdefault(outcome.trial.name, []).append(outcome)
    return found


def _sentences(study: Study, share: float) -> str:
    number = len(study.corpus.splits["train"])
    return f"all {number:,} training sentences" if share == 1 else f"the first {share:.0%} of {number:,} training sentences"


def _part(title: str, by_name: Mapping[str, Sequence[Outcome]]) -> Section:
    header = ["", "seed", "collapsed", "kept epoch", "its F1", "F1", "accuracy", "without padding", "most frequent label"]
    rows = [
        [
            name,
            str(outcome.seed),
            "yes" if outcome.collapsed else "no",
            str(outcome.kept["epoch"]),
            f"{outcome.kept['f1']:.4f}",
            *(" ".join(f"{row[column]:.3f}" for row in outcome.rows) for column in ("f1", "val_accuracy", "masked_accuracy")),
            " ".join(f"{row['top_class']} {row['top_share']:.3f}" for row in outcome.rows),
        ]
        for name, own in by_name.items()
        for outcome in own
    ]
    kept = {name: [outcome.kept["f1"] for outcome in own] for name, own in by_name.items()}
    ends = {name: (min(values), max(values)) for name, values in kept.items()}
    plot = (
        figures.intervals(kept, ends, "F1 of the kept epoch (validation)", share=True),
        "F1 of the kept epoch of each trial and seed",
    )
    return Section(title, 2, tables=[Table(header, rows)], plots=[plot])


def _beside(outcomes: Sequence[Outcome], one_class: Mapping[str, float]) -> Iterator[Section]:
    """The study's figures beside those of the same model here."""
    columns = ("loss", "accuracy", "val_loss", "val_accuracy")
    labels = {f"{accuracy:.4f}": label for label, accuracy in one_class.items()}
    text = "Accuracy of a model that predicts one label everywhere, counted as in the study: "
    text += ", ".join(f"{label} {accuracy}" for accuracy, label in labels.items())
    text += ". Where the study's accuracy is one of these, the last column has the label in brackets."
    for name, figure in {"model 2 of the study": "Figure 10", "model 3 of the study": "Figure 11"}.items():
        own = [o for o in outcomes if o.trial.name == name]
        own = [o for o in own if o.trial.part == DECISIVE] or own
        if not own:
            continue
        rows = []
        for number, values in enumerate(STUDY_FIGURES[name], start=1):
            cells = [f"{value:.4f}" for value in values]
            label = labels.get(cells[-1])
            rows.append([f"the study, epoch {number}", *cells, "", f"({label})" if label else ""])
        for outcome in own:
            for row in outcome.rows:
                cells = [f"{row[c]:.4f}" for c in (*columns, "f1")]
                rows.append(
                    [f"seed {outcome.seed}, epoch {row['epoch']}", *cells, f"{row['top_class']} {row['top_share']:.3f}"]
                )
        header = ["", "loss", "accuracy", "validation loss", "validation accuracy", "F1", "most frequent label"]
        histories = {f"seed {o.seed}": [o.rows] for o in own}
        measures = {"val_loss": "loss", "val_accuracy": "accuracy, padding counted", "f1": "F1"}
        plot = (figures.curves(histories, measures, ("val_accuracy", "f1")), f"{name}: loss, accuracy and F1 by epoch")
        yield Section(f"{name}, beside {figure}", 2, [text], [Table(header, rows)], [plot])


def to_json(outcomes: Sequence[Outcome], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The results as a value for `json.dumps`."""
    runs = [
        {
            "part": o.trial.part,
            "trial": o.trial.name,
            "choices": asdict(o.trial.choices),
            "seed": o.seed,
            "rows": list(o.rows),
            "kept_epoch": o.kept["epoch"],
            "collapsed": o.collapsed,
        }
        for o in outcomes
    ]
    return {"facts": dict(facts), "runs": runs, "study": STUDY_FIGURES}

"""Why models 2 and 3 of the study predict one class: the report of the trials.

Takes a `Study`, trains its trials, and writes what each choice does beside the study's own figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tfner.corpus import Sentence
from tfner.experiments import figures
from tfner.experiments.choices import DECISIVE, FAILING, LENGTH, STUDY, WORKING, beginning
from tfner.experiments.plan import REPORT
from tfner.experiments.report import Section, Table, origin, write_report
from tfner.experiments.results import find_facts, mean_and_deviation
from tfner.experiments.trials import ONE_CLASS, Outcome, Study, carry_out
from tfner.terminal import table

TITLE = "Why models 2 and 3 of the study predict one class"
TITLES = {
    FAILING: "Choices repaired in the study's run",
    WORKING: "Choices of the study added to a run that works",
    DECISIVE: "Decisive runs, on all sentences",
}
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
FIGURES = {10: ("model 2 of the study", STUDY), 11: ("model 3 of the study", replace(STUDY, units=()))}
"""The model of each of these figures, and the choices that make it."""


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
        rows = [("trial", "seeds", "collapsed", "F1")]
        for name, own in _by_name(outcomes, part).items():
            f1 = mean_and_deviation([outcome.last["f1"] for outcome in own])
            rows.append((name, str(len(own)), str(sum(outcome.collapsed for outcome in own)), f1))
        if len(rows) > 1:
            say(f"\n{title}\n{table(rows)}")
    say(f"\nthe report is {study.folder / REPORT}")
    return value


def sections(study: Study, outcomes: Sequence[Outcome], facts: Mapping[str, Any]) -> Iterator[Section]:
    """The parts of the report, which `report.to_markdown` and `report.to_html` take."""
    rate = max(row["rate"] for outcome in outcomes for row in outcome.rows)
    decisive = f", decisive ones {_sentences(study, 1.0)}" if _by_name(outcomes, DECISIVE) else ""
    precisions = sorted({row.get("precision", study.config.precision) for outcome in outcomes for row in outcome.rows})
    yield Section(
        "Conditions",
        2,
        [
            *origin(facts),
            f"Encoder {Path(study.config.encoder).name}, corpus {Path(study.corpus.name).name}, {study.config.epochs} epochs, "
            f"{', '.join(precisions)}. Trials use {_sentences(study, study.share)}{decisive}.",
            "The study's Adam ran at 1e-3, which is 20 times tfner's default rate for bert-base; for this encoder, that "
            f"is {rate:g}.",
            "Accuracy counts all positions of rows of 100 pieces, padding as class 0: what the study saw. Accuracy without "
            "padding counts the other pieces, F1 entities as conlleval does. All are of the validation split after each epoch. "
            f"A model has collapsed if it gives {ONE_CLASS:.0%} of the words the same label after the last epoch, which the "
            "study used: its EarlyStopping had more patience than there were epochs, and Keras before 2.16 restores the best "
            "weights only where it stops. Later versions restore them in any case, those of the epoch with the highest "
            "accuracy: the restored epoch of the tables.",
        ],
    )
    for part, title in TITLES.items():
        if own := _by_name(outcomes, part):
            yield _part(title, own)
    yield from _beside(study, outcomes)


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
    train, validation = (len(study.corpus.splits[split]) for split in ("train", "validation"))
    which = "all" if share == 1 else f"the first {share:.0%} of"
    return f"{which} {train:,} training and {validation:,} validation sentences"


def _part(title: str, by_name: Mapping[str, Sequence[Outcome]]) -> Section:
    header = ["", "seed", "collapsed", "F1", "restored epoch", "its F1"]
    header += [f"{name} by epoch" for name in ("F1", "accuracy", "without padding", "most frequent label")]
    rows = [
        [
            name,
            str(outcome.seed),
            "yes" if outcome.collapsed else "no",
            f"{outcome.last['f1']:.4f}",
            str(outcome.restored["epoch"]),
            f"{outcome.restored['f1']:.4f}",
            *(" ".join(f"{row[column]:.3f}" for row in outcome.rows) for column in ("f1", "val_accuracy", "masked_accuracy")),
            " ".join(f"{row['top_class']} {row['top_share']:.3f}" for row in outcome.rows),
        ]
        for name, own in by_name.items()
        for outcome in own
    ]
    f1 = {name: [outcome.last["f1"] for outcome in own] for name, own in by_name.items()}
    ends = {name: (min(values), max(values)) for name, values in f1.items()}
    plot = (
        figures.intervals(f1, ends, "F1 after the last epoch (validation)", share=True),
        "F1 after the last epoch: a dot for each seed, a line between them",
    )
    return Section(title, 2, tables=[Table(header, rows)], plots=[plot])


def _beside(study: Study, outcomes: Sequence[Outcome]) -> Iterator[Section]:
    """The study's figures beside those of the same model here: of the decisive runs, or of the trials without them."""
    columns = ("loss", "accuracy", "val_loss", "val_accuracy")
    labels: dict[str, str] = {}
    for label, accuracy in one_class_accuracies(study.corpus.splits["validation"]).items():
        shown = f"{accuracy:.4f}"
        labels[shown] = f"{labels[shown]} or {label}" if shown in labels else label
    text = "Accuracy of a model that predicts one label everywhere, counted as in the study: "
    text += ", ".join(f"{label} {accuracy}" for accuracy, label in labels.items())
    text += ". Where the study's accuracy is one of these, the last column has the label in brackets."
    for number, (name, choices) in FIGURES.items():
        own = [o for o in outcomes if o.trial.choices == choices]
        own = [o for o in own if o.trial.part == DECISIVE] or own
        if not own:
            continue
        share = study.share_of(own[0].trial)
        about = f"The runs beside it have {_sentences(study, share)}. {text}"
        if share < 1:
            label, accuracy = next(iter(one_class_accuracies(beginning(study.corpus.splits["validation"], share)).items()))
            about += f" On the validation sentences of the runs, that of {label} is {accuracy:.4f}."
        rows = []
        for epoch, values in enumerate(STUDY_FIGURES[name], start=1):
            cells = [f"{value:.4f}" for value in values]
            label = f"({labels[cells[-1]]})" if cells[-1] in labels else ""
            rows.append([f"the study, epoch {epoch}", *cells, "", label])
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
        title = f"{name}, beside Figure {number}"
        yield Section(title, 2, [about], [Table(header, rows)], [plot])


def to_json(outcomes: Sequence[Outcome], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The results as a value for `json.dumps`."""
    runs = [
        {
            "part": o.trial.part,
            "trial": o.trial.name,
            "choices": asdict(o.trial.choices),
            "seed": o.seed,
            "rows": list(o.rows),
            "restored_epoch": o.restored["epoch"],
            "collapsed": o.collapsed,
        }
        for o in outcomes
    ]
    return {"facts": dict(facts), "runs": runs, "study": STUDY_FIGURES}

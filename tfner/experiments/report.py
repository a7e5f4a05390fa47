"""The report of a comparison, as Markdown and as a page that needs no other file.

Takes `Results` and makes `Section`s, which both forms show. Plots and the corpus's own sentences are on the page alone, so that
the Markdown can be published where the corpus may not be.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

import tfner.serving
from tfner.config import as_flags
from tfner.evaluation.scores import NO_ENTITIES, Scores, Tags
from tfner.experiments import figures
from tfner.experiments.breakdown import ERRORS, Notable, counted_units
from tfner.experiments.claims import POWER, SAMPLES, SHUFFLES, statements
from tfner.experiments.plan import REPORT, RESULTS, SUMMARY
from tfner.experiments.results import Group, Results, mean_and_deviation
from tfner.folder import write_json, write_whole
from tfner.labels import labelled_spans

MOST_TYPES = 12
"""Types that the table and the plot of types show, the most frequent ones."""
MOST_LABELS = 14
"""Labels with which a confusion matrix is shown."""
LEAST_OF_A_TREND = 3
"""Values of a varied number with which the report has F1 and speed as curves over it."""
_BARS = "F1 by {}: mean over seeds, with a line of one standard deviation to each side"


@dataclass(frozen=True)
class Table:
    """Rows of text below a header. The first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A part of the report, with a heading of level 2 or 3. What follows `tables` is on the page alone."""

    title: str
    level: int = 3
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[tuple[Figure, str]] = ()
    matrices: Mapping[str, Scores] = field(default_factory=dict)
    sentences: Sequence[Notable] = ()
    plain: bool = False


def sections(results: Results) -> Iterator[Section]:
    """The parts of the report in order, which `to_markdown` and `to_html` take."""
    yield _facts(results)
    yield from _trends(results)
    for group in results.groups:
        yield _summary(group)
        yield _claims(group)
        for split in group.shown:
            yield _scores(group, split)
        yield _types(group)
        yield _curves(group)
        yield from _kinds(group)
        if group.errors:
            yield _errors(group)
        yield _confusion(group)
        yield from _sentences(group)
        yield _costs(group)


def to_markdown(parts: Sequence[Section], title: str = "Comparison") -> str:
    """The report without plots and sentences."""
    lines = [f"# {title}"]
    for section in parts:
        if not (section.text or section.tables):
            continue
        lines += ["", f"{'#' * section.level} {section.title}"]
        lines += [part for text in section.text for part in ("", text)]
        for table in section.tables:
            header, *rows = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in (table.header, *table.rows))
            lines += ["", f"| {header} |", "|" + "---|" * len(table.header), *(f"| {row} |" for row in rows)]
    return "\n".join(lines) + "\n"


def to_html(parts: Sequence[Section], title: str = "Comparison") -> str:
    """The report as a page without references to other files."""
    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = Path(tfner.serving.__path__[0], "page.html").read_text("utf-8")
    colours = page[page.index(":root") : page.index("* { box-sizing")]
    template = environment.get_template("report.html")
    return template.render(title=title, colours=colours, sections=parts, svg=figures.svg, pieces=_pieces, shares=_shares)


def write_report(folder: Path, parts: Sequence[Section], value: Any, title: str = "Comparison") -> None:
    """Writes `plan.REPORT_FILES` into a folder; `value` holds the results for `json.dumps`."""
    texts = {REPORT: to_html(parts, title), SUMMARY: to_markdown(parts, title)}
    for name, text in texts.items():
        write_whole(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))
    write_whole(folder / RESULTS, lambda draft: write_json(draft, value))


def origin(facts: Mapping[str, Any]) -> list[str]:
    """The command, the packages and the machine of a report."""
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return [
        f"Made with `{facts['command']}`.",
        f"tfner {facts['tfner']}; Python {facts['python']}; {packages}; {facts['processor']}.",
    ]


def _facts(results: Results) -> Section:
    tuning = results.facts["tuning"]
    if any(group.split == "test" for group in results.groups):
        test = "The test split was scored once for each run, after its training."
    else:
        test = "Scores of a test split are not shown."
    text = [
        *origin(results.facts),
        f"How the settings were chosen: {tuning} {test}",
    ]
    text += [f"FAILED: {failed.run.name}: {failed.error}" for failed in results.failed]
    if len(results.groups) > 1:
        text.append("Models are compared only with models that have the same training and test sentences.")
    return Section("Conditions", 2, text)


def _trends(results: Results) -> Iterator[Section]:
    """F1 and speed over each number that takes three values or more; its models may be in several groups."""
    split = results.groups[0].split if results.groups else ""
    models = [model for group in results.groups if group.split == split for model in group.models]
    for name in models[0].condition.varied if models else ():
        values = {model.condition.varied[name] for model in models}
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        if len(values) < LEAST_OF_A_TREND or not numbers:
            continue
        f1: dict[str, dict[float, list[float]]] = {}
        speed: dict[str, dict[float, list[float]]] = {}
        for model in models:
            line, value = model.condition.name_without(name), model.condition.varied[name]
            f1.setdefault(line, {})[value] = [scores.overall.f1 for scores in model.scores(split)]
            speed.setdefault(line, {})[value] = [run.tagged_words_per_second for run in model.runs]
        words = name.replace("_", " ")
        rows = [
            [f"{value:g}", *(mean_and_deviation(of_line[value]) if value in of_line else "-" for of_line in f1.values())]
            for value in sorted(values)
        ]
        plots = [
            (figures.trends(f1, words, f"F1 ({split})"), f"F1 by {words}: a dot for each seed, a line through their means"),
            (
                figures.trends(speed, words, "words per second", from_zero=True),
                f"tagged words per second by {words}, of the model in memory",
            ),
        ]
        yield Section(f"F1 by {words} ({split})", 2, tables=[Table([words, *(f"`{line}`" for line in f1)], rows)], plots=plots)


def _summary(group: Group) -> Section:
    sizes = []
    for split, counts in group.corpus.counts().items():
        documents = f", {counts['documents']:,} documents" if counts["documents"] else ""
        sizes.append(f"{split} {counts['sentences']:,} sentences, {counts['words']:,} words{documents}")
    f1 = {model.name: [s.overall.f1 for s in model.scores(group.split)] for model in group.models}
    rows = [
        [f"`{name}`", str(len(values)), mean_and_deviation(values), "{:.4f} to {:.4f}".format(*group.intervals[name])]
        for name, values in f1.items()
    ]
    noun = "words" if group.plain else "chunks" if group.corpus.task == "chunk" else "entities"
    text = [
        f"{'; '.join(sizes)}.",
        f"F1 of {noun} on the {group.split} split: mean ± standard deviation between seeds.",
    ]
    if any(len(values) == 1 for values in f1.values()):
        text.append("A model with one seed is a single run: its interval comes from the documents alone.")
    plot = figures.intervals(f1, group.intervals, f"F1 ({group.split})")
    table = Table(["model", "seeds", "F1", "95 % interval of the mean"], rows)
    return Section(
        group.title,
        2,
        text,
        [table],
        [(plot, "F1: a dot for each seed, a line for their mean, a bar for the 95 % interval of the mean")],
    )


def _claims(group: Group) -> Section:
    if len(group.models) < 2:
        return Section("Claims", text=["There is one model, so nothing is compared."])
    rows = [
        [
            f"`{c.one}` - `{c.other}`",
            str(c.seeds),
            f"{c.difference:+.4f}",
            "{:+.4f} to {:+.4f}".format(*c.interval) if c.interval else "-",
            f"{c.p:.4f}",
            f"{c.adjusted_p:.4f}",
            "yes" if c.holds else "no",
            "-" if c.needed is None else f"{c.needed:,}",
        ]
        for c in group.claims
    ]
    text = [
        *statements(group.claims, group.apart),
        "A difference is claimed where its adjusted p value is below 0.05. The interval has the variance between seeds, after "
        f"Student's t, and that of a bootstrap of {SAMPLES:,} samples of {counted_units(group.sentences)}; p is from an "
        f"approximate randomization test with {SHUFFLES:,} shuffles. Adjusted p is the larger of it and of the interval's own "
        "p, corrected for all pairs after Holm. The seeds needed are those with which the difference would be found with a "
        f"probability of {POWER:.0%}; - where no number of seeds would do, because the test split is too small, with one seed, "
        "or without a difference.",
    ]
    header = ["difference", "seeds", "mean F1", "95 % interval", "p", "adjusted p", "claimed", "seeds needed"]
    return Section("Claims", text=text, tables=[Table(header, rows)])


def _scores(group: Group, split: str) -> Section:
    columns: dict[str, Callable[[Scores], float]] = {
        "precision": lambda s: s.overall.precision,
        "recall": lambda s: s.overall.recall,
        "F1": lambda s: s.overall.f1,
        "accuracy of words": lambda s: s.accuracy,
    }
    if not group.plain:
        columns = {("F1, conlleval" if name == "F1" else name): value for name, value in columns.items()}
        columns["F1, strict IOB2"] = lambda s: s.strict.f1
    rows = [
        [f"`{model.name}`", str(len(model.runs))]
        + [mean_and_deviation([value(s) for s in model.scores(split)]) for value in columns.values()]
        for model in group.models
    ]
    return Section(f"Scores on {split}", tables=[Table(["model", "seeds", *columns], rows)])


def _types(group: Group) -> Section:
    numbers: dict[str, int] = {}
    for model in group.models:
        numbers |= {name: s.number for name, s in model.scores(group.split)[0].per_type.items() if s.number}
    shown = sorted(numbers, key=lambda name: -numbers[name])[:MOST_TYPES]
    scores = {model.name: model.scores(group.split) for model in group.models}
    by_type = {
        name: {model: [s.per_type.get(name, NO_ENTITIES).f1 for s in of_model] for model, of_model in scores.items()}
        for name in shown
    }
    rows = [[name, f"{numbers[name]:,}", *map(mean_and_deviation, by_model.values())] for name, by_model in by_type.items()]
    names = [model.name for model in group.models]
    table = Table(["type", "number", *(f"`{name}`" for name in names)], rows)
    text = [f"The {len(shown)} most frequent of {len(numbers)} types."] if len(shown) < len(numbers) else []
    return Section(f"F1 by type ({group.split})", 3, text, [table], [(figures.bars(by_type, names), _BARS.format("type"))])


def _curves(group: Group) -> Section:
    histories = {model.name: [run.history for run in model.runs] for model in group.models}
    plot = figures.curves(histories, {"val_loss": "loss per label", "f1": "F1"})
    return Section("Learning curves", plots=[(plot, "validation loss and F1 by epoch, a line for each seed")])


def _kinds(group: Group) -> Iterator[Section]:
    names = [model.name for model in group.models]
    for way, kinds in group.by_kind.items():
        f1 = {kind: {name: [s.f1 for s in scores] for name, scores in by.items()} for kind, by in kinds.items()}
        rows = []
        for kind, by_model in kinds.items():
            gold = next(iter(by_model.values()))[0].number  # the same for every model and seed
            cells = [mean_and_deviation(f1[kind][name]) if name in f1[kind] else "-" for name in names]
            rows.append([kind, f"{gold:,}", *cells])
        table = Table([way, "gold", *(f"`{name}`" for name in names)], rows)
        plots = [(figures.bars(f1, names), _BARS.format(way))]
        yield Section(f"F1 by {way} ({group.split})", tables=[table], plots=plots)


def _errors(group: Group) -> Section:
    rows = [
        [f"`{name}`", *(f"{mean(of_seed[kind] for of_seed in of_model):,.1f}" for kind in ERRORS)]
        for name, of_model in group.errors.items()
    ]
    text = [
        "Mean over seeds, counted by nervaluate, which pairs a prediction with at most one gold entity: one that it overlaps, "
        "but whose words are others (boundary), or whose type is another (type; an error may be both). A prediction without "
        "a partner is spurious, and a gold entity without one is missed."
    ]
    return Section(f"Errors ({group.split})", text=text, tables=[Table(["model", *ERRORS], rows)])


def _confusion(group: Group) -> Section:
    title = f"Confusion of words ({group.split})"
    matrices = {model.name: group.confusion(model) for model in group.models}
    if max(len(scores.labels) for scores in matrices.values()) > MOST_LABELS:
        return Section(title, text=["There are too many labels for a table: `python -m tfner.evaluate` lists the confusions."])
    return Section(title, matrices=matrices)


def _sentences(group: Group) -> Iterator[Section]:
    disagree, shared = group.notable
    if len(group.models) > 1 and disagree:
        yield Section("Sentences that models disagree about", sentences=disagree, plain=group.plain)
    if shared:
        yield Section("Sentences that every run gets wrong", sentences=shared, plain=group.plain)


def _costs(group: Group) -> Section:
    rows = [
        [
            f"`{model.name}`",
            f"{sum(model.runs[0].parameters.values()):,}",
            f"{model.runs[0].parameters['new']:,}",
            mean_and_deviation([run.training_seconds for run in model.runs], 0),
            mean_and_deviation([run.tagged_words_per_second for run in model.runs], 0),
            f"{model.runs[0].export_bytes / 1e6:.1f}",
            "; ".join(sorted({run.devices for run in model.runs})),
        ]
        for model in group.models
    ]
    header = ["model", "parameters", "new", "seconds of training", "tagged words per second", "export in MB", "device"]
    commands = (shlex.join(["python", "-m", "tfner.train", *as_flags(m.condition.config)]) for m in group.models)
    text = [
        "Seconds of training are those of the steps, without scoring. Words per second are those of the model in memory. "
        "The export is counted without the files that describe it.",
        f"A run of each, with `--seed` besides: {', '.join(f'`{one}`' for one in commands)}.",
    ]
    return Section("Costs", text=text, tables=[Table(header, rows)])


def _pieces(words: Sequence[str], tags: Tags, plain: bool) -> list[tuple[str, str]]:
    """The sentence in pieces, each with the type of its entity, which is empty outside of entities."""
    found, at = [], 0
    for span in labelled_spans(tags, plain):
        if at < span.start:
            found.append((" ".join(words[at : span.start]), ""))
        found.append((" ".join(words[span.start : span.end]), span.type))
        at = span.end
    if at < len(words):
        found.append((" ".join(words[at:]), ""))
    return found


def _shares(scores: Scores) -> list[tuple[str, list[tuple[Any, float]]]]:
    """By gold label the numbers of words by predicted label, with their share of the gold label's words."""
    return [
        (label, [(int(count), float(count / max(1, counts.sum()))) for count in counts])
        for label, counts in zip(scores.labels, scores.confusion, strict=True)
    ]

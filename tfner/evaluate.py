"""`python -m tfner.evaluate`: scores an exported model on a split, and lists the sentences that it tags wrongly.

Takes a model and a corpus. The scores, a confusion matrix, learning curves and the worst mistakes are printed and saved.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tfner.config import AUTO, CORPUS_SETTINGS, TASKS, Config, add_flags, add_runtime
from tfner.corpus import SPLITS, Corpus, Sentence
from tfner.data.load import corpus_of, read_annotation
from tfner.errors import UserError, setting
from tfner.evaluation.annotations import Suspects, format_both, suspects
from tfner.evaluation.mistakes import Mistake, mistakes
from tfner.evaluation.reliability import (
    Accepted,
    Reliability,
    accepted_table,
    count_accepted,
    reliability,
    scored_entities,
    scored_words,
)
from tfner.evaluation.scores import INTERVAL_SAMPLES, Scores, format_confusion, format_scores, score
from tfner.folder import (
    EVALUATION_FILES,
    EVALUATIONS,
    EXTRA,
    HISTORY,
    check_replaceable,
    file_name,
    model_folder,
    publish,
    read_history,
    write_json,
)
from tfner.labels import LabelSet
from tfner.tagging.client import MissingSignature
from tfner.tagging.load import find_export, is_address, load_tagger, runtime_of
from tfner.tagging.tagger import RowTagger, Tagger
from tfner.terminal import Parser, command, filled, print_json, quiet_imports


@dataclass(frozen=True)
class Evaluation:
    """What a model reaches on a split.

    Attributes:
        scores: precision, recall, F1 and accuracy.
        mistakes: the sentences with the worst mistakes.
        reliability: whether scores are probabilities, for words and for entities.
        folder: where all this is saved.
        also: the scores under a second annotation, or None where there is none.
        suspects: how well the mistakes find the differences of that annotation, or None where there is none.
        accepted: for each type and `overall` the numbers of accepted entities, or None for a model without thresholds.
    """

    scores: Scores
    mistakes: list[Mistake]
    reliability: Mapping[str, Reliability]
    folder: Path
    also: Scores | None = None
    suspects: Suspects | None = None
    accepted: Mapping[str, Accepted] | None = None

    def to_json(self) -> dict[str, Any]:
        """The scores, and where they exist the numbers of accepted entities and what a second annotation says, for JSON."""
        values = self.scores.to_json()
        if self.accepted is not None:
            values["accepted"] = {name: asdict(one) for name, one in self.accepted.items()}
        if self.also is not None and self.suspects is not None:
            values["second"] = self.also.to_json() | {"suspects": asdict(self.suspects)}
        return values


def evaluate(
    model: str | Path,
    split: str = "test",
    output: str | Path | None = None,
    worst: int = 10,
    say: Callable[[str], None] = print,
    runtime: str = AUTO,
    decode: str | None = None,
    also: str | Path | None = None,
    **corpus: Any,
) -> Evaluation:
    """Scores a model by words and entities, whatever alignment it was trained with.

    Args:
        model: the folder of a version, a folder of versions, or the address of a served model. The latter needs `output` and
            a `corpus`, whose labels are used.
        split: train, validation or test.
        output: the folder to save in, replaced if it holds an earlier evaluation
            [`NAME/evaluations/VERSION-CORPUS-SPLIT`; for a runtime other than TensorFlow, VERSION is such as `openvino-1`].
        worst: how many mistakes to list.
        say: called with each line for the terminal.
        runtime: what runs the model, as for `load_tagger`.
        decode: how tags are chosen, as for `load_tagger`.
        also: a file with a second annotation of the sentences of the split. The model is scored with both, and the sentences
            in which it contradicts the first most surely are compared with the second.
        corpus: settings of the corpus (`config.CORPUS_SETTINGS`) that differ from those of the training. Of a model that was
            trained for several tasks, `task` chooses the one to score [the first].

    Raises:
        UserError: if the model, the corpus or the split is missing, or the split has entity types that the model does not know.
    """
    if worst < 0:
        raise UserError(f"{setting('worst', worst)}: expected a number of mistakes of at least 0")
    served = is_address(model)
    if served and not (output and "corpus" in corpus):
        raise UserError(f"{model}: the corpus of a served model is not known: give {setting('corpus')} and {setting('output')}")
    version = model if served else find_export(model, runtime)
    if output:  # before the model is loaded, which takes seconds
        check_replaceable(Path(output), EVALUATION_FILES)
    with _load(version, runtime if served else runtime_of(Path(version)), decode, corpus.get("task")) as tagger:
        config = replace(tagger.config or Config(), **corpus)
        if len(config.tasks) > 1:
            config = replace(config, task=tagger.task or config.task)
        data = corpus_of(replace(config, unseen_labels="keep", train_share=1.0))
        labels = tagger.labels or data.labels
        sentences = _sentences(data, split, labels, config, version)
        second: list[tuple[str, ...]] | None = None
        notes: list[str] = []
        if also:
            second, notes = read_annotation(also, data.task, sentences, config.tag_column, config.text_encoding)
        other_task = tagger.task if tagger.config and tagger.task != tagger.config.tasks[0] else None
        target = Path(output) if output else _default_output(Path(version), config.corpus, split, other_task, decode)
        check_replaceable(target, EVALUATION_FILES)
        tagged = tagger.predict(sentences)
        warnings = tagger.warnings()

    words, gold, predicted = [s.words for s in sentences], [s.tags for s in sentences], [t.tags for t in tagged]
    probabilities, plain = [t.probabilities for t in tagged], data.task == "pos"
    scores = score(gold, predicted, labels, INTERVAL_SAMPLES)
    everything = mistakes(words, gold, predicted, probabilities, len(words), plain)
    found = everything[:worst]
    kinds, of_entities, right = scored_entities(gold, predicted, probabilities, plain)
    reliabilities = {"words": reliability(*scored_words(gold, predicted, probabilities))}
    reliabilities |= {} if plain else {"entities": reliability(of_entities, right)}
    what = f"{version}, {data.task}," if tagger.task and "," in (tagger.config or config).task else f"{version}"
    say(f"{what} on the {split} split of {config.corpus}\n\n{format_scores(scores)}\n\n{format_confusion(scores)}\n")
    say("calibration error: " + ", ".join(f"{what} {one.error:.4f}" for what, one in reliabilities.items()) + "\n")
    accepted = other = suspected = None
    if isinstance(tagger, RowTagger) and tagger.calibration.thresholds is not None:
        accepted = count_accepted(kinds, of_entities, right, tagger.calibration.accepts)
        say(f"{accepted_table(accepted)}\n")
    if second is not None:
        other, suspected = score(second, predicted, labels, INTERVAL_SAMPLES), suspects(gold, second, everything)
        say("\n".join([str(also), *notes, "", format_both(scores, other), "", str(suspected), ""]))
    say("the worst mistakes\n" + "".join(f"\n{m}\n" for m in found))
    for line in warnings:
        say(line)
    history = Path(version) / EXTRA / HISTORY  # exports for other runtimes have none
    rows = read_history(history) if history.is_file() else []
    evaluation = Evaluation(scores, found, reliabilities, target, other, suspected, accepted)
    publish(target, lambda folder: _write(folder, evaluation, rows), replace=True)
    say(f"saved in {target}")
    return evaluation


def _load(model: str | Path, runtime: str, decode: str | None, task: str | None) -> Tagger:
    """The tagger of a model for a task, the first one if none is given.

    For a model of one task, the task says how the corpus is read, and no more. When it is served, such a model has no signature
    with the name of a task.
    """
    if task and "," in task:
        raise UserError(f"{setting('task', task)}: expected one task to score")
    if not is_address(model):
        tagger = load_tagger(model, runtime, decode=decode)
        assert isinstance(tagger, RowTagger)
        return tagger.for_task(task) if task and len(tagger.heads) > 1 else tagger
    for name in dict.fromkeys((task, *TASKS)) if task else ():
        try:
            tagger = load_tagger(model, runtime, decode=decode, task=name)
        except MissingSignature:
            continue
        if name == task:
            return tagger
        tagger.close()
        raise UserError(f"{setting('task', task)}: the model was trained for other tasks, such as {name}", model)
    return load_tagger(model, runtime, decode=decode)


def _sentences(data: Corpus, split: str, labels: LabelSet, config: Config, model: str | Path) -> Sequence[Sentence]:
    """The sentences of a split. Raises UserError if there are none, or they have tags that the model does not know."""
    if split not in data.splits:
        raise UserError(f"{setting('split', split)}: {config.corpus} has only {', '.join(data.splits)}: choose one of these")
    unknown = {tag for s in data.splits[split] for tag in s.tags}.difference(labels.names)
    if unknown and config.unseen_labels == "error":
        raise UserError(
            f"the {split} split has tags that {model} does not know ({', '.join(sorted(unknown)[:6])}): "
            f"{setting('unseen_labels', 'keep')} scores them as missed",
            config.corpus,
        )
    return data.splits[split]


def _write(folder: Path, evaluation: Evaluation, history: Sequence[Mapping[str, str]]) -> None:
    """Writes `EVALUATION_FILES`; learning curves need a history, and scores of a second annotation need one."""
    with quiet_imports():
        from tfner.evaluation import plots

    scores_json, scores_text, mistakes_text, confusion, curves, *more = EVALUATION_FILES
    reliability_json, reliability_png, second_json = more
    scores, reliabilities, other = evaluation.scores, evaluation.reliability, evaluation.also
    write_json(folder / scores_json, evaluation.to_json())
    (folder / scores_text).write_text(f"{format_scores(scores)}\n\n{format_confusion(scores)}\n", "utf-8")
    (folder / mistakes_text).write_text("\n".join(f"{m}\n" for m in evaluation.mistakes), "utf-8")
    plots.save(plots.confusion_matrix(scores), folder / confusion)
    write_json(folder / reliability_json, {what: one.to_json() for what, one in reliabilities.items()})
    plots.save(plots.reliability_plot(reliabilities), folder / reliability_png)
    if other:
        write_json(folder / second_json, other.to_json())
    if history:
        plots.save(plots.learning_curves(history), folder / curves)


def _default_output(version: Path, corpus: str, split: str, *more: str | None) -> Path:
    """`NAME/evaluations/VERSION-CORPUS-SPLIT`, where CORPUS is the last part of its name without unusual characters.

    A task that is not the model's first, and a decoder that was asked for, follow.
    """
    model = model_folder(version)
    name = "-".join(version.relative_to(model).parts)  # 1, or openvino-1
    return model / EVALUATIONS / "-".join([name, file_name(corpus), split, *filter(None, more)])


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("evaluate", "Score a trained model on a split of a corpus.")
    parser.add_argument("model", help="folder of a trained model, such as saved_models/head, or address of a served one")
    parser.add_argument("--split", default="test", choices=SPLITS, help="the split to score [test]")
    parser.add_argument(
        "--output", type=filled, metavar="FOLDER", help="where to save [MODEL/evaluations/VERSION-CORPUS-SPLIT]"
    )
    parser.add_argument(
        "--also", type=filled, metavar="FILE", help="a second annotation of the same sentences, to score with as well"
    )
    parser.add_argument("--worst", type=int, default=10, metavar="N", help="how many of the worst mistakes to list [10]")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON; the rest goes to standard error")
    add_runtime(parser)
    add_flags(parser, (*CORPUS_SETTINGS, "decode"), default="as in the training")
    arguments = vars(parser.parse_args(argv))
    as_json = arguments.pop("json")
    evaluation = evaluate(**arguments, say=lambda line: print(line, file=sys.stderr if as_json else sys.stdout))
    if as_json:
        print_json(evaluation.to_json())


if __name__ == "__main__":
    raise SystemExit(main())

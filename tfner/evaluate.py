"""`python -m tfner.evaluate`: scores an exported model on a split, and shows what it gets wrong.

A model folder and a corpus go in; scores, a confusion matrix, curves and the worst mistakes come out, printed and saved.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfner.config import CORPUS_SETTINGS, Config, add_flags
from tfner.corpus import SPLITS
from tfner.data.load import corpus_of
from tfner.errors import UserError, setting
from tfner.evaluation.mistakes import Mistake, mistakes
from tfner.evaluation.scores import INTERVAL_SAMPLES, Scores, format_confusion, format_scores, score
from tfner.folder import (
    EVALUATION_FILES,
    EVALUATIONS,
    EXTRA,
    HISTORY,
    SCORES,
    check_replaceable,
    publish,
    read_history,
    resolve,
    write_json,
)
from tfner.terminal import Parser, command, print_json, quiet_imports


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on a split, the sentences it gets most wrong, and the folder they were saved in."""

    scores: Scores
    mistakes: list[Mistake]
    folder: Path


def evaluate(
    model: str | Path,
    split: str = "test",
    output: str | Path | None = None,
    worst: int = 10,
    say: Callable[[str], None] = print,
    **corpus: Any,
) -> Evaluation:
    """Scores a model per word and per sentence, whatever alignment it was trained with.

    Args:
        model: a version's folder, a folder of versions, or the address of a served model, which needs `output` and a
            `corpus`; its labels are then the corpus's.
        split: train, validation or test.
        output: the folder to save in, replaced if it holds an earlier evaluation
            [`NAME/evaluations/VERSION-CORPUS-SPLIT`].
        worst: how many mistakes to list.
        say: prints a line.
        corpus: settings of the corpus (`config.CORPUS_SETTINGS`) that differ from those of the training.

    Raises:
        UserError: where model, corpus or split are missing, or the split has entity types that the model does not know.
    """
    with quiet_imports():
        from tfner.evaluation import plots
        from tfner.tagging.load import is_address, load_tagger

    if is_address(model) and not (output and "corpus" in corpus):
        raise UserError(
            f"{model}: a served model does not say what it was trained on: give {setting('corpus')} and {setting('output')}"
        )
    version = model if is_address(model) else resolve(model)
    tagger = load_tagger(version)
    config = replace(tagger.config or Config(), **corpus)
    data = corpus_of(replace(config, unseen_labels="keep"))
    if split not in data.splits:
        raise UserError(f"{setting('split', split)}: {config.corpus} has only {', '.join(data.splits)}: choose one of these")
    sentences = data.splits[split]
    labels = tagger.labels or data.labels
    unknown = {tag for s in sentences for tag in s.tags}.difference(labels.names)
    if unknown and config.unseen_labels == "error":
        raise UserError(
            f"the {split} split has tags that {version} does not know ({', '.join(sorted(unknown)[:6])}): "
            f"{setting('unseen_labels', 'keep')} scores them as missed",
            config.corpus,
        )
    target = Path(output) if output else _default_output(Path(version), config.corpus, split)
    check_replaceable(target, EVALUATION_FILES)

    tagged = tagger.predict(sentences)
    gold, predicted = [s.tags for s in sentences], [t.tags for t in tagged]
    scores = score(gold, predicted, labels, INTERVAL_SAMPLES)
    found = mistakes(
        [s.words for s in sentences], gold, predicted, [t.probabilities for t in tagged], worst, data.task == "pos"
    )
    say(f"{version} on the {split} split of {config.corpus}\n\n{format_scores(scores)}\n\n{format_confusion(scores)}\n")
    say("the worst mistakes\n" + "".join(f"\n{m}\n" for m in found))
    for line in tagger.warnings():
        say(line)

    def write(folder: Path) -> None:
        write_json(folder / SCORES, scores.to_json())
        (folder / "scores.txt").write_text(f"{format_scores(scores)}\n\n{format_confusion(scores)}\n", "utf-8")
        (folder / "mistakes.txt").write_text("\n".join(f"{m}\n" for m in found), "utf-8")
        plots.save(plots.confusion_matrix(scores), folder / "confusion_matrix.png")
        history = Path(version) / EXTRA / HISTORY
        if history.is_file() and (rows := read_history(history)):
            plots.save(plots.learning_curves(rows), folder / "learning_curves.png")

    publish(target, write, replace=True)
    say(f"saved in {target}")
    return Evaluation(scores, found, target)


def _default_output(version: Path, corpus: str, split: str) -> Path:
    """`NAME/evaluations/VERSION-CORPUS-SPLIT`; of the corpus, the last part of its name without unusual characters."""
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", Path(corpus).name).strip("-.") or "corpus"
    return version.parent / EVALUATIONS / f"{version.name}-{name}-{split}"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("evaluate", "Score a trained model on a split of a corpus.")
    parser.add_argument("model", help="folder of a trained model, such as saved_models/head, or address of a served one")
    parser.add_argument("--split", default="test", choices=SPLITS, help="the split to score [test]")
    parser.add_argument("--output", metavar="FOLDER", help="where to save [MODEL/evaluations/VERSION-CORPUS-SPLIT]")
    parser.add_argument("--worst", type=int, default=10, metavar="N", help="how many of the worst mistakes to list [10]")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON; the rest goes to standard error")
    add_flags(parser, CORPUS_SETTINGS)
    arguments = vars(parser.parse_args(argv))
    as_json = arguments.pop("json")
    evaluation = evaluate(**arguments, say=lambda line: print(line, file=sys.stderr if as_json else sys.stdout))
    if as_json:
        print_json(evaluation.scores.to_json())


if __name__ == "__main__":
    raise SystemExit(main())

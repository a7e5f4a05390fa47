"""`python -m tfner.export`: exports a training state again, as the next version or as a folder for another runtime.

Takes the folder of a model, or a checkpoint of transformers that was trained elsewhere, and returns a new folder. Each format
is defined in its own module of `tfner.exports`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfner.config import AUTO, CORPUS_SETTINGS, EXPORT_FORMATS, Config, add_flags
from tfner.corpus import Sentence
from tfner.data.load import corpus_of
from tfner.errors import UserError, setting
from tfner.folder import (
    DESCRIPTION,
    SAVED_MODEL,
    TRAINING,
    WEIGHTS,
    check_output,
    check_writable,
    digest,
    finished_states,
    is_checkpoint,
    is_version,
    model_folder,
    next_version,
    publish,
    versions,
)
from tfner.labels import LabelSet
from tfner.tagging.exported import read_exported
from tfner.tagging.load import outdated_exports, runtime_of
from tfner.terminal import Parser, command, filled, print_json, quiet_imports, quote

if TYPE_CHECKING:
    from tfner.training.state import TrainedModel

_EXPORTERS = {"savedmodel": "saved_model", "transformers": "transformers", "onnx": "onnx", "openvino": "openvino"}
"""The module of `tfner.exports` that writes each format."""
_NEEDS = {
    ("onnx", "float32"): ("tf2onnx", "onnx", "onnxruntime"),
    ("onnx", "int8"): ("tf2onnx", "onnx", "onnxruntime"),
    ("openvino", "float32"): ("tf2onnx", "onnx", "openvino"),
    ("openvino", "bfloat16"): ("tf2onnx", "onnx", "openvino"),
    ("openvino", "int8"): ("tf2onnx", "onnx", "openvino", "nncf"),
}
"""The packages that a format needs in each of its precisions. Other formats have the precision of the training."""
MAX_F1_LOSS = 0.002
"""How far validation F1 may fall by default. It is less than the standard deviation of F1 between seeds (0.003)."""


def export(
    folder: str | Path,
    state: int | None = None,
    format: str = "savedmodel",
    output: str | Path | None = None,
    say: Callable[[str], None] = print,
    precision: str = "float32",
    max_f1_loss: float = MAX_F1_LOSS,
    sentences: str | None = None,
    decode: str | None = None,
    temperature: float | str | None = None,
    min_precision: float | None = None,
    **corpus: Any,
) -> Path:
    """Exports the best weights of a training into a new folder.

    Args:
        folder: a model's folder, such as `saved_models/head`; or a folder or hub name of transformers with a model for token
            classification, which becomes the model `output`, with the version that is returned.
        state: the number of the training state in it [the latest that is finished].
        format: a key of `EXPORT_FORMATS`.
        output: the folder to make [the model's next version; for other formats the next number in `folder/FORMAT`].
        say: called with each line for the terminal.
        precision: for formats `onnx` and `openvino`, the precision of matrix products. The export is tried on the validation
            split, and kept only if it is good enough.
        max_f1_loss: how far the F1 of such an export may be below that of the trained model.
        sentences: how the exported model divides text into sentences, one of `config.SENTENCES`.
        decode: how it chooses tags, one of `config.DECODERS`.
        temperature: what its logits are divided by; `auto` finds it on the validation split, and 1 leaves them as they are.
        min_precision: the precision on the validation split from which entities are accepted; 0 accepts all. Which of these
            four are not given are as in the newest version if that has the same weights, and else as in the training.
            Thresholds are found again where the decoder or the temperature changes.
        corpus: settings of the corpus of such a split (`config.CORPUS_SETTINGS`) that differ from those of the training.

    Returns:
        The new folder.

    Raises:
        UserError: if the training state is missing or damaged, the format cannot hold the model or needs a package that is not
            installed, F1 falls too far, or `output` exists.
    """
    given = {"sentences": sentences, "decode": decode, "temperature": temperature, "min_precision": min_precision}
    tagging: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    folder = Path(folder).expanduser()
    if format not in EXPORT_FORMATS:
        raise UserError(f"{setting('format', format)}: expected one of {', '.join(EXPORT_FORMATS)}")
    of_runtime = (folder / DESCRIPTION).is_file() and runtime_of(folder) != "tensorflow"
    if (folder / SAVED_MODEL).is_file() or of_runtime:
        raise UserError(
            f"this is an exported version: give the model's folder, {quote(model_folder(folder.absolute()))}", folder
        )
    if folder.parent.name == TRAINING and is_version(folder.name) and is_checkpoint(folder):
        model = folder.absolute().parent.parent
        raise UserError(
            f"this is a training state: give the model's folder, {quote(model)}, with {setting('state', int(folder.name))}",
            folder,
        )
    if is_checkpoint(folder) or (output and format == "savedmodel" and not folder.exists()):
        return _import(str(folder), output, format, say, corpus, tagging)
    found = versions(folder / TRAINING)
    if not found or (state is not None and state not in found):
        wanted = "a training state" if state is None else setting("state", state)
        advice = "choose one of these" if found else f"train with python -m tfner.train --output {quote(folder)}"
        raise UserError(f"expected {wanted} in {TRAINING}/, found {', '.join(map(str, found)) or 'none'}: {advice}", folder)
    finished = finished_states(folder) if state is None else []
    number = state or (finished or found)[-1]
    if state is None and not finished and (folder / TRAINING / str(number) / WEIGHTS).is_file():
        raise UserError(
            f"expected a finished training in {TRAINING}/, found {', '.join(map(str, found))}, which runs or was interrupted: "
            f"{setting('state', number)} exports its best weights so far",
            folder,
        )
    if state is None and number != found[-1]:
        say(f"training {number} is exported; {found[-1]} runs or was interrupted")
    parent = folder if format == "savedmodel" else folder / format
    target = Path(output).expanduser() if output else parent / str(next_version(parent))
    if target.exists():
        raise UserError(f"{setting('output', target)}: expected a new folder, but it exists: choose another name")
    check_writable("output", target, "an export")
    _check_precision(format, precision, max_f1_loss)
    with quiet_imports():
        from tfner.training.state import load_state

        exporter = import_module(f"tfner.exports.{_EXPORTERS[format]}")
    trained = load_state(folder / TRAINING / str(number))
    if len(trained.heads) > 1 and (format == "transformers" or "task" in corpus):
        if format != "transformers":
            raise UserError(f"{setting('task', corpus['task'])}: all tasks of a model are exported together: leave it out")
        trained = trained.alone(corpus.get("task", trained.config.tasks[0]))
        say(f"only the task {trained.config.task} is exported; another one with --task")
    trained = _as_version(trained, folder, say)
    before = trained.config.decode
    config = replace(trained.config, **tagging)
    trained = replace(trained, config=config)
    gated = any(own == format for own, _ in _NEEDS)
    refit = config.min_precision is not None and config.decode != before
    calibrated = "temperature" in tagging or "min_precision" in tagging or refit
    validation: Mapping[str, Sequence[Sentence]] = {}
    if gated or (calibrated and (tagging.get("temperature") == AUTO or config.min_precision is not None)):
        what = "an export for another runtime is tried" if gated else "scores are calibrated"
        labels = {task: head.row_encoder.labels for task, head in trained.heads.items()}
        validation = _validation(replace(config, **corpus, train_share=1.0), labels, what)
    if calibrated:
        trained = _calibrated(trained, validation, "temperature" in tagging, say)
    if not gated:
        publish(target, exporter.writer(trained, say))
        if target.parent == folder:
            for line in outdated_exports(folder):
                say(line)
        return target
    from tfner.exports.gate import Gate

    return publish(target, exporter.writer(trained, Gate(trained, validation, max_f1_loss, say), precision))


def _import(
    source: str,
    output: str | Path | None,
    format: str,
    say: Callable[[str], None],
    corpus: Mapping[str, Any],
    tagging: Mapping[str, Any],
) -> Path:
    """Makes a model of a checkpoint of transformers. Raises UserError where it cannot be used."""
    if not output or format != "savedmodel":
        raise UserError(
            "this is a model of transformers: make a model of tfner of it first, with "
            f"{setting('output', 'saved_models/NAME')} and without {setting('format')}",
            source,
        )
    target = Path(output).expanduser()
    check_output(target)
    with quiet_imports():
        from tfner.training.adopt import adopt
    number = adopt(source, target, corpus)
    say(f"training state {target / TRAINING / str(number)}; other formats: python -m tfner.export {quote(target)} --format ...")
    return export(target, number, output=target / str(number), say=say, **tagging)


def _as_version(trained: TrainedModel, model: Path, say: Callable[[str], None]) -> TrainedModel:
    """A trained model with the sentences, decoder and calibration of its newest version, if that has the same weights."""
    found = versions(model)
    try:
        version = read_exported(model / str(found[-1]), check=False) if found else None
    except UserError:
        say(f"version {found[-1]} cannot be read, so the settings of the training are used")
        return trained
    if version is None or version.weights != digest(trained.state / WEIGHTS):
        return trained
    names = ("sentences", "decode", "temperature", "min_precision")
    config = replace(trained.config, **{name: getattr(version.config, name) for name in names})
    heads = {task: replace(head, calibration=version.calibrations[task]) for task, head in trained.heads.items()}
    return replace(trained, config=config, heads=heads)


def _calibrated(
    trained: TrainedModel, validation: Mapping[str, Sequence[Sentence]], anew: bool, say: Callable[[str], None]
) -> TrainedModel:
    """A model with the calibration that its settings ask for; without `anew`, each task keeps its temperature.

    Raises UserError where nothing would be accepted.
    """
    from tfner.modeling.variants import logits_function
    from tfner.tagging.in_memory import InMemoryTagger
    from tfner.training.calibrate import calibrate

    heads, none = {}, []
    for task, head in trained.heads.items():
        if len(trained.heads) > 1:
            say(f"task {task}")
        config = trained.config if anew else replace(trained.config, temperature=head.calibration.temperature)
        tagger = InMemoryTagger(logits_function(trained.model), {task: head}, config)
        found = calibrate(tagger, config, validation.get(task, ()), say)
        if found.thresholds is not None and all(value is None for value in found.thresholds.values()):
            none.append(task)
        heads[task] = replace(head, calibration=found)
    if len(none) == len(heads):
        raise UserError(
            f"{setting('min_precision', trained.config.min_precision)}: no score of any type reaches it on the "
            f"{len(validation[none[0]]):,} sentences of validation: ask for less, or give a corpus with more of them"
        )
    for task in none:
        say(f"no score of any type of {task} reaches a precision of {trained.config.min_precision}, so none is accepted")
    return replace(trained, heads=heads)


def _check_precision(format: str, precision: str, max_f1_loss: float) -> None:
    """Raises UserError for a precision that the format does not have, or one that needs a package that is not installed."""
    choices = [name for own, name in _NEEDS if own == format]
    given = f"{setting('format', format)} and {setting('precision', precision)}"
    if not choices and precision != "float32":
        raise UserError(
            f"{given}: this format has the precision of the training: leave {setting('precision')} out, or use "
            f"{setting('format', 'openvino')}"
        )
    if choices and precision not in choices:
        raise UserError(f"{given}: expected {' or '.join(choices)}, the precisions of this format")
    if not 0 <= max_f1_loss <= 1:
        raise UserError(f"{setting('max_f1_loss', max_f1_loss)}: expected a number from 0 to 1")
    missing = [name for name in _NEEDS.get((format, precision), ()) if find_spec(name) is None]
    if missing:
        raise UserError(f"{setting('format', format)}: {missing[0]} is not installed: pip install -e '.[{format}]'")


def _validation(config: Config, labels: Mapping[str, LabelSet], what: str) -> Mapping[str, Sequence[Sentence]]:
    """For each task the validation sentences of a corpus.

    Raises UserError where there are none, or the model does not know their tags.
    """
    split = "validation"
    what += " on the validation split"
    try:
        corpora = corpus_of(replace(config, unseen_labels="keep")).tasks
    except UserError as error:
        raise UserError(f"{what}, which cannot be read ({error}): give the corpus with {setting('corpus')}") from error
    if len(corpora) != len(labels):
        raise UserError(f"{setting('task', config.task)}: expected one task, as this model has")
    found = list(corpora.values())  # of a model of one task, whatever it is called: an imported one may have another name
    sentences = {task: one.splits.get(split, ()) for task, one in zip(labels, found, strict=True)}
    for task, own in sentences.items():
        unknown = {tag for sentence in own for tag in sentence.tags}.difference(labels[task].names)
        if not own or unknown:
            tags = ", ".join(sorted(unknown)[:6])
            what_is = f"has tags that the model does not know ({tags})" if unknown else "has no such split"
            raise UserError(f"{what}, but this corpus {what_is}: give another with {setting('corpus')}", config.corpus)
    return sentences


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("export", "Export the best weights of a training into a new folder.")
    parser.add_argument(
        "model",
        help="folder of a trained model, such as saved_models/head; or a model of transformers for token classification, its "
        "folder or its name on the Hugging Face hub, which becomes the model of --output",
    )
    parser.add_argument(
        "--state", type=int, metavar="N", help="number of the training state in MODEL/training [the latest that is finished]"
    )
    parser.add_argument(
        "--format",
        default="savedmodel",
        metavar="|".join(EXPORT_FORMATS),
        help="; ".join(f"{name}: {what}" for name, what in EXPORT_FORMATS.items()) + " [savedmodel]",
    )
    parser.add_argument(
        "--output",
        type=filled,
        metavar="FOLDER",
        help="new folder to make [MODEL/N; MODEL/FORMAT/N for other formats than savedmodel]; for a model of transformers, the "
        "folder of the model",
    )
    runtimes = parser.add_argument_group("formats onnx and openvino")
    runtimes.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "bfloat16", "int8"),
        metavar="float32|bfloat16|int8",
        help="precision of matrix products; bfloat16 with openvino alone [float32]",
    )
    runtimes.add_argument(
        "--max-f1-loss",
        type=float,
        default=MAX_F1_LOSS,
        metavar="X",
        help=f"how far validation F1 may fall; an export that loses more is not kept [{MAX_F1_LOSS}]",
    )
    tagging = ("sentences", "decode", "temperature", "min_precision")
    add_flags(parser, CORPUS_SETTINGS, default="as in the training")
    add_flags(parser, tagging, default="as in the newest version of these weights, or as in the training")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = vars(parser.parse_args(argv))
    as_json = arguments.pop("json")
    say = partial(print, file=sys.stderr, flush=True) if as_json else partial(print, flush=True)
    folder = export(arguments.pop("model"), say=say, **arguments)
    if as_json:
        print_json({"folder": str(folder)})
    else:
        print(f"exported to {folder}")


if __name__ == "__main__":
    raise SystemExit(main())

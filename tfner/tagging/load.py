"""Loads the tagger of a model that is named by its folder or its address.

The kind of tagger follows from the name and the runtime alone. Callers use only the interface of `Tagger`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tfner.config import AUTO, DECODERS, RUNTIMES, SENTENCES
from tfner.errors import UserError, setting
from tfner.folder import GRAPHS, SAVED_MODEL, TRAINING, WEIGHTS, digest, finished_states, model_folder, resolve, versions
from tfner.tagging.exported import Exported, read_exported
from tfner.tagging.tagger import RowTagger, Tagger
from tfner.terminal import quote

_PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime", "tensorflow": "tensorflow"}
"""What is installed for each runtime."""


def load_tagger(
    model: str | Path,
    runtime: str = AUTO,
    sentences: str | None = None,
    decode: str | None = None,
    task: str | None = None,
    **options: Any,
) -> Tagger:
    """Loads a tagger.

    Args:
        model: the folder of an exported version, a folder of versions, whose highest is used, the folder of an export for
            another runtime, or the address of a served model, `http://HOST:8501/v1/models/NAME` or `grpc://HOST:8500/NAME`.
        runtime: what runs the model, one of `config.RUNTIMES`. `auto` takes the fastest of TensorFlow and the exports of the
            newest version (the same weights, calibration, division into sentences and decoder) whose runtime is installed,
            by the speeds that were measured when they were exported.
        sentences: how texts are divided into sentences, one of `config.SENTENCES` [as the model was exported to].
        decode: how tags are chosen, one of `config.DECODERS` [as the model was exported to].
        task: the task to tag for, one of those that the model was trained for [the first of them].
        options: for an address, the keyword arguments of `ServedTagger`, such as `deadline`; a folder has none.

    Raises:
        UserError: where the model does not exist, its files are incomplete or damaged, there is no export for the runtime, it
            was not trained for the task, or its server does not answer.
    """
    for name, value, choices in (
        ("runtime", runtime, (AUTO, *RUNTIMES)),
        ("sentences", sentences, SENTENCES),
        ("decode", decode, DECODERS),
    ):
        if value is not None and value not in choices:
            raise UserError(f"{setting(name, value)}: expected one of {', '.join(choices)}")
        if is_address(model) and value not in (None, AUTO):
            raise UserError(f"{setting(name, value)}: the server decides this: leave it out", model)
    if is_address(model):
        from tfner.tagging.served import ServedTagger

        return ServedTagger(str(model), task=task, **options)
    tagger = _load_folder(find_export(model, runtime), options)
    tagger.sentences, tagger.decode = sentences or tagger.sentences, decode or tagger.decode
    return tagger.for_task(task) if task else tagger


def _load_folder(folder: Path, options: Mapping[str, Any]) -> RowTagger:
    runtime = runtime_of(folder)
    if runtime == "openvino":
        from tfner.tagging.openvino import OpenVinoTagger

        return OpenVinoTagger(folder, **options)
    if runtime == "onnx":
        from tfner.tagging.onnx import OnnxTagger

        return OnnxTagger(folder, **options)
    from tfner.tagging.saved_model import SavedModelTagger

    return SavedModelTagger(folder, **options)


def is_address(model: str | Path) -> bool:
    """Whether a model is named by the address of a server, not by a folder."""
    return "://" in str(model)


def find_export(model: str | Path, runtime: str = AUTO) -> Path:
    """The folder that a model's folder and a runtime stand for: a version, or an export for another runtime.

    Raises UserError where there is none.
    """
    path = Path(model).expanduser()
    exports = exports_in(path)
    if exports:  # the folder of an export, or of several for one runtime
        found = exports[-1]
        if runtime not in (AUTO, runtime_of(found)):
            raise UserError(
                f"{setting('runtime', runtime)}: this is an export for {RUNTIMES[runtime_of(found)]}: give the model's folder",
                path,
            )
        return found
    if runtime == "tensorflow":
        return resolve(path)
    home = path.parent if (path / SAVED_MODEL).is_file() else path
    others = {folder: read_exported(folder, check=False) for name in GRAPHS for folder in exports_in(home / name)}
    try:
        version = resolve(path)
    except UserError:
        if not others or versions(home):
            raise
        version = None  # a copy for a machine without TensorFlow
    if version and others:
        newest = _identity(read_exported(version, check=False))
        others = {folder: exported for folder, exported in others.items() if _identity(exported) == newest}
    if runtime != AUTO:
        others = {folder: exported for folder, exported in others.items() if runtime_of(folder) == runtime}
        if not others:
            raise UserError(
                f"{setting('runtime', runtime)}: expected an export of "
                f"{f'version {version.name}' if version else 'this model'} for {RUNTIMES[runtime]}, found none: "
                f"{_remedy(version or home / '1', runtime)}",
                path,
            )
        return max(others, key=lambda folder: _gain(others[folder]))
    usable = [folder for folder in others if _is_installed(runtime_of(folder))]
    best = max(usable, key=lambda folder: _gain(others[folder]), default=None)
    if version and (best is None or (_is_installed("tensorflow") and _gain(others[best]) <= 1)):
        return version
    if best is None:
        packages = " or ".join(dict.fromkeys(_PACKAGES[runtime_of(folder)] for folder in others))
        raise UserError(f"no runtime for the exports of this model is installed: pip install {packages}", path)
    return best


def outdated_exports(model: Path) -> list[str]:
    """A line for each runtime whose exports are not of the newest version of a model, so that `auto` does not use them."""
    version = resolve(model)
    newest = _identity(read_exported(version, check=False))
    old = [name for name in GRAPHS if (own := exports_in(model / name)) and not any(_is_of(newest, folder) for folder in own)]
    return [f"the export for {RUNTIMES[name]} is of an earlier version; {_remedy(version, name)}" for name in old]


def exports_in(folder: Path) -> list[Path]:
    """The exports for another runtime that a folder is, or has under its numbers, the newest last."""
    candidates = [folder, *(folder / str(number) for number in versions(folder))]
    return [f for f in candidates if any((f / graph).is_file() for graph in GRAPHS.values())]


def runtime_of(folder: Path) -> str:
    """The runtime of an exported model, a key of `config.RUNTIMES`."""
    return next((name for name, graph in GRAPHS.items() if (folder / graph).is_file()), "tensorflow")


def _identity(exported: Exported) -> tuple[Any, ...]:
    """What an export has in common with the version that it is of: weights, calibration, how it divides texts and tags."""
    return exported.weights, exported.calibrations, exported.config.sentences, exported.config.decode


def _remedy(version: Path, runtime: str) -> str:
    """What to do about a version that is not exported for a runtime."""
    home, more = version.parent, ""
    if (version / SAVED_MODEL).is_file():
        exported = read_exported(version, check=False)
        states = {n: home / TRAINING / str(n) / WEIGHTS for n in reversed(versions(home / TRAINING))}
        own = next((n for n, path in states.items() if path.is_file() and digest(path) == exported.weights), None)
        if own is None and exported.weights:  # earlier versions of tfner wrote none
            return "its training is not there any more, so it cannot be exported again"
        if own not in (None, max(finished_states(home), default=None)):
            more = f" --state {own}"
        if version.name != str(versions(home)[-1]):  # what is not named is as in the newest version
            config, (one, *others) = exported.config, {own.temperature for own in exported.calibrations.values()}
            more += f" --sentences {config.sentences} --decode {config.decode} --temperature {AUTO if others else one}"
            more += f" --min-precision {config.min_precision or 0}"
    return f"make one with python -m tfner.export {quote(home)} --format {runtime}{more}"


def version_of(export: Path) -> int | None:
    """The number of the newest version that an export for another runtime is of, or None where there is none."""
    home, identity = model_folder(export), _identity(read_exported(export, check=False))
    return next((number for number in reversed(versions(home)) if _is_of(identity, home / str(number))), None)


def _is_of(identity: tuple[Any, ...], folder: Path) -> bool:
    """Whether an export is of the version with this identity."""
    try:
        return _identity(read_exported(folder, check=False)) == identity
    except UserError:  # it is damaged, which loading it says
        return False


def _is_installed(runtime: str) -> bool:
    return find_spec(_PACKAGES[runtime]) is not None


def _gain(exported: Exported) -> float:
    """How many times as fast as TensorFlow an export was when it was made."""
    measured = exported.measured
    return float(measured.get("words_per_second", 0) / measured.get("words_per_second_tensorflow", 1))

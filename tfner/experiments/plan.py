"""The runs of a comparison: conditions, seeds, settings, and what identifies a run.

Takes variants, a number of seeds and settings to vary, and returns a `Plan`. Nothing is trained or written here.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import itertools
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tfner import __version__
from tfner.config import PRESETS, VARIANTS, Config, add_flags, as_flag, make_config
from tfner.corpus import Corpus
from tfner.errors import UserError, setting
from tfner.folder import digest, file_name
from tfner.modeling.pretrained import encoder_source, newest_state
from tfner.training.request import MAY_DIFFER, changes, check_request

RUNS = "runs"
"""The folder of a comparison that holds a folder for each run."""
REPORT, RESULTS, SUMMARY = REPORT_FILES = ("report.html", "results.json", "results.md")
"""The files of a comparison, beside its runs."""
SEEDS = 5
"""The seeds of each model, unless another number is asked for: enough for most claims (`benchmarks/simulate_claims.py`)."""
SPLITS = ("test", "validation")
"""The splits on which models are compared: test at the end, and validation to choose settings without a look at test."""
NOT_VARIED = {"variant": "variants", "seed": "seeds", "output": "output", "tensorboard": "tensorboard"}
"""Settings that are not varied, and the flag that they have instead."""


@dataclass(frozen=True)
class Request:
    """What is asked to be compared: variants x seeds x combinations of what is varied.

    Attributes:
        variants: keys of `config.VARIANTS`.
        seeds: the number of seeds: 0, 1, ... are used.
        vary: the values of each setting that is varied.
        output: the folder of the comparison, or None for `comparisons/CORPUS`.
        preset: a key of `config.PRESETS`, or None for the one that suits the encoder.
        settings: other settings of all runs.
        split: the split on which models are compared, one of SPLITS.
    """

    variants: Sequence[str] = tuple(VARIANTS)
    seeds: int = SEEDS
    vary: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    output: str | Path | None = None
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    split: str = "test"

    @property
    def folder(self) -> Path:
        """The folder of the comparison."""
        own = self.settings.get("corpus", PRESETS.get(self.preset or "", {}).get("corpus", Config.corpus))
        names = [file_name(str(corpus)) for corpus in self.vary.get("corpus", [own])]
        return Path(self.output).expanduser() if self.output else Path("comparisons") / "-".join(names)

    @property
    def command(self) -> str:
        """The command that asks for the same."""

        def shown(value: Any) -> str:
            return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)

        words = ["python", "-m", "tfner.compare", "--variants", *self.variants, "--seeds", str(self.seeds)]
        for name, values in self.vary.items():
            words += ["--vary", f"{name}={','.join(map(shown, values))}"]
        words += ["--output", str(self.output)] if self.output else []
        words += ["--preset", self.preset] if self.preset else []
        words += ["--split", self.split] if self.split != Request.split else []
        for name, value in self.settings.items():
            words += as_flag(name, value)
        return shlex.join(words)


@dataclass(frozen=True)
class Condition:
    """What is compared: a variant with the values of the settings that are varied.

    Attributes:
        varied: the values of the varied settings.
        shown: each of them as text, such as `learning rate 2e-05`.
        config: the settings of its runs; `seed` and `output` are each run's own.
    """

    varied: Mapping[str, Any]
    shown: Mapping[str, str]
    config: Config

    @property
    def name(self) -> str:
        """Such as `head` or `head, learning rate 2e-05`."""
        return self.name_without(None)

    def name_without(self, setting: str | None) -> str:
        """The name that conditions share which differ in a varied setting alone."""
        return ", ".join([self.config.variant, *(text for name, text in self.shown.items() if name != setting)])


@dataclass(frozen=True)
class Run:
    """One training of a comparison.

    Attributes:
        condition: what it is a run of.
        config: its settings; `output` is in `folder`.
        folder: what belongs to it, such as `comparisons/NAME/runs/head-seed0`.
        fingerprint: what decides whether a finished run is this one: settings, checksums of corpus and encoder, the version
            of tfner.
    """

    condition: Condition
    config: Config
    folder: Path
    fingerprint: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.condition.name}, seed {self.config.seed}"


@dataclass(frozen=True)
class Plan:
    """The runs of a comparison, seed by seed, and the corpora by the settings that name them (see `corpus_key`)."""

    folder: Path
    conditions: tuple[Condition, ...]
    runs: tuple[Run, ...]
    corpora: Mapping[str, Corpus]

    def corpus(self, condition: Condition) -> Corpus:
        """The corpus of a condition."""
        return self.corpora[corpus_key(condition.config)]


def make_plan(request: Request) -> Plan:
    """Plans the runs, and reads the corpora.

    Raises:
        UserError: for settings that cannot be used, a corpus that cannot be read, and two conditions that are the same.
    """
    folder, variants, seeds, vary = request.folder, request.variants, request.seeds, request.vary
    for name in variants:
        if name not in VARIANTS:
            raise UserError(f"{setting('variants', name)}: expected some of {', '.join(VARIANTS)}")
    if request.split not in SPLITS:
        raise UserError(f"{setting('split', request.split)}: expected {' or '.join(SPLITS)}")
    if not variants or seeds < 1:
        raise UserError(f"{setting('variants') if not variants else setting('seeds', seeds)}: expected at least one")
    conditions = []
    for variant, *values in itertools.product(variants, *vary.values()):
        varied = dict(zip(vary, values, strict=True))
        shown = {name: f"{name.replace('_', ' ')} {_shown(value, vary[name])}" for name, value in varied.items()}
        config = make_config(request.preset, **{**request.settings, **varied, "variant": variant})
        conditions.append(Condition(varied, shown, config))
    names = [condition.name for condition in conditions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"{twice} is planned twice: name each variant and each value once")
    slugs = _slugs(names)
    corpora: dict[str, Corpus] = {}
    checksums: dict[str, str] = {}
    for condition in conditions:
        key = corpus_key(condition.config)
        if key not in corpora:
            corpora[key] = read_corpus(condition.config, folder)
            checksums[key] = corpus_checksum(corpora[key])
    encoders = {encoder: encoder_checksum(encoder) for encoder in {c.config.encoder for c in conditions}}
    runs = []
    for seed, condition in itertools.product(range(seeds), conditions):
        own = folder / RUNS / f"{slugs[condition.name]}-seed{seed}"
        config = replace(condition.config, seed=seed, output=str(own / "model"))
        fingerprint = {
            "settings": {k: v for k, v in json.loads(config.to_json()).items() if k not in MAY_DIFFER},
            "corpus": checksums[corpus_key(config)],
            "encoder": encoders[config.encoder],
            "tfner": __version__,
        }
        runs.append(Run(condition, config, own, fingerprint))
    return Plan(folder, tuple(conditions), tuple(runs), corpora)


def read_vary(texts: Sequence[str]) -> dict[str, list[Any]]:
    """The values of `--vary NAME=VALUE,VALUE` arguments by setting.

    Raises UserError for an argument of another form, an unknown setting, and a value that the setting cannot have.
    """
    known = [one.name for one in fields(Config) if one.name not in NOT_VARIED]
    found: dict[str, list[Any]] = {}
    for text in texts:
        flag, equals, values = text.partition("=")
        name = flag.strip().lstrip("-").replace("-", "_")
        if name in NOT_VARIED:
            raise UserError(f"{setting('vary', text)}: this is set with {setting(NOT_VARIED[name])}")
        if name not in known:
            similar = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            raise UserError(f"{setting('vary', text)}: {name or 'nothing'} is not a setting of tfner train{hint}")
        if not equals or not values.strip():
            raise UserError(f"{setting('vary', text)}: expected the values after =, as in learning_rate=2e-5,5e-5")
        found.setdefault(name, []).extend(_read_value(name, value.strip(), text) for value in values.split(","))
    return found


def read_corpus(config: Config, folder: Path) -> Corpus:
    """The corpus of runs in a folder, after the checks that each of their trainings makes (see `check_request`).

    Raises UserError for settings with several tasks too.
    """
    if len(config.tasks) > 1:
        vary = setting("vary", f"task={config.task}")
        raise UserError(f"{setting('task', config.task)}: expected one task: compare each with {vary}")
    return check_request(replace(config, output=str(folder / RUNS / "new")))


def corpus_key(config: Config) -> str:
    """The settings that decide which sentences a run sees."""
    names = ("corpus", "task", "tag_column", "text_encoding", "one_document", "train_share")
    return json.dumps([getattr(config, name) for name in names])


def _read_value(name: str, value: str, text: str) -> Any:
    one = next(f for f in fields(Config) if f.name == name)
    if isinstance(one.default, bool):
        if value.lower() not in ("true", "false"):
            raise UserError(f"{setting('vary', text)}: expected true or false, found {value!r}")
        return value.lower() == "true"
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, [name])
    try:
        read = vars(parser.parse_args(["--" + name.replace("_", "-"), *value.split()]))[name]
    except argparse.ArgumentError as error:
        raise UserError(f"{setting('vary', text)}: {error.message}") from None
    return tuple(read) if isinstance(read, list) else read


def _shown(value: Any, values: Sequence[Any]) -> str:
    """A value of a setting in the name of a condition; a path is shown by its last part, if that tells it from the others."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    last = Path(str(value)).name
    return last if [Path(str(other)).name for other in values].count(last) == 1 else str(value)


def slug(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")


def _slugs(names: Sequence[str]) -> dict[str, str]:
    """For each name a part of a file name. Where several would have the same, they are told apart by a checksum."""
    found = {name: slug(name) for name in names}
    same = Counter(found.values())
    return {
        name: own if same[own] == 1 else f"{own}-{hashlib.sha256(name.encode()).hexdigest()[:8]}" for name, own in found.items()
    }


def corpus_checksum(corpus: Corpus) -> str:
    """A checksum of the labels and sentences of a corpus."""
    whole = hashlib.sha256(repr(corpus.labels.names).encode())
    for split, sentences in corpus.splits.items():
        whole.update(split.encode())
        for sentence in sentences:
            whole.update(repr((sentence.words, sentence.tags, sentence.document)).encode())
    return whole.hexdigest()


def encoder_checksum(name: str) -> str:
    """A checksum of the files in a model folder, or the name of an encoder that is not in a folder."""
    folder = Path(name).expanduser()
    if name != "demo" and newest_state(folder):
        folder = Path(encoder_source(name))
    if not folder.is_dir():
        return name
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        whole.update(path.name.encode())
        whole.update(bytes.fromhex(digest(path)))
    return whole.hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two fingerprints, as text."""
    found = changes(before["settings"], now["settings"])
    words = {"corpus": "the corpus has other sentences", "encoder": "the encoder has other files"}
    found += [text for name, text in words.items() if before[name] != now[name]]
    if before["tfner"] != now["tfner"]:
        found.append(f"tfner {now['tfner']} instead of {before['tfner']}")
    return found

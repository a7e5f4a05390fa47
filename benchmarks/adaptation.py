"""What training on a large corpus first brings to a small one, and what the model forgets: tables for docs/results/.

    python benchmarks/adaptation.py FOLDER --source CORPUS --target CORPUS [--numbers 100 400 1600] [--seeds 3]
      [--target-epochs N|auto] [--types OTHER=TYPE ...] [any flag of tfner.train, such as --encoder ENCODER]

For each seed it trains a model on the source, and two for each number of sentences of the target: one that goes on from the
model of the source, one from the encoder alone. So that a model keeps its classification layer, and can be scored on both
corpora, the entity types of the target are renamed to those of the source (`--types`; the default is for WNUT-17 and
CoNLL-2003). Models that are in FOLDER are not trained again. Intervals and claims are those of `tfner.compare`; p values are
adjusted for the numbers of sentences after Holm.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from tfner.terminal import quieten

quieten()

from tfner.config import Config, add_flags, make_config  # noqa: E402
from tfner.corpus import Corpus  # noqa: E402
from tfner.data.load import load_corpus  # noqa: E402
from tfner.errors import UserError  # noqa: E402
from tfner.evaluation.scores import f1_of_counts  # noqa: E402
from tfner.experiments.breakdown import document_counts  # noqa: E402
from tfner.experiments.claims import compare_pairs, holm, mean_interval  # noqa: E402
from tfner.experiments.results import mean_and_deviation  # noqa: E402
from tfner.export import export  # noqa: E402
from tfner.tagging.load import load_tagger  # noqa: E402
from tfner.train import train  # noqa: E402

TYPES = {
    "person": "PER",
    "location": "LOC",
    "corporation": "ORG",
    "group": "ORG",
    "creative-work": "MISC",
    "product": "MISC",
}
"""WNUT-17's entity types as those of CoNLL-2003."""


def renamed(corpus: Corpus, types: Mapping[str, str], folder: Path) -> Path:
    """Writes the corpus with other entity types as CoNLL columns."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, sentences in corpus.splits.items():
        blocks = []
        for sentence in sentences:
            tags = (tag if tag == "O" else f"{tag[:2]}{types[tag[2:]]}" for tag in sentence.tags)
            blocks.append("".join(f"{word} {tag}\n" for word, tag in zip(sentence.words, tags, strict=True)))
        (folder / f"{split}.txt").write_text("\n".join(blocks), "utf-8")
    return folder


def trained(config: Config, model: Path) -> Path:
    """The folder of a model, which is trained if none with these settings is there."""
    train(replace(config, output=str(model)), lambda line: None, resume=True)
    print(f"trained {model.name}", flush=True)
    return model


def counts(model: Path, corpus: Corpus) -> np.ndarray:
    """The gold, predicted and correct entities of each document of the test split."""
    sentences = corpus.splits["test"]
    with load_tagger(model, "tensorflow") as tagger:
        return document_counts(sentences, [tagged.tags for tagged in tagger.predict(sentences)], False)


def shown(of_seeds: Mapping[int, np.ndarray]) -> str:
    """The mean F1 of seeds with the standard deviation and its interval."""
    low, high = mean_interval(np.stack(list(of_seeds.values())))
    return f"{mean_and_deviation([float(f1_of_counts(own.sum(0))) for own in of_seeds.values()])} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--numbers", nargs="+", type=int, default=[100, 400, 1600], help="sentences of the target")
    parser.add_argument("--target-epochs", help="epochs of the trainings on the target [those of --epochs]")
    parser.add_argument("--types", nargs="+", default=[f"{other}={own}" for other, own in TYPES.items()], metavar="OTHER=TYPE")
    parser.add_argument("--seeds", type=int, default=3)
    add_flags(parser, [one.name for one in fields(Config) if one.name not in ("corpus", "train_share", "seed", "output")])
    arguments = vars(parser.parse_args())
    folder, seeds, numbers = arguments.pop("folder"), range(arguments.pop("seeds")), arguments.pop("numbers")
    types = dict(one.split("=") for one in arguments.pop("types"))
    epochs = arguments.pop("target_epochs")
    of_target = {} if epochs is None else {"epochs": int(epochs) if epochs.isdecimal() else epochs}
    source, target = arguments.pop("source"), load_corpus(arguments.pop("target"))
    if unknown := sorted(set(target.labels.types) - set(types)):
        raise UserError(f"--types: expected a type of the source for each of the target, found none for {', '.join(unknown)}")
    own = renamed(target, types, folder / "target")
    corpora = {"source": load_corpus(source), "target": load_corpus(str(own))}
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    found: dict[tuple[str, int, str], dict[int, np.ndarray]] = {}

    def score(way: str, number: int, seed: int, model: Path) -> None:
        for name, corpus in corpora.items():
            found.setdefault((way, number, name), {})[seed] = counts(model, corpus)

    for seed in seeds:
        before = trained(make_config(**settings, corpus=source, seed=seed), folder / f"source-seed{seed}")
        if not (before / "transformers").is_dir():
            export(before, format="transformers")  # the others go on from this
        score("source", 0, seed, before)
        for number in numbers:
            share = number / len(target.splits["train"])
            for way in ("adapted", "alone"):
                start = {"encoder": str(before)} if way == "adapted" else {}
                config = make_config(**{**settings, **of_target, **start}, corpus=str(own), seed=seed, train_share=share)
                score(way, number, seed, trained(config, folder / f"{way}-{number}-seed{seed}"))
    claims = [compare_pairs({way: found[way, number, "target"] for way in ("adapted", "alone")})[0] for number in numbers]
    adjusted = holm([claim.adjusted_p for claim in claims])
    print(f"\nThe model of the source, on the target: {shown(found['source', 0, 'target'])}")
    print("\n| sentences | adapted | target alone | difference | 95 % interval | adjusted p |\n|---|---|---|---|---|---|")
    for number, claim, p in zip(numbers, claims, adjusted, strict=True):
        sign = 1 if claim.one == "adapted" else -1
        low, high = sorted(sign * end for end in claim.interval) if claim.interval else (np.nan, np.nan)
        cells = (shown(found[way, number, "target"]) for way in ("adapted", "alone"))
        print(f"| {number:,} | {' | '.join(cells)} | {sign * claim.difference:+.4f} | {low:+.4f} to {high:+.4f} | {p:.4f} |")
    print("\n| sentences of the target | F1 on the source |\n|---|---|")
    print(f"| 0 | {shown(found['source', 0, 'source'])} |")
    for number in numbers:
        print(f"| {number:,} | {shown(found['adapted', number, 'source'])} |")


if __name__ == "__main__":
    main()

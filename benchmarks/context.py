"""What context in training and context in tagging are worth: a table of both for docs/results.md.

    python benchmarks/context.py MODEL [MODEL ...] [--pieces 64 128 256 512] [--neighbours 128]

Each MODEL is a folder with a training state, such as the `runs/*/model` of a comparison with `--vary
context=sentence,document,mixed`. All have the same corpus. Each tags validation and test in rows of one sentence, in rows of
as many consecutive sentences of a document as fit into `--pieces`, and with each sentence amid as many neighbours as fit into
`--neighbours`, in a row of its own. Models that were trained with the same context, variant and `--max-pieces` are seeds of
one setting. Differences are to models of the same variant that were trained on single sentences and tag them, with the
interval and test of `tfner.compare`, adjusted after Holm.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfner.terminal import quieten

quieten()

from tfner.config import Config  # noqa: E402
from tfner.corpus import Sentence  # noqa: E402
from tfner.data.load import corpus_of  # noqa: E402
from tfner.evaluation.scores import f1_of_counts  # noqa: E402
from tfner.experiments.breakdown import document_counts  # noqa: E402
from tfner.experiments.claims import compare_pairs, holm  # noqa: E402
from tfner.experiments.results import mean_and_deviation  # noqa: E402
from tfner.folder import TRAINING, read_settings, versions  # noqa: E402
from tfner.modeling.rows import EncodedRows, RowEncoder, _Part  # noqa: E402
from tfner.modeling.variants import logits_function  # noqa: E402
from tfner.modeling.windows import Window, cut_windows  # noqa: E402
from tfner.tagging.in_memory import InMemoryTagger  # noqa: E402
from tfner.tagging.tagger import Head  # noqa: E402
from tfner.training.state import load_state  # noqa: E402

ALONE = "single sentences"


class NeighbourEncoder(RowEncoder):
    """Encodes each sentence in a row of its own, amid as many whole neighbours of its document as fit."""

    def encode(self, sentences: Sequence[Sentence], extents: np.random.Generator | None = None) -> EncodedRows:
        usual = super().encode(sentences)
        pieces = list(self.word_tokenizer.split([sentence.words for sentence in sentences]))
        rows = []
        for number, (sentence, (ids, words)) in enumerate(zip(sentences, pieces, strict=True)):
            windows, _ = cut_windows(ids, words, self.room)
            parts = [_Part(number, sentence, window) for window in windows]
            if len(parts) == 1:
                rows.append(self._row(self._amid(parts[0], sentences, pieces)))
            else:
                rows += [self._row([part]) for part in parts]
        return replace(usual, rows=tuple(rows))

    def _amid(self, part: _Part, sentences: Sequence[Sentence], pieces: Sequence[Any]) -> list[_Part]:
        """The parts of a row: neighbours are taken in turns from before and after, until the next one does not fit."""
        found, room = [part], self.room - len(part.window.ids)
        ends = {-1: part.number, 1: part.number}
        while ends:
            for step in list(ends):
                at = ends[step] = ends[step] + step
                fits = (
                    0 <= at < len(sentences)
                    and part.sentence.document is not None
                    and sentences[at].document == part.sentence.document
                    and len(pieces[at][0]) + len(self.closing) <= room
                )
                if not fits:
                    del ends[step]
                    continue
                ids, words = pieces[at]
                silent = _Part(at, sentences[at], Window(ids, words, 0, 0))  # no prediction in this row is used for its words
                found = [silent, *found] if step < 0 else [*found, silent]
                room -= len(ids) + len(self.closing)
        return found


def encoders(own: RowEncoder, pieces: Sequence[int], neighbours: Sequence[int]) -> dict[str, RowEncoder]:
    """What a model is tagged with, by its name."""

    def make(kind: type[RowEncoder], most: int, context: str) -> RowEncoder:
        return kind(own.tokenizer, own.labels, own.label_pieces, most, context, own.columns)

    return {
        ALONE: make(RowEncoder, max(pieces), "sentence"),
        **{f"rows of {most}": make(RowEncoder, most, "document") for most in pieces},
        **{f"neighbours in {most}": make(NeighbourEncoder, most, "sentence") for most in neighbours},
    }


def names_of(configs: Sequence[Config]) -> list[str]:
    """What models are called: by context, and by variant and `--max-pieces` where they differ in these."""
    variants, pieces = ({getattr(config, name) for config in configs} for name in ("variant", "max_pieces"))
    return [
        (f"{config.variant}, " if len(variants) > 1 else "")
        + config.context
        + (f", {config.max_pieces} pieces" if len(pieces) > 1 and config.max_pieces else "")
        for config in configs
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--pieces", nargs="*", type=int, default=[64, 128, 256, 512])
    parser.add_argument("--neighbours", nargs="*", type=int, default=[128])
    arguments = parser.parse_args()
    states = [folder / TRAINING / str(versions(folder / TRAINING)[-1]) for folder in arguments.models]
    configs = [read_settings(state)[0] for state in states]
    names = names_of(configs)
    seeds = Counter((name, config.seed) for name, config in zip(names, configs, strict=True))
    if twice := [f"{name}, seed {seed}" for (name, seed), number in seeds.items() if number > 1]:
        parser.error(f"expected models that differ in context, variant, --max-pieces or seed, found several of {twice[0]}")
    splits: dict[str, tuple[Sentence, ...]] = {}
    counts: dict[str, dict[tuple[str, str], dict[int, np.ndarray]]] = {"validation": {}, "test": {}}
    seconds: dict[str, list[float]] = {}
    for folder, state, name in zip(arguments.models, states, names, strict=True):
        trained = load_state(state)
        config, (task, head) = trained.config, next(iter(trained.heads.items()))
        splits = splits or dict(corpus_of(config).splits)
        for how, encoder in encoders(head.row_encoder, arguments.pieces, arguments.neighbours).items():
            tagger = InMemoryTagger(logits_function(trained.model), {task: Head(encoder, head.calibration)}, config)
            for split, by_model in counts.items():
                start = time.perf_counter()
                tags = [tagged.tags for tagged in tagger.predict(splits[split])]
                if split == "test":
                    seconds.setdefault(how, []).append(time.perf_counter() - start)
                by_model.setdefault((name, how), {})[config.seed] = document_counts(splits[split], tags, task == "pos")
        print(f"tagged with {folder}", flush=True)
    first = next(iter(counts["test"].values()))
    print(f"\n{len(first)} seeds. Seconds for the test split: ", end="")
    print(", ".join(f"{how} {np.median(values):.1f}" for how, values in seconds.items()))
    variants = {name: config.variant for name, config in zip(names, configs, strict=True)}
    ways = list(dict.fromkeys(how for _, how in counts["test"]))
    for split, by_model in counts.items():
        print(f"\n| {split} F1, trained on | {' | '.join(ways)} |\n|{'---|' * (len(ways) + 1)}")
        for name in variants:
            found = [[float(f1_of_counts(own.sum(0))) for own in by_model[name, how].values()] for how in ways]
            print(f"| {name} | {' | '.join(map(mean_and_deviation, found))} |")
    alone = zip(names, configs, strict=True)
    usual = {config.variant: (name, ALONE) for name, config in alone if config.context == "sentence"}
    others = {pair: usual[kind] for pair in counts["test"] if (kind := variants[pair[0]]) in usual and pair != usual[kind]}
    if not others or len(first) < 2:
        return
    claims = {
        pair: compare_pairs({"this": counts["test"][pair], ALONE: counts["test"][base]})[0] for pair, base in others.items()
    }
    adjusted = holm([claim.adjusted_p for claim in claims.values()])
    print("\n| trained on | tagged as | difference on test | 95 % interval | adjusted p |\n|---|---|---|---|---|")
    for (pair, claim), p in zip(claims.items(), adjusted, strict=True):
        assert claim.interval
        sign = 1 if claim.one == "this" else -1
        low, high = sorted(sign * end for end in claim.interval)
        print(f"| {pair[0]} | {pair[1]} | {sign * claim.difference:+.4f} | {low:+.4f} to {high:+.4f} | {p:.4f} |")


if __name__ == "__main__":
    main()

"""What decoding, temperature and thresholds do, for models of several seeds: the tables of docs/results/scores.md.

    python benchmarks/scores.py MODEL [MODEL ...] [--corpus FOLDER] [--also FILE] [--precision 0.95]

Each MODEL is a folder with a training state; all are of one setting, with different seeds. Everything is fitted on validation.
Intervals are from a bootstrap of documents in which both sides have the same weights; p is from the randomization test that
`tfner.compare` uses.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from tfner.terminal import quieten

quieten()


from tfner.corpus import Sentence  # noqa: E402
from tfner.data.load import corpus_of, read_annotation  # noqa: E402
from tfner.evaluation.annotations import FIRST, suspects  # noqa: E402
from tfner.evaluation.mistakes import mistakes  # noqa: E402
from tfner.evaluation.reliability import reliability, scored_entities, scored_words  # noqa: E402
from tfner.evaluation.scores import f1_of_counts, score  # noqa: E402
from tfner.experiments.breakdown import document_counts  # noqa: E402
from tfner.experiments.claims import randomization_test  # noqa: E402
from tfner.experiments.results import mean_and_deviation  # noqa: E402
from tfner.folder import TRAINING, read_settings, versions  # noqa: E402
from tfner.modeling.batches import apply_to_rows  # noqa: E402
from tfner.modeling.calibration import Calibration  # noqa: E402
from tfner.modeling.decoding import Tagged, decode, softmax  # noqa: E402
from tfner.modeling.variants import logits_function  # noqa: E402
from tfner.tagging.in_memory import InMemoryTagger  # noqa: E402
from tfner.training.calibrate import calibrate  # noqa: E402
from tfner.training.state import load_state  # noqa: E402

SAMPLES, RESAMPLES = 2000, 200
HOW = ("greedy", "viterbi")


@dataclass(frozen=True)
class Seed:
    """What a model of one seed gives, by split and decoder, before and after calibration."""

    greedy: dict[str, list[Tagged]]
    viterbi: dict[str, list[Tagged]]
    calibrated: dict[str, list[Tagged]]
    calibration: Calibration
    seconds: dict[str, tuple[float, float]]
    """By decoder the seconds for the test split, and for a sentence (median), without the encoder."""


def tagged(folder: Path, splits: dict[str, Sequence[Sentence]], precision: float) -> Seed:
    """Tags validation and test with a model."""
    trained = load_state(_state(folder))
    encoder, config = (
        trained.row_encoder,
        replace(trained.config, temperature="auto", min_precision=precision, decode="viterbi"),
    )
    tagger = InMemoryTagger(logits_function(trained.model), trained.heads, config)
    calibration = calibrate(tagger, config, splits["validation"], lambda line: None)
    found: dict[str, dict[str, list[Tagged]]] = {"greedy": {}, "viterbi": {}, "calibrated": {}}
    seconds: dict[str, tuple[float, float]] = {}
    for split, sentences in splits.items():
        encoded = encoder.encode(sentences)
        logits = apply_to_rows(tagger.logits, encoded.rows, encoder.pad_id)
        probabilities = [softmax(values) for values in logits]
        for how in HOW:
            times = []
            for _ in range(5):
                start = time.perf_counter()
                found[how][split] = decode(encoder, encoded, probabilities, how)
                times.append(time.perf_counter() - start)
            seconds[how] = median(times), _of_one(encoder, sentences, how, len(trained.row_encoder.labels))
        scaled = [softmax(values / calibration.temperature) for values in logits]
        found["calibrated"][split] = decode(encoder, encoded, scaled, "viterbi")
    return Seed(**found, calibration=calibration, seconds=seconds)


def _state(model: Path) -> Path:
    return model / TRAINING / str(versions(model / TRAINING)[-1])


def _of_one(encoder: Any, sentences: Sequence[Sentence], how: str, labels: int) -> float:
    """The median time to decode a sentence alone. Random values break IOB2 in every sentence: the worst case."""
    generator, times = np.random.default_rng(0), []
    for sentence in sentences[:200]:
        encoded = encoder.encode([sentence])
        values = [generator.dirichlet(np.ones(labels), len(row)).astype(np.float32) for row in encoded.rows]
        start = time.perf_counter()
        decode(encoder, encoded, values, how)
        times.append(time.perf_counter() - start)
    return median(times)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    print()


def decoding(seeds: Sequence[Seed], splits: dict[str, Sequence[Sentence]], labels: Any) -> None:
    """F1 of both decoders, their difference, and what they cost."""
    print("## Decoding\n")
    rows = []
    for split, sentences in splits.items():
        gold = [s.tags for s in sentences]
        for how in HOW:
            scores = [score(gold, [t.tags for t in getattr(seed, how)[split]], labels) for seed in seeds]
            cells = (
                mean_and_deviation([s.overall.f1 for s in scores]),
                mean_and_deviation([s.strict.f1 for s in scores]),
                mean_and_deviation([s.accuracy for s in scores]),
            )
            rows.append((split, how, len(seeds), *cells))
    table(("split", "decoder", "seeds", "F1, conlleval", "F1, strict", "accuracy"), rows)
    sentences = splits["test"]
    counts = [
        np.stack([document_counts(sentences, [t.tags for t in getattr(seed, how)["test"]], False) for seed in seeds])
        for how in HOW
    ]
    generator = np.random.default_rng(0)
    draws = generator.multinomial(counts[0].shape[1], np.full(counts[0].shape[1], 1 / counts[0].shape[1]), SAMPLES)
    means = [f1_of_counts(np.einsum("sd,kdc->skc", draws, own)).mean(1) for own in counts]
    low, high = np.percentile(means[1] - means[0], [2.5, 97.5])
    p = randomization_test(counts[1].astype(float), counts[0].astype(float))
    whole = [f1_of_counts(own.sum(1)).mean() for own in counts]
    changed = mean(mean(a.tags != b.tags for a, b in zip(s.greedy["test"], s.viterbi["test"], strict=True)) for s in seeds)
    print(
        f"viterbi - greedy on test: {whole[1] - whole[0]:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, p = {p:.4f}; "
        f"{changed:.1%} of the sentences get other tags.\n"
    )
    rows = []
    for how in HOW:
        whole, one = (1000 * median(values) for values in zip(*(seed.seconds[how] for seed in seeds), strict=True))
        rows.append((how, f"{whole:.0f}", f"{one:.2f}"))
    table(("decoder", "ms for the test split", "ms for a sentence (worst case)"), rows)


def scores(seeds: Sequence[Seed], splits: dict[str, Sequence[Sentence]], precision: float) -> None:
    """Calibration error before and after, and how often the promise of the thresholds is kept."""
    print("## Temperature\n")
    rows = []
    temperatures = {"viterbi": "1", "calibrated": mean_and_deviation([seed.calibration.temperature for seed in seeds])}
    for split, sentences in splits.items():
        for name, temperature in temperatures.items():
            values = zip(*(errors(sentences, getattr(seed, name)[split]) for seed in seeds), strict=True)
            rows.append((split, temperature, *map(mean_and_deviation, values)))
    table(("split", "temperature", "calibration error of words", "of entities"), rows)
    pairs = [(seed.viterbi[split], seed.calibrated[split]) for seed in seeds for split in splits]
    same = all(a.tags == b.tags for one, other in pairs for a, b in zip(one, other, strict=True))
    print(f"Tags are the same: {same}.\n\n## Thresholds for a precision of {precision}\n")
    rows = []
    for split, sentences in splits.items():
        kept: dict[str, list[tuple[float, float, float]]] = {}
        for seed in seeds:
            for kind, own in promise(seed, split, sentences, precision).items():
                kept.setdefault(kind, []).append(own)
        for kind, values in kept.items():
            accepted, reached, share = (np.array(column) for column in zip(*values, strict=True))
            rows.append((split, kind, f"{accepted.mean():.1%}", f"{np.nanmean(reached):.4f}", f"{np.nanmean(share):.1%}"))
    table(("split", "type", "accepted", "precision of accepted", f"resamples with at least {precision}"), rows)


def errors(sentences: Sequence[Sentence], own: Sequence[Tagged]) -> tuple[float, float]:
    """The expected calibration errors of words and of entities."""
    gold, tags, values = [s.tags for s in sentences], [t.tags for t in own], [t.probabilities for t in own]
    _, scores, right = scored_entities(gold, tags, values, False)
    return reliability(*scored_words(gold, tags, values)).error, reliability(scores, right).error


def promise(seed: Seed, split: str, sentences: Sequence[Sentence], precision: float) -> dict[str, tuple[float, float, float]]:
    """By type and for all: the share of entities that is accepted, its precision, and the share of resamples that reach it."""
    gold, own = [s.tags for s in sentences], seed.calibrated[split]
    documents = [i if s.document is None else s.document for i, s in enumerate(sentences)]
    counts: dict[str, np.ndarray] = {}
    predicted: dict[str, int] = {}
    for i, (sentence, one) in enumerate(zip(gold, own, strict=True)):
        for kind, value, right in zip(*scored_entities([sentence], [one.tags], [one.probabilities], False), strict=True):
            for name in (kind, "all"):
                predicted[name] = predicted.get(name, 0) + 1
                if seed.calibration.accepts(kind, value):
                    counts.setdefault(name, np.zeros((max(documents) + 1, 2)))[documents[i]] += (1, right)
    found = {}
    for name in sorted(predicted):
        table = counts.get(name)
        if table is None:  # nothing of this type is accepted
            found[name] = 0.0, math.nan, math.nan
            continue
        draws = np.random.default_rng(0).multinomial(len(table), np.full(len(table), 1 / len(table)), RESAMPLES)
        accepted, right = (draws @ table).T
        total = table.sum(0)
        found[name] = total[0] / predicted[name], total[1] / total[0], float(np.mean(right >= precision * accepted))
    return found


def label_errors(seeds: Sequence[Seed], sentences: Sequence[Sentence], second: Sequence[Sequence[str]], labels: Any) -> None:
    """How many of the sentences that models contradict most surely have another annotation."""
    print("## Label errors\n")
    words, gold = [s.words for s in sentences], [s.tags for s in sentences]
    rows = []
    for i, seed in enumerate(seeds):
        own = seed.calibrated["test"]
        rows.append((f"seed {i}", *_suspects(words, gold, second, [t.tags for t in own], [t.probabilities for t in own])))
    agreed, values = [], []
    for k, sentence in enumerate(sentences):
        answers = [seed.calibrated["test"][k] for seed in seeds]
        same = all(a.tags == answers[0].tags for a in answers)
        agreed.append(answers[0].tags if same else list(sentence.tags))
        values.append(np.mean([a.probabilities for a in answers], axis=0))
    rows.append((f"where all {len(seeds)} agree", *_suspects(words, gold, second, agreed, values)))
    table(("model", "contradicted", "of these, other tags in the second", *(f"of the first {n}" for n in FIRST)), rows)
    both = [
        [score(tags, [t.tags for t in seed.calibrated["test"]], labels).overall.f1 for seed in seeds] for tags in (gold, second)
    ]
    table(("annotation", "F1"), [("first", mean_and_deviation(both[0])), ("second", mean_and_deviation(both[1]))])


def _suspects(words: Any, gold: Any, second: Any, predicted: Any, probabilities: Any) -> tuple[object, ...]:
    found = suspects(gold, second, mistakes(words, gold, predicted, probabilities, len(words)))
    first = dict(found.first)
    share = f"{found.differing} ({found.differing / max(1, found.number):.0%})"
    return found.number, share, *(f"{first[n]} ({first[n] / n:.0%})" if n in first else "-" for n in FIRST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--corpus", help="the corpus, where it is not that of the first model")
    parser.add_argument("--also", type=Path, help="a second annotation of the test split")
    parser.add_argument("--precision", type=float, default=0.95)
    arguments = parser.parse_args()
    config, _ = read_settings(_state(arguments.models[0]))
    corpus = corpus_of(replace(config, corpus=arguments.corpus or config.corpus))
    splits = {split: corpus.splits[split] for split in ("validation", "test")}
    seeds = [tagged(folder, splits, arguments.precision) for folder in arguments.models]
    decoding(seeds, splits, corpus.labels)
    scores(seeds, splits, arguments.precision)
    if arguments.also:
        label_errors(seeds, splits["test"], read_annotation(arguments.also, corpus.task, splits["test"])[0], corpus.labels)


if __name__ == "__main__":
    main()

"""One encoder for three tasks against three encoders: scores, time of training and tagging, size.

    python benchmarks/three_tasks.py FOLDER [--seeds 3] [any flag of tfner.train, such as --corpus, --encoder, --epochs]

Trains, for each seed, a model with `--task ner,pos,chunk` and one for each task, with the same settings, into FOLDER. Models
that are there are not trained again. Seconds of training are those of the epochs, without their scoring. Tagging is timed on
the test split with TensorFlow: one pass for all tasks, and three models one after the other, in turns; the median is shown.
Claims are those of `tfner.compare`, with p values that are adjusted for the three tasks after Holm.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import fields, replace
from pathlib import Path
from statistics import mean, median

from tfner.terminal import quieten

quieten()

from tfner.config import TASKS, Config, add_flags, make_config  # noqa: E402
from tfner.data.load import corpus_of  # noqa: E402
from tfner.evaluation.scores import f1_of_counts  # noqa: E402
from tfner.experiments.breakdown import document_counts  # noqa: E402
from tfner.experiments.claims import compare_pairs, holm  # noqa: E402
from tfner.experiments.results import mean_and_deviation  # noqa: E402
from tfner.folder import EXTRA, HISTORY, read_history  # noqa: E402
from tfner.tagging.load import load_tagger  # noqa: E402
from tfner.tagging.tagger import RowTagger  # noqa: E402
from tfner.train import train  # noqa: E402

TOGETHER = ",".join(TASKS)
ROUNDS = 5


def trained(config: Config, folder: Path, task: str, seed: int) -> Path:
    """The model of a task, or of all tasks, and a seed, which is trained if none with these settings is there."""
    model = folder / f"{task.replace(',', '-')}-seed{seed}"
    version = train(replace(config, task=task, seed=seed, output=str(model)), lambda line: None, resume=True).folder
    print(f"trained {model.name}", flush=True)
    return version


def seconds_of_training(version: Path) -> float:
    return sum(float(row["seconds"]) for row in read_history(version / EXTRA / HISTORY))


def mib(version: Path) -> float:
    return sum(file.stat().st_size for file in version.rglob("*") if file.is_file()) / 2**20


def open_tagger(version: Path, task: str) -> RowTagger:
    tagger = load_tagger(version, "tensorflow", task=task)
    assert isinstance(tagger, RowTagger)
    return tagger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    add_flags(parser, [one.name for one in fields(Config) if one.name not in ("task", "seed", "output")])
    arguments = vars(parser.parse_args())
    folder, seeds = arguments.pop("folder"), range(arguments.pop("seeds"))
    config = make_config(**{k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}, task=TOGETHER)
    corpora = corpus_of(config).tasks
    counts: dict[str, dict[str, dict[int, object]]] = {task: {"together": {}, "alone": {}} for task in TASKS}
    f1: dict[tuple[str, str], list[float]] = {}
    training, tagging, sizes = ({"together": [], "alone": []} for _ in range(3))
    for seed in seeds:
        together = trained(config, folder, TOGETHER, seed)
        alone = {task: trained(config, folder, task, seed) for task in TASKS}
        training["together"].append(seconds_of_training(together))
        training["alone"].append(sum(map(seconds_of_training, alone.values())))
        sizes["together"].append(mib(together))
        sizes["alone"].append(sum(map(mib, alone.values())))
        taggers = {task: open_tagger(version, task) for task, version in alone.items()}
        all_tasks = open_tagger(together, TASKS[0])
        sentences = {task: corpora[task].splits["test"] for task in TASKS}
        times: dict[str, list[float]] = {"together": [], "alone": []}
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            tags = {"together": all_tasks.predict_tasks(sentences[TASKS[0]])}
            between = time.perf_counter()
            tags["alone"] = {task: tagger.predict(sentences[task]) for task, tagger in taggers.items()}
            times["together"].append(between - start)
            times["alone"].append(time.perf_counter() - between)
        for how in times:
            tagging[how].append(median(times[how][1:]))
            for task in TASKS:
                found = document_counts(sentences[task], [t.tags for t in tags[how][task]], task == "pos")
                counts[task][how][seed] = found
                f1.setdefault((task, how), []).append(float(f1_of_counts(found.sum(0))))
        for tagger in (all_tasks, *taggers.values()):
            tagger.close()
    print("\n| test F1 | one model for three tasks | a model for each | claim |\n|---|---|---|---|")
    claims = [compare_pairs(counts[task])[0] for task in TASKS]
    for task, claim, p in zip(TASKS, claims, holm([claim.adjusted_p for claim in claims]), strict=True):
        claim = replace(claim, adjusted_p=p)
        ends = "" if claim.interval is None else f" [{claim.interval[0]:+.4f}, {claim.interval[1]:+.4f}]"
        claimed = "a difference is claimed" if claim.holds else "no difference can be claimed"  # seeds needed are of one pair
        what = f"{claimed}: {claim.one} - {claim.other} {claim.difference:+.4f}{ends}, p {p:.4f}"
        print(f"| {task} | {mean_and_deviation(f1[task, 'together'])} | {mean_and_deviation(f1[task, 'alone'])} | {what} |")
    print("\n| | one model for three tasks | a model for each, together | ratio |\n|---|---|---|---|")
    rows = {"seconds of training": training, "seconds to tag the test split": tagging, "MiB": sizes}
    for name, values in rows.items():
        ratio = mean(values["together"]) / mean(values["alone"])
        digits = 2 if name.startswith("seconds to") else 1
        cells = (mean_and_deviation(values[how], digits) for how in ("together", "alone"))
        print(f"| {name} | {' | '.join(cells)} | {ratio:.2f} |")


if __name__ == "__main__":
    main()

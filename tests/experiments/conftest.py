import numpy as np
import pytest
from support.trainings import write_corpus

from tfner.evaluation.scores import score
from tfner.experiments.choices import DECISIVE, FAILING, TRIALS, WORKING
from tfner.experiments.collapse import conduct
from tfner.experiments.plan import Request, make_plan
from tfner.experiments.results import collect
from tfner.experiments.runs import Finished
from tfner.experiments.trials import plan_study

NAMES = {FAILING: ["model 2 of the study"], WORKING: ["model 2, trained as tfner does", "batches of 128"], DECISIVE: []}
SOME = [trial for trial in TRIALS if trial.name in NAMES[trial.part]]
"""Trials on the study's collapse that the tests train."""


@pytest.fixture(scope="session")
def plan_some(corpus):
    """A function that plans some trials with one seed and one epoch, in a folder and with other options."""

    def plan(folder, **options):
        return plan_study(**({"seeds": 1, "output": folder, "trials": SOME, "epochs": 1, "corpus": str(corpus)} | options))

    return plan


@pytest.fixture(scope="session")
def collapse_results(tmp_path_factory, plan_some):
    """The folder of these trials, their results, and what was said."""
    folder, lines = tmp_path_factory.mktemp("study") / "collapse", []
    return folder, conduct(plan_some(folder), lines.append), lines


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """The results of two models with three seeds."""
    return _draw_results(tmp_path_factory.mktemp("results"), 3, {})


@pytest.fixture(scope="session")
def results_by_share(tmp_path_factory):
    """The results of two models with two seeds and three shares of the training sentences."""
    return _draw_results(tmp_path_factory.mktemp("results"), 2, {"train_share": [0.25, 0.5, 1.0]})


def _draw_results(folder, seeds, vary):
    """Results of models whose predictions are the gold tags with mistakes drawn at random."""
    write_corpus(folder, sizes={"train": 60, "validation": 20, "test": 40})
    plan = make_plan(Request(["finetune", "head"], seeds, vary, folder / "comparison", None, {"corpus": str(folder)}))
    runs = []
    for number, run in enumerate(plan.runs):
        corpus, generator = plan.corpus(run.condition), np.random.default_rng(number)
        wrong = 0.05 if run.config.variant == "finetune" else 0.4
        predictions = {
            split: [["O" if generator.random() < wrong else tag for tag in s.tags] for s in corpus.splits[split]]
            for split in ("validation", "test")
        }
        scores = {
            split: score([s.tags for s in corpus.splits[split]], tags, corpus.labels) for split, tags in predictions.items()
        }
        history = [{"epoch": float(e), "loss": 1 / e, "val_loss": 1 / e, "f1": 0.1 * e, "seconds": 1.0} for e in (1, 2)]
        runs.append(Finished(run, scores, predictions, history, {"encoder": 100, "new": 10}, 2_000_000, 2.0, 500.0, 9.0, "CPU"))
    facts = {
        "command": "python -m tfner.compare",
        "tuning": "none.",
        "tfner": "0",
        "python": "3",
        "packages": {},
        "processor": "p",
    }
    return collect(plan, runs, [], facts)

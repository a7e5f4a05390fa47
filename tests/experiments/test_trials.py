"""The trials on the study's collapse: their plan, what is trained again, and which epoch counts."""

import pytest
from support.errors import refused

from tfner.errors import UserError
from tfner.experiments import trials
from tfner.experiments.choices import TRIALS
from tfner.experiments.runs import duration
from tfner.experiments.trials import Outcome, carry_out, dry_run


@pytest.mark.slow
def test_what_is_finished_is_not_trained_again(collapse_results, plan_some, monkeypatch):
    folder, results, _ = collapse_results
    study = plan_some(folder)
    lost = study.path(study.trials[1], 0)
    lost.unlink()
    trained = []
    train = trials._train
    monkeypatch.setattr(trials, "_train", lambda *args: trained.append(args[1].name) or train(*args))
    again = carry_out(study, lambda line: None)
    assert trained == [study.trials[1].name]
    assert [outcome.trial.name for outcome in again] == [run["trial"] for run in results["runs"]]
    lines = []
    dry_run(study, lines.append)
    assert lines[0].count("finished") == 3
    assert len(lines) == 1


@pytest.mark.slow
def test_a_dry_run_says_how_long_the_rest_takes(collapse_results, plan_some, tmp_path):
    folder, _, _ = collapse_results
    lines = []
    dry_run(plan_some(tmp_path / "new"), lines.append)
    assert lines[-1] == "the time that the others take is known when one is finished"
    study = plan_some(folder, seeds=2)
    dry_run(study, lines.append)
    seconds = sum(study.finished(trial, 0).seconds for trial in study.trials)
    assert lines[-1] == f"about {duration(seconds)} in all"


@pytest.mark.slow
def test_results_of_other_settings_are_refused(collapse_results, plan_some):
    folder, _, _ = collapse_results
    with pytest.raises(UserError, match=r"was planned differently.*2 instead of 1"):
        plan_some(folder, epochs=2)


def test_the_last_epoch_counts_and_the_first_with_the_highest_accuracy_would_be_restored():
    rows = [
        {"epoch": e, "val_accuracy": a, "top_share": s, "f1": 0.0} for e, a, s in [(1, 0.1, 0.5), (2, 0.9, 0.5), (3, 0.9, 1)]
    ]
    outcome = Outcome(TRIALS[0], 0, rows, 1.0)
    assert (outcome.last["epoch"], outcome.restored["epoch"]) == (3, 2)
    assert outcome.collapsed
    assert not Outcome(TRIALS[0], 0, rows[:2], 1.0).collapsed


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"share": 0}, "share"),
        ({"share": 1.5}, "share"),
        ({"seeds": 0}, "seeds"),
        ({"epochs": "auto"}, "epochs"),
        ({"learning_rate": 1e-3}, "learning_rate"),
    ],
)
def test_settings_that_the_experiment_cannot_use_are_refused(tmp_path, plan_some, options, setting):
    with refused(f"collapse {options}", setting=setting):
        plan_some(tmp_path / "new", **options)

"""Results: models with their seeds, and figures that agree with each other and with the scores of the runs."""

import json
import subprocess
from statistics import mean

import pytest

import tfner
from tfner.experiments.results import find_facts, mean_and_deviation
from tfner.machine import usable_cores
from tfner.terminal import counted


def test_the_mean_f1_is_that_of_the_scores_of_the_seeds(results):
    (group,) = results.groups
    found = results.to_json()["groups"][0]["models"]
    for model in group.models:
        assert model.seeds == [0, 1, 2]
        assert found[model.name]["mean_f1"] == pytest.approx(mean(s.overall.f1 for s in model.scores("test")))
        low, high = group.intervals[model.name]
        assert low < found[model.name]["mean_f1"] < high


def test_the_confusion_of_a_model_is_that_of_all_seeds_together(results):
    (group,) = results.groups
    model = group.models[0]
    assert group.confusion(model).confusion.sum() == 3 * model.scores("test")[0].words


def test_the_json_can_be_read_back_and_keeps_measures_apart(results):
    value = results.to_json()
    assert json.loads(json.dumps(value))["measured"]["head, seed 2"]["training_seconds"] == 2.0
    assert "seconds" not in json.dumps(value["groups"])


def test_the_better_model_is_claimed(results):
    (claim,) = results.groups[0].claims
    assert (claim.one, claim.other, claim.holds) == ("finetune", "head", True)


def test_facts_name_packages_and_processor():
    facts = find_facts("command", "tuning")
    assert facts["packages"]["nervaluate"].startswith("1.")
    assert facts["processor"].endswith(f", {counted(len(usable_cores()), 'core')}")


def test_the_commit_is_that_of_tfner_and_of_no_repository_around_it(monkeypatch, tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", tmp_path, *who, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    monkeypatch.setattr(tfner, "__file__", str(tmp_path / "venv" / "tfner" / "__init__.py"))
    assert "commit" not in find_facts("command", "tuning")["tfner"]
    monkeypatch.setattr(tfner, "__file__", str(tmp_path / "tfner" / "__init__.py"))
    assert "commit" in find_facts("command", "tuning")["tfner"]


def test_one_seed_has_no_deviation():
    assert mean_and_deviation([0.5]) == "0.5000"
    assert mean_and_deviation([0.4, 0.6]) == "0.5000 ± 0.1414"

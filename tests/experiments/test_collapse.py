"""The experiment on the study's collapse: real trainings on a small corpus, resumed and reported."""

import json

import pytest
from support.errors import refused
from support.trainings import refused_line

from tfner import compare
from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.errors import UserError
from tfner.experiments import collapse
from tfner.experiments.choices import DECISIVE, FAILING, TRIALS, WORKING
from tfner.experiments.collapse import Outcome, conduct, dry_run, one_class_accuracies, plan_study

NAMES = {FAILING: ["model 2 of the study"], WORKING: ["model 2, trained as tfner does", "batches of 128"], DECISIVE: []}
SOME = [trial for trial in TRIALS if trial.name in NAMES[trial.part]]


def plan(folder, corpus, /, **options):
    usual = {"seeds": 1, "output": folder, "trials": SOME, "epochs": 1, "corpus": str(corpus)}
    return plan_study(**(usual | options))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("study") / "collapse"
    lines = []
    return folder, conduct(plan(folder, corpus), lines.append), lines


@pytest.mark.slow
def test_the_report_has_each_trial_and_the_figures_of_the_study(finished):
    folder, results, lines = finished
    assert [run["trial"] for run in results["runs"]] == [trial.name for trial in SOME]
    assert json.loads((folder / "results.json").read_text("utf-8")) == json.loads(json.dumps(results))
    text = (folder / "results.md").read_text("utf-8")
    assert "| the study, epoch 2 | 0.3120 | 0.0539 | 0.2557 | 0.9735 |" in text
    for run in results["runs"]:
        (row,) = run["rows"]
        cells = [run["trial"], 0, "yes" if run["collapsed"] else "no", 1, f"{row['f1']:.4f}", f"{row['f1']:.3f}"]
        assert f"| {' | '.join(map(str, cells))} | {row['val_accuracy']:.3f} |" in text
    page = (folder / "report.html").read_text("utf-8")
    assert "<title>tfner: Why models 2 and 3 of the study predict one class</title>" in page
    assert page.count("<svg") == 3
    assert len([line for line in lines if " of 3  " in line]) == 3


@pytest.mark.slow
def test_what_is_finished_is_not_trained_again(finished, corpus, monkeypatch):
    folder, results, _ = finished
    study = plan(folder, corpus)
    lost = study.path(SOME[1], 0)
    lost.unlink()
    trained = []
    train = collapse._train
    monkeypatch.setattr(collapse, "_train", lambda *args: trained.append(args[1].name) or train(*args))
    again = conduct(study, lambda line: None)
    assert trained == [SOME[1].name]
    assert [run["trial"] for run in again["runs"]] == [run["trial"] for run in results["runs"]]
    lines = []
    dry_run(study, lines.append)
    assert lines[0].count("finished") == 3


@pytest.mark.slow
def test_results_of_other_settings_are_refused(finished, corpus):
    folder, _, _ = finished
    with pytest.raises(UserError, match=r"was planned differently.*2 instead of 1"):
        plan(folder, corpus, epochs=2)


def test_the_accuracy_of_one_class_counts_all_positions():
    sentences = [Sentence(("a", "b"), ("B-PER", "O")), Sentence(("c",) * 120, ("B-LOC",) * 120)]
    accuracies = one_class_accuracies(sentences)
    assert accuracies == {"O": 101 / 200, "B-LOC": 98 / 200, "B-PER": 1 / 200}


@pytest.mark.slow
def test_the_figures_of_the_study_are_those_of_models_that_predict_one_class(assets):
    """On CoNLL-2003, its six accuracies are to the last digit those of always O, always B-ORG and always B-MISC."""
    accuracies = one_class_accuracies(load_corpus(str(assets / "data/conll2003")).splits["validation"])
    one_class = {f"{accuracy:.4f}": label for label, accuracy in accuracies.items()}
    found = {name: [one_class.get(f"{row[3]:.4f}") for row in rows] for name, rows in collapse.STUDY_FIGURES.items()}
    assert found == {"model 2 of the study": ["B-ORG", "O", "B-MISC", "O"], "model 3 of the study": ["O"] * 4}


def test_early_stopping_keeps_the_first_epoch_with_the_highest_accuracy():
    rows = [
        {"epoch": e, "val_accuracy": a, "top_share": s, "f1": 0.0} for e, a, s in [(1, 0.1, 0.5), (2, 0.9, 1), (3, 0.9, 0.5)]
    ]
    outcome = Outcome(SOME[0], 0, rows, 1.0)
    assert outcome.kept["epoch"] == 2
    assert outcome.collapsed
    assert not Outcome(SOME[0], 0, rows[:1], 1.0).collapsed


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
def test_settings_that_the_experiment_cannot_use_are_refused(tmp_path, corpus, options, setting):
    with refused(f"collapse {options}", setting=setting):
        plan(tmp_path / "new", corpus, **options)


def test_the_command_line_says_what_belongs_to_the_study(capsys):
    assert "expected collapse" in refused_line(capsys, compare, "--study", "colapse")
    assert "this belongs to --study" in refused_line(capsys, compare, "--share", "0.5")
    assert compare.main(["--study", "collapse", "--dry-run", "--share", "0.25", "--seeds", "1"]) == 0
    assert capsys.readouterr().out.count(" new") == len(TRIALS)

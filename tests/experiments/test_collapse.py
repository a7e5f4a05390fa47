"""The report on the study's collapse, and the study's own figures."""

import json

import pytest
from support.trainings import refused_line

from tfner import compare
from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.experiments.choices import FAILING, TRIALS
from tfner.experiments.collapse import STUDY_FIGURES, one_class_accuracies, sections
from tfner.experiments.trials import Outcome

NO_FACTS = {"command": "", "tfner": "", "python": "", "processor": ""}


@pytest.mark.slow
def test_the_report_has_each_trial_and_the_figures_of_the_study(collapse_results):
    folder, results, lines = collapse_results
    assert [run["trial"] for run in results["runs"]] == [
        "model 2 of the study",
        "model 2, trained as tfner does",
        "batches of 128",
    ]
    assert json.loads((folder / "results.json").read_text("utf-8")) == json.loads(json.dumps(results))
    text = (folder / "results.md").read_text("utf-8")
    assert "| the study, epoch 2 | 0.3120 | 0.0539 | 0.2557 | 0.9735 |" in text
    for run in results["runs"]:
        (row,) = run["rows"]
        f1 = f"{row['f1']:.4f}"
        cells = [run["trial"], 0, "yes" if run["collapsed"] else "no", f1, 1, f1, f"{row['f1']:.3f}"]
        assert f"| {' | '.join(map(str, cells))} | {row['val_accuracy']:.3f} |" in text
    assert "decisive" not in text  # none was trained
    page = (folder / "report.html").read_text("utf-8")
    assert "<title>tfner: Why models 2 and 3 of the study predict one class</title>" in page
    assert page.count("<svg") == 3
    assert len([line for line in lines if " of 3  " in line]) == 3


def test_each_figure_of_the_study_stands_beside_its_own_model(plan_some, tmp_path):
    study = plan_some(tmp_path / "study", share=0.5)
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "masked_accuracy", "f1", "rate", "top_share")
    row = {**dict.fromkeys(names, 0.5), "epoch": 1, "top_class": "O"}
    outcomes = [Outcome(trial, 0, [row], 1.0) for trial in TRIALS if trial.choices.rate == 20 and trial.part == FAILING]
    titles = {section.title: section.text for section in sections(study, outcomes, {"packages": {}, **NO_FACTS})}
    splits = study.corpus.splits
    half = splits["validation"][: len(splits["validation"]) // 2]
    for title in ("model 2 of the study, beside Figure 10", "model 3 of the study, beside Figure 11"):
        assert (
            f"the first 50% of {len(splits['train']):,} training and {len(half) * 2:,} validation sentences" in titles[title][0]
        )
        assert (
            f"On the validation sentences of the runs, that of O is {one_class_accuracies(half)['O']:.4f}." in titles[title][0]
        )


def test_the_accuracy_of_one_class_counts_all_positions():
    sentences = [Sentence(("a", "b"), ("B-PER", "O")), Sentence(("c",) * 120, ("B-LOC",) * 120)]
    accuracies = one_class_accuracies(sentences)
    assert accuracies == {"O": 101 / 200, "B-LOC": 98 / 200, "B-PER": 1 / 200}


@pytest.mark.slow
def test_the_figures_of_the_study_are_those_of_models_that_predict_one_class(assets):
    """On CoNLL-2003, its six accuracies are to the last digit those of always O, always B-ORG and always B-MISC."""
    accuracies = one_class_accuracies(load_corpus(str(assets / "data/conll2003")).splits["validation"])
    one_class = {f"{accuracy:.4f}": label for label, accuracy in accuracies.items()}
    found = {name: [one_class.get(f"{row[3]:.4f}") for row in rows] for name, rows in STUDY_FIGURES.items()}
    assert found == {"model 2 of the study": ["B-ORG", "O", "B-MISC", "O"], "model 3 of the study": ["O"] * 4}


def test_the_command_line_says_what_belongs_to_the_study(capsys):
    assert "expected collapse" in refused_line(capsys, compare, "--study", "colapse")
    assert "this belongs to --study" in refused_line(capsys, compare, "--share", "0.5")
    assert compare.main(["--study", "collapse", "--dry-run", "--share", "0.25", "--seeds", "1"]) == 0
    assert capsys.readouterr().out.count(" new") == len(TRIALS)

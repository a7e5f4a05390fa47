"""`python -m tfner.evaluate` from end to end."""

import json
import shutil

import pytest
from support.errors import refused
from support.trainings import SIZES, refused_line

from tfner import evaluate
from tfner.contents import CONTENTS
from tfner.demo.corpus import demo_corpus
from tfner.errors import UserError
from tfner.evaluation import plots
from tfner.evaluation.scores import read_scores
from tfner.folder import CONFIG, EVALUATION_FILES, EVALUATIONS, EXTRA, SCORES


@pytest.fixture(scope="module")
def own(model, tmp_path_factory):
    """A copy of a trained model that evaluations may write to."""
    return shutil.copytree(model, tmp_path_factory.mktemp("own") / "model")


@pytest.fixture(scope="module")
def earlier(model, tmp_path_factory):
    """The folder of an evaluation."""
    return evaluate.evaluate(model, output=tmp_path_factory.mktemp("earlier") / "e", say=lambda line: None).folder


def test_evaluate_gives_the_scores_of_the_training_and_saves_what_it_prints(own, capsys):
    assert evaluate.main([str(own), "--json"]) == 0
    output = capsys.readouterr()
    scores = json.loads(output.out)
    assert scores == read_scores(own / "1" / EXTRA / SCORES)["test"].to_json()
    assert {"precision", "recall", "f1", "number"} <= set(scores["overall"])
    assert {"overall", "strict", "per_type", "accuracy"} <= set(scores)
    [saved] = (own / EVALUATIONS).iterdir()
    assert {p.name for p in saved.iterdir()} == set(EVALUATION_FILES) - {"second.json"}
    assert json.loads((saved / SCORES).read_text()) == scores
    assert (saved / "scores.txt").read_text() in output.err
    assert (saved / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_all_of_train_is_scored_whatever_share_was_trained_on(model, tmp_path):
    version = shutil.copytree(model / "1", tmp_path / "model" / "1")
    config = version / EXTRA / CONFIG
    config.write_text(json.dumps(json.loads(config.read_text()) | {"train_share": 0.1}))
    (version / EXTRA / CONTENTS).unlink()
    words = sum(len(s.words) for s in demo_corpus().splits["train"][: SIZES["train"]])
    assert evaluate.evaluate(version, "train", tmp_path / "e", say=lambda line: None).scores.words == words


def test_no_model_is_refused(tmp_path, capsys):
    assert str(tmp_path / "none") in refused_line(capsys, evaluate, tmp_path / "none")


def test_a_split_that_the_corpus_lacks_is_refused(model, corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "c")
    (tmp_path / "c" / "test.txt").unlink()
    with refused("no_such_split", setting="split"):
        evaluate.evaluate(model, corpus=str(tmp_path / "c"), output=tmp_path / "e")


@pytest.mark.parametrize("task", [{}, {"task": "pos"}])
@pytest.mark.parametrize("how", [{"decode": "greedy"}, {"runtime": "onnx"}])
def test_what_a_server_decides_is_refused(tmp_path, how, task):
    with pytest.raises(UserError, match="the server decides this"):
        evaluate.evaluate("http://localhost:1/v1/models/head", output=tmp_path / "out", corpus="demo", **how, **task)


def test_a_served_model_needs_a_corpus_and_an_output():
    with refused("served_model_without_corpus", setting="corpus"):
        evaluate.evaluate("http://127.0.0.1:9/v1/models/head")


def test_a_folder_with_other_files_is_not_replaced(capsys, model, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    assert "thesis.tex" in refused_line(capsys, evaluate, model, "--output", tmp_path)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("inside", ["training/1", "1/assets.extra", "training/1/encoder/new", "1/new", "."])
def test_an_evaluation_is_never_saved_inside_a_model(capsys, own, inside):
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    assert "--output" in refused_line(capsys, evaluate, own, "--output", own / inside)
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


def test_an_earlier_evaluation_with_another_file_is_not_replaced(capsys, model, earlier, tmp_path):
    shutil.copytree(earlier, tmp_path / "e")
    (tmp_path / "e" / "thesis.tex").write_text("x")
    assert "thesis.tex" in refused_line(capsys, evaluate, model, "--output", tmp_path / "e")
    assert (tmp_path / "e" / "thesis.tex").read_text() == "x"


def test_an_evaluation_that_cannot_be_written_keeps_the_earlier_one(model, earlier, tmp_path, monkeypatch):
    shutil.copytree(earlier, tmp_path / "e")
    before = {path.name: path.read_bytes() for path in earlier.iterdir()}

    def full(figure, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(plots, "save", full)
    with pytest.raises(UserError, match=r"the disk at .* is full"):
        evaluate.evaluate(model, output=tmp_path / "e", say=lambda line: None)
    assert {path.name: path.read_bytes() for path in (tmp_path / "e").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_an_evaluation_again_replaces_the_earlier_one(model, earlier, tmp_path):
    shutil.copytree(earlier, tmp_path / "e")
    (tmp_path / "e" / "mistakes.txt").write_text("old")
    evaluate.evaluate(model, output=tmp_path / "e", worst=1, say=lambda line: None)
    assert (tmp_path / "e" / "mistakes.txt").read_text("utf-8").startswith("sentence ")
    assert {p.name for p in (tmp_path / "e").iterdir()} == set(EVALUATION_FILES) - {"second.json"}


def test_types_that_the_model_does_not_know_are_refused_or_scored_as_missed(capsys, model, corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "c")
    (tmp_path / "c" / "test.txt").write_text("Halley B-COMET\nreturns O\n")
    argv = [model, "--corpus", tmp_path / "c", "--output", tmp_path / "e"]
    message = refused_line(capsys, evaluate, *argv)
    assert "B-COMET" in message and "--unseen-labels keep" in message
    assert evaluate.main([*map(str, argv), "--unseen-labels", "keep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["per_type"]["COMET"]["recall"] == 0


def test_a_negative_number_of_mistakes_is_refused(model):
    with refused("worst_below_0", setting="worst"):
        evaluate.evaluate(model, worst=-1)


def second_annotation(corpus, tmp_path, change):
    lines = (corpus / "test.txt").read_text("utf-8").splitlines()
    path = tmp_path / "second.txt"
    path.write_text("\n".join(change(lines)) + "\n", "utf-8")
    return path


def test_a_second_annotation_is_scored_as_well(model, corpus, tmp_path, capsys):
    path = second_annotation(corpus, tmp_path, lambda lines: [line.replace("B-PER", "B-ORG") for line in lines])
    found = evaluate.evaluate(model, also=path, output=tmp_path / "e")
    assert found.also is not None and found.also.overall.f1 != found.scores.overall.f1
    output = capsys.readouterr().out
    assert str(path) in output and "f1, second annotation" in output
    assert f"{found.scores.overall.f1:.4f}" in output and f"{found.also.overall.f1:.4f}" in output
    second = json.loads((tmp_path / "e" / SCORES).read_text())["second"]
    assert second["overall"]["f1"] == found.also.overall.f1 and second["suspects"]["number"] == found.suspects.number > 0


def test_an_annotation_of_other_words_is_refused_with_its_line(model, corpus, tmp_path):
    lines = (corpus / "test.txt").read_text("utf-8").splitlines()
    number = next(i for i, line in enumerate(lines) if i > 20 and line and not line.startswith("-DOCSTART-"))

    def changed(lines):
        return [*lines[:number], f"other {lines[number].split()[1]}", *lines[number + 1 :]]

    path = second_annotation(corpus, tmp_path, changed)
    with refused("annotation_of_other_words", path=path, line=number + 1):
        evaluate.evaluate(model, also=path, output=tmp_path / "e")
    path = second_annotation(corpus, tmp_path, lambda lines: lines[: lines.index("", 30)])
    with pytest.raises(UserError, match="sentences of the split, found"):
        evaluate.evaluate(model, also=path, output=tmp_path / "e")
    with refused("annotation_missing", path=tmp_path / "none.txt"):
        evaluate.evaluate(model, also=tmp_path / "none.txt", output=tmp_path / "e")

"""The commands from end to end: the embedded encoder on a small piece of the embedded corpus, in all three variants."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfner import evaluate, export, predict, train
from tfner import folder as folders
from tfner.config import make_config
from tfner.demo.corpus import demo_corpus
from tfner.evaluation.scores import read_scores
from tfner.folder import EXTRA
from tfner.labels import spans
from tfner.modeling.variants import logits_function
from tfner.tagging.load import load_tagger
from tfner.training import state as states
from tfner.training.callbacks import COLUMNS

SIZES = {"train": 120, "validation": 40, "test": 40}
EPOCHS = 12  # of 4 steps each: enough to find some entities
VARIANTS = ("finetune", "head", "replace")
TEXT = "My name is Ahmed and I work at Unice in Nice."


def write_columns(path, sentences):
    document, lines = None, []
    for sentence in sentences:
        if sentence.document != document:
            lines += ["-DOCSTART- O", ""]
            document = sentence.document
        lines += [f"{word} {tag}" for word, tag in zip(sentence.words, sentence.tags, strict=True)] + [""]
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split, number in SIZES.items():
        write_columns(folder / f"{split}.txt", demo_corpus().splits[split][:number])
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory, corpus):
    """For every variant what a short training left."""
    folder = tmp_path_factory.mktemp("models")
    return {
        variant: train.train(
            make_config(variant=variant, corpus=str(corpus), epochs=EPOCHS, patience=EPOCHS, output=str(folder / variant)),
            say=lambda line: None,
        )
        for variant in VARIANTS
    }


@pytest.fixture(scope="session")
def model(trained):
    """The folder of a trained model."""
    return trained["finetune"].folder.parent


def run(*argv, stdin=None):
    """Runs a command as a user does: in a process of its own."""
    return subprocess.run([sys.executable, "-m", *map(str, argv)], capture_output=True, text=True, input=stdin, check=False)


def test_a_training_leaves_a_whole_version(trained):
    extra = trained["head"].folder / EXTRA
    assert trained["head"].folder.name == "1"
    assert (trained["head"].folder / "saved_model.pb").is_file()
    expected = "README.md config.json confusion_test.png confusion_validation.png history.csv labels.json learning_curves.png"
    assert {p.name for p in extra.iterdir()} == {
        *(*expected.split(), "limits.json", "scores.json", "tokenizer", "tf_serving_warmup_requests")
    }
    with (extra / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 1))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) / 2
    assert json.loads((extra / "scores.json").read_text())["test"]["words"] == sum(
        len(s.words) for s in demo_corpus().splits["test"][: SIZES["test"]]
    )


def test_training_again_adds_a_version_and_the_same_seed_gives_the_same_run(trained, corpus, tmp_path):
    first = trained["finetune"]
    shutil.copytree(first.folder.parent, tmp_path / "finetune")
    config = make_config(
        variant="finetune", corpus=str(corpus), epochs=EPOCHS, patience=EPOCHS, output=str(tmp_path / "finetune")
    )
    again = train.train(config, say=lambda line: None)
    assert again.folder.name == "2"
    assert (tmp_path / "finetune" / "1" / "saved_model.pb").is_file()
    for one, other in zip(first.history, again.history, strict=True):
        assert {k: one[k] for k in COLUMNS[:7]} == pytest.approx({k: other[k] for k in COLUMNS[:7]}, abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fresh_process_gives_the_probabilities_of_the_model_in_memory(trained, variant, tmp_path):
    folder = trained[variant].folder
    rng = np.random.default_rng(1)
    ids = rng.integers(5, 500, (3, 17)).astype(np.int32)
    mask = np.ones_like(ids)
    mask[1, 11:] = mask[2, 5:] = 0
    np.savez(tmp_path / "in.npz", ids=ids, mask=mask)
    program = (
        "import sys, numpy as np\nfrom tfner.tagger import Tagger\n"
        "given = np.load(sys.argv[2])\n"
        "np.save(sys.argv[3], load_tagger(sys.argv[1]).probabilities(given['ids'], given['mask']))"
    )
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "in.npz"), str(tmp_path / "out.npy")]
    subprocess.run(command, check=True, capture_output=True)
    reloaded = np.load(tmp_path / "out.npy")

    rebuilt, _, _ = states.load_state(folder.parent / "training" / "1")
    logits = logits_function(rebuilt)(ids, mask).numpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert reloaded.dtype == np.float32
    assert np.abs(reloaded - expected)[mask == 1].max() < 1e-5
    assert np.ptp(expected[0], axis=0).max() > 1e-3  # distinct inputs give distinct outputs


def test_exporting_again_makes_the_next_version_with_the_same_answers(model, tmp_path, capsys):
    shutil.copytree(model, tmp_path / "model")
    assert export.main([str(tmp_path / "model"), "--json"]) == 0
    folder = tmp_path / "model" / "2"
    assert json.loads(capsys.readouterr().out) == {"folder": str(folder)}
    assert load_tagger(folder).tag(TEXT) == load_tagger(model / "1").tag(TEXT)
    assert {p.name for p in (folder / EXTRA).iterdir()} == {p.name for p in (model / "1" / EXTRA).iterdir()}


def test_evaluate_gives_the_scores_of_the_training_and_saves_what_it_prints(model, trained, capsys):
    assert evaluate.main([str(model), "--json"]) == 0
    output = capsys.readouterr()
    scores = json.loads(output.out)
    assert scores == trained["finetune"].scores["test"].to_json()
    assert {"precision", "recall", "f1", "number"} <= set(scores["overall"])
    assert {"overall", "strict", "per_type", "accuracy"} <= set(scores)
    saved = next((model / "evaluations").iterdir())
    expected = {"scores.json", "scores.txt", "mistakes.txt", "confusion_matrix.png", "learning_curves.png"}
    assert {p.name for p in saved.iterdir()} == expected
    assert json.loads((saved / "scores.json").read_text()) == scores
    assert (saved / "scores.txt").read_text() in output.err
    assert (saved / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_predict_json_is_one_object_a_text_whose_offsets_slice_it(model):
    texts = [TEXT, "", "  Köln: «Ümit Özkan» traf London  ."]
    result = run("tfner.predict", model, "--json", *texts)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["text"] for one in found] == texts
    assert any(one["entities"] for one in found)
    for one in found:
        for entity in one["entities"]:
            assert one["text"][entity["start"] : entity["end"]] == entity["text"]
            assert 0 < entity["score"] <= 1


def test_predict_reads_standard_input_files_and_columns_alike(model, corpus, tmp_path):
    sentences = demo_corpus().splits["test"][:5]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"tokens": s.words}) + "\n" for s in sentences))
    write_columns(tmp_path / "in.conll", sentences)
    from_json = run("tfner.predict", model, "--json", "--file", tmp_path / "in.jsonl")
    from_columns = run("tfner.predict", model, "--json", "--file", tmp_path / "in.conll")
    from_input = run(
        "tfner.predict", model, "--json", "--format", "conll", stdin=(tmp_path / "in.conll").read_text(encoding="utf-8")
    )
    assert from_json.stdout.count("\n") == 5
    assert from_json.stdout == from_columns.stdout == from_input.stdout


def test_predict_prints_the_fields_for_the_eye(model, capsys):
    assert predict.main([str(model), TEXT]) == 0
    output = capsys.readouterr().out
    entities = load_tagger(model).tag(TEXT)
    assert len(output.splitlines()) == 1 + len(entities)
    for entity in entities:
        assert f"[{entity.text}]{entity.type}" in output.splitlines()[0]
        assert f"characters {entity.start}-{entity.end}" in output


def test_tag_words_agrees_with_the_tags_of_predict(model):
    tagger = load_tagger(model)
    for sentence, tagged in zip(
        demo_corpus().splits["test"][:20], tagger.predict(demo_corpus().splits["test"][:20]), strict=True
    ):
        entities = tagger.tag_words(sentence.words)
        assert [(e.type, e.first_word, e.end_word) for e in entities] == [tuple(s) for s in spans(tagged.tags)]
        text = " ".join(sentence.words)
        assert all(text[e.start : e.end] == e.text for e in entities)
    assert tagger.tag_words([]) == tagger.tag("") == []


def test_a_word_without_pieces_is_outside_and_shifts_nothing(model):
    tagger = load_tagger(model)
    words = demo_corpus().splits["test"][0].words
    plain, padded = tagger.tag_words(words), tagger.tag_words(["\u200b", *words, ""])
    assert [(e.type, e.text, e.first_word + 1) for e in plain] == [(e.type, e.text, e.first_word) for e in padded]


def test_chunks_do_not_change_answers(model):
    tagger = load_tagger(model)
    words = [s.words for s in demo_corpus().splits["test"][:30]]
    together = list(tagger.tag_many(words))
    for one, other in zip(together, tagger.tag_many(words, chunk=7), strict=True):
        assert [(e.type, e.start, e.end) for e in one] == [(e.type, e.start, e.end) for e in other]
        assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-5)


def test_train_json_prints_nothing_else_on_standard_output(corpus, tmp_path):
    logs = tmp_path / "logs"
    result = run("tfner.train", "--corpus", corpus, "--epochs", 1, "--output", tmp_path / "m", "--json", "--tensorboard", logs)
    assert list(logs.rglob("events.out.tfevents.*"))
    assert result.returncode == 0, result.stderr
    value = json.loads(result.stdout)
    assert value["folder"] == str(tmp_path / "m" / "1")
    assert "encoder  demo" in result.stderr
    for noise in ("oneDNN", "cuda", "Warning", "WARNING: All log", "Some weights", "absl"):
        assert noise not in result.stderr


def test_one_class_predictions_are_called_out(corpus, tmp_path):
    lines = []
    config = make_config(corpus=str(corpus), epochs=1, learning_rate=1.0, output=str(tmp_path / "m"), warmup=0.0)
    train.train(config, say=lines.append)
    warning = next(line for line in lines if "WARNING" in line)
    assert "every validation word is predicted as" in warning
    assert "learning rate too high" in warning


@pytest.mark.parametrize("monitor", ["val_masked_accuracy", "val_loss"])
def test_early_stopping_watches_what_it_is_told_and_keeps_the_best(corpus, tmp_path, monitor):
    config = make_config(
        corpus=str(corpus), epochs=6, patience=1, monitor=monitor, learning_rate=0.02, head_learning_rate=0.02,
        output=str(tmp_path / "m"), dropout=0.0, clip_norm=0.0,
    )  # fmt: skip
    trained = train.train(config, say=lambda line: None)
    column = "accuracy" if monitor == "val_masked_accuracy" else "val_loss"
    values = [row[column] for row in trained.history]
    best = max(values) if column == "accuracy" else min(values)
    assert trained.scores["validation"].accuracy == pytest.approx(trained.history[values.index(best)]["accuracy"], abs=1e-9)
    assert len(values) <= values.index(best) + 2


def test_ctrl_c_keeps_the_best_weights_and_still_exports(corpus, tmp_path):
    flags = ["--corpus", corpus, "--epochs", 200, "--patience", 200, "--output", tmp_path / "m"]
    argv = [sys.executable, "-u", "-m", "tfner.train", *flags]
    process = subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in process.stdout:
        if line.split()[:1] == ["2"]:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    assert process.wait() == 0
    assert "interrupted: going on with the best weights" in rest
    assert "test split" in rest
    history = folders.read_history(tmp_path / "m" / "1" / EXTRA / "history.csv")
    assert 2 <= len(history) < 20
    scores = read_scores(tmp_path / "m" / "1" / EXTRA / "scores.json")
    assert scores["validation"].overall.f1 == pytest.approx(max(float(row["f1"]) for row in history), abs=1e-5)


def test_an_export_killed_half_way_leaves_the_model_as_it_was(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    before = folders.versions(folder)
    process = subprocess.Popen([sys.executable, "-m", "tfner.export", str(folder)], stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(folder.glob(".*/variables")):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(folder.glob(".*/variables"))  # half a version, under a name that TF Serving and tfner pass over
    assert folders.versions(folder) == before
    assert load_tagger(folder).tag(TEXT) == load_tagger(model).tag(TEXT)
    assert export.export(folder).name == str(before[-1] + 1)


@pytest.mark.parametrize("task", ["pos", "chunk"])
def test_other_tasks_train_and_score(task, tmp_path):
    (tmp_path / "c").mkdir()
    for split in ("train", "valid", "test"):
        sentences = demo_corpus(task).splits["validation" if split == "valid" else split][:60]
        write_columns(tmp_path / "c" / f"{split}.txt", sentences)
    flags = ["--task", "pos"] if task == "pos" else []
    argv = ["--corpus", tmp_path / "c", "--tag-column", 2, "--epochs", 1, "--output", tmp_path / "m", *flags]
    assert train.main([*map(str, argv), "--unseen-labels", "keep"]) == 0
    scores = read_scores(tmp_path / "m" / "1" / EXTRA / "scores.json")["test"]
    assert scores.plain == (task == "pos")
    if scores.plain:
        assert scores.overall.f1 == scores.accuracy
        assert len(load_tagger(tmp_path / "m").tag("It rains .")) == 3


# --- a user's mistakes -------------------------------------------------------------------------------------------------


def refused(capsys, command, *argv):
    """Runs a command that has to refuse: exit code 2, one line on standard error; returns that line."""
    assert command.main([str(a) for a in argv]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err


def test_training_without_a_validation_split_is_refused(capsys, corpus, tmp_path):
    (tmp_path / "c").mkdir()
    shutil.copy(corpus / "train.txt", tmp_path / "c" / "train.txt")
    message = refused(capsys, train, "--corpus", tmp_path / "c", "--output", tmp_path / "m")
    assert "no validation split, found train: add a file with valid or dev in its name" in message
    assert not (tmp_path / "m").exists()


def test_a_label_unseen_in_training_is_refused_and_can_be_kept(capsys, corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "c")
    with (tmp_path / "c" / "test.txt").open("a") as file:
        file.write("\nHalley B-COMET\n")
    argv = ["--corpus", tmp_path / "c", "--output", tmp_path / "m", "--epochs", "1"]
    message = refused(capsys, train, *argv)
    assert "COMET" in message
    assert "--unseen-labels keep" in message
    assert train.main([*map(str, argv), "--unseen-labels", "keep"]) == 0
    assert "COMET" in capsys.readouterr().out
    scores = read_scores(tmp_path / "m" / "1" / EXTRA / "scores.json")["test"]
    assert scores.per_type["COMET"].number == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--corpus", "./nowhere"], "no such file or folder"),
        (["--encoder", "./nowhere"], "no such model folder"),
        (["--variant", "heads"], "expected one of finetune, head, replace, got 'heads'"),
        (["--batch-size", "0"], "--batch-size: expected at least 1, got 0"),
        (["--max-pieces", "4096"], "the encoder takes rows of at most"),
        (["--preset", "fast"], "expected a preset out of"),
    ],
)
def test_a_mistake_in_a_flag_is_one_line_and_leaves_nothing(capsys, corpus, tmp_path, argv, message):
    given = argv if "--corpus" in argv else [*argv, "--corpus", corpus]
    assert message in refused(capsys, train, *given, "--output", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_an_output_folder_that_holds_something_else_is_left_alone(capsys, corpus, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    assert "found thesis.tex" in refused(capsys, train, "--corpus", corpus, "--output", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_hub_out_of_reach_is_one_message_that_names_the_alternatives(tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path / "empty"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    argv = [sys.executable, "-m", "tfner.train", "--preset", "paper", "--output", str(tmp_path / "m")]
    result = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "demo" in result.stderr
    assert "folder" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "m").exists()


def test_no_model_at_all_is_refused(capsys, tmp_path):
    for command in (predict, evaluate):
        assert "python -m tfner.train makes one" in refused(capsys, command, tmp_path / "none", *(["x"] * (command is predict)))
    assert "expected a training state" in refused(capsys, export, tmp_path / "none")


def test_a_damaged_model_is_refused(capsys, model, tmp_path):
    shutil.copytree(model / "1", tmp_path / "1")
    variables = next((tmp_path / "1" / "variables").glob("*.data*"))
    variables.write_bytes(variables.read_bytes()[:1000])
    assert "the SavedModel cannot be loaded" in refused(capsys, predict, tmp_path / "1", "x")
    (tmp_path / "1" / EXTRA / "labels.json").unlink()
    assert "not a whole tfner model" in refused(capsys, predict, tmp_path / "1", "x")


def test_damaged_best_weights_are_refused_and_nothing_is_exported(capsys, model, tmp_path):
    shutil.copytree(model, tmp_path / "m")
    weights = tmp_path / "m" / "training" / "1" / folders.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "cannot be read" in refused(capsys, export, tmp_path / "m")
    weights.unlink()
    assert "is missing" in refused(capsys, export, tmp_path / "m")
    assert not (tmp_path / "m" / "2").exists()


def test_a_file_that_is_not_there_is_one_line(capsys, model):
    assert "nowhere.txt" in refused(capsys, predict, model, "--file", "nowhere.txt")


def test_an_evaluation_does_not_replace_a_folder_of_something_else(capsys, model, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    assert "expected a new folder" in refused(capsys, evaluate, model, "--output", tmp_path)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("inside", ["training/1", "1/assets.extra", "training/1/encoder/new", "1/new", "."])
def test_an_evaluation_is_never_saved_in_a_model(capsys, trained, inside):
    folder = trained["finetune"].folder.parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert evaluate.main([str(folder), "--output", str(folder / inside)]) == 2
    assert "--output" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_an_evaluation_with_a_file_of_somebody_else_in_it_is_left_alone(capsys, model, tmp_path):
    assert evaluate.main([str(model), "--output", str(tmp_path / "e")]) == 0
    (tmp_path / "e" / "thesis.tex").write_text("x")
    assert evaluate.main([str(model), "--output", str(tmp_path / "e")]) == 2
    assert "found thesis.tex" in capsys.readouterr().err
    assert (tmp_path / "e" / "thesis.tex").read_text() == "x"


def test_an_evaluation_that_cannot_be_written_leaves_the_earlier_one(model, tmp_path, monkeypatch):
    from tfner.evaluation import plots

    evaluate.evaluate(model, output=tmp_path / "e", say=lambda line: None)
    before = {path.name: path.read_bytes() for path in (tmp_path / "e").iterdir()}

    def full(figure, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(plots, "save", full)
    with pytest.raises(OSError, match="No space left"):
        evaluate.evaluate(model, output=tmp_path / "e", say=lambda line: None)
    assert {path.name: path.read_bytes() for path in (tmp_path / "e").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_weights_of_the_best_epoch_survive_a_kill_while_the_next_are_written(corpus, tmp_path, monkeypatch):
    import tf_keras as keras

    saved = keras.Model.save_weights
    first = []

    def killed(self, path, *arguments, **options):
        if first:
            path.write_bytes(b"half")
            raise MemoryError  # stands for the end of the process
        first.append(None)
        saved(self, path, *arguments, **options)

    monkeypatch.setattr(keras.Model, "save_weights", killed)
    config = make_config(corpus=str(corpus), epochs=EPOCHS, patience=EPOCHS, output=str(tmp_path / "m"))
    with pytest.raises(MemoryError):
        train.train(config, say=lambda line: None)
    states.load_state(tmp_path / "m" / "training" / "1")


def test_evaluating_types_the_model_does_not_know_is_refused_or_scores_them_as_missed(capsys, model, corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "c")
    (tmp_path / "c" / "test.txt").write_text("Halley B-COMET\nreturns O\n")
    argv = [model, "--corpus", tmp_path / "c", "--output", tmp_path / "e"]
    assert "does not know: B-COMET" in refused(capsys, evaluate, *argv)
    assert evaluate.main([*map(str, argv), "--unseen-labels", "keep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["per_type"]["COMET"]["recall"] == 0

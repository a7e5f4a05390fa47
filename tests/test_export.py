"""`python -m tfner.export`, and exported models in a new process."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support import tiny
from support.errors import refused
from support.trainings import TEXT, refused_line

from tfner import export
from tfner import folder as folders
from tfner.config import VARIANTS
from tfner.errors import UserError
from tfner.folder import CHECKPOINTS, DESCRIPTION, EXTRA, LIMITS, TRAINING, WEIGHTS, digest
from tfner.modeling.calibration import Calibration
from tfner.modeling.variants import logits_function
from tfner.tagging.exported import read_exported
from tfner.tagging.load import find_export, load_tagger, outdated_exports
from tfner.training.state import load_state


@pytest.fixture(scope="module")
def probabilities(models, tmp_path_factory):
    """Inputs, and for each variant the probabilities that a new process computes with the exported model."""
    folder = tmp_path_factory.mktemp("new-process")
    ids = np.random.default_rng(1).integers(5, len(tiny.PIECES), (3, 17)).astype(np.int32)
    mask = np.ones_like(ids)
    mask[1, 11:] = mask[2, 5:] = 0
    np.savez(folder / "in.npz", ids=ids, mask=mask)
    program = (
        "import sys, numpy as np\nfrom tfner.tagging.load import load_tagger\n"
        "given = np.load('in.npz')\n"
        "for path in sys.argv[1:]:\n"
        "    name = path.split('/')[-1]\n"
        "    np.save(name + '.npy', load_tagger(path).probabilities(given['ids'], given['mask']))"
    )
    subprocess.run([sys.executable, "-c", program, *map(str, models.values())], check=True, capture_output=True, cwd=folder)
    return ids, mask, {variant: np.load(folder / f"{variant}.npy") for variant in models}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_new_process_gives_the_probabilities_of_the_model_in_memory(probabilities, models, variant):
    ids, mask, found = probabilities
    rebuilt = load_state(models[variant] / TRAINING / "1").model
    logits = logits_function(rebuilt)(ids, mask).numpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert found[variant].dtype == np.float32
    assert np.abs(found[variant] - expected)[mask == 1].max() < 1e-5
    assert np.ptp(expected[0], axis=0).max() > 1e-3  # distinct inputs give distinct outputs


def test_an_export_divides_texts_as_asked(models, tmp_path):
    folder = export.export(models["head"], output=tmp_path / "lines" / "1", sentences="line", say=lambda line: None)
    text = "Peter left. Anna\nstayed."
    with load_tagger(folder) as tagger:
        assert tagger.sentences == "line"
        ((_, _, tagged),) = tagger.tagged([text])
    assert list(tagged.starts) == [0, 4]
    with load_tagger(models["head"]) as tagger:
        assert tagger.sentences == "split"


def test_an_export_chooses_tags_as_asked_in_every_format(models, tmp_path):
    model = shutil.copytree(models["head"], tmp_path / "model")
    for format in ("savedmodel", "onnx"):
        folder = export.export(model, format=format, decode="greedy", max_f1_loss=1.0, say=lambda line: None)
        with load_tagger(folder) as tagger:
            assert tagger.decode == "greedy"
    with load_tagger(model / "1") as tagger:
        assert tagger.decode == "viterbi"


def test_what_is_not_given_is_as_in_the_newest_version(runtimes, tmp_path):
    def exported(model=None, **given):
        folder = export.export(model or tmp_path / "model", say=lines.append, **given)
        found = read_exported(folder)
        return found.config, found.calibrations["ner"]

    model, lines = shutil.copytree(runtimes, tmp_path / "model"), []
    _, first = exported()
    config, calibration = exported(sentences="line")
    assert (config.sentences, config.decode, config.temperature, calibration) == ("line", "viterbi", "auto", first)
    config, greedy = exported(decode="greedy")  # whose thresholds are found again, with the same temperature
    assert (config.sentences, config.decode, greedy.temperature) == ("line", "greedy", first.temperature)
    assert greedy.thresholds.keys() == first.thresholds.keys() and greedy.min_precision == first.min_precision
    config, calibration = exported(format="onnx", max_f1_loss=1.0, sentences="split")
    assert (config.sentences, config.decode, calibration) == ("split", "greedy", greedy)
    config, calibration = exported(temperature=1, min_precision=0)
    assert (config.sentences, config.decode, calibration) == ("line", "greedy", Calibration())
    (model / str(folders.versions(model)[-1]) / EXTRA / LIMITS).write_text("{")
    lines.clear()
    assert exported()[0].sentences == "split" and "cannot be read, so the settings of the training are used" in lines[0]


@pytest.mark.slow
def test_an_export_that_is_killed_changes_nothing_and_the_next_gives_the_same_entities(model, tmp_path, capsys):
    folder = shutil.copytree(model, tmp_path / "model")
    process = subprocess.Popen([sys.executable, "-m", "tfner.export", str(folder)], stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(folder.glob(".*/variables")):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(folder.glob(".*/variables"))  # half a version, with a name that TF Serving and tfner ignore
    assert folders.versions(folder) == [1]
    expected = load_tagger(model).tag(TEXT)
    assert load_tagger(folder).tag(TEXT) == expected

    assert export.main([str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(folder / "2")}
    assert load_tagger(folder / "2").tag(TEXT) == expected
    assert {p.name for p in (folder / "2" / EXTRA).iterdir()} == {p.name for p in (model / "1" / EXTRA).iterdir()}


def test_damaged_weights_give_one_line_and_nothing_is_exported(capsys, models, tmp_path):
    folder = shutil.copytree(models["replace"], tmp_path / "m")
    weights = folder / TRAINING / "1" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:5000])
    assert str(weights) in refused_line(capsys, export, folder)
    weights.unlink()
    assert WEIGHTS in refused_line(capsys, export, folder)
    assert folders.versions(folder) == [1]
    assert not list(folder.glob(".*"))


def test_a_folder_without_a_training_state_is_refused(tmp_path):
    with refused("no_training_state", path=tmp_path / "my model"):
        export.export(tmp_path / "my model")


def test_an_unfinished_training_is_not_exported_unless_it_is_named(models, tmp_path):
    folder, lines = shutil.copytree(models["head"], tmp_path / "head"), []
    shutil.copytree(folder / TRAINING / "1", folder / TRAINING / "2")
    (folder / TRAINING / "2" / CHECKPOINTS / "1").mkdir(parents=True, exist_ok=True)
    version = export.export(folder, say=lines.append)
    assert (version.name, lines) == ("3", ["training 1 is exported; 2 runs or was interrupted"])
    assert read_exported(version).weights == digest(folder / TRAINING / "1" / WEIGHTS)
    assert export.export(folder, state=2, say=lines.append).name == "4" and len(lines) == 1
    shutil.rmtree(folder / TRAINING / "1")
    with refused("no_finished_training", setting="state", path=folder):
        export.export(folder)
    with refused("training_state_is_no_model", setting="state", path=folder / TRAINING / "2"):
        export.export(folder / TRAINING / "2")


def test_a_training_that_runs_is_not_exported(models, tmp_path):
    folder, lines = shutil.copytree(models["head"], tmp_path / "head"), []
    shutil.copytree(folder / TRAINING / "1", folder / TRAINING / "2")
    with folders.lock_state(folder / TRAINING / "2"):
        export.export(folder, say=lines.append)
    assert lines == ["training 1 is exported; 2 runs or was interrupted"]


def test_a_state_that_does_not_exist_is_refused(models):
    with refused("no_such_training_state", setting="state", path=models["head"]):
        export.export(models["head"], state=7)


def test_an_unknown_format_is_refused(tmp_path):
    with refused("unknown_format", setting="format"):
        export.export(tmp_path, format="torchscript")


def test_a_package_that_is_not_installed_is_refused(models, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with refused("tf2onnx_missing", setting="format"):
        export.export(models["head"], format="onnx")


def test_an_existing_folder_is_not_replaced_and_a_new_one_is_written(tmp_path, capsys):
    model = tiny.trained_folder(tmp_path, "bert", "finetune")
    argv = [model, "--format", "transformers", "--json", "--output"]
    assert "--output" in refused_line(capsys, export, *argv, tmp_path)
    assert export.main([*map(str, argv), str(tmp_path / "new")]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(tmp_path / "new")}
    assert (tmp_path / "new" / "model.safetensors").is_file()


def test_an_exported_version_is_answered_with_its_model(models, runtimes):
    for folder in (models["head"] / "1", runtimes / "openvino" / "1"):
        with pytest.raises(UserError, match="this is an exported version: give the model's folder, ") as caught:
            export.export(folder)
        assert str(folder.parent if folder.parent.name != "openvino" else runtimes) in str(caught.value)


def test_an_export_is_never_made_inside_a_version(models):
    with pytest.raises(UserError, match="holds a trained model: choose a folder outside it") as caught:
        export.export(models["head"], output=models["head"] / "1" / "assets.extra" / "new")
    assert caught.value.setting == "output"


def test_a_new_version_says_which_exports_are_of_an_earlier_one(runtimes, tmp_path):
    folder, lines = shutil.copytree(runtimes, tmp_path / "model"), []
    assert outdated_exports(folder) == []
    version = export.export(folder, temperature=2.0, min_precision=0, say=lines.append)
    assert lines == [
        f"the export for {name} is of an earlier version; make one with python -m tfner.export {folder} --format {format}"
        for name, format in (("OpenVINO", "openvino"), ("ONNX Runtime", "onnx"))
    ]
    assert find_export(folder) == version  # TensorFlow, whatever the exports gain
    export.export(folder, format="onnx", max_f1_loss=1.0, say=lambda line: None)
    assert outdated_exports(folder) == lines[:1]
    shutil.rmtree(folder / "openvino" / "1")
    (folder / "openvino" / "2" / DESCRIPTION).write_text("{")
    assert outdated_exports(folder) == lines[:1]

"""Trainings on several devices, held to the same training on one: two processes, and two virtual processors."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from support import tiny, trainings
from support.errors import refused
from support.jobs import TESTS, Job, on_devices
from support.trainings import run

from tfner.config import make_config
from tfner.folder import HISTORY, interrupted_states, read_history, versions
from tfner.modeling.batches import grid_length, plan_training
from tfner.modeling.pipeline import Share, pass_seed, training_batches
from tfner.modeling.rows import Row
from tfner.modeling.variants import build_model, new_variables
from tfner.train import train
from tfner.training import devices
from tfner.training.devices import find_devices
from tfner.training.optimizers import AdamW
from tfner.training.state import load_state
from tfner.training.step import train_step

SETTINGS = {"epochs": 3, "batch_size": 16, "learning_rate": 2e-3, "head_learning_rate": 4e-3, "dropout": 0.2, "seed": 5}
LONG = {**SETTINGS, "epochs": 20, "patience": 20, "learning_rate": 2e-4, "monitor": "val_loss"}
"""Enough epochs to be interrupted twice."""


def flags(corpus, encoder, output, settings):
    values = {"corpus": corpus, "encoder": encoder, "output": output, **settings}
    return [text for name, value in values.items() for text in ("--" + name.replace("_", "-"), str(value))]


def losses(folder):
    state = folder / "training" / "1"
    return [[float(row[column]) for column in ("loss", "val_loss", "accuracy")] for row in read_history(state / HISTORY)]


def assert_same_training(folder, alone, weights_within=2e-4):
    """One version, whose losses are those of the other to five decimals and whose weights are equal within rounding."""
    assert versions(folder) == [1]
    found, expected = np.array(losses(folder)), np.array(losses(alone))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1.001e-5, rtol=0)
    weights, others = (load_state(each / "training" / "1").model.get_weights() for each in (folder, alone))
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(weight, other, atol=weights_within, rtol=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The folder of a corpus that takes four steps an epoch."""
    folder = tmp_path_factory.mktemp("corpus")
    trainings.write_corpus(folder, sizes={"train": 60, "validation": 20, "test": 20})
    return folder


def trained_alone(folder, corpus, encoder, settings):
    train(make_config(corpus=str(corpus), encoder=str(encoder), output=str(folder), **settings), say=lambda line: None)
    return folder


@pytest.fixture(scope="module")
def alone(small, small_encoder, tmp_path_factory):
    """The folder of a training in one process on one device."""
    return trained_alone(tmp_path_factory.mktemp("alone") / "m", small, small_encoder, SETTINGS)


@pytest.fixture(scope="module")
def long_alone(small, small_encoder, tmp_path_factory):
    return trained_alone(tmp_path_factory.mktemp("alone") / "m", small, small_encoder, LONG)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_and_the_first_exports_it(small, small_encoder, alone, tmp_path):
    job = Job(tmp_path / "job", [*flags(small, small_encoder, tmp_path / "m", SETTINGS), "--json"])
    assert job.statuses() == [0, 0], job.text(0) + job.text(1)
    assert_same_training(tmp_path / "m", alone)
    assert "2 processes, 2 replicas, here CPU" in job.text(0) and '"scores": {' in job.text(0)
    assert job.text(1).splitlines() == [f"waiting for all of 2 processes; this is worker 1 ({job.addresses[1]})"]
    assert not list((tmp_path / "m" / "training" / "1").glob("checkpoints/*"))
    tagged = run("tfner.predict", tmp_path / "m", trainings.TEXT)
    assert tagged.returncode == 0, tagged.stderr


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"accumulate_steps": 2}])
def test_two_processors_learn_what_one_learns(small, small_encoder, alone, tmp_path, more):
    settings = {**SETTINGS, **more, "strategy": "mirrored"}
    result = on_devices(2, *flags(small, small_encoder, tmp_path / "m", settings))
    assert result.returncode == 0, result.stderr
    assert "2 replicas, CPU" in result.stdout
    assert_same_training(tmp_path / "m", alone)


@pytest.mark.slow
def test_processes_that_are_interrupted_and_one_that_is_lost_leave_a_training_that_goes_on(
    small, small_encoder, long_alone, tmp_path
):
    arguments = flags(small, small_encoder, tmp_path / "m", LONG)
    job = Job(tmp_path / "first", arguments)
    job.wait_for_epoch(2)
    job.processes[1].send_signal(signal.SIGTERM)
    assert job.statuses() == [143, 143], job.text(0) + job.text(1)
    assert "--resume goes on from here" in job.text(0)
    assert versions(tmp_path / "m") == []

    job = Job(tmp_path / "second", [*arguments, "--resume"])
    job.wait_for_epoch(4)
    job.processes[1].kill()
    assert job.statuses() == [2, -signal.SIGKILL], job.text(0)
    assert f"error: worker 1 ({job.addresses[1]}) has ended or cannot be reached" in job.text(0).splitlines()[-1]
    assert interrupted_states(tmp_path / "m") == [1]

    job = Job(tmp_path / "third", [*arguments, "--resume"])
    assert job.statuses() == [0, 0], job.text(0) + job.text(1)
    assert_same_training(tmp_path / "m", long_alone, weights_within=2e-3)


@pytest.mark.slow
def test_embedding_rows_are_updated_on_two_devices_as_on_one(tmp_path):
    found = []
    for number in (1, 2):
        file = tmp_path / f"{number}.npz"
        command = [sys.executable, "-m", "support.sparse_steps", str(number), str(file)]
        subprocess.run(command, cwd=TESTS, check=True, capture_output=True)
        with np.load(file) as arrays:
            found.append({name: arrays[name] for name in arrays})
    one, two = found
    assert one.keys() == two.keys()
    assert len(one) > 8
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=2e-5, atol=1e-6, err_msg=name)


def row(number, length):
    """A row whose pieces all have its number; a third of the rows have no labels."""
    label = (1, 2, -100)[number % 3]
    return Row(*(np.full(length, value) for value in (number, label, 0, 0, True)))


ROWS = [row(number, number % 7 + 2) for number in range(37)]


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("own", [[[0]], [[0], [1]], [[0, 1], [2, 3]], [[0], [1], [2], [3], [4]]])
def test_the_parts_of_all_replicas_are_the_rows_of_the_batch_each_once(own, parts):
    replicas = sum(map(len, own))
    processes = [iter(training_batches(ROWS, 8, 0, 3, share=Share(replicas, numbers, parts))) for numbers in own]
    for batch in plan_training([len(row) for row in ROWS], 8, pass_seed(3, 0)):
        elements = [next(process) for process, numbers in zip(processes, own, strict=True) for _ in numbers]
        pieces = [part for element in elements for part in element["parts"]]
        assert [int(ids[0]) for part in pieces for ids in part[0].numpy()] == list(batch)
        assert [int(part[3]) for part in pieces] == list(np.cumsum([0, *(len(part[0]) for part in pieces)])[:-1])
        assert {float(e["number"]) for e in elements} == {sum((ROWS[n].labels != -100).sum() for n in batch)}
        assert len({int(e["seed"]) for e in elements}) == 1


def test_several_processes_are_refused_where_nothing_names_them(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with refused("multiworker without processes", setting="strategy"):
        find_devices("multiworker")


def test_a_broken_tf_config_is_one_line_on_standard_error(small, small_encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}))
    result = run("tfner.train", *flags(small, small_encoder, tmp_path / "m", SETTINGS))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: TF_CONFIG: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_one_device_needs_no_strategy_of_tensorflow():
    devices = find_devices("auto" if not tf.config.list_physical_devices("GPU") else "none")
    assert (devices.share, devices.chief, devices.several_processes) == (Share(), True, False)
    assert devices.agree(2.5) == 2.5
    assert devices.any_of(True)


@pytest.mark.slow
def test_steps_compiled_by_xla_are_those_that_are_not(small_encoder):
    rows = [row(number, length) for number, length in enumerate([5, 9, 20, 7, 3, 8, 21, 4, 6, 9, 5, 17])]
    results, weights = [], []
    for xla in (False, True):
        model = build_model("finetune", str(small_encoder), 5, make_config(encoder=str(small_encoder), dropout=0.3))
        tiny.scatter(model, 4)
        optimizer = AdamW(1e-3, new_variables=new_variables(model), epsilon=1e-3)
        optimizer.build(model.trainable_variables)
        step = train_step(model, optimizer, tf.distribute.get_strategy(), xla)
        batches = iter(training_batches(rows, 6, 0, 1, share=Share(parts=2), grid=24))
        results.append([step(batches, False) for _ in range(2)])
        weights.append(model.get_weights())
    np.testing.assert_allclose(results[1], results[0], rtol=2e-5)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_parts_on_a_grid_hold_the_same_rows_in_few_shapes():
    lengths = [row.ids.shape[0] for row in ROWS]
    plain, padded = (iter(training_batches(ROWS, 8, 9, 3, share=Share(parts=2), grid=grid)) for grid in (None, 8))
    shapes = set()
    for _ in plan_training(lengths, 8, pass_seed(3, 0)):
        one, other = next(plain), next(padded)
        assert (one["number"], one["seed"]) == (other["number"], other["seed"])
        for (*arrays, first), (*more, more_first) in zip(one["parts"], other["parts"], strict=True):
            assert first == more_first
            shapes.add(tuple(more[0].shape))
            for array, larger, value in zip(arrays, more, (9, 0, -100), strict=True):
                number, length = array.shape
                np.testing.assert_array_equal(larger[:number, :length], array)
                assert {*larger[number:].numpy().flat, *larger[:, length:].numpy().flat} <= {value}
    assert {length for _, length in shapes} == {8}  # no row is longer than the encoder takes
    assert {number % 4 for number, _ in shapes} == {0}


def test_lengths_on_a_grid_are_powers_of_two_and_one_and_a_half_times_them():
    assert {grid_length(length, 200) for length in range(1, 201)} == {16, 24, 32, 48, 64, 96, 128, 192, 200}
    assert all(length <= grid_length(length, 512) < 1.5 * length + 1 for length in range(16, 513))


@pytest.mark.slow
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_the_check_of_a_gpu_says_that_there_is_none():
    result = subprocess.run([sys.executable, TESTS.parent / "benchmarks" / "gpu.py"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == "no GPU: TensorFlow finds none on this machine, so nothing was measured"


def stopwatch(float32, bfloat16):
    """The times that `bfloat16_speed_up` reads where a product takes these seconds."""
    now = 0.0
    for turn in range(10):
        for seconds in (float32, bfloat16):
            yield now
            if turn:
                now += seconds
                yield now


@pytest.mark.parametrize(
    ("width", "native", "seconds", "precision"),
    [
        (384, True, (2.0, 1.0), "bfloat16"),
        (384, True, (1.0, 1.0), "float32"),
        (384, False, (2.0, 1.0), "float32"),
        (128, True, (2.0, 1.0), "float32"),
    ],
    ids=["faster", "as fast", "not native", "narrow"],
)
def test_bfloat16_is_chosen_where_it_is_native_and_faster_in_a_wide_encoder(monkeypatch, width, native, seconds, precision):
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: native)
    times = stopwatch(*seconds)
    assert devices.choose_precision(width, lambda: next(times)) == precision


def test_bfloat16_on_a_machine_without_instructions_for_it_is_said_to_be_no_faster(monkeypatch):
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: False)
    assert "--precision float32" in devices.precision_note("bfloat16")
    assert devices.precision_note("float32") is None
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: True)
    assert devices.precision_note("bfloat16") is None

import contextlib
import json
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from support.errors import refused

from tfner.training.checkpoints import CHECKSUMS, PROGRESS, Checkpoints, Progress
from tfner.training.step import StepResult

SIZE = 50_000


class Small:
    """A training whose only variable holds the number of its step."""

    def __init__(self, state):
        self.lines = []
        self.variable = tf.Variable(tf.zeros(SIZE))
        self.checkpoints = Checkpoints(state, self.lines.append, variable=self.variable)
        self.folder = self.checkpoints.folder

    def save(self, epoch, step, best=None):
        self.variable.assign(tf.fill((SIZE,), 100.0 * epoch + step))
        return self.checkpoints.save(Progress(epoch=epoch, step=step, best=best))

    def restore(self):
        progress = self.checkpoints.newest()
        self.checkpoints.read(progress.name)
        return progress

    def value(self):
        [value] = set(self.variable.numpy())
        return value


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


@contextlib.contextmanager
def full_disk(size):
    """Writing a file beyond this size (bytes) fails, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_brings_back_variables_and_progress_exactly(small, tmp_path):
    progress = Progress(values=[0.1, 1 / 3], history=[{"f1": 2 / 3}], data="x")
    progress.add(StepResult(0.1, 2.0, 3.0, False, 1.0))
    progress.add(StepResult(0.2, 2.0, 5.0, False, 1.0))
    small.variable.assign(tf.random.stateless_normal((SIZE,), (1, 2)))
    assert small.checkpoints.save(progress)
    later = Small(tmp_path)
    assert later.restore() == progress
    assert (progress.step, progress.loss, progress.right, progress.number) == (2, 0.1 + 0.2, 4.0, 8.0)
    np.testing.assert_array_equal(later.variable.numpy(), small.variable.numpy())


def test_the_last_two_and_those_of_the_best_epoch_are_kept(small):
    best = None
    kept = []
    for epoch, step in [(0, 2), (1, 0), (1, 2), (2, 0), (2, 2), (3, 0), (3, 2)]:
        if step == 0 and epoch < 3:  # epoch 3 is not better than epoch 2
            best = f"{epoch:04d}-0000000"
        small.save(epoch, step, best)
        kept.append(small.checkpoints.names())
    assert kept == [
        ["0000-0000002"],
        ["0001-0000000", "0000-0000002"],
        ["0001-0000002", "0001-0000000"],
        ["0002-0000000", "0001-0000002", "0001-0000000"],  # 0001-0000002 needs the best weights of its own time
        ["0002-0000002", "0002-0000000"],
        ["0003-0000000", "0002-0000002", "0002-0000000"],
        ["0003-0000002", "0003-0000000", "0002-0000000"],
    ]
    assert {path.name for path in small.folder.iterdir()} == set(kept[-1])


def test_a_checkpoint_that_cannot_be_completed_does_not_appear(small):
    small.save(0, 1)
    with pytest.raises(TypeError):
        small.checkpoints.save(Progress(step=2, history=[{"f1": object()}]))  # not JSON; the variables are written before
    assert [path.name for path in small.folder.iterdir()] == ["0000-0000001"]


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_writes_leaves_only_whole_checkpoints(small, tmp_path):
    program = (
        "import sys, tensorflow as tf\n"
        "from tfner.training.checkpoints import Checkpoints, Progress\n"
        f"variable = tf.Variable(tf.zeros({SIZE}))\n"
        "checkpoints = Checkpoints(__import__('pathlib').Path(sys.argv[1]), print, variable=variable)\n"
        "for step in range(1, 10**6):\n"
        f"    variable.assign(tf.fill(({SIZE},), float(step)))\n"
        "    checkpoints.save(Progress(step=step))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path], stderr=subprocess.DEVNULL)
    while len(small.checkpoints.names()) < 2 or not any(small.folder.glob(".*")):
        assert process.poll() is None
        time.sleep(0.0005)
    process.kill()
    process.wait()
    small.checkpoints.clean()
    assert not list(small.folder.glob(".*"))
    newest = small.checkpoints.names()[0]
    assert small.restore().name == newest and small.lines == []
    assert small.value() == int(newest.rpartition("-")[2])


def truncate(folder):
    [data] = folder.glob("variables.data*")
    data.write_bytes(data.read_bytes()[:-1000])


def flip(folder):
    [data] = folder.glob("variables.data*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)


def lose(folder):
    (folder / "variables.index").unlink()


def halve(folder):
    progress = folder / PROGRESS
    progress.write_bytes(progress.read_bytes()[:20])


def other_progress(folder):
    (folder / PROGRESS).write_text("{}")


def other_checksums(folder):
    (folder / CHECKSUMS).write_text("null")


@pytest.mark.parametrize("damage", [truncate, flip, lose, halve, other_progress, other_checksums])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(small, damage):
    small.save(0, 1)
    small.save(0, 2)
    damage(small.folder / "0000-0000002")
    assert small.restore().step == 1
    assert small.value() == 1
    [line] = small.lines
    assert str(small.folder / "0000-0000002") in line and "damaged" in line


def test_a_checkpoint_whose_best_weights_are_damaged_is_not_used(small):
    small.save(1, 0, "0001-0000000")
    small.save(1, 2, "0001-0000000")
    small.save(2, 0, "0002-0000000")
    flip(small.folder / "0002-0000000")
    assert small.restore().name == "0001-0000002"
    small.save(2, 0, "0002-0000000")
    small.save(2, 1, "0002-0000000")
    small.save(2, 2, "0002-0000000")
    flip(small.folder / "0002-0000000")
    with refused("checkpoints_none_intact", path=small.folder):
        small.restore()
    assert "0002-0000000" in small.lines[-1]


def test_without_an_intact_checkpoint_the_training_is_refused(small):
    small.save(0, 1)
    small.save(0, 2)
    for name in small.checkpoints.names():
        lose(small.folder / name)
    with refused("checkpoints_none_intact", path=small.folder):
        small.restore()
    assert len(small.lines) == 2


def test_damaged_checkpoints_do_not_count_as_kept(small, tmp_path):
    for step in (1, 2, 5, 6):
        small.save(0, step)
    assert small.checkpoints.names() == ["0000-0000006", "0000-0000005"]
    small.folder.joinpath("0000-0000005").rename(small.folder / "0000-0000004")
    for name in ("0000-0000006", "0000-0000005"):
        (small.folder / name).mkdir(exist_ok=True)
        (small.folder / name / CHECKSUMS).write_text("")
    later = Small(tmp_path)
    later.folder.joinpath("0000-0000004", PROGRESS).write_text(json.dumps({"step": 4}))
    checksums = json.loads((later.folder / "0000-0000004" / CHECKSUMS).read_text())
    del checksums[PROGRESS]
    (later.folder / "0000-0000004" / CHECKSUMS).write_text(json.dumps(checksums))
    assert later.restore().step == 4 and len(later.lines) == 2
    later.save(0, 5)
    assert later.checkpoints.names() == ["0000-0000005", "0000-0000004"]
    assert Small(tmp_path).restore().step == 5


def test_a_full_disk_is_said_and_earlier_checkpoints_stay(small, tmp_path):
    small.save(0, 1)
    small.save(0, 2)
    with full_disk(SIZE):  # bytes; the variable has four times as many
        assert not small.save(0, 3)
    [line] = small.lines
    assert "no checkpoint at 0000-0000003" in line and "goes on" in line
    assert sorted(path.name for path in small.folder.iterdir()) == ["0000-0000001", "0000-0000002"]
    assert small.save(0, 4)
    later = Small(tmp_path)
    assert later.restore().step == 4 and later.value() == 4


def test_if_the_best_weights_could_not_be_written_checkpoints_before_them_stay(small, tmp_path):
    small.save(0, 1)
    small.save(0, 2)
    with full_disk(SIZE):
        assert not small.save(1, 0, "0001-0000000")
    for step in (1, 2, 3):  # they could not be restored without the best weights
        assert not small.save(1, step, "0001-0000000")
    assert Small(tmp_path).restore().step == 2
    assert small.save(2, 0, "0002-0000000")
    assert Small(tmp_path).restore().name == "0002-0000000"


def test_other_files_in_the_folder_are_left_alone(small):
    small.save(0, 1)
    (small.folder / "notes.txt").write_text("x")
    (small.folder / ".hidden").write_text("x")
    small.checkpoints.clean()
    for step in (2, 3, 4):
        small.save(0, step)
    assert small.checkpoints.names() == ["0000-0000004", "0000-0000003"]
    assert {"notes.txt", ".hidden"} < {path.name for path in small.folder.iterdir()}

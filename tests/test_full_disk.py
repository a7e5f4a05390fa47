"""Commands on a disk that is full, a small file system in memory: one line says so, and nothing that was there is lost."""

import shutil
import subprocess

import pytest
from support.trainings import brief

from tfner import evaluate, export, train
from tfner.config import make_config
from tfner.contents import check_contents
from tfner.errors import UserError
from tfner.folder import CHECKPOINTS, TRAINING, versions
from tfner.predict import main as predict
from tfner.tagging.load import load_tagger


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """The folder of a file system of 64 MiB."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def room(disk):
    """A function that leaves so many KiB free; the disk is empty at first."""
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def leave(kib):
        (disk / "filler").unlink(missing_ok=True)
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 1024 * kib))

    return leave


def tree(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def own(disk, room, models):
    shutil.copytree(models["head"], disk / "model")
    return disk / "model"


@pytest.mark.parametrize("kib", [0, 40, 400])
def test_an_export_names_the_disk_and_leaves_the_model_as_it_was(own, room, kib):
    room(kib)
    before = tree(own)
    with pytest.raises(UserError, match=r"the disk at .* is full: .* MiB are free besides") as caught:
        export.export(own, say=lambda line: None)
    assert "then repeat the command" in str(caught.value)
    assert tree(own) == before
    room(4096)
    check_contents(export.export(own, say=lambda line: None))


def test_an_evaluation_keeps_the_earlier_one(own, room):
    folder = evaluate.evaluate(own, runtime="tensorflow", say=lambda line: None).folder
    before = tree(folder)
    room(8)
    with pytest.raises(UserError, match=r"the disk at .* is full"):
        evaluate.evaluate(own, runtime="tensorflow", say=lambda line: None)
    assert tree(folder) == before
    assert not list(folder.parent.glob(".*"))


def test_a_training_asks_for_its_room_before_it_begins(disk, room, corpus, small_encoder):
    room(100)
    config = make_config(corpus=str(corpus), output=str(disk / "new"), **brief(small_encoder))
    with pytest.raises(UserError, match=r"expected at least .* MiB of free disk") as caught:
        train.train(config, say=lambda line: None)
    assert caught.value.setting == "output"
    assert not (disk / "new").exists()


def test_a_training_goes_on_without_room_and_is_exported_once_there_is(disk, room, corpus, small_encoder):
    config = make_config(corpus=str(corpus), output=str(disk / "new"), **brief(small_encoder))
    lines = []

    def say(line):
        lines.append(line)
        if line.split()[:1] == ["1"]:  # the row of the first epoch, before its checkpoint
            room(30)

    with pytest.raises(UserError, match=r"the disk at .* is full"):
        train.train(config, say=say)
    assert any("no checkpoint at" in line for line in lines)
    state = disk / "new" / TRAINING / "1"
    assert versions(disk / "new") == []
    room(20_000)
    train.train(config, resume=any((state / CHECKPOINTS).glob("[0-9]*")), say=lines.append)
    with load_tagger(disk / "new") as tagger:
        assert tagger.tag("Ahmed works in Nice.") is not None


def test_files_that_are_tagged_go_on_once_there_is_room(capsys, own, disk, room, tmp_path):
    (tmp_path / "in.txt").write_text("Ahmed works at Unice.\n" * 500)
    argv = [own, "--file", tmp_path / "in.txt", "--output", disk / "out", "--runtime", "tensorflow"]
    room(12)
    assert predict(list(map(str, argv))) == 2
    assert "No space left on device" in capsys.readouterr().err
    room(2000)
    assert predict(list(map(str, argv))) == 0
    assert predict([*map(str, argv[:-3]), str(tmp_path / "out"), *map(str, argv[-2:])]) == 0
    names = [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]
    assert all((disk / "out" / name).read_bytes() == (tmp_path / "out" / name).read_bytes() for name in names)

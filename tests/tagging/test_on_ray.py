"""The engine of Ray writes the files of the local one, byte for byte, also when an actor is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet
import pytest
from support.errors import refused
from support.trainings import TEXT

from tfner.errors import UserError
from tfner.tagging import bulk
from tfner.tagging.bulk import Source, tag_files
from tfner.tagging.load import load_tagger
from tfner.tagging.on_ray import _start, on_ray

pytestmark = pytest.mark.slow
RECORDS = 24_000


@pytest.fixture(scope="module")
def tagger(runtimes):
    return load_tagger(runtimes / "openvino" / "2")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two files with texts of different lengths; two records cannot be tagged, and the encoding of one file is guessed."""
    folder = tmp_path_factory.mktemp("in")
    lines = [json.dumps({"id": i, "text": " ".join([TEXT] * (i % 2)) + f" {i}"}) for i in range(RECORDS - 10)]
    lines[1234] = lines[21_000] = "no JSON"
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "b.txt").write_bytes(b"Peter war in K\xf6ln\n" * 10)
    return Source(sorted(folder.iterdir()))


@pytest.fixture(scope="module")
def local(tagger, source, tmp_path_factory):
    """What the local engine writes, and says."""
    folder, said = tmp_path_factory.mktemp("local") / "out", []
    counts = tag_files(tagger, source, folder, say=said.append)
    return content(folder), counts, said


def content(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


def actors():
    """The process ids of the actors that tag."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::") and b"MapWorker" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has just ended
    return found


def test_its_files_are_those_of_the_local_engine(tagger, source, local, tmp_path, monkeypatch):
    said = []
    with TemporaryDirectory() as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        counts = tag_files(tagger, source, tmp_path / "out", say=said.append, engine=on_ray(2))
        assert list(Path(folder).iterdir()) == []
    assert (content(tmp_path / "out"), counts, said) == local
    assert counts == {"records": RECORDS, "tagged": RECORDS - 2, "rejected": 2}


def test_an_actor_that_is_killed_loses_nothing(tagger, source, local, tmp_path):
    killed = []

    def kill():
        while not killed and not done.is_set():
            if list((tmp_path / "out").glob("part-*")):  # in the middle of the work
                for pid in actors()[:1]:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            time.sleep(0.05)

    done = threading.Event()
    thread = threading.Thread(target=kill)
    thread.start()
    tag_files(tagger, source, tmp_path / "out", say=lambda line: None, engine=on_ray(2))
    done.set()
    thread.join()
    assert len(killed) == 1
    assert content(tmp_path / "out") == local[0]


def test_a_chunk_that_always_kills_its_actor_ends_the_job(tagger, source, local, tmp_path):
    def kill():
        while not done.wait(0.05):
            for pid in actors():
                os.kill(pid, signal.SIGKILL)

    done = threading.Event()
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with pytest.raises(UserError, match="an actor ended 4 times") as caught:
            tag_files(tagger, source, tmp_path / "out", say=lambda line: None, engine=on_ray(1))
    finally:
        done.set()
        thread.join()
    assert caught.value.setting == "engine"
    tag_files(tagger, source, tmp_path / "out", say=lambda line: None)
    assert content(tmp_path / "out") == local[0]


def test_one_engine_goes_on_where_the_other_stopped(tagger, source, local, tmp_path):
    class Stop(BaseException):
        pass

    def stopping(*arguments):
        for number, one in enumerate(bulk.in_this_process(*arguments)):
            if number == 5:
                raise Stop
            yield one

    with pytest.raises(Stop):
        tag_files(tagger, source, tmp_path / "out", say=lambda line: None, engine=stopping)
    assert len(list((tmp_path / "out").glob("part-*"))) == 1
    tag_files(tagger, source, tmp_path / "out", say=lambda line: None, engine=on_ray(2))
    assert content(tmp_path / "out") == local[0]


def test_its_actors_use_the_runtime_that_was_asked_for(runtimes, source, tmp_path):
    (tmp_path / "in.txt").write_text(f"{TEXT}\n" * 20)
    some = Source([tmp_path / "in.txt"])
    with load_tagger(runtimes, "tensorflow") as tagger:
        tag_files(tagger, some, tmp_path / "local", say=lambda line: None)
        tag_files(tagger, some, tmp_path / "ray", say=lambda line: None, engine=on_ray(1))
    texts = [(tmp_path / name / "part-00000.jsonl").read_text() for name in ("local", "ray")]
    scores = [[e["score"] for line in text.splitlines() for e in json.loads(line)["entities"]] for text in texts]
    assert len(scores[0]) > 20
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)  # the export for OpenVINO, in int8, differs by more


def test_ray_is_started_again_where_the_machine_was_too_slow():
    class Slow:
        calls = 0

        def init(self, *_, **__):
            self.calls += 1
            if self.calls < needed:
                raise error

        def shutdown(self):
            pass

    waited = "The current node timed out during startup"
    for needed, error, given, calls in (
        (2, RuntimeError("Timed out waiting for file"), None, 2),
        (2, Exception(waited), None, 2),
        (2, TimeoutError(), None, 2),
        (9, Exception(waited), None, 2),
        (2, RuntimeError("no"), None, 1),
        (2, RuntimeError(waited), "a:1", 1),
    ):
        ray = Slow()
        with pytest.raises(RuntimeError, match=str(error)) if calls < needed else nullcontext():
            _start(ray, given, "folder")
        assert ray.calls == calls


def test_errors_of_its_processes_are_those_of_the_local_engine(tagger, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"words": ["Nice"]}), tmp_path / "a.parquet")
    other = Source([tmp_path / "a.parquet"], column="text")
    with pytest.raises(UserError, match="one of its columns words") as expected:
        list(bulk.in_this_process(tagger, other, 0, "jsonl"))
    with pytest.raises(UserError) as caught:
        list(on_ray(1)(tagger, other, 0, "jsonl"))
    assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9", "ray://127.0.0.1:9", "[::1]:9", "127.0.0.1:99999", "no-such-host.invalid:6379"]
)
def test_a_cluster_that_is_not_there_is_refused(tagger, source, tmp_path, address):
    with pytest.raises(UserError, match="Ray cluster") as caught:
        tag_files(tagger, source, tmp_path / "out", engine=on_ray(address=address))
    assert caught.value.setting == "ray_address"


def test_less_than_one_actor_is_refused():
    with refused("no_actors", setting="actors"):
        on_ray(0)


def test_without_ray_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with refused("no_ray", setting="engine"):
        on_ray()


def test_the_command_tags_with_ray(runtimes, source, local, tmp_path):
    argv = [str(runtimes / "openvino" / "2"), "--file", str(source.files[0].parent), "--output", str(tmp_path / "out")]
    result = subprocess.run(
        [sys.executable, "-m", "tfner.predict", *argv, "--engine", "ray", "--actors", "1"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "23,998 tagged, 2 rejected" in result.stdout
    assert all(line.startswith(("b.txt: not UTF-8", "tagging with")) for line in result.stderr.splitlines()), result.stderr
    assert content(tmp_path / "out") == local[0]

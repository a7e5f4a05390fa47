"""The folder of a job: what it accepts, and in which order it writes. test_bulk.py interrupts whole jobs."""

from pathlib import Path

import pytest
from filelock import FileLock
from support.errors import refused

from tfner.errors import UserError
from tfner.tagging import job_folder
from tfner.tagging.job_folder import MANIFEST, REJECTS, JobFolder

JOB = {"model": "capitals"}
COUNTS = {"records": 2, "tagged": 1, "rejected": 1}


def add(folder, text="{}\n", rejects=("{}",)):
    folder.add(lambda path: path.write_text(text), "jsonl", rejects, COUNTS)


def test_the_same_job_goes_on_after_its_last_part_and_forgets_rejects_of_one_that_is_not_counted(tmp_path):
    first = JobFolder(tmp_path / "out", JOB)
    add(first)
    first.release()
    with (tmp_path / "out" / REJECTS).open("a") as file:
        file.write("half of a reje")
    second = JobFolder(tmp_path / "out", JOB)
    assert second.counts == COUNTS
    add(second)
    second.finish()
    second.release()
    assert second.counts == {"records": 4, "tagged": 2, "rejected": 2}
    assert (tmp_path / "out" / REJECTS).read_text() == "{}\n{}\n"
    assert sorted(path.name for path in (tmp_path / "out").glob("part-*")) == ["part-00000.jsonl", "part-00001.jsonl"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the names of open files")
def test_results_are_on_the_disk_before_they_are_counted(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(job_folder.os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink().name))
    folder = JobFolder(tmp_path / "out", JOB)
    for _ in range(3):
        add(folder)
    folder.finish()
    folder.release()
    parts = [name for i in range(3) for name in (f".part-{i:05}.jsonl", REJECTS, f".{MANIFEST}")]
    assert synced == [f".{MANIFEST}", *parts, f".{MANIFEST}"]


def test_a_folder_with_anything_else_is_refused_and_kept(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    with refused("bulk_folder_in_use", setting="output"):
        JobFolder(out, JOB)
    with refused("bulk_output_is_a_file", setting="output"):
        JobFolder(out / "thesis.tex", JOB)
    assert (out / "thesis.tex").read_text() == "x"


def test_two_commands_into_one_folder_are_refused(tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), refused("bulk_locked", path=tmp_path / "out"):
        JobFolder(tmp_path / "out", JOB)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": {}}'])
def test_a_damaged_manifest_is_refused(tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text(text)
    with pytest.raises(UserError, match=r"manifest is damaged|another job"):
        JobFolder(tmp_path / "out", JOB)

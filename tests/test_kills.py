"""Commands that are killed where they write: everything is whole afterwards, and the next command works."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from support import tiny
from support.kills import Kills
from support.trainings import brief, write_corpus

from tfner.contents import check_contents
from tfner.folder import EVALUATION_FILES, EVALUATIONS, TRAINING, versions
from tfner.tagging.exported import read_exported

PLACES = int(os.environ.get("TFNER_KILLS", "4"))
"""How often each command is killed: before some of its writes, and with half of a file written."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")


@pytest.fixture(scope="module")
def kills():
    with Kills() as running:
        yield running


@pytest.fixture(scope="module")
def template(tmp_path_factory, kills):
    """A folder with a corpus, an encoder, a file of texts, a trained model and its evaluation."""
    folder = tmp_path_factory.mktemp("kills")
    (folder / "corpus").mkdir()
    write_corpus(folder / "corpus", sizes={"train": 40, "validation": 10, "test": 10})
    tiny.model_folder(folder / "encoder", "bert")
    (folder / "texts.txt").write_text("Ahmed works at Unice.\n" * 300)
    assert kills.run(folder, "train", *training(folder))[0] == 0
    assert kills.run(folder, "evaluate", folder / "model")[0] == 0
    return folder


def training(folder):
    flags = [item for name, value in brief(folder / "encoder").items() for item in (f"--{name.replace('_', '-')}", value)]
    return ["--corpus", folder / "corpus", "--output", folder / "model", *flags]


def tree(folder):
    """The content of every file below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def check_whole(folder: Path, before) -> None:
    """Checks that what was there is as it was, and what is new is whole."""
    model = folder / "model"
    assert tree(model / "1") == before
    for number in versions(model):
        read_exported(model / str(number))
        check_contents(model / str(number))
    for evaluation in (model / EVALUATIONS).iterdir():
        if not evaluation.name.startswith("."):
            assert {path.name for path in evaluation.iterdir()} == set(EVALUATION_FILES) - {"second.json"}
            json.loads((evaluation / "scores.json").read_text())
    output = folder / "output"
    if (output / "manifest.json").exists():
        parts = json.loads((output / "manifest.json").read_text())["parts"]
        for number, part in enumerate(parts):
            lines = (output / f"part-{number:05}.jsonl").read_text().splitlines()
            assert len(list(map(json.loads, lines))) == part["tagged"]


@pytest.mark.parametrize(
    ("verb", "argv", "again"),
    [
        ("evaluate", ["{}/model"], []),
        ("export", ["{}/model"], []),
        ("predict", ["{}/model", "--file", "{}/texts.txt", "--output", "{}/output"], []),
        ("train", None, ["--resume"]),
    ],
)
def test_nothing_is_lost_wherever_a_command_is_killed(kills, template, tmp_path, verb, argv, again):
    def fresh():
        folder = tmp_path / "work"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        return folder

    def arguments(folder):
        return training(folder) if argv is None else [item.format(folder) for item in argv]

    folder = fresh()
    status, writes = kills.run(folder, verb, *arguments(folder))
    assert status == 0
    assert writes > 2
    places = [(place, torn) for place in range(1, writes + 1) for torn in (False, True)]
    for i in range(min(PLACES, len(places))):
        place, torn = places[i * (len(places) - 1) // (min(PLACES, len(places)) - 1)]
        folder = fresh()
        before = tree(folder / "model" / "1")
        assert kills.run(folder, verb, *arguments(folder), at=place, torn=torn) == (-9, place)
        check_whole(folder, before)
        assert kills.run(folder, verb, *arguments(folder), *again)[0] == 0
        check_whole(folder, before)
        newest = max(versions(folder / "model" / TRAINING))  # one that was killed in its first steps is begun anew
        left = {path for path in folder.rglob(".*") if path.name != ".lock" and f"/{TRAINING}/{newest - 1}/" not in str(path)}
        assert not left, f"killed at {place} of {writes}"

"""What belongs together: files of another model, missing ones, and what may change."""

import json
import shutil

import pytest
from support.errors import refused

from tfner.contents import CONTENTS, check_contents, note_contents, sampled
from tfner.errors import UserError
from tfner.tagging.load import load_tagger


@pytest.fixture
def folder(tmp_path):
    for name in ("labels.json", "tokenizer/vocab.txt", "README.md", "plot.png"):
        path = tmp_path / "m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    note_contents(tmp_path / "m")
    return tmp_path / "m"


def test_files_that_are_as_they_were_written_pass(folder):
    check_contents(folder)
    for name in ("README.md", "plot.png"):
        (folder / name).write_text("other")
    (folder / "more.txt").write_text("of the user")
    check_contents(folder)
    (folder / CONTENTS).unlink()
    (folder / "labels.json").write_text("other")
    check_contents(folder)  # of an earlier version of tfner


def test_another_file_and_a_missing_one_are_named(folder):
    (folder / "tokenizer" / "vocab.txt").write_text("tokenizer/vocab.tx_")
    with pytest.raises(ValueError, match=r"tokenizer/vocab.txt is not the file"):
        check_contents(folder)
    (folder / "tokenizer" / "vocab.txt").unlink()
    with pytest.raises(OSError, match=r"vocab.txt"):
        check_contents(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "tokenizer/../../secret"])
def test_no_name_leads_out_of_the_folder(folder, name):
    (folder / CONTENTS).write_text(json.dumps({name: {"bytes": 1, "sha256": ""}}))
    with pytest.raises(ValueError, match="outside of the folder"):
        check_contents(folder)


@pytest.mark.parametrize("content", ["5", "null", "[1]", "[" * 200_000, "{"])
def test_a_damaged_list_of_files_is_refused(folder, content):
    (folder / CONTENTS).write_text(content)
    with pytest.raises(ValueError):
        check_contents(folder)


def test_a_checksum_is_of_both_ends_of_a_large_file(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(5 << 20))
    before = sampled(path)
    for position in (0, (5 << 20) - 1):
        with path.open("r+b") as file:
            file.seek(position)
            file.write(b"x")
        assert sampled(path) != before
        before = sampled(path)
    assert before["bytes"] == 5 << 20


def test_labels_in_another_order_are_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1")
    labels = tmp_path / "1" / "assets.extra" / "labels.json"
    names = json.loads(labels.read_text())
    labels.write_text(json.dumps([names[0], *names[:0:-1]]))
    with refused("model_of_mixed_files", path=tmp_path / "1"):
        load_tagger(tmp_path / "1")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (file, content)
        for file in ("config.json", "labels.json", "limits.json", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json")
        for content in ("null", "7", "[]", "{}", "[null]", "[" * 100_000, '{"max_pieces": -1}', '{"epochs": []}', "")
    ],
)
def test_files_of_every_wrong_shape_are_one_line(exported, tmp_path, file, content):
    shutil.copytree(exported, tmp_path / "1")
    (tmp_path / "1" / "assets.extra" / file).write_text(content)
    (tmp_path / "1" / "assets.extra" / CONTENTS).unlink()
    try:
        load_tagger(tmp_path / "1")
    except UserError as error:
        assert "\n" not in str(error)

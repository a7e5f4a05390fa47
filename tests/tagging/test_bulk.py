"""Files tagged into a folder: nothing is lost, nothing is tagged twice, wherever it is interrupted."""

import errno
import gzip
import hashlib
import json
import subprocess
import sys
import time
from itertools import islice, zip_longest
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from filelock import FileLock
from support.errors import refused
from support.trainings import TEXT

from tfner import predict
from tfner.contents import CONTENTS
from tfner.corpus import Sentence
from tfner.data.conll import read_columns
from tfner.data.inputs import Record
from tfner.data.sources import file_records
from tfner.errors import UserError
from tfner.folder import EXTRA
from tfner.labels import Entity, LabelSet
from tfner.modeling.decoding import Tagged
from tfner.tagging import bulk, job_folder, outputs
from tfner.tagging.bulk import Source, tag_files
from tfner.tagging.job_folder import MANIFEST, REJECTS, JobFolder
from tfner.tagging.load import load_tagger
from tfner.tagging.outputs import as_json
from tfner.tagging.tagger import Tagger, TextTooLarge


class Capitals(Tagger):
    """Finds every word with a capital letter; counts the texts that it was given."""

    name, weights, count = "capitals", "abc", 0
    labels = LabelSet(("O", "B-NAME", "I-NAME"))

    def predict(self, sentences, progress=iter):
        return [Tagged(["B-NAME" if w[:1].isupper() else "O" for w in s.words], [1.0] * len(s.words)) for s in sentences]

    def _tag(self, inputs):
        for item in inputs:
            self.count += 1
            words = item.split() if isinstance(item, str) else item
            yield [Entity("NAME", w, 0, len(w), 0.5, i, i + 1) for i, w in enumerate(words) if w[:1].isupper()]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK", 5)
    monkeypatch.setattr(bulk, "PART", 10)


@pytest.fixture
def files(tmp_path):
    """Three files with 24, 7 and 4 records, of which three cannot be tagged."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(json.dumps({"id": i, "text": f"Anna {i}"}) + "\n" for i in range(24)))
    (folder / "b.txt").write_bytes(b"".join(b"Bob %d\n" % i for i in range(6)) + b"K\xf6ln\n")
    (folder / "c.jsonl").write_text(
        '{"text": "Carl"}\nno JSON\n{"tokens": ["Dora", "x"], "id": "ä"}\n{"text": "\\ud83d", "x": NaN}\n'
    )
    return sorted(folder.iterdir())


def tag(tagger, files, folder, **options):
    return tag_files(tagger, Source(files, encoding="utf-8"), folder, **options)


def content(folder):
    """A checksum of every file that a job leaves."""
    files = sorted(p for p in folder.iterdir() if p.name != ".lock")
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def rows(folder):
    return [json.loads(line) for part in sorted(folder.glob("part-*")) for line in part.read_text("utf-8").splitlines()]


def test_every_record_is_tagged_or_rejected_in_order(files, tmp_path):
    counts = tag(Capitals(), files, tmp_path / "out")
    assert counts == {"records": 35, "tagged": 32, "rejected": 3}
    found = rows(tmp_path / "out")
    assert [row["text"] for row in found] == [f"Anna {i}" for i in range(24)] + [f"Bob {i}" for i in range(6)] + [
        "Carl",
        "Dora x",
    ]
    assert [row.get("id") for row in found][:3] == [0, 1, 2] and found[-1]["id"] == "ä"
    assert found[0]["entities"][0] == {
        "type": "NAME", "text": "Anna", "start": 0, "end": 4, "score": 0.5, "first_word": 0, "end_word": 1, "accepted": True,
    }  # fmt: skip
    rejects = [json.loads(line) for line in (tmp_path / "out" / REJECTS).read_text().splitlines()]
    assert [(row["file"], row["line"]) for row in rejects] == [("b.txt", 7), ("c.jsonl", 2), ("c.jsonl", 4)]
    assert rejects[1]["record"] == "no JSON" and "JSON object" in rejects[1]["reason"]
    assert rejects[2]["fields"] == {"x": "NaN"}
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert [part["records"] for part in manifest["parts"]] == [10, 10, 10, 5]
    assert manifest["complete"] and [one["name"] for one in manifest["job"]["input"]] == ["a.jsonl", "b.txt", "c.jsonl"]


def test_a_file_with_other_columns_is_refused_before_the_first_part(files, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"body": ["Anna"]}), tmp_path / "in" / "z.parquet")
    with refused("parquet_column_missing_in_a_job", setting="text_column", path=tmp_path / "in" / "z.parquet"):
        tag(Capitals(), [*files, tmp_path / "in" / "z.parquet"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Neighbours(Capitals):
    """Tags each word by the number of sentences before it in its document, as a model with document context may."""

    def predict(self, sentences, progress=iter):
        found, number = [], 0
        for previous, sentence in zip([None, *sentences], sentences, strict=False):
            together = previous and sentence.document is not None and sentence.document == previous.document
            number = number + 1 if together else 0
            found.append(Tagged(["B-NAME" if number % 2 else "O"] * len(sentence.words), [1.0] * len(sentence.words)))
        return found


@pytest.mark.parametrize("format", ["conll", "jsonl"])
def test_sentences_are_tagged_with_the_context_that_they_are_evaluated_with(tmp_path, format):
    documents = [[f"w{i}-{j} O" for j in range(length)] for i, length in enumerate((3, 4, 1, 7, 2, 2))]
    text = "".join("-DOCSTART- O\n\n" + "".join(f"{sentence}\n\n" for sentence in one) for one in documents)
    for name in ("a.conll", "b.conll"):  # the last document of one file is not the first of the next
        (tmp_path / name).write_text(text)
    sentences = [Sentence(s.words, (), s.document) for s in read_columns(text, "a.conll", "ner")]
    expected = [one.tags[0] for one in Neighbours().predict(sentences)]
    assert len(expected) == 19 and 0 < expected.count("O") < 19
    tag(Neighbours(), [tmp_path / "a.conll", tmp_path / "b.conll"], tmp_path / "out", format=format)
    if format == "conll":
        parts = "".join(part.read_text() for part in sorted((tmp_path / "out").glob("part-*")))
        found = [line.split("\t")[1] for line in parts.splitlines() if line]
    else:
        found = ["B-NAME" if row["entities"] else "O" for row in rows(tmp_path / "out")]
    assert found == expected * 2


@pytest.mark.parametrize("length", [7, 100])
def test_a_job_with_documents_goes_on_to_the_same_files(tmp_path, length):
    lines = [{"tokens": [f"w{i}"], "document": i // length} for i in range(60)]
    lines[5] = {"tokens": 1}
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tag(Neighbours(), [tmp_path / "a.jsonl"], tmp_path / "whole")

    def stopping(*arguments):
        yield from islice(bulk.in_this_process(*arguments), 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tag(Neighbours(), [tmp_path / "a.jsonl"], tmp_path / "out", engine=stopping)
    assert list((tmp_path / "out").glob("part-*"))
    tag(Neighbours(), [tmp_path / "a.jsonl"], tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_small_compressed_files_and_folders_with_two_slashes_are_read(tmp_path):
    with pyarrow.CompressedOutputStream(str(tmp_path / "a.txt.zst"), "zstd") as file:
        file.write(b"Anna\nBob\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"Carl\n"))
    files = [Path(f"/{tmp_path / name}") for name in ("a.txt.zst", "b.txt.gz")]
    assert tag(Capitals(), files, tmp_path / "out") == {"records": 3, "tagged": 3, "rejected": 0}


def test_rejects_name_their_file_below_the_folder_and_the_flag_that_helps(files, tmp_path):
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "sub" / "b.txt").write_bytes(b"K\xf6ln\n")
    tag(Capitals(), [*files, tmp_path / "in" / "sub" / "b.txt"], tmp_path / "out")
    rejects = [json.loads(line) for line in (tmp_path / "out" / REJECTS).read_text().splitlines()]
    assert [row["file"] for row in rejects] == ["b.txt", "c.jsonl", "c.jsonl", "sub/b.txt"]
    assert rejects[0]["reason"].endswith("or give --text-encoding")


class Served(Capitals):
    """Refuses texts of more than 20 characters, as a server does."""

    def _tag(self, inputs):
        if any(len(item) > 20 for item in inputs):
            raise TextTooLarge("too large for the server", "http://host")
        yield from super()._tag(inputs)


def test_a_text_that_is_too_large_for_the_server_is_rejected_alone(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"Anna {i} {'x' * 20 if i in (3, 11) else ''}\n" for i in range(12)))
    assert tag(Served(), [tmp_path / "a.txt"], tmp_path / "out") == {"records": 12, "tagged": 10, "rejected": 2}
    rejects = [json.loads(line) for line in (tmp_path / "out" / REJECTS).read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in rejects] == [
        (4, "too large for the server"),
        (12, "too large for the server"),
    ]
    assert [row["text"].split()[1] for row in rows(tmp_path / "out")] == [str(i) for i in range(12) if i not in (3, 11)]


@pytest.mark.parametrize("name", ["part-00001.jsonl", REJECTS])
@pytest.mark.parametrize("how", ["removed", "cut"])
def test_a_result_that_was_lost_is_missed(files, tmp_path, name, how):
    tag(Capitals(), files, tmp_path / "out")
    path = tmp_path / "out" / name
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-5])
    with refused(f"lost_{path.stem}", setting="output"):
        tag(Capitals(), files, tmp_path / "out")


def test_results_in_the_folder_of_the_files_are_not_read_again(runtimes, files, tmp_path, capsys):
    argv = [str(runtimes), "--file", str(tmp_path / "in"), "--output", str(tmp_path / "in" / "out"), "--runtime", "onnx"]
    assert predict.main(argv) == predict.main(argv) == 0
    assert capsys.readouterr().out.count("of 3 files") == 2


def test_a_job_that_is_done_is_not_done_again(files, tmp_path):
    tag(Capitals(), files, tmp_path / "out")
    before, tagger = content(tmp_path / "out"), Capitals()
    assert tag(tagger, files, tmp_path / "out")["records"] == 35
    assert tagger.count == 0
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize("place", ["write", "rejects", "manifest"])
@pytest.mark.parametrize("part", [0, 1, 3])
def test_wherever_it_is_interrupted_the_same_call_gives_the_same_files(files, tmp_path, monkeypatch, place, part):
    tag(Capitals(), files, tmp_path / "whole")

    class Stop(BaseException):
        pass

    own_add, own_save = JobFolder.add, JobFolder.save

    def add(self, write, ending, rejects, counts):
        if len(self.parts) == part and place == "write":

            def half(path):
                path.write_text("half of a")
                raise Stop

            write = half
        if len(self.parts) == part and place == "rejects":
            (self.folder / f"part-{part:05}.jsonl").write_text("something else")
            with (self.folder / REJECTS).open("a") as file:
                file.write("half of a reje")
            raise Stop
        own_add(self, write, ending, rejects, counts)

    def save(self):
        if len(self.parts) == part + 1 and place == "manifest":
            raise Stop
        own_save(self)

    with monkeypatch.context() as patched:
        patched.setattr(JobFolder, "add", add)
        patched.setattr(JobFolder, "save", save)
        with pytest.raises(Stop):
            tag(Capitals(), files, tmp_path / "out")
    tagger = Capitals()
    assert tag(tagger, files, tmp_path / "out") == {"records": 35, "tagged": 32, "rejected": 3}
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert tagger.count <= 32 - 10 * part + 3


@pytest.mark.slow
def test_a_command_that_is_killed_at_any_moment_goes_on_to_the_same_files(runtimes, tmp_path):
    lines = [json.dumps({"id": i, "text": f"{TEXT} {i}"}) for i in range(4000)]
    lines[1234] = "no JSON"
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    program = (
        "import sys; from tfner.tagging import bulk; bulk.PART = 200; bulk.CHUNK = 50\n"
        "from tfner import predict; predict.main(sys.argv[1:])"
    )

    def command(output):
        model = str(runtimes / "openvino" / "2")
        argv = [model, "--file", str(tmp_path / "in.jsonl"), "--output", str(output)]
        return subprocess.Popen(
            [sys.executable, "-c", program, *argv], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
        )

    whole = command(tmp_path / "whole")
    assert "4,000 records of 1 file: 3,999 tagged, 1 rejected" in whole.communicate()[0]
    killed = 0
    for wanted in (1, 4, 9, 15):  # parts that are there when it is killed
        process = command(tmp_path / "out")
        while process.poll() is None and len(list((tmp_path / "out").glob("part-*"))) < wanted:
            time.sleep(0.002)
        killed += process.poll() is None
        process.kill()
        process.wait()
    assert killed == 4
    assert command(tmp_path / "out").communicate()[0]
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert [row["id"] for row in rows(tmp_path / "out")] == [i for i in range(4000) if i != 1234]


def test_another_job_into_the_folder_is_refused(files, tmp_path):
    tag(Capitals(), files, tmp_path / "out")
    other = Capitals()
    other.weights = "of another model"
    with refused("bulk_other_model", setting="output"):
        tag(other, files, tmp_path / "out")
    with refused("bulk_other_input", setting="output"):
        tag(Capitals(), files[:2], tmp_path / "out")
    with refused("bulk_other_settings", setting="output"):
        tag(Capitals(), files, tmp_path / "out", format="conll")


def test_another_export_of_the_same_weights_is_another_job(files, tmp_path):
    tagger = Capitals()
    tagger.name = str(tmp_path / "model")
    for place in (tmp_path / "model", tmp_path / "model" / EXTRA):  # an export for another runtime, and a SavedModel
        place.mkdir()
        (place / CONTENTS).write_text("{}")
        tag(tagger, files, tmp_path / "out" / place.name)
        (place / CONTENTS).write_text('{"model.bin": {}}')
        with pytest.raises(UserError, match="another model"):
            tag(tagger, files, tmp_path / "out" / place.name)


def test_a_job_that_ends_while_another_waits_for_its_folder_is_not_done_again(files, tmp_path, monkeypatch):
    class Late(FileLock):
        def acquire(self, *arguments, **options):
            with monkeypatch.context() as patched:
                patched.setattr(job_folder, "FileLock", FileLock)
                tag(Capitals(), files, tmp_path / "out")
            return super().acquire(*arguments, **options)

    monkeypatch.setattr(job_folder, "FileLock", Late)
    tagger = Capitals()
    assert tag(tagger, files, tmp_path / "out")["records"] == 35
    assert tagger.count == 0


def test_a_full_disk_is_one_line_and_the_same_call_goes_on(files, tmp_path, monkeypatch):
    own, calls = job_folder.write_whole, []

    def full(path, write):
        calls.append(path)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        own(path, write)

    with monkeypatch.context() as patched:
        patched.setattr(job_folder, "write_whole", full)
        with refused("bulk_full_disk", setting="output"):
            tag(Capitals(), files, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("part-*"))) >= 1
    assert tag(Capitals(), files, tmp_path / "out")["records"] == 35


def test_a_text_that_is_too_long_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "MOST_CHARACTERS", 10)
    (tmp_path / "a.jsonl").write_text('{"text": "Anna"}\n{"text": "Anna Maria x"}\n{"tokens": ["xxxxxxxxxxx"]}\n')
    assert tag(Capitals(), [tmp_path / "a.jsonl"], tmp_path / "out")["rejected"] == 2


def test_columns_have_the_words_and_tags(files, tmp_path):
    tag(Capitals(), files, tmp_path / "out", format="conll")
    text = (tmp_path / "out" / "part-00003.conll").read_text()
    assert text == "Carl\tB-NAME\n\nDora\tB-NAME\nx\tO\n\n"


def test_columns_are_read_again_and_records_that_would_not_be_are_rejected(tmp_path):
    good = [["Anna", "#x"], ["#", "x"], ["#x"], ["\u200b", "x"]]
    bad = [["a b"], ["x", "a\tb"], ["a\nb"], [""], ["x", "\u00a0"], ["-DOCSTART-"]]
    lines = [{"tokens": words} for pair in zip_longest(good, bad) for words in pair if words]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    counts = tag(Capitals(), [tmp_path / "a.jsonl"], tmp_path / "out", format="conll")
    assert counts == {"records": 10, "tagged": 4, "rejected": 6}
    text = (tmp_path / "out" / "part-00000.conll").read_text()
    assert [list(s.words) for s in read_columns(text, "a.conll", "ner")] == good
    assert [list(record.item) for record in file_records(tmp_path / "out" / "part-00000.conll")] == good
    rejects = [json.loads(line) for line in (tmp_path / "out" / REJECTS).read_text().splitlines()]
    assert sorted(row["record"] for row in rejects) == sorted(bad)
    with refused("word_not_for_columns", setting="output_format"):
        outputs.render(Capitals(), [Record(("a b",), 1)], "conll")


def test_the_sentences_of_a_text_are_apart_in_columns(tmp_path):
    (tmp_path / "a.txt").write_text("Anna left. Carl too\n\n")
    tag(Capitals(), [tmp_path / "a.txt"], tmp_path / "out", format="conll")
    text = (tmp_path / "out" / "part-00000.conll").read_text()
    assert text == "Anna\tB-NAME\nleft\tO\n.\tO\n\nCarl\tB-NAME\ntoo\tO\n\n"


def test_parquet_has_the_entities_and_the_fields(files, tmp_path):
    tag(Capitals(), files, tmp_path / "out", format="parquet")
    found = pyarrow.parquet.read_table(tmp_path / "out" / "part-00000.parquet").to_pylist()
    assert len(found) == 10
    assert found[3]["text"] == "Anna 3" and found[3]["entities"][0]["text"] == "Anna"
    assert json.loads(found[3]["fields"]) == {"id": 3}


def test_fields_keep_half_a_surrogate_pair_as_it_was_written(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "Anna", "note": "\\ud83d"}\n')
    tag(Capitals(), [tmp_path / "a.jsonl"], tmp_path / "out")
    assert rows(tmp_path / "out")[0]["note"] == "\ud83d"


def test_the_command_says_what_was_tagged(runtimes, files, tmp_path, capsys):
    argv = [
        str(runtimes),
        "--file",
        str(files[0].parent),
        "--output",
        str(tmp_path / "out"),
        "--runtime",
        "onnx",
        "--text-encoding",
        "utf-8",
    ]
    assert predict.main(argv) == 0
    printed = capsys.readouterr()
    assert "35 records of 3 files: 32 tagged, 3 rejected (see rejects.jsonl)" in printed.out
    assert printed.err.startswith("tagging with ONNX Runtime")
    with load_tagger(runtimes, "onnx") as tagger:
        expected = [as_json(text, tagger.tag(text)) for text in ("Anna 0", "Anna 1")]
    found = [{name: row[name] for name in ("text", "entities")} for row in rows(tmp_path / "out")[:2]]
    assert found == expected


def test_an_output_without_files_is_a_usage_error(runtimes, tmp_path, capsys):
    assert predict.main([str(runtimes), "Anna", "--output", str(tmp_path / "out")]) == 2
    assert "--output needs --file" in capsys.readouterr().err

"""Records of files: every kind of file, and what cannot be read is a record too."""

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import tracemalloc
import zlib
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.errors import check_error, refused

from tfner.data import inputs, parquet, sources
from tfner.data.inputs import whole_lines
from tfner.data.sources import check_file, file_records, find_files, identify, stream_records
from tfner.errors import UserError

TEXTS = ["Anna works.", "", "Köln 😀\u2028x", "Bob  rests."]


def items(*arguments, **options):
    return [record.item for record in file_records(*arguments, **options)]


def zstd(path, data):
    with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
        file.write(data)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.txt", lambda path, data: path.write_bytes(data)),
        ("a.txt.gz", lambda path, data: path.write_bytes(gzip.compress(data[:9]) + gzip.compress(data[9:]))),
        ("a.txt.zst", zstd),
        ("a", lambda path, data: path.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))),
    ],
)
def test_compressed_files_have_the_lines_of_plain_ones(tmp_path, name, write):
    write(tmp_path / name, "\n".join(TEXTS).encode())
    moved = []
    assert items(tmp_path / name) == items(tmp_path / name, moved=moved.append) == TEXTS
    assert sum(moved) == (tmp_path / name).stat().st_size


def test_the_name_inside_a_compressed_name_decides_the_format(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": 7, "text": "Anna"}\n\n{"tokens": ["a", "b"]}\n'))
    one, two = file_records(path)
    assert (one.item, one.line, dict(one.fields)) == ("Anna", 1, {"id": 7})
    assert (two.item, two.line) == (("a", "b"), 3)
    assert items(path, kind="text")[0] == '{"id": 7, "text": "Anna"}'


def test_long_files_are_read_block_by_block_with_every_line_whole(tmp_path):
    lines = [f"line {i} " + "ä" * (i % 997) for i in range(3000)]
    (tmp_path / "a.txt").write_text("\n".join(lines), "utf-8")
    moved = []
    assert items(tmp_path / "a.txt", moved=moved.append) == lines
    assert sum(moved) == (tmp_path / "a.txt").stat().st_size and len(moved) > 10


def test_what_no_record_can_be_read_without_is_known_before(tmp_path, monkeypatch):
    file = tmp_path / "a"
    table = pyarrow.table([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    pyarrow.parquet.write_table(table, file)
    with refused("parquet_columns_of_one_name", path=file):
        check_file(file)
    for data in (b"PAR1 damaged", b"text", b""):
        file.write_bytes(data)
        check_file(file)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for data in (parquet.START, sources.ZSTD):
        file.write_bytes(data)
        with pytest.raises(UserError, match="needs pyarrow"):
            check_file(file)


def test_lines_that_are_no_input_are_problems_of_their_own(tmp_path):
    deep = "[" * 100_000
    lines = ['{"text": "a"}', "no JSON", deep, '{"x": 1}', "1" * 5000, '{"text": "b"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    found = list(file_records(tmp_path / "a.jsonl"))
    assert [record.item for record in found if not record.problem] == ["a", "b"]
    assert [(record.line, record.source) for record in found if record.problem] == list(enumerate(lines, 1))[1:5]


def test_bytes_that_are_not_text_are_a_problem_of_their_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"Anna\nK\xf6ln\nBob\n")
    one, bad, two = file_records(tmp_path / "a.txt", encoding="utf-8")
    assert (one.item, two.item) == ("Anna", "Bob")
    with refused("record_not_utf8", setting="text_encoding", path=tmp_path / "a.txt", line=2):
        raise bad.problem
    assert bad.source.encode("utf-8", "surrogateescape") == b"K\xf6ln"
    assert items(tmp_path / "a.txt", encoding="latin-1") == ["Anna", "Köln", "Bob"]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8-sig", "utf-16", "shift_jis"])
def test_bytes_that_are_not_text_in_any_encoding_are_a_problem_of_their_line(tmp_path, encoding):
    bad = {"utf-16": b"\x00\xd8", "shift_jis": b"\xff"}.get(encoding, b"\x81")
    before, after = "Anna\nK", "ln\nBob\n"
    same = {"utf-16": "utf-16-le", "utf-8-sig": "utf-8"}.get(encoding, encoding)  # without a mark
    (tmp_path / "a.txt").write_bytes(before.encode(encoding) + bad + after.encode(same))
    one, problem, two = file_records(tmp_path / "a.txt", encoding=encoding)
    assert (one.item, two.item) == ("Anna", "Bob")
    assert problem.line == 2 and problem.problem.setting == "text_encoding"


def test_a_few_bad_bytes_do_not_make_another_encoding_of_utf_8(tmp_path):
    (tmp_path / "a.txt").write_bytes("München\nKöln\n".encode() + b"K\xf6ln\nBob\n")
    said = []
    assert [record.item for record in file_records(tmp_path / "a.txt", say=said.append)] == ["München", "Köln", "", "Bob"]
    assert said == []


def test_utf_16_without_a_mark_is_not_taken_for_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("Anna\nBob\n".encode("utf-16-le"))
    found = list(file_records(tmp_path / "a.txt"))
    with refused("record_with_nul", setting="text_encoding", path=tmp_path / "a.txt", line=1):
        raise found[0].problem
    assert all(record.problem for record in found)
    assert items(tmp_path / "a.txt", encoding="utf-16-le") == ["Anna", "Bob"]


def test_bytes_that_are_not_text_in_any_field_are_a_problem(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "Anna", "note": "K\xf6ln"}\n{"text": "Bob", "note": "\\udcf6"}\n')
    bad, good = file_records(tmp_path / "a.jsonl", encoding="utf-8")
    with refused("object_not_utf8", setting="text_encoding", path=tmp_path / "a.jsonl", line=1):
        raise bad.problem
    assert (good.item, dict(good.fields)) == ("Bob", {"note": "\udcf6"})


@pytest.mark.parametrize("name", ["a.conllu", "a.txt"])
def test_lines_that_are_not_conllu_are_a_problem_of_their_sentence(tmp_path, name):
    kind = "conllu" if name == "a.txt" else None
    (tmp_path / name).write_text("Maria\tPROPN\n\n" + CONLLU.replace("3\tcar", "l\tcar") + "\n" + CONLLU)
    one, two, good = file_records(tmp_path / name, kind=kind)
    with refused(f"line_not_conllu_in_{name}", setting="format", path=tmp_path / name, line=1):
        raise one.problem
    assert two.problem.line == 8 and two.source.startswith("1-2\tAnna's")
    assert good.item == ("Anna", "'s", "car")


@pytest.mark.parametrize("end", [3, 2000])
def test_of_a_gzip_that_ends_too_early_everything_before_is_read(tmp_path, end):
    lines = [f"line {i} {i * i % 977}" for i in range(20_000)]
    data = gzip.compress("\n".join(lines).encode())
    (tmp_path / "a.txt.gz").write_bytes(data[:-end])
    *good, last = file_records(tmp_path / "a.txt.gz")
    left = zlib.decompressobj(31).decompress(data[:-end]).decode().count("\n")
    assert [record.item for record in good] == lines[:left]
    assert last.problem and last.line == left


@pytest.mark.parametrize("name", ["a.txt.gz", "a.parquet", "a.txt.zst"])
def test_a_broken_file_gives_what_can_be_read_and_one_problem(tmp_path, name):
    path = tmp_path / name
    lines = [f"line {i}" for i in range(20_000)]
    if name == "a.parquet":
        pyarrow.parquet.write_table(pyarrow.table({"text": lines}), path)
        path.write_bytes(b"PAR1" + path.read_bytes()[4:2000])
    elif name == "a.txt.zst":
        zstd(path, "\n".join(lines).encode())
        path.write_bytes(path.read_bytes()[:-2000])
    else:
        path.write_bytes(gzip.compress("\n".join(lines).encode())[:-2000])
    *good, last = file_records(path)
    assert [record.item for record in good] == lines[: len(good)]
    assert last.problem and last.problem.path == path and "\n" not in str(last.problem)
    assert not any(record.problem for record in good)


def test_files_are_found_by_name_folder_and_pattern(tmp_path):
    for name in ("b.txt", "a.txt", "sub/c.jsonl", ".hidden.txt", ".git/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    def names(given):
        return [str(path.relative_to(tmp_path)) for path in find_files(str(given))]

    assert names(tmp_path / "b.txt") == ["b.txt"]
    assert names(tmp_path) == ["a.txt", "b.txt", "sub/c.jsonl"]
    assert names(tmp_path / "*.txt") == ["a.txt", "b.txt"]
    assert names(tmp_path / "**" / "*.jsonl") == ["sub/c.jsonl"]
    for path, key in ((tmp_path / "nothing", "no_file"), (tmp_path / "*.csv", "no_file_of_a_pattern")):
        with refused(key, path=path):
            find_files(str(path))


def test_linked_folders_are_read_once_and_results_are_left_out(tmp_path):
    for name in ("in/a.txt", "in/tagged/part-00000.jsonl", "other/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(tmp_path / "in")
    assert [path.name for path in find_files(str(tmp_path / "in"), tmp_path / "in" / "tagged")] == ["a.txt", "b.txt"]
    assert [path.name for path in find_files(str(tmp_path / "in" / "*" / "*"), tmp_path / "in" / "tagged")] == ["b.txt"]
    assert len(find_files(str(tmp_path / "in"))) == 3


def test_linked_files_are_read_once_with_a_note(tmp_path):
    (tmp_path / "b.txt").write_text("x")
    (tmp_path / "c.txt").symlink_to(tmp_path / "b.txt")
    for what in (tmp_path, tmp_path / "*.txt"):
        said = []
        assert find_files(str(what), say=said.append) == [tmp_path / "b.txt"]
        assert said == [f"{tmp_path / 'c.txt'}: left out, because it is the same file as {tmp_path / 'b.txt'}"]


def test_results_cannot_be_written_over_the_files(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    for what in (tmp_path, tmp_path / "*.txt"):
        with refused("results_over_the_files", setting="output"):
            find_files(str(what), tmp_path)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("x")

    def walk(folder, onerror, followlinks):
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "sub")))

    monkeypatch.setattr(sources.os, "walk", walk)
    with refused("folder_not_readable", path=tmp_path / "sub"):
        find_files(str(tmp_path))


def test_a_hidden_folder_can_be_named(tmp_path):
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "a.txt").write_text("x")
    assert len(find_files(str(tmp_path / ".data"))) == 1


def test_a_file_is_identified_by_name_size_time_and_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 3_000_000)
    first = identify(path)
    assert (first["name"], first["bytes"]) == ("a.txt", 3_000_000)
    path.write_bytes(b"x" * 2_999_999 + b"y")
    assert identify(path)["sha256"] != first["sha256"]
    path.write_bytes(b"x" * 1_500_000 + b"y" + b"x" * 1_499_999)
    os.utime(path, ns=(0, first["modified"] + 1000))
    assert identify(path) == {**first, "modified": first["modified"] + 1000}
    assert json.dumps(first)


WORDS = (("1-2", "Anna's"), ("1", "Anna"), ("2", "'s"), ("2.1", "-"), ("3", "car"))
CONLLU = "# text = Anna's car\n" + "".join(f"{number}\t{word}\t_\tX\t_\t_\t0\troot\t_\t_\n" for number, word in WORDS)
COLUMNS = "Ahmed NNP B-PER\nworks VBZ O\n\nNice NNP B-LOC\n"


@pytest.mark.parametrize(
    ("name", "text", "expected", "note"),
    [
        (
            "my_corpus/test.txt",
            "Ahmed NNP B-PER\nworks VBZ O\n\nNice NNP B-LOC\n",
            [("Ahmed", "works"), ("Nice",)],
            "CoNLL columns",
        ),
        ("a.txt", '{"text": "Anna"}\n', ["Anna"], "JSON lines"),
        ("a.conll", CONLLU + "\n" + CONLLU, [("Anna", "'s", "car")] * 2, "CoNLL-U"),
        ("a.conllu", CONLLU, [("Anna", "'s", "car")], None),
        ("a.conll", "Anna\nworks\n\nBob\n", [("Anna", "works"), ("Bob",)], None),
        ("a.txt", "Anna O\nis here\nto stay\n", ["Anna O", "is here", "to stay"], None),
        ("a.txt", "{not JSON\n", ["{not JSON"], None),
        ("a.txt", "", [], None),
    ],
)
def test_the_format_is_recognized_and_said_where_the_name_says_another(tmp_path, name, text, expected, note):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    said = []
    assert items(path, say=said.append) == expected
    assert [note in line for line in said] == [True] * (note is not None)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("Köln\nBob".encode(encoding))
    said = []
    assert items(tmp_path / "a.txt", say=said.append) == ["Köln", "Bob"]
    assert said == []


def test_text_that_is_not_utf8_is_read_as_latin_1_with_a_note(tmp_path):
    (tmp_path / "a.txt").write_bytes("Köln".encode("latin-1"))
    said = []
    assert items(tmp_path / "a.txt", say=said.append) == ["Köln"]
    assert len(said) == 1 and "ISO-8859-1" in said[0]


@pytest.mark.parametrize(
    "data",
    [lzma.compress(b"Anna works.\n" * 99), bz2.compress(b"Anna works."), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"PK\x03\x04\xff"],
    ids=["xz", "bz2", "png", "zip"],
)
def test_a_binary_file_is_one_record_with_a_problem_and_no_text(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    said, moved = [], []
    (record,) = file_records(tmp_path / "a", moved=moved.append, say=said.append)
    check_error("binary_file", record.problem, setting="text_encoding", path=tmp_path / "a")
    assert not record.item
    assert not said
    assert sum(moved) == len(data)


def test_a_pipe_is_refused(tmp_path):
    reads, writes = os.pipe()
    os.close(writes)
    with pytest.raises(UserError, match="expected a file, found a pipe: give its text on standard input"):
        list(file_records(Path(f"/dev/fd/{reads}")))
    os.close(reads)


def test_a_name_that_is_not_utf_8_can_be_written(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.txt")
    file.write_text("Anna works.")
    assert identify(file)["name"] == "caf\\xe9.txt"


def test_a_character_at_the_end_of_the_first_block_is_not_taken_for_another_encoding(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x" * 65_535 + "é\nb".encode())
    assert items(tmp_path / "a.txt")[1] == "b"


def lines(data, encoding="utf-8", name="in.txt"):
    return list(whole_lines(sources._decoded(io.BytesIO(data), encoding, name)))


def test_only_a_newline_ends_a_line():
    data = "a\u2028b\x0bc\x1cd\re\r\n\x85f\n\ng".encode()
    assert lines(data) == ["a\u2028b\x0bc\x1cd\re\r\n", "\x85f\n", "\n", "g"]
    assert lines(b"") == []


@given(st.text(), st.sampled_from(["utf-8", "utf-16", "utf-32-le"]), st.integers(1, 5))
def test_blocks_do_not_split_characters_or_lines(text, encoding, block):
    original, sources._BLOCK = sources._BLOCK, block
    try:
        found = lines(text.encode(encoding), encoding)
    finally:
        sources._BLOCK = original
    assert "".join(found) == text
    assert len(found) == text.count("\n") + (not text.endswith("\n") and text != "")


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
def test_undecodable_bytes_are_an_error_with_the_line(monkeypatch, block):
    monkeypatch.setattr(sources, "_BLOCK", block)
    with refused("input_not_in_its_encoding", setting="text_encoding", path="in.txt", line=3):
        lines("é\nb\nc ".encode() + b"\xff d\n")
    with refused("input_ends_within_a_character", setting="text_encoding", path="in.txt", line=2):
        lines("é\n".encode() + "é".encode()[:1])
    with refused("input_not_in_utf_16", setting="text_encoding", path="in.txt", line=2):
        lines("a\n".encode("utf-16-le") + b"\x00\xd8a\x00", "utf-16-le")


def test_a_line_is_yielded_before_the_next_is_read():
    class Slow(io.RawIOBase):
        asked = 0

        def read1(self, size):
            Slow.asked += 1
            return [b"one\ntw", b"o\n", b""][Slow.asked - 1]

    found = stream_records(Slow(), None, "utf-8", "standard input")
    assert (next(found).item, Slow.asked) == ("one", 1)
    assert (next(found).item, Slow.asked) == ("two", 2)


def test_a_stream_that_begins_with_a_part_of_a_line_is_recognized_by_all_of_it():
    class Parts(io.RawIOBase):
        parts = iter([b'{"text": ', b'"Anna"}', b'\n{"text": "Bob"}\n', b""])

        def read1(self, size):
            return next(self.parts)

    assert [record.item for record in stream_records(Parts(), None, "utf-8", "standard input")] == ["Anna", "Bob"]


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        (COLUMNS, [("Ahmed", "works"), ("Nice",)], "CoNLL columns"),
        (CONLLU, [("Anna", "'s", "car")], "CoNLL-U"),
        ('\n{"text": "Anna"}\n', ["Anna"], None),
        ("Ahmed works", ["Ahmed works"], None),
    ],
)
def test_a_stream_is_recognized_by_what_is_there_at_first(text, expected, note):
    said = []
    found = stream_records(io.BytesIO(text.encode()), None, "utf-8", "standard input", said.append)
    assert [record.item for record in found] == expected
    assert [note in line for line in said] == [True] * (note is not None)


@pytest.mark.parametrize("kind", ["text", "jsonl", "conll", "conllu"])
def test_what_has_no_end_is_a_problem_of_its_own_and_not_held(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(inputs, "LONGEST_LINE", 100_000)
    monkeypatch.setattr(inputs, "LONGEST_SENTENCE", 100_000)
    good = {"text": "Nice\n", "jsonl": '{"text": "Nice"}\n', "conll": "Nice O\n\n", "conllu": "1\tNice" + "\t_" * 8 + "\n\n"}[
        kind
    ]
    long = "x" * 10_000_000 + "\n\n" if kind in ("text", "jsonl") else "1\tx\n" * 200_000 + "\n"
    (tmp_path / "a").write_text(good + long + good)
    tracemalloc.start()
    found = list(file_records(tmp_path / "a", kind))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    problems = [record for record in found if record.problem]
    assert len(problems) == 1 and not found[0].problem and not found[-1].problem
    assert problems[0].line == good.count("\n") + 1 and len(problems[0].source) <= 1000
    what = "line" if kind in ("text", "jsonl") else "sentence"
    check_error(f"a_{what}_without_end_in_{kind}", problems[0].problem, path=tmp_path / "a", line=problems[0].line)


def test_a_stream_without_line_ends_is_not_held(monkeypatch):
    monkeypatch.setattr(sources, "LONGEST_LINE", 100_000)
    monkeypatch.setattr(inputs, "LONGEST_LINE", 100_000)
    stream = io.BytesIO(b"x" * 3_000_000)
    tracemalloc.start()
    (record,) = stream_records(stream, None, "utf-8", "standard input")
    assert record.problem and tracemalloc.get_traced_memory()[1] < 1_500_000
    tracemalloc.stop()


def test_lines_may_end_with_cr_alone_where_none_ends_with_lf(tmp_path):
    (tmp_path / "old.txt").write_bytes(b"a\rb\r")
    (tmp_path / "new.txt").write_bytes(b"a\rb\n")
    assert [items(tmp_path / name) for name in ("old.txt", "new.txt")] == [["a", "b"], ["a\rb"]]
    (tmp_path / "old.txt").write_bytes(b"Nice\tB-LOC\ris\tO\rx\tO\r")
    assert items(tmp_path / "old.txt") == [("Nice", "is", "x")]


def test_a_csv_table_is_read_as_lines_with_a_note(tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n1,Nice\n")
    said = []
    assert items(tmp_path / "in.csv", say=said.append) == ["id,text", "1,Nice"]
    assert said == ["in.csv: read as one text per line; to tag a column of a table, save it as Parquet and give --text-column"]


def test_one_json_array_is_a_problem_with_the_command_that_divides_it(tmp_path):
    (tmp_path / "in.json").write_text('\ufeff [{"text": "a"},\n{"text": "b"}]')
    (record,) = file_records(tmp_path / "in.json")
    (tmp_path / "long.json").write_text('[\n{"text": "a"},\n{"text": "b"}\n]')
    assert len(list(file_records(tmp_path / "long.json"))) == 1
    assert "jq -c '.[]'" in str(record.problem)
    (tmp_path / "in.jsonl").write_text('[1]\n{"text": "b"}\n')
    assert [bool(record.problem) for record in file_records(tmp_path / "in.jsonl")] == [True, False]

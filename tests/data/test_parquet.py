"""Records of Parquet files, through the reader of all files."""

import pyarrow
import pyarrow.parquet
import pytest
from support.errors import refused

from tfner.data.sources import file_records


def items(path, **options):
    return [record.item for record in file_records(path, **options)]


def test_parquet_has_the_texts_of_a_column_and_the_others_as_fields(tmp_path):
    table = pyarrow.table({"id": [1, 2, 3], "body": ["Anna", None, "Bob"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    one, none, two = file_records(tmp_path / "a.parquet", column="body")
    assert (one.item, two.item, dict(two.fields)) == ("Anna", "Bob", {"id": 3})
    assert none.problem and none.line == 2
    with refused("parquet_column_missing", setting="text_column", path=tmp_path / "a.parquet"):
        items(tmp_path / "a.parquet")
    with refused("parquet_column_of_numbers", setting="text_column", path=tmp_path / "a.parquet"):
        items(tmp_path / "a.parquet", column="id")


NOT_UTF8 = pyarrow.Array.from_buffers(pyarrow.string(), 3, pyarrow.array([b"Nice 0", b"\xff\xfe", b"Nice 2"]).buffers())


@pytest.mark.parametrize(
    "column",
    [
        {"x": pyarrow.array([0, 1 << 62, 0]).cast(pyarrow.timestamp("us"))},
        {"x": pyarrow.array([0, 1 << 30, 0], pyarrow.int32()).cast(pyarrow.date32())},
        {"x": pyarrow.array([0, 1 << 62, 0]).cast(pyarrow.duration("s"))},
        {"x": NOT_UTF8},
        {"text": NOT_UTF8},
    ],
    ids=["timestamp", "date", "duration", "text of another column", "text"],
)
def test_a_value_that_cannot_be_read_is_a_problem_of_its_row(tmp_path, column):
    table = pyarrow.table({"text": ["Nice 0", "Nice 1", "Nice 2"], **column})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    one, bad, two = file_records(tmp_path / "a.parquet")
    assert (one.item, two.item) == ("Nice 0", "Nice 2")
    assert (bad.line, bad.problem.line) == (2, 2) and "a value that cannot be read" in str(bad.problem)


@pytest.mark.parametrize("kind", ["large_string", "string_view", "dictionary"])
def test_texts_of_parquet_may_be_stored_in_other_ways(tmp_path, kind):
    texts = pyarrow.array(["Anna", None, "Anna"])
    texts = texts.dictionary_encode() if kind == "dictionary" else texts.cast(getattr(pyarrow, kind)())
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "a.parquet")
    assert items(tmp_path / "a.parquet") == ["Anna", "", "Anna"]

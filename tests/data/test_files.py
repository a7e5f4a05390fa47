import pytest
from support.errors import refused

from tfner.data.files import COMPRESSED, number_documents, read_text, split_files, splits_in_name


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    "names",
    [
        ("esp.train", "esp.testa", "esp.testb"),
        ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
        ("train", "valid", "test"),
        ("Train.TXT", "validation.txt", "testannotated.txt"),
        ("engtrain.txt", "engvalid.txt", "engtest.txt"),
        ("latest-train.txt", "latest-dev.txt", "latest-test.txt"),
    ],
)
def test_files_are_matched_to_splits_by_the_word_in_their_names(tmp_path, names):
    touch(tmp_path, *names, "README.train.md", "LICENSE.test", ".train.swp", "labels.json")
    (tmp_path / "training").mkdir()
    found = split_files(tmp_path)
    assert list(found) == ["train", "validation", "test"]
    assert tuple(path.name for path in found.values()) == names


def test_a_name_may_mention_no_split_or_several():
    assert splits_in_name("corpus.txt") == set()
    assert splits_in_name("train_and_testa.txt") == {"train", "validation"}


def test_two_files_of_one_split_are_refused_and_listed(tmp_path):
    touch(tmp_path, "eng.train", "eng.train.old", "eng.testa")
    with refused("files_two_of_a_split", path=tmp_path):
        split_files(tmp_path)


def test_a_file_name_with_two_splits_is_refused(tmp_path):
    touch(tmp_path, "train_test.txt")
    with refused("files_name_with_two_splits", path=tmp_path):
        split_files(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with refused("files_none", path=tmp_path):
        split_files(tmp_path)


def test_a_folder_without_splits_is_refused_with_the_files_found(tmp_path):
    touch(tmp_path, "corpus.txt")
    with refused("files_no_split", path=tmp_path):
        split_files(tmp_path)


def written(tmp_path, text, encoding):
    path = tmp_path / "train.txt"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_byte_order_mark_is_removed(tmp_path):
    assert read_text(written(tmp_path, "Zoë\tO\r\n", "utf-8-sig")) == ("Zoë\tO\r\n", None)


def test_text_that_is_not_utf_8_is_read_as_latin_1_with_a_note(tmp_path):
    text, note = read_text(written(tmp_path, "Zoë\tO\n", "latin-1"))
    assert text == "Zoë\tO\n"
    assert note == "train.txt: not UTF-8, so it is read as ISO-8859-1; --text-encoding sets another encoding"


def test_utf_16_is_read_without_its_name_only_with_a_byte_order_mark(tmp_path):
    path = written(tmp_path, "Zoë\tB-PER\n", "utf-16")
    assert read_text(path) == ("Zoë\tB-PER\n", None)
    path = written(tmp_path, "Zoe\tB-PER\n", "utf-16-le")
    with refused("files_nul", setting="text_encoding", path=path):
        read_text(path)
    assert read_text(path, "utf-16-le") == ("Zoe\tB-PER\n", None)


def test_lines_may_end_with_cr_alone_where_none_ends_with_lf(tmp_path):
    assert read_text(written(tmp_path, "a O\rb O\r\r", "utf-8"))[0] == "a O\nb O\n\n"
    assert read_text(written(tmp_path, "a\r O\n", "utf-8"))[0] == "a\r O\n"


@pytest.mark.parametrize("start", COMPRESSED)
def test_a_compressed_file_is_refused(tmp_path, start):
    (tmp_path / "train.txt").write_bytes(start + b"x")
    with refused("files_compressed", path=tmp_path / "train.txt"):
        read_text(tmp_path / "train.txt")


@pytest.mark.parametrize("name", ["klingon", "base64"])
def test_an_unknown_encoding_is_refused(tmp_path, name):
    with refused(f"files_unknown_encoding_{name}", setting="text_encoding"):
        read_text(written(tmp_path, "a O\n", "utf-8"), name)


def test_bytes_that_are_invalid_in_the_encoding_are_refused(tmp_path):
    path = written(tmp_path, "Zoë O\n", "latin-1")
    with refused("files_invalid_bytes", setting="text_encoding", path=path):
        read_text(path, "utf-8")


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        ([], []),
        ([None, None], [None, None]),
        (["x", "x", "y", "x"], [0, 0, 1, 2]),
        ([None, "x", None, None, "x"], [0, 1, 2, 3, 4]),
    ],
)
def test_consecutive_sentences_with_the_same_name_are_one_document(names, numbers):
    assert number_documents(names) == numbers

import pytest

from tfner import folder as folders
from tfner.errors import UserError


def test_versions_count_up_past_training_states(tmp_path):
    assert folders.next_version(tmp_path / "new") == 1
    (tmp_path / "2").mkdir()
    (tmp_path / "training" / "10").mkdir(parents=True)
    assert folders.next_version(tmp_path) == 11


def test_numbers_sort_as_numbers(tmp_path):
    for name in ("2", "10", "9", "x"):
        (tmp_path / name).mkdir()
    assert folders.versions(tmp_path) == [2, 9, 10]


def test_a_version_appears_whole_or_not_at_all(tmp_path):
    def half(folder):
        (folder / "first").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.publish(tmp_path / "1", half)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    folders.publish(tmp_path / "1", lambda folder: (folder / "a").write_text("old"))
    with pytest.raises(FileExistsError):
        folders.publish(tmp_path / "1", lambda folder: (folder / "a").write_text("new"))
    assert (tmp_path / "1" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_checking_an_output_leaves_no_trace(tmp_path):
    folders.check_output(tmp_path / "deep" / "er")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_file_or_lies_under_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(UserError, match="is a file"):
            folders.check_output(path)


def test_an_output_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"found thesis\.tex"):
        folders.check_output(tmp_path)


@pytest.mark.parametrize("name", ["1", "training", "onnx"])
def test_an_output_with_a_file_where_a_folder_is_to_be_is_refused(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(UserError, match=f"found {name}"):
        folders.check_output(tmp_path)


def test_what_is_replaced_goes_when_the_new_one_is_whole(tmp_path):
    folders.publish(tmp_path / "e", lambda folder: (folder / "a").write_text("old"))
    with pytest.raises(KeyboardInterrupt):
        folders.publish(tmp_path / "e", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt), replace=True)
    assert (tmp_path / "e" / "a").read_text() == "old"
    folders.publish(tmp_path / "e", lambda folder: (folder / "b").write_text("new"), replace=True)
    assert [path.name for path in (tmp_path / "e").iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_an_output_that_cannot_be_written_is_refused():
    with pytest.raises(UserError, match="cannot be written"):
        folders.check_output(folders.Path("/proc/tfner/model"))


def test_the_highest_whole_version_is_taken(tmp_path):
    for number in (1, 9, 10, 11):
        (tmp_path / str(number)).mkdir()
    for number in (1, 9, 10):
        (tmp_path / str(number) / "saved_model.pb").write_text("x")
    assert folders.resolve(tmp_path) == tmp_path / "10"
    assert folders.resolve(tmp_path / "9") == tmp_path / "9"


def test_a_folder_without_a_version_is_refused(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(UserError, match=r"expected a version .* found notes"):
        folders.resolve(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        folders.resolve(tmp_path / "nowhere")

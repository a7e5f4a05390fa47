import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.errors import refused

from tfner import folder as folders
from tfner.config import make_config
from tfner.errors import UserError
from tfner.labels import LabelSet


def test_versions_count_up_past_training_states(tmp_path):
    assert folders.next_version(tmp_path / "new") == 1
    (tmp_path / "2").mkdir()
    (tmp_path / "training" / "10").mkdir(parents=True)
    assert folders.next_version(tmp_path) == 11


def test_numbers_sort_as_numbers(tmp_path):
    for name in ("2", "10", "9", "x", "01", "²", "٣", "1" * 30):
        (tmp_path / name).mkdir()
    assert folders.versions(tmp_path) == [2, 9, 10]


def test_trainings_that_start_at_once_get_numbers_of_their_own(tmp_path):
    (tmp_path / "3").mkdir()
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(folders.claim_state, [tmp_path] * 40))
    assert sorted(numbers) == list(range(4, 44))
    assert folders.versions(tmp_path / folders.TRAINING) == list(range(4, 44))


def test_a_locked_state_is_refused_until_the_lock_is_released(tmp_path):
    lock = folders.lock_state(tmp_path)
    assert folders.is_locked(tmp_path)
    with refused("state_is_running", path=tmp_path):
        folders.lock_state(tmp_path)
    lock.release()
    assert not folders.is_locked(tmp_path)
    folders.lock_state(tmp_path).release()


def test_the_lock_of_a_process_ends_when_it_is_killed(tmp_path):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom tfner.folder import lock_state\n"
        "lock = lock_state(Path(sys.argv[1]))\nprint('locked', flush=True)\ntime.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "locked\n"
        assert folders.is_locked(tmp_path)
    finally:
        process.kill()
        process.wait()
    assert not folders.is_locked(tmp_path)


def test_interrupted_states_have_a_checkpoint_and_no_version(tmp_path):
    for number in (1, 2, 3, 10):
        (tmp_path / folders.TRAINING / str(number) / folders.CHECKPOINTS).mkdir(parents=True)
    for number in (2, 3, 10):
        (tmp_path / folders.TRAINING / str(number) / folders.CHECKPOINTS / "0001-0000000").mkdir()
    (tmp_path / folders.TRAINING / "1" / folders.CHECKPOINTS / ".0001-0000000-7-ab").mkdir()
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / folders.SAVED_MODEL).write_bytes(b"x")
    assert folders.interrupted_states(tmp_path) == [10, 3]
    assert folders.interrupted_states(tmp_path / "new") == []


@pytest.mark.parametrize("name", ["1", "new/1", "new/er/1"])
def test_a_version_appears_complete_or_not_at_all(tmp_path, name):
    def half(folder):
        (folder / "first").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.publish(tmp_path / name, half)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_that_was_there_is_kept_where_nothing_is_published(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyboardInterrupt):
        folders.publish(tmp_path / "a" / "b" / "1", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]


def test_nothing_is_overwritten(tmp_path):
    folders.publish(tmp_path / "1", lambda folder: (folder / "a").write_text("old"))
    with refused("folder_made_meanwhile", path=tmp_path / "1"):
        folders.publish(tmp_path / "1", lambda folder: (folder / "a").write_text("new"))
    assert (tmp_path / "1" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_checking_an_output_leaves_no_trace(tmp_path):
    folders.check_output(tmp_path / "deep" / "er")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_file_or_lies_under_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "model"):
        with refused(f"output_{'under_' if path.name == 'model' else ''}file", setting="output"):
            folders.check_output(path)


def test_an_output_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with refused("output_holds_something_else", setting="output"):
        folders.check_output(tmp_path)


@pytest.mark.parametrize("name", ["1", "training", "onnx"])
def test_an_output_with_a_file_where_a_folder_is_to_be_is_refused(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(UserError) as caught:
        folders.check_output(tmp_path)
    assert caught.value.setting == "output" and f"found {name}:" in str(caught.value)


def test_a_replaced_folder_is_removed_only_after_the_new_one_is_complete(tmp_path):
    folders.publish(tmp_path / "e", lambda folder: (folder / "a").write_text("old"))
    with pytest.raises(KeyboardInterrupt):
        folders.publish(tmp_path / "e", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt), replace=True)
    assert (tmp_path / "e" / "a").read_text() == "old"
    folders.publish(tmp_path / "e", lambda folder: (folder / "b").write_text("new"), replace=True)
    assert [path.name for path in (tmp_path / "e").iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def killed(parent, steps):
    """What `publish` leaves of a folder `e` where its process is killed after its new folder is complete."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom tfner import folder\n"
        "parent, steps = Path(sys.argv[1]), int(sys.argv[2])\nrename = Path.rename\n"
        "def after(path, target):\n"
        "    global steps\n"
        "    steps -= 1\n"
        "    if steps < 0:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return rename(path, target)\n"
        "Path.rename = after\n"
        "folder.publish(parent / 'e', lambda draft: (draft / 'a').write_text('new'), replace=True)"
    )
    assert subprocess.run([sys.executable, "-c", program, parent, str(steps)]).returncode == -signal.SIGKILL


@pytest.mark.parametrize(("existing", "steps", "left"), [(False, 0, None), (True, 0, "old"), (True, 1, "new")])
def test_what_a_killed_process_began_is_removed_or_ended_by_the_next_writer(tmp_path, existing, steps, left):
    if existing:
        folders.publish(tmp_path / "e", lambda folder: (folder / "a").write_text("old"))
    killed(tmp_path, steps)
    assert len(list(tmp_path.glob(".e-*"))) > 1
    folders.publish(tmp_path / "f", lambda folder: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == (["e", "f"] if left else ["f"])
    assert not left or (tmp_path / "e" / "a").read_text() == left


def test_folders_of_the_user_are_left_alone_whatever_their_names(tmp_path):
    for name in (".backup-1-20240131", ".cache-v2-7-deadbeef"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("x")
    folders.publish(tmp_path / "e", lambda folder: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".backup-1-20240131", ".cache-v2-7-deadbeef", "e"]


def test_a_draft_of_a_process_that_is_at_work_is_left_alone(tmp_path):
    def write(folder):
        folders.publish(tmp_path / "f", lambda other: None)
        (folder / "a").write_text("whole")

    folders.publish(tmp_path / "e", write)
    assert (tmp_path / "e" / "a").read_text() == "whole"


def test_an_output_that_cannot_be_written_is_refused():
    with refused("output_cannot_be_written", setting="output"):
        folders.check_output(Path("/proc/tfner/model"))


def test_the_highest_complete_version_is_used(tmp_path):
    for number in (1, 9, 10, 11):
        (tmp_path / str(number)).mkdir()
    for number in (1, 9, 10):
        (tmp_path / str(number) / "saved_model.pb").write_text("x")
    with refused("newest_version_is_not_complete", path=tmp_path / "11"):
        folders.resolve(tmp_path)
    (tmp_path / "11").rmdir()
    assert folders.resolve(tmp_path) == tmp_path / "10"
    assert folders.resolve(tmp_path / "9") == tmp_path / "9"


def test_a_folder_without_a_version_is_refused(tmp_path):
    (tmp_path / "notes").mkdir()
    with refused("model_without_a_version", path=tmp_path):
        folders.resolve(tmp_path)
    with refused("model_folder_missing", path=tmp_path / "nowhere"):
        folders.resolve(tmp_path / "nowhere")


@pytest.mark.parametrize("marker", ["saved_model.pb", "labels.json"])
def test_results_are_never_written_inside_a_trained_model(tmp_path, marker):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / marker).write_text("x")
    (tmp_path / "1" / "config.json").write_text("{}")
    for inside in ("new", "assets.extra/new"):
        with refused(f"output_inside_a_model_{inside.replace('/', '_')}", setting="output"):
            folders.check_replaceable(tmp_path / "1" / inside, folders.EVALUATION_FILES)


def test_only_a_folder_of_nothing_but_results_is_replaced(tmp_path):
    target = tmp_path / "e"
    folders.check_replaceable(target, folders.EVALUATION_FILES)
    target.mkdir()
    (target / "scores.json").write_text("{}")
    folders.check_replaceable(target, folders.EVALUATION_FILES)
    (target / "thesis.tex").write_text("x")
    with refused("output_is_not_an_evaluation", setting="output"):
        folders.check_replaceable(target, folders.EVALUATION_FILES)
    (target / "thesis.tex").unlink()
    (target / "scores.txt").mkdir()
    with pytest.raises(UserError):
        folders.check_replaceable(target, folders.EVALUATION_FILES)


def test_a_file_in_the_place_of_a_results_folder_is_refused(tmp_path):
    (tmp_path / "e").write_text("x")
    with refused("output_of_results_is_a_file", setting="output"):
        folders.check_replaceable(tmp_path / "e", folders.EVALUATION_FILES)


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path):
    path = tmp_path / "weights"
    path.write_text("old")

    def half(draft):
        draft.write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.write_whole(path, half)
    assert path.read_text() == "old"
    folders.write_whole(path, lambda draft: draft.write_text("new"))
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]


def test_room_on_the_disk_is_checked_before_a_file_is_written(tmp_path):
    folders.check_room(tmp_path / "file", 10_000)
    assert (tmp_path / "file").stat().st_size == 10_000
    with pytest.raises(OSError):
        folders.check_room(tmp_path / "file", 1 << 62)


def test_two_writers_of_one_folder_do_not_share_a_draft(tmp_path):
    def outer(draft):
        folders.publish(tmp_path / "1", lambda inner: (inner / "a").write_text("inner"))

    with pytest.raises(UserError, match="meanwhile"):
        folders.publish(tmp_path / "1", outer)
    assert (tmp_path / "1" / "a").read_text() == "inner"


def test_settings_and_labels_come_back_as_they_were_written(tmp_path):
    config, labels = make_config(task="pos"), ("X", "NN")
    (tmp_path / folders.CONFIG).write_text(config.to_json(), "utf-8")
    folders.write_json(tmp_path / folders.LABELS, labels)
    assert folders.read_settings(tmp_path) == (config, {"pos": LabelSet(labels, plain=True)})


def test_a_damaged_saved_model_is_refused_with_the_command_that_makes_it_again(tmp_path):
    folder = tmp_path / "my model" / "1"
    folder.mkdir(parents=True)
    (folder / folders.SAVED_MODEL).write_bytes(b"x")
    with pytest.raises(UserError) as caught:  # its text quotes TensorFlow, cut at a length that depends on the folder
        folders.load_saved_model(folder)
    assert caught.value.path == folder and f"python -m tfner.export '{folder.parent}'" in str(caught.value)

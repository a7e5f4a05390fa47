import subprocess
import sys
from pathlib import Path

import pytest

from tfner import __version__
from tfner.__main__ import VERBS, main

INSTALLED = Path(sys.executable).with_name("tfner")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ([INSTALLED, "train"], "tfner train"),
        ([sys.executable, "-m", "tfner", "train"], "python -m tfner train"),
        ([sys.executable, "-m", "tfner.train"], "python -m tfner.train"),
    ],
)
def test_usage_names_the_program_that_was_called(command, program):
    assert run(*command, "--help").stdout.startswith(f"usage: {program} ")


def test_help_lists_the_verbs_and_the_exit_statuses(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in VERBS)
    assert all(f"{status} " in shown.split("Exit status:")[1] for status in ("0", "1", "2", "130"))


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfner {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "said"), [(["trian"], "got 'trian'; did you mean train?"), (["xyzzy"], "got 'xyzzy':"), ([], "got none:")]
)
def test_a_wrong_verb_is_one_line_with_status_2_and_suggests_a_similar_one(capsys, argv, said):
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_flag_is_one_line_with_status_2_in_every_verb(capsys, verb):
    assert main([verb, "model", "--nowhere"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "--nowhere" in err and err.count("\n") == 1


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "serve"])
def test_every_verb_that_prints_a_result_can_print_json(capsys, verb):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0 and "--json" in capsys.readouterr().out

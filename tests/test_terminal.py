import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.errors import check_error

from tfner.errors import UserError, setting
from tfner.terminal import FULL_DISK, Parser, command, filled, quote, table


def run(*argv, **options):
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, **options)


def test_a_mistake_of_the_user_is_one_line_with_flags_and_status_2(capsys):
    @command
    def main(argv):
        raise UserError(f"{setting('max_pieces', 600)}: expected at most 512")

    assert main([]) == 2
    assert capsys.readouterr().err == "error: --max-pieces 600: expected at most 512\n"


def test_a_file_that_cannot_be_read_is_one_line_with_status_2(capsys, tmp_path):
    @command
    def main(argv):
        (tmp_path / "missing").read_text()

    assert main([]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/missing: No such file or directory\n"


def test_an_internal_error_keeps_its_traceback():
    @command
    def main(argv):
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        main([])


def test_ctrl_c_gives_status_130(capsys):
    @command
    def main(argv):
        raise KeyboardInterrupt

    assert main([]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_ends_early_is_not_an_error(tmp_path):
    program = (
        "from tfner.terminal import command\n"
        "@command\ndef main(argv):\n    for i in range(100000): print(i)\n"
        "raise SystemExit(main([]))"
    )
    (tmp_path / "program.py").write_text(program)
    result = subprocess.run(
        f"{sys.executable} {tmp_path}/program.py | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "0\n0\n" and result.stderr == ""


def test_an_unknown_flag_is_answered_with_the_most_similar_one():
    parser = Parser("train", "")
    parser.add_argument("--epochs", type=int)
    with pytest.raises(UserError) as caught:
        parser.parse_args(["--epohcs", "3"])
    assert "did you mean --epochs?" in str(caught.value)
    with pytest.raises(UserError) as caught:
        parser.parse_args(["--epochs", "three"])
    assert "invalid int value: 'three'" in str(caught.value)


def test_errors_of_arguments_name_the_program_for_help(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/tfner", "train"])
    with pytest.raises(UserError) as caught:
        Parser("train", "").parse_args(["--nowhere"])
    check_error("arguments_unrecognized", caught.value)


@pytest.mark.parametrize(
    ("called", "program"),
    [
        ("/usr/bin/tfner", "tfner train"),
        ("/lib/tfner/__main__.py", "python -m tfner train"),
        ("/lib/tfner/train.py", "python -m tfner.train"),
        ("-c", "python -m tfner.train"),
    ],
)
def test_a_verb_calls_itself_as_the_user_called_it(monkeypatch, called, program):
    monkeypatch.setattr(sys, "argv", [called])
    assert Parser("train", "").format_usage().startswith(f"usage: {program} ")


def test_a_folder_with_spaces_is_quoted_in_a_suggested_command():
    assert quote("my models/x") == "'my models/x'" and quote("models/x") == "models/x"


def test_a_table_aligns_its_columns():
    assert (
        table([("type", "f1"), ("PER", 0.5), ("ORGANISATION", 1)]) == "type           f1\nPER           0.5\nORGANISATION    1"
    )


def test_environment_variables_that_are_set_are_left_as_they_are():
    program = "import os; from tfner.terminal import quieten; quieten(); print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    assert run("-c", program, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}).stdout == "0\n"


def test_a_full_disk_behind_standard_output_is_one_line():
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "tfner.explore", "demo", "--sentences", "1"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert result.returncode == 2
    assert result.stderr == f"error: the disk is full: {FULL_DISK}\n"


@pytest.mark.parametrize(("call", "shown"), [("print", "caf\xe9 \\U0001f600"), ("print_json", '"café 😀"')])
def test_a_terminal_with_few_characters_shows_all_and_json_is_utf_8(call, shown):
    program = f"from tfner.terminal import *; command(lambda argv: {call}('café 😀'))()"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "cp1252"}
    )
    assert result.stdout.decode("cp1252" if call == "print" else "utf-8").strip() == shown


def test_the_name_of_a_folder_cannot_be_empty():
    parser = Parser("train", "")
    parser.add_argument("--output", type=filled)
    with pytest.raises(UserError, match="--output: expected a name, got nothing"):
        parser.parse_args(["--output", ""])

"""The command serve: arguments, starts that fail, and a server that runs until Ctrl-C."""

import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support import local_server
from support.errors import refused
from support.local_server import CommandServer
from support.trainings import TEXT

from tfner import serve
from tfner.folder import CONFIG, EXTRA
from tfner.serving.microbatch import BATCHING
from tfner.serving.rest import LIMITS, Limits
from tfner.serving.servable import Servable
from tfner.tagging.load import load_tagger


@pytest.fixture(scope="module")
def started(exported, tmp_path_factory):
    """A server, started as a command, for a folder with versions 2 and 10 that takes at most two texts per request."""
    folder = tmp_path_factory.mktemp("models") / "one"
    for number in ("2", "10"):
        shutil.copytree(exported, folder / number)
    with CommandServer(folder, "--max-texts", 2, "--batch-texts", 1) as running:
        yield running


@pytest.mark.slow
def test_the_highest_version_is_served_until_ctrl_c(started):
    assert started.lines == [
        "model one, version 10",
        f"page  {started.address}",
        f"REST  {started.address}v1/models/one:predict",
        "Ctrl-C ends",
    ]
    assert started.ask("/v1/models/one")[1]["model_version_status"][0]["version"] == "10"
    assert started.ask("/v1/models/one/versions/2")[0] == 404
    assert len(started.predict("one", ["x", "y"])) == 2
    assert started.ask("/v1/models/one:predict", {"instances": ["x", "y", "z"]})[0] == 400
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(60) == 0
    assert started.process.stderr.read() == ""


@pytest.mark.slow
def test_a_model_whose_graph_takes_only_word_pieces_is_served_from_text(tmp_path):
    folder = local_server.exported(tmp_path / "bpe", "roberta")
    with CommandServer(folder) as server, load_tagger(folder) as local:
        assert server.lines[0] == "model bpe, version 1, tokenized by tfner"
        assert server.ask("/models")[1]["models"][0]["takes_text"]
        with load_tagger(f"{server.address}v1/models/bpe") as served:
            texts = ["Peter Blackburn said in Nice.", "EU rejects German call to boycott British lamb.", TEXT]
            found, expected = ([*tagger.tag_many([*texts, *map(str.split, texts)])] for tagger in (served, local))
        assert any(expected[:3]) and any(expected[3:])
        for one, other in zip(found, expected, strict=True):
            assert [replace(e, score=0) for e in one] == [replace(e, score=0) for e in other]
            assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-4)
        body = {"signature_name": "pieces", "inputs": {"input_ids": [[10**6]], "attention_mask": [[1]]}}
        status, answer = server.ask("/v1/models/bpe:predict", body)
        assert status == 400 and "expected input_ids from 0 to" in answer["error"]


@pytest.mark.slow
def test_another_runtime_is_served_under_the_name_and_version_of_the_model(runtimes, model):
    with (
        CommandServer(runtimes, "--runtime", "openvino") as other,
        CommandServer(model, "--runtime", "tensorflow") as tensorflow,
    ):
        assert other.lines[0].startswith("model model, version 1, OpenVINO ")
        assert tensorflow.lines[0] == "model finetune, version 1"
        assert other.ask("/v1/models/model/versions/1")[0] == 200
        texts = ["", TEXT]
        (_, found), (_, expected) = (one.predict(name, texts) for one, name in ((other, "model"), (tensorflow, "finetune")))
        assert found["entity_text"] == expected["entity_text"] != []


def test_an_export_alone_is_served_under_its_own_number(runtimes, tmp_path, monkeypatch):
    import uvicorn

    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: None)
    lines = []
    folder = shutil.copytree(runtimes / "onnx" / "2", tmp_path / "ner" / "onnx" / "2")
    serve.serve([folder], port=0, say=lines.append)
    assert lines[0] == "model ner, version 2, ONNX Runtime int8"


def test_an_export_has_the_number_of_the_version_that_it_is_of(runtimes, tmp_path, monkeypatch):
    import uvicorn

    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: None)
    folder, lines = shutil.copytree(runtimes, tmp_path / "ner"), []
    shutil.copytree(folder / "1", folder / "2")
    config = folder / "2" / EXTRA / CONFIG  # of another decoder, so that the exports are of version 1
    config.write_text(config.read_text().replace("viterbi", "greedy"))
    serve.serve([folder / "1"], port=0, say=lines.append, runtime="onnx")
    assert lines[0].startswith("model ner, version 1, ONNX Runtime")
    with refused("name_with_a_colon_of_an_export", path=tmp_path / "a:b"):
        serve.serve([shutil.copytree(folder, tmp_path / "a:b") / "onnx" / "2"], port=0)


# --- arguments ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """The arguments of the calls of `serve.serve`, which serves nothing."""
    calls = []
    monkeypatch.setattr(serve, "serve", lambda *positional, **named: calls.append((positional, named)))
    return calls


def test_flags_reach_the_server(asked):
    flags = "--host ::1 --port 0 --max-body 1 --max-texts 2 --max-characters 3 --batch-texts 4 --batch-bytes 5 --max-waiting 6"
    flags += " --max-values 7"
    assert serve.main(["a", "b", *flags.split(), "--wait", "7.5", "--runtime", "onnx"]) == 0
    batching = {"rows": 4, "size": 5, "wait": pytest.approx(0.0075), "waiting": 6, "values": 7}
    assert asked == [((["a", "b"], "::1", 0, Limits(1, 2, 3)), {"runtime": "onnx", **batching})]


def test_defaults_are_those_of_the_library(asked):
    assert serve.main(["a"]) == 0
    ((positional, named),) = asked
    assert positional == (["a"], "127.0.0.1", 8501, LIMITS)
    assert named == {
        "runtime": "auto",
        "rows": BATCHING.rows,
        "size": BATCHING.size,
        "wait": BATCHING.wait,
        "waiting": BATCHING.waiting,
        "values": BATCHING.values,
    }


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["x", "--port", "abc"],
        ["x", "--port", "-1"],
        ["x", "--port", "99999"],
        ["x", "--max-texts", "0"],
        ["x", "--max-body", "1.5"],
        ["x", "--batch-bytes", "²"],
        ["x", "--wait", "-1"],
        ["x", "--wait", "nan"],
        ["x", "--wait", "inf"],
        ["x", "--wait", "1e308"],
        ["x", "--wait", "soon"],
        ["x", "--nowhere"],
    ],
)
def test_an_invalid_argument_is_one_line(capsys, asked, argv):
    line = one_line(capsys, *argv)
    assert (argv[1] if argv else "model") in line
    assert asked == []


@pytest.mark.parametrize(("name", "value"), [("rows", 0), ("size", -1), ("waiting", 0), ("wait", -0.1), ("wait", float("nan"))])
def test_an_invalid_batching_setting_is_refused_in_python(name, value):
    with refused(f"batching_{name}_{value}"):
        serve.serve(["x"], port=0, **{name: value})


def test_the_groups_of_flags_have_headings(capsys):
    with pytest.raises(SystemExit):
        serve.main(["--help"])
    text = capsys.readouterr().out
    assert text.index("address:") < text.index("limits:") < text.index("batching:")


# --- starts that fail --------------------------------------------------------------------------------------------------


def one_line(capsys, *argv):
    """Starts a server, which has to fail: exit status 2, one line on standard error. Returns that line."""
    assert serve.main([*map(str, argv)]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err


def test_a_folder_without_a_model_is_named(capsys, tmp_path):
    assert f"{tmp_path / 'none'}: no such folder" in one_line(capsys, tmp_path / "none", "--port", 0)
    (tmp_path / "thesis.tex").write_text("x")
    assert "found thesis.tex" in one_line(capsys, tmp_path, "--port", 0)


def test_two_models_with_the_same_name_are_refused(monkeypatch):
    monkeypatch.setattr(serve, "_servable", lambda path, _: (Servable("one", 1, Path(path) / "1", {}, {}, None), ""))
    with refused("serve_same_names", path="b/one/1"):
        serve.serve(["a/one", "b/one"], port=0, say=lambda line: None)


def test_a_port_in_use_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = one_line(capsys, "x", "--port", port)
    assert f"--host 127.0.0.1 and --port {port}: cannot listen there (Address already in use)" in line


@pytest.mark.parametrize("host", ["no such host", "a..b", ""])
def test_an_invalid_host_is_named(capsys, host):
    line = one_line(capsys, "x", "--host", host)
    assert f"--host {host}" in line
    assert "cannot listen there" in line


def test_a_port_out_of_range_is_refused_in_python():
    with refused("serve_port_out_of_range", setting="host"):
        serve.serve(["x"], port=99999)


def test_answers_are_sent_without_delay():
    with serve._listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # asyncio checks this


def test_without_the_extra_the_error_says_how_to_install_it(tmp_path):
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('No module named starlette', name='starlette')")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from tfner import serve; sys.exit(serve.main(['x']))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "error: the server needs starlette, which is not installed: pip install -e '.[serve]'\n"

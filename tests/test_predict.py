"""The command predict: how entities are printed, and what is refused."""

import io
import json
import sys

import pytest

from tfner import predict
from tfner.labels import Entity
from tfner.tagging.load import load_tagger
from tfner.tagging.outputs import as_json
from tfner.tagging.tagger import RowTagger

TEXT = "Peter Blackburn said in Nice"
ENTITIES = [Entity("PER", "Peter Blackburn", 0, 15, 0.87654321, 0, 2), Entity("LOC", "Nice", 24, 28, 0.5, 4, 5)]


def one_line(capsys, *argv):
    """Runs the command, which has to fail: exit status 2, one line on standard error. Returns that line."""
    assert predict.main([*map(str, argv)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err


# --- output ------------------------------------------------------------------------------------------------------------


def test_json_has_the_text_and_every_field_of_its_entities():
    value = as_json(TEXT, ENTITIES)
    assert value["text"] == TEXT
    assert value["entities"][0] == {
        "type": "PER", "text": "Peter Blackburn", "start": 0, "end": 15, "score": 0.876543, "first_word": 0, "end_word": 2,
        "accepted": True,
    }  # fmt: skip
    assert list(value["entities"][0]) == ["type", "text", "start", "end", "score", "first_word", "end_word", "accepted"]


def test_entities_are_marked_in_the_text_and_listed():
    assert predict.format_entities(TEXT, ENTITIES).splitlines() == [
        "[Peter Blackburn]PER said in [Nice]LOC",
        "  PER      0.8765  Peter Blackburn  (words 0-2, characters 0-15)",
        "  LOC      0.5000  Nice  (word 4, characters 24-28)",
    ]


def test_each_type_has_a_colour_on_a_terminal():
    marked = predict.highlight(TEXT, ENTITIES, colours=True)
    assert marked == "\x1b[33;1m[Peter Blackburn]PER\x1b[0m said in \x1b[36;1m[Nice]LOC\x1b[0m"


# --- the command -------------------------------------------------------------------------------------------------------


def test_texts_are_tagged_in_order(capsys, exported):
    texts = [TEXT, "", "😀 Nice  said Peter "]
    assert predict.main([str(exported), "--json", *texts]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["text"] for one in found] == texts
    assert any(one["entities"] for one in found)
    with load_tagger(exported) as tagger:
        for text, one in zip(texts, found, strict=True):
            expected = as_json(text, tagger.tag(text))
            assert one["entities"] == [
                {**entity, "score": pytest.approx(entity["score"], abs=1e-5)} for entity in expected["entities"]
            ]


@pytest.mark.slow
def test_files_of_all_formats_and_standard_input_give_the_same_entities(capsys, exported, tmp_path, monkeypatch):
    sentences = [["Peter", "said"], ["EU", "rejects", "Köln"]]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"tokens": words}) + "\n" for words in sentences))
    columns = "\n\n".join("\n".join(f"{word} O" for word in words) for words in sentences)
    (tmp_path / "in.conll").write_text(columns, "utf-8")
    (tmp_path / "other.ending").write_text(columns, "latin-1")
    outputs = []
    for argv in (
        ["--file", tmp_path / "in.jsonl"],
        ["--file", tmp_path / "in.conll"],
        ["--file", tmp_path / "other.ending", "--format", "conll", "--text-encoding", "latin-1"],
        ["--format", "conll"],
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(columns.encode()), encoding="ascii"))
        assert predict.main([str(exported), "--json", *map(str, argv)]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0].count("\n") == 2
    assert "Köln" in outputs[0]
    assert len(set(outputs)) == 1


@pytest.mark.parametrize("more", [[], ["--json"], ["--output-format", "conll"]])
def test_sentences_of_a_file_are_tagged_as_its_documents(capsys, exported, tmp_path, monkeypatch, more):
    own, documents = RowTagger.predict, []

    def spy(tagger, sentences, progress=iter):
        documents.extend(sentence.document for sentence in sentences)
        return own(tagger, sentences, progress)

    monkeypatch.setattr(RowTagger, "predict", spy)
    (tmp_path / "in.conll").write_text("-DOCSTART- O\n\nPeter O\n\nsaid O\n\n-DOCSTART- O\n\nNice O\n")
    assert predict.main([str(exported), "--file", str(tmp_path / "in.conll"), *more]) == 0
    assert documents == [0, 0, 1]
    assert capsys.readouterr().out.index("said") > 0


def test_undecodable_input_is_one_line_with_file_and_line(capsys, exported, tmp_path, monkeypatch):
    data = b"Peter said\nin K\xf6ln\n"
    (tmp_path / "in.txt").write_bytes(data)
    line = one_line(capsys, exported, "--file", tmp_path / "in.txt", "--text-encoding", "utf-8")
    assert line.startswith(f"error: {tmp_path / 'in.txt'}:2: ")
    assert "--text-encoding" in line
    assert predict.main([str(exported), "--file", str(tmp_path / "in.txt"), "--json"]) == 0
    output = capsys.readouterr()
    assert "Köln" in output.out
    assert output.err == "in.txt: not UTF-8, so it is read as ISO-8859-1; --text-encoding sets another encoding\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert one_line(capsys, exported).startswith("error: standard input:2: ")


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ([], "model"),
        (["x", "text", "--file", "in.txt"], "--file"),
        (["x", "--format", "xml", "text"], "--format"),
        (["x", "--text-encoding", "klingon", "text"], "--text-encoding"),
        (["x", "--text-encoding", "hex", "text"], "--text-encoding"),
        (["x", "--text-encoding", "", "text"], "--text-encoding"),
        (["x", "--jsn", "text"], "--json"),
        (["x", "--output-format", "parquet", "text"], "--output-format parquet needs --output"),
        (["x", "--engine", "ray", "text"], "--engine needs --output"),
        (["x", "--file", "in.txt", "--output", "out", "--actors", "2"], "--actors and --ray-address need --engine ray"),
        (["x", "--json", "--output-format", "conll", "text"], "--json or --output-format"),
        (["x", "--sentences", "paragraph", "text"], "--sentences"),
        (["x", "--file", "nowhere.txt"], "nowhere.txt"),
        (["nowhere", "text"], "nowhere"),
        (["http://host", "text"], "http://host"),
    ],
)
def test_an_invalid_argument_is_one_line_that_names_it(capsys, argv, named):
    assert named in one_line(capsys, *argv)


def test_a_folder_or_a_pattern_as_a_file_is_one_line(capsys, tmp_path):
    assert str(tmp_path) in one_line(capsys, "x", "--file", tmp_path)
    (tmp_path / "a.txt").write_text("x")
    for given in (tmp_path, tmp_path / "*.txt"):
        line = one_line(capsys, "x", "--file", given)
        assert line == f"error: {given}: expected one file: several are tagged with --output FOLDER\n"


def test_help_shows_the_defaults(capsys):
    with pytest.raises(SystemExit):
        predict.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "encoding of the input [utf-8, or what a file begins with]" in text
    assert "text (one text a line), jsonl (JSON lines), conll (CoNLL columns)" in text


@pytest.mark.slow
def test_other_formats_can_be_printed(capsys, exported):
    texts = ["Peter said. Nice", "Blackburn"]
    assert predict.main([str(exported), "--output-format", "conll", *texts]) == 0
    sentences = capsys.readouterr().out.strip().split("\n\n")
    assert [[line.split("\t")[0] for line in s.split("\n")] for s in sentences] == [
        ["Peter", "said", "."],
        ["Nice"],
        ["Blackburn"],
    ]
    assert predict.main([str(exported), "--output-format", "html", *texts]) == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")
    assert predict.main([str(exported), "--output-format", "jsonl", *texts]) == 0
    printed = capsys.readouterr().out
    assert predict.main([str(exported), "--json", *texts]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_thresholds_of_another_decoder_are_pointed_out(runtimes, capsys, more):
    for decode, number in (("greedy", 1), ("viterbi", 0)):
        assert predict.main([str(runtimes), TEXT, "--decode", decode, "--runtime", "onnx", *more]) == 0
        assert capsys.readouterr().err.count("the thresholds were found for viterbi tags") == number

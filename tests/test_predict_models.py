"""`python -m tfner.predict` and `load_tagger` with a trained model."""

import json
import shutil

import pytest
from support.trainings import TEXT, refused_line, run, write_columns

from tfner import predict
from tfner.demo.corpus import demo_corpus
from tfner.folder import EXTRA, LABELS
from tfner.labels import spans
from tfner.tagging.load import load_tagger


@pytest.fixture(scope="module")
def tagger(model):
    return load_tagger(model)


@pytest.mark.slow
def test_json_is_one_object_for_each_text_and_offsets_slice_the_text(model):
    texts = [TEXT, "", "  Köln: «Ümit Özkan» traf London  ."]
    result = run("tfner.predict", model, "--json", *texts)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["text"] for one in found] == texts
    assert any(one["entities"] for one in found)
    for one in found:
        for entity in one["entities"]:
            assert one["text"][entity["start"] : entity["end"]] == entity["text"]
            assert 0 < entity["score"] <= 1


@pytest.mark.slow
def test_standard_input_json_lines_and_columns_give_the_same_output(model, tmp_path, capsys):
    sentences = demo_corpus().splits["test"][:5]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"tokens": s.words}) + "\n" for s in sentences))
    write_columns(tmp_path / "in.conll", sentences)
    printed = []
    for name in ("in.jsonl", "in.conll"):
        assert predict.main([str(model), "--json", "--file", str(tmp_path / name)]) == 0
        printed.append(capsys.readouterr().out)
    columns = (tmp_path / "in.conll").read_text(encoding="utf-8")
    from_input = run("tfner.predict", model, "--json", "--format", "conll", stdin=columns)
    assert printed[0].count("\n") == 5
    assert printed[0] == printed[1]
    for line, other in zip(printed[0].splitlines(), from_input.stdout.splitlines(), strict=True):
        one, two = json.loads(line), json.loads(other)
        scores = [[entity.pop("score") for entity in found["entities"]] for found in (one, two)]
        assert one == two
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)  # another process may round differently


def test_without_json_each_text_is_printed_with_its_entities(model, tagger, capsys):
    assert predict.main([str(model), TEXT]) == 0
    output = capsys.readouterr().out
    entities = tagger.tag(TEXT)
    assert len(output.splitlines()) == 1 + len(entities)
    for entity in entities:
        assert f"[{entity.text}]{entity.type}" in output.splitlines()[0]
        assert f"characters {entity.start}-{entity.end}" in output


def test_tag_words_agrees_with_the_tags_of_predict(tagger):
    for sentence, tagged in zip(
        demo_corpus().splits["test"][:20], tagger.predict(demo_corpus().splits["test"][:20]), strict=True
    ):
        entities = tagger.tag_words(sentence.words)
        assert [(e.type, e.first_word, e.end_word) for e in entities] == [tuple(s) for s in spans(tagged.tags)]
        text = " ".join(sentence.words)
        assert all(text[e.start : e.end] == e.text for e in entities)
    assert tagger.tag_words([]) == tagger.tag("") == []


def test_a_word_without_pieces_is_outside_and_shifts_no_entity(tagger):
    words = demo_corpus().splits["test"][0].words
    plain, padded = tagger.tag_words(words), tagger.tag_words(["\u200b", *words, ""])
    assert [(e.type, e.text, e.first_word + 1) for e in plain] == [(e.type, e.text, e.first_word) for e in padded]


def test_the_size_of_chunks_does_not_change_entities(tagger):
    words = [s.words for s in demo_corpus().splits["test"][:30]]
    together = list(tagger.tag_many(words))
    for one, other in zip(together, tagger.tag_many(words, chunk=7), strict=True):
        assert [(e.type, e.start, e.end) for e in one] == [(e.type, e.start, e.end) for e in other]
        assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-5)


def test_a_damaged_model_gives_one_line(capsys, model, tmp_path):
    shutil.copytree(model / "1", tmp_path / "1")
    variables = next((tmp_path / "1" / "variables").glob("*.data*"))
    variables.write_bytes(variables.read_bytes()[:1000])
    assert str(tmp_path / "1") in refused_line(capsys, predict, tmp_path / "1", "x")
    (tmp_path / "1" / EXTRA / LABELS).unlink()
    assert LABELS in refused_line(capsys, predict, tmp_path / "1", "x")


def test_no_model_gives_one_line(capsys, tmp_path):
    assert str(tmp_path / "none") in refused_line(capsys, predict, tmp_path / "none", "x")


def test_a_missing_input_file_gives_one_line(capsys, model):
    assert "nowhere.txt" in refused_line(capsys, predict, model, "--file", "nowhere.txt")

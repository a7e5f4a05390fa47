import datetime
import json

import pyarrow.parquet
import pytest
import spacy
from support.errors import refused

from tfner.corpus import Sentence
from tfner.data.inputs import Record
from tfner.errors import UserError
from tfner.labels import Entity
from tfner.tagging import outputs
from tfner.tagging.load import load_tagger
from tfner.tagging.outputs import OUTPUT_FORMATS, as_pipeline, as_spacy, render, unwritable, write
from tfner.tagging.tagger import joined_offsets

TEXT = "  Peter <b>Blackburn</b> said no.\nNice\u00a0 is far "


@pytest.fixture(scope="module")
def tagger(exported):
    return load_tagger(exported)


def entities(*parts):
    found = []
    for kind, part in parts:
        start = TEXT.index(part)
        found.append(Entity(kind, part, start, start + len(part), 0.5, 0, 1))
    return found


def test_every_format_has_a_value_for_each_record_in_order(tagger, tmp_path):
    records = [Record(item, i) for i, item in enumerate((TEXT, ("Peter", "said"), "", "Nice"))]
    for format in OUTPUT_FORMATS:
        rendered = render(tagger, records, format)
        assert len(rendered) == 4
        write(tmp_path / format, rendered, format)
        assert (tmp_path / format).stat().st_size > 10


def test_sentences_of_a_document_are_tagged_with_their_context(tagger, monkeypatch):
    monkeypatch.setattr(tagger.row_encoder, "packs", True)
    words = [("Peter", "said"), ("Nice", "is", "far"), ("EU",)]
    records = [Record(item, i, document=("file", "0")) for i, item in enumerate(words)]
    other = Record(TEXT, 9)  # a document of its own
    tagged = tagger.predict([Sentence(item, (), 0) for item in words])
    expected = [one.entities(" ".join(w), joined_offsets(w), False) for w, one in zip(words, tagged, strict=True)]

    def scores(some):
        return [e.score for entities in some for e in entities]

    found = outputs.tag_records(tagger, [*records, other])
    assert scores(found) == pytest.approx(scores([*expected, tagger.tag(TEXT)]), abs=1e-5)
    assert scores(found[:3]) != pytest.approx(scores(tagger.tag_many(words)), abs=1e-5)
    columns = "".join(render(tagger, records, "conll"))
    assert columns.split()[1::2] == [tag for one in tagged for tag in one.tags]


def test_a_page_marks_the_entities_and_escapes_the_text(tmp_path):
    write(tmp_path / "page.html", [outputs.as_displacy(TEXT, entities(("P<i>", "Peter"), ("LOC", "Nice")))], "html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<mark") == 2
    assert "&lt;b&gt;Blackburn" in page and "<b>" not in page
    assert "<i>" not in page


def test_a_doc_of_spacy_has_the_text_and_the_entities():
    found = entities(("PER", "Peter"), ("LOC", "Nice"))
    document = as_spacy(TEXT, found)
    assert document.text == TEXT
    assert [(e.text, e.label_, e.start_char, e.end_char) for e in document.ents] == [
        ("Peter", "PER", 2, 7),
        ("Nice", "LOC", TEXT.index("Nice"), TEXT.index("Nice") + 4),
    ]
    assert as_spacy("", []).text == ""
    vocabulary = spacy.vocab.Vocab()
    assert as_spacy(TEXT, found, vocabulary).vocab is vocabulary


def test_entities_of_a_tagger_are_those_of_its_doc(tagger):
    found = tagger.tag(TEXT)
    assert found
    assert [(e.start_char, e.end_char, e.label_) for e in as_spacy(TEXT, found).ents] == [
        (e.start, e.end, e.type) for e in found
    ]


def test_dictionaries_are_those_of_a_pipeline():
    assert as_pipeline(entities(("LOC", "Nice"))) == [
        {"entity_group": "LOC", "score": 0.5, "word": "Nice", "start": TEXT.index("Nice"), "end": TEXT.index("Nice") + 4}
    ]
    assert json.dumps(as_pipeline(entities(("LOC", "Nice"))))


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_other_fields_of_any_kind_are_kept(tagger, tmp_path, format):
    numbers = {"values": [float("nan"), {"low": float("-inf")}, 0.1, "NaN"]}
    fields = {"day": datetime.date(2026, 11, 25), "half": "\ud83d", **numbers}
    write(tmp_path / "x", render(tagger, [Record("Nice", 1, fields)], format), format)
    if format == "jsonl":
        text = (tmp_path / "x").read_text("utf-8")
    else:
        text = pyarrow.parquet.read_table(tmp_path / "x").to_pylist()[0]["fields"]
    found = json.loads(text, parse_constant=pytest.fail)
    assert (found["day"], found["half"]) == ("2026-11-25", "\ud83d")
    assert found["values"] == ["NaN", {"low": "-Infinity"}, 0.1, "NaN"]


def test_fields_with_the_names_of_results_are_kept_under_another_name():
    fields = {"entities": [1], "text": 2, "record_text": 3}
    assert outputs.as_json("Nice", [], fields) == {
        "record_entities": [1], "record_record_text": 2, "record_text": 3, "text": "Nice", "entities": [],
    }  # fmt: skip


@pytest.mark.parametrize("format", ["jsonl", "conll"])
def test_half_a_surrogate_pair_is_refused(tagger, format):
    with pytest.raises(UserError, match="surrogate"):
        render(tagger, [Record("Nice \ud83d", 1)], format)


def test_columns_cannot_hold_nul_which_no_reader_takes():
    for item in ("Nice\0 is", ("Nice\0", "is")):
        assert "without NUL" in str(unwritable(Record(item, 1), "conll"))
        assert unwritable(Record(item, 1), "jsonl") is None


def test_columns_of_texts_need_to_know_the_sentences(address):
    with load_tagger(address) as served:
        with pytest.raises(UserError, match="where the sentences of a text end") as caught:
            render(served, [Record("Nice", 1)], "conll")
        assert (caught.value.setting, caught.value.path) == ("output_format", address)
        assert render(served, [Record(("Nice", "is"), 1)], "conll")[0].startswith("Nice\t")


def test_without_spacy_the_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "spacy", None)
    with refused("no_spacy"):
        as_spacy("Nice", [])
    with refused("no_spacy_for_a_page"):
        write(tmp_path / "page.html", [], "html")

"""The forms of results: JSON lines, CoNLL columns, Parquet, displaCy's page, and the objects of spaCy and transformers.

Takes records and a tagger, or a text and its entities. Opening files is left to the caller.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfner.corpus import Sentence
from tfner.data.conll import DOCUMENT_MARK
from tfner.data.files import number_documents, shorten
from tfner.data.inputs import Record
from tfner.data.words import as_text, split_words
from tfner.errors import UserError, setting
from tfner.labels import Entity
from tfner.modeling.decoding import join
from tfner.tagging.tagger import Tagger, divide, utf8_size

OUTPUT_FORMATS = {
    "jsonl": "JSON lines",
    "conll": "CoNLL columns",
    "parquet": "Parquet",
    "html": "a page that marks the entities",
}
"""The files that results can be written to, and their names."""


def render(tagger: Tagger, records: Sequence[Record], format: str) -> list[Any]:
    """Tags records together; returns a value for each, which `write` takes.

    Args:
        tagger: the tagger.
        records: the records, without problems.
        format: a key of `OUTPUT_FORMATS`.
    """
    if format == "conll":
        return _columns(tagger, records)
    tagged = zip(records, tag_records(tagger, records), strict=True)
    if format == "jsonl":
        return [_line(as_json(r.item, entities, r.fields)) for r, entities in tagged]
    if format == "html":
        return [as_displacy(r.item, entities) for r, entities in tagged]
    return [{**as_json(r.item, entities), "fields": to_json(r.fields)} for r, entities in tagged]


def unwritable(record: Record, format: str) -> UserError | None:
    """Why a record cannot be written in a format, or None if it can: columns have no NUL, and no white space in words."""
    if format != "conll":
        return None
    words = [] if isinstance(record.item, str) else record.item
    wrong = next((word for word in words if word.split() != [word] or word == DOCUMENT_MARK), None)
    if "\0" in as_text(record.item):
        expected = "expected text without NUL characters"
    elif wrong is not None:
        expected = f"expected words without white space, none of them {DOCUMENT_MARK}, found {shorten(wrong)}"
    else:
        return None
    return UserError(f"{setting('output_format', 'conll')}: {expected}: use {setting('output_format', 'jsonl')}")


def tag_records(tagger: Tagger, records: Sequence[Record]) -> list[list[Entity]]:
    """The entities of records, which are tagged together. The sentences of a document are tagged with their context, as
    `Tagger.predict` does; a server does not take documents."""
    if tagger.labels is None or not any(record.document for record in records):
        return list(tagger.tag_many(record.item for record in records))
    plain, divided = tagger.labels.plain, _divided(records, tagger.sentences or "none")
    tagged = iter(tagger.predict([sentence for _, sentences in divided for sentence in sentences]))
    return [
        join([next(tagged) for _ in sentences]).entities(as_text(record.item), offsets, plain, tagger.calibration)
        for record, (offsets, sentences) in zip(records, divided, strict=True)
    ]


def _divided(records: Sequence[Record], how: str) -> list[tuple[list[tuple[int, int]], list[Sentence]]]:
    """For each record what `divide` returns. The sentences of a text are a document of their own."""
    for record in records:
        utf8_size(record.item)  # raises for what cannot be tagged
    documents = number_documents([record.document or number for number, record in enumerate(records)])
    return [divide(record.item, how, document) for record, document in zip(records, documents, strict=True)]


def write(path: Path, rendered: Iterable[Any], format: str) -> None:
    """Writes what `render` returned. Raises UserError where a package is not installed."""
    if format == "parquet":
        _write_parquet(path, list(rendered))
        return
    with path.open("w", encoding="utf-8") as file:
        file.writelines(as_lines(rendered, format))


def as_lines(rendered: Iterable[Any], format: str) -> Iterable[str]:
    """What `render` returned as text, for formats other than Parquet. Raises UserError where a package is not installed."""
    if format != "html":
        return rendered
    displacy = _spacy("a page").displacy
    return [displacy.render(list(rendered), style="ent", manual=True, page=True, jupyter=False)]


def as_json(item: str | Sequence[str], entities: Sequence[Entity], fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An input and its entities as an object for `json.dumps`. Offsets count characters and words, half-open.

    The fields that it came with are in it too. Their own `text` and `entities` are called `record_text` and `record_entities`,
    with `record_` as often as no other field is called so.
    """
    fields, kept = fields or {}, {}
    for name, value in fields.items():
        free = name
        while free in ("text", "entities") or (free != name and free in fields):
            free = f"record_{free}"
        kept[free] = value
    return {**kept, "text": as_text(item), "entities": [{**asdict(e), "score": round(e.score, 6)} for e in entities]}


def to_json(value: Mapping[str, Any], ascii: bool = True) -> str:
    """A value as JSON, which has only finite numbers: others are written as the strings NaN, Infinity and -Infinity."""
    try:
        return json.dumps(value, ensure_ascii=ascii, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value, default=str), parse_constant=str), ensure_ascii=ascii)


def as_displacy(item: str | Sequence[str], entities: Sequence[Entity]) -> dict[str, Any]:
    """A text and its entities for `spacy.displacy.render(..., style="ent", manual=True)`, which escapes texts alone."""
    marks = [{"start": e.start, "end": e.end, "label": html.escape(e.type)} for e in entities]
    return {"text": as_text(item), "ents": marks, "title": None}


def as_pipeline(entities: Sequence[Entity]) -> list[dict[str, Any]]:
    """Entities as transformers' token-classification pipeline returns them with an aggregation strategy."""
    return [{"entity_group": e.type, "score": e.score, "word": e.text, "start": e.start, "end": e.end} for e in entities]


def as_spacy(text: str, entities: Sequence[Entity], vocabulary: Any = None) -> Any:
    """A text and its entities as a `spacy.tokens.Doc`, whose tokens are the words of tfner and white space.

    Args:
        text: the text.
        entities: its entities, from `Tagger.tag`.
        vocabulary: a `spacy.vocab.Vocab` [a blank one].

    Raises:
        UserError: where spaCy is not installed.
    """
    spacy = _spacy("a Doc")
    from spacy.util import get_words_and_spaces

    words, spaces = get_words_and_spaces([text[a:b] for a, b in split_words(text)], text)
    vocabulary = spacy.vocab.Vocab() if vocabulary is None else vocabulary  # an empty one is false
    document = spacy.tokens.Doc(vocabulary, words=words, spaces=spaces)
    document.ents = [document.char_span(e.start, e.end, label=e.type) for e in entities]
    return document


def _line(value: Mapping[str, Any]) -> str:
    """A value as a line of JSON. Half surrogate pairs in other fields are written as JSON escapes, as they were read."""
    return to_json(value, ascii=False).encode("utf-8", "backslashreplace").decode() + "\n"


def _columns(tagger: Tagger, records: Sequence[Record]) -> list[str]:
    """For each record its words and tags, with an empty line after each sentence."""
    how = tagger.sentences
    if how is None and any(isinstance(record.item, str) for record in records):
        raise UserError(
            f"{setting('output_format', 'conll')}: a served model does not say where the sentences of a text end: name the "
            f"model's folder, or use {setting('output_format', 'jsonl')}",
            tagger.name,
        )
    for record in records:
        if problem := unwritable(record, "conll"):
            raise problem
    parts = [sentences for _, sentences in _divided(records, how or "none")]
    tagged = iter(tagger.predict([sentence for sentences in parts for sentence in sentences]))
    return [
        "".join(
            "".join(f"{word}\t{tag}\n" for word, tag in zip(sentence.words, next(tagged).tags, strict=True)) + "\n"
            for sentence in sentences
        )
        for sentences in parts
    ]


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("writing Parquet needs pyarrow, which is not installed: pip install pyarrow") from error
    text, number, score, boolean = pyarrow.string(), pyarrow.int32(), pyarrow.float64(), pyarrow.bool_()
    kinds = {
        "type": text,
        "text": text,
        "start": number,
        "end": number,
        "score": score,
        "first_word": number,
        "end_word": number,
        "accepted": boolean,
    }
    schema = pyarrow.schema({"text": text, "entities": pyarrow.list_(pyarrow.struct(kinds.items())), "fields": text})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)


def _spacy(what: str) -> Any:
    try:
        import spacy
        import spacy.displacy
        import spacy.tokens
    except ImportError as error:
        raise UserError(f"{what} needs spaCy, which is not installed: pip install spacy") from error
    return spacy

"""Texts with marked spans of characters, as doccano and Label Studio export them, as sentences of words with IOB2 tags.

Takes the objects of a JSON file and returns `RawSentence`s. Texts are divided into words and sentences as raw text is for
tagging.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tfner.data.files import RawSentence, shorten
from tfner.data.sentences import sentence_starts
from tfner.data.words import split_words
from tfner.errors import UserError

_LISTS = ("label", "labels", "entities", "spans")
_EXAMPLE = '{"text": "...", "label": [[START, END, "TYPE"]]}'


class Marked(NamedTuple):
    """A span of a text, half-open, in characters, and its type."""

    start: int
    end: int
    type: str


@dataclass
class Counts:
    """What was changed: spans that were widened, or left out because they overlap others or have no words, and annotations
    that were left out because their text has several."""

    widened: int = 0
    overlapping: int = 0
    empty: int = 0
    annotations: int = 0

    def notes(self) -> list[str]:
        """A line for each kind of change that occurred."""
        found = {
            "widened to whole words": self.widened,
            "left out, as they overlap longer or earlier ones": self.overlapping,
            "left out, as they hold no word": self.empty,
        }
        lines = [f"marked spans {what}: {number:,}" for what, number in found.items() if number]
        more = self.annotations
        return lines + ([f"further annotations of a text left out, as the first is taken: {more:,}"] if more else [])


def has_spans(row: Mapping[str, Any]) -> bool:
    """Whether an object has a text whose spans can be marked, not tokens."""
    return "tokens" not in row and (isinstance(row.get("text"), str) or isinstance(row.get("data"), dict))


def read_spans(
    rows: Iterable[tuple[int, Mapping[str, Any]]], path: str | Path, note: Callable[[str], None] = lambda line: None
) -> list[RawSentence]:
    """The sentences of texts, each of which is a document.

    A span that ends within a word is widened to the whole word. Of spans that overlap, the longest is taken, and the first of
    several that are as long. No sentence ends within a span. Of several annotations of a text in Label Studio, the first that
    was not cancelled is taken.

    Args:
        rows: the number (from 1) and the object of each line.
        path: the file, for messages.
        note: called with a line for everything that was changed.

    Raises:
        UserError: for an object without a text or with spans of another form.
    """
    found, counts = [], Counts()
    for document, (number, row) in enumerate(rows):
        text, marked = _marked(row, path, number, counts)
        words = split_words(text)
        tags = _tags(words, marked, counts)
        starts = [i for i in sentence_starts(text, words, "split") if not tags[i].startswith("I-")]
        for first, end in pairwise([*starts, len(words)]):
            own = tuple(text[a:b] for a, b in words[first:end])
            found.append(RawSentence(own, tuple(tags[first:end]), document, number, step=0))
    for line in counts.notes():
        note(line)
    return found


def _marked(row: Mapping[str, Any], path: str | Path, line: int, counts: Counts) -> tuple[str, list[Marked]]:
    """The text of an object and its spans, in any of the forms that are known."""
    values: Any = next((row[key] for key in _LISTS if key in row), None)
    text = row.get("text")
    if isinstance(row.get("data"), dict):  # Label Studio
        text, values = row["data"].get("text"), _annotated(row.get("annotations"), counts)
    if not isinstance(text, str) or not isinstance(values, list):
        expected = "expected tokens with their tags, or a text with marked spans"
        raise UserError(f"{expected}, such as {_EXAMPLE}, found {shorten(row)}: correct the line", path, line)
    return text, [_span(value, text, path, line) for value in values]


def _annotated(annotations: Any, counts: Counts) -> list[Any] | None:
    """The spans of the first annotation that was not cancelled; None where there is no list of annotations."""
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        return None
    kept = [one.get("result") for one in annotations if not one.get("was_cancelled")]
    counts.annotations += max(0, len(kept) - 1)
    if not kept or not isinstance(kept[0], list):
        return None
    # relations and choices of whole texts have no labels
    return [value for value in kept[0] if not (isinstance(value, dict) and "labels" not in (value.get("value") or {}))]


def _span(value: Any, text: str, path: str | Path, line: int) -> Marked:
    start = end = kind = own = None
    if isinstance(value, list) and len(value) == 3:
        start, end, kind = value
    elif isinstance(value, dict):
        inner = value["value"] if isinstance(value.get("value"), dict) else value
        start, end = (inner.get(key, inner.get(f"{key}_offset")) for key in ("start", "end"))
        kind = next((inner[key] for key in ("labels", "label", "type") if key in inner), None)
        kind = kind[0] if isinstance(kind, list) and len(kind) == 1 else kind
        own = inner.get("text")
    if type(start) is int and type(end) is int and isinstance(kind, str) and kind and 0 <= start <= end:
        if isinstance(own, str) and text[start:end] != own:  # Label Studio counts in units of UTF-16
            units = text.encode("utf-16-le", "surrogatepass")
            parts = units[: 2 * start], units[: 2 * end]
            start, end = (len(part.decode("utf-16-le", "ignore")) for part in parts)
        if end <= len(text) and (not isinstance(own, str) or text[start:end] == own):
            return Marked(start, end, kind)
    raise UserError(
        f'expected spans such as [START, END, "TYPE"] within the {len(text):,} characters of the text, found {shorten(value)}: '
        "correct the line",
        path,
        line,
    )


def _tags(words: list[tuple[int, int]], marked: Iterable[Marked], counts: Counts) -> list[str]:
    """The IOB2 tag of each word."""
    tags = ["O"] * len(words)
    starts, ends = [start for start, _ in words], [end for _, end in words]
    for span in sorted(marked, key=lambda span: (span.start - span.end, span.start)):
        first, end = bisect_right(ends, span.start), bisect_left(starts, span.end)
        if first >= end:
            counts.empty += 1
        elif any(tag != "O" for tag in tags[first:end]):
            counts.overlapping += 1
        else:
            counts.widened += starts[first] < span.start or ends[end - 1] > span.end
            tags[first:end] = [f"B-{span.type}"] + [f"I-{span.type}"] * (end - first - 1)
    return tags

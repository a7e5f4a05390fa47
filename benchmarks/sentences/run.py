"""Compares ways to divide text into sentences: tfner's rule, pySBD and spaCy's sentencizer, on boundaries and on entity F1.

Two texts: `web.txt`, written for this purpose (a sentence a line, a blank line between paragraphs), and the documents of the
validation split of CoNLL-2003, without the spaces before punctuation, in four layouts. A model tags the sentences that each way
finds, and its entities are compared with those of the corpus by their characters.

    pip install pysbd spacy
    python benchmarks/sentences/run.py saved_models/finetune --corpus FOLDER
"""

from __future__ import annotations

import argparse
import re
import textwrap
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import pysbd
import spacy

from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.data.sentences import sentence_starts
from tfner.data.words import split_words
from tfner.labels import spans
from tfner.tagging.load import load_tagger
from tfner.tagging.tagger import Tagger

WIDTH = 72
Starts = Callable[[str], list[int]]
"""Takes a text and returns the characters at which its sentences begin."""


@dataclass(frozen=True)
class Document:
    """A text, the characters at which its sentences begin, and its entities (type, start, end)."""

    text: str
    starts: frozenset[int]
    entities: frozenset[tuple[str, int, int]] = frozenset()


def tfner_starts(text: str) -> list[int]:
    words = split_words(text)
    return [words[i][0] for i in sentence_starts(text, words, "split")]


def pysbd_starts(text: str) -> list[int]:
    splitter = pysbd.Segmenter(language="en", clean=False, char_span=True)
    return [s.start + len(s.sent) - len(s.sent.lstrip()) for s in splitter.segment(text) if s.sent.strip()]


def spacy_starts(pipeline: spacy.Language) -> Starts:
    def starts(text: str) -> list[int]:
        spans = [s for s in pipeline(text).sents if s.text.strip()]
        return [s.start_char + len(s.text) - len(s.text.lstrip()) for s in spans]

    return starts


def web(path: Path) -> list[Document]:
    """The paragraphs of a file with a sentence a line, each as one line of text."""
    documents = []
    for paragraph in path.read_text("utf-8").strip().split("\n\n"):
        text, starts = "", []
        for sentence in paragraph.split("\n"):
            text += " " if text else ""
            starts.append(len(text))
            text += sentence
        documents.append(Document(text, frozenset(starts)))
    return documents


def written(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """A sentence as people write it, without spaces at punctuation and quotation marks, and the offsets of its words."""
    text, offsets, opened, glue = "", [], False, True
    for word in words:
        closes = word == '"' and opened
        if text and not glue and not closes and not re.fullmatch(r"[.,!?;:%)\]]|'(s|re|ve|ll|m|d)|n't", word):
            text += " "
        offsets.append((len(text), len(text) + len(word)))
        text += word
        glue = word in ("(", "[", "$") or (word == '"' and not opened)
        opened ^= word == '"'
    return text, offsets


def newspaper(sentences: Iterable[Sentence], gap: Callable[[Sentence], str], wrap: bool = False) -> list[Document]:
    """The documents of a corpus, with `gap(sentence)` after each sentence."""
    documents = []
    for _, group in groupby(sentences, key=lambda s: s.document):
        text, starts, entities = "", [], set()
        for sentence in group:
            starts.append(len(text))
            own, offsets = written(sentence.words)
            for kind, first, end in spans(sentence.tags):
                entities.add((kind, len(text) + offsets[first][0], len(text) + offsets[end - 1][1]))
            text += own + gap(sentence)
        text = text.rstrip()
        if wrap:  # line breaks take the place of spaces, so that offsets stay
            lines = [textwrap.fill(one, WIDTH, break_long_words=False, break_on_hyphens=False) for one in text.split("\n")]
            assert len("\n".join(lines)) == len(text)
            text = "\n".join(lines)
        documents.append(Document(text, frozenset(starts), frozenset(entities)))
    return documents


def ended(sentence: Sentence) -> bool:
    """Whether a sentence ends with a full stop or the like, unlike a headline or a row of a table."""
    last = [word for word in sentence.words if word not in ('"', "'", ")")][-1:]
    return last in (["."], ["!"], ["?"])


def boundaries(documents: Sequence[Document], found: Sequence[Iterable[int]]) -> tuple[float, float, float]:
    """Precision, recall and F1 of the sentence beginnings after the first of each text."""
    gold = {(n, s) for n, document in enumerate(documents) for s in document.starts if s}
    own = {(n, s) for n, starts in enumerate(found) for s in starts if s}
    right = len(gold & own)
    return right / max(len(own), 1), right / len(gold), 2 * right / (len(gold) + len(own))


def entity_f1(tagger: Tagger, documents: Sequence[Document], found: Sequence[Iterable[int]]) -> float:
    sentences, places = [], []
    for number, (document, starts) in enumerate(zip(documents, found, strict=True)):
        words = split_words(document.text)
        begins = [a for a, _ in words]
        cuts = sorted({0, *(bisect_left(begins, start) for start in starts)} - {len(words)})
        for first, end in pairwise([*cuts, len(words)]):
            sentences.append(Sentence(tuple(document.text[a:b] for a, b in words[first:end]), ()))
            places.append((number, words[first:end]))
    own = {
        (number, kind, words[first][0], words[end - 1][1])
        for (number, words), tagged in zip(places, tagger.predict(sentences), strict=True)
        for kind, first, end in spans(tagged.tags)
    }
    gold = {(number, *entity) for number, document in enumerate(documents) for entity in document.entities}
    return 2 * len(gold & own) / (len(gold) + len(own))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", help="folder of a model that was trained on the corpus")
    parser.add_argument("--corpus", required=True, help="CoNLL-2003")
    arguments = parser.parse_args()
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    ways: dict[str, Starts] = {"tfner": tfner_starts, "pySBD": pysbd_starts, "spaCy sentencizer": spacy_starts(pipeline)}
    validation = load_corpus(arguments.corpus).splits["validation"]
    layouts = {
        "web text": web(Path(__file__).with_name("web.txt")),
        "a line per sentence": newspaper(validation, lambda s: "\n"),
        "lines end after headlines and table rows": newspaper(validation, lambda s: " " if ended(s) else "\n"),
        f"the same, wrapped after {WIDTH} characters": newspaper(validation, lambda s: " " if ended(s) else "\n", wrap=True),
        "no line breaks": newspaper(validation, lambda s: " "),
    }
    print("| text | sentences by | boundaries P / R / F1 | entity F1 | seconds |\n|---|---|---|---|---|")
    with load_tagger(arguments.model) as tagger:
        for name, documents in layouts.items():
            gold = [document.starts for document in documents]
            rows: dict[str, tuple[str, Sequence[Iterable[int]], str]] = {}
            for way, starts in ways.items():
                began = time.perf_counter()
                found = [starts(document.text) for document in documents]
                seconds = time.perf_counter() - began
                rows[way] = ("{:.3f} / {:.3f} / {:.3f}".format(*boundaries(documents, found)), found, f"{seconds:.2f}")
            if documents[0].entities:
                rows |= {"the corpus": ("", gold, ""), "nothing (a document is one)": ("", [[0]] * len(documents), "")}
            for way, (scores, found, shown) in rows.items():
                f1 = f"{entity_f1(tagger, documents, found):.4f}" if documents[0].entities else ""
                print(f"| {name} | {way} | {scores} | {f1} | {shown} |", flush=True)


if __name__ == "__main__":
    main()

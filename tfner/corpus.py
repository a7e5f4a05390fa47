"""Corpora: from files, the Hugging Face hub or the embedded generator to sentences with IOB2 (or plain) tags.

In goes what the user names, out comes a ``Corpus``. Nothing here knows word pieces or tensors, and nothing is dropped or
repaired in silence: what a reader had to decide stands in ``Corpus.notes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfner.labels import LabelSet

SPLITS = ("train", "validation", "test")
TASKS = ("ner", "pos", "chunk")


@dataclass(frozen=True)
class Sentence:
    """Words with one tag each: IOB2 for ner and chunk, plain for pos.

    ``document`` numbers the documents of a split from 0; None where the corpus does not mark them.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    document: int | None = None


@dataclass(frozen=True)
class Corpus:
    """Sentences by split (some of ``SPLITS``), the task's labels, and what the reader had to decide."""

    name: str
    task: str
    splits: Mapping[str, tuple[Sentence, ...]]
    labels: LabelSet
    notes: tuple[str, ...] = field(default=())

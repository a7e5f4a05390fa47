"""A corpus in memory: sentences of words with tags, by split, and the labels of the task.

These are types alone. `tfner.data` reads corpora, `tfner.demo` generates one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfner.errors import UserError, setting
from tfner.labels import LabelSet

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Sentence:
    """Words with one tag each: IOB2 for ner and chunk, plain for pos.

    `document` is the number of the sentence's document in its split, from 0, or None where the corpus does not mark documents.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    document: int | None = None


@dataclass(frozen=True)
class Corpus:
    """Sentences by split (some of `SPLITS`), the labels of the task, and notes on what the reader had to decide.

    `others` are the same sentences with the tags of further tasks, for a model that is trained for several.
    """

    name: str
    task: str
    splits: Mapping[str, tuple[Sentence, ...]]
    labels: LabelSet
    notes: tuple[str, ...] = field(default=())
    others: tuple[Corpus, ...] = field(default=())

    @property
    def tasks(self) -> dict[str, Corpus]:
        """The corpus of each task, in order."""
        return {one.task: one for one in (self, *self.others)}

    def counts(self) -> dict[str, dict[str, Any]]:
        """The numbers of sentences, documents (None where they are not marked), words and entities of each split.

        Entities are counted by type, in the order of the labels; for pos, words are counted by tag.
        """
        return {
            split: {
                "sentences": len(sentences),
                "documents": len({s.document for s in sentences}) if sentences and sentences[0].document is not None else None,
                "words": sum(len(s.words) for s in sentences),
                "entities": _count_types(sentences, self.labels),
            }
            for split, sentences in self.splits.items()
        }


def with_train_share(corpus: Corpus, share: float) -> Corpus:
    """The same corpus with a random share of its training sentences, at least one, in their order.

    The sentences of a smaller share are among those of a larger one. Labels stay those of all training sentences. A corpus
    without a train split is returned as it is.
    """
    if "train" not in corpus.splits:
        return corpus
    train = corpus.splits["train"]
    number = max(1, round(share * len(train)))
    drawn = sorted(random.Random(0).sample(range(len(train)), len(train))[:number])
    note = f"train: {number:,} of {len(train):,} sentences are used"
    return replace(corpus, splits={**corpus.splits, "train": tuple(train[i] for i in drawn)}, notes=(*corpus.notes, note))


def with_labels(corpus: Corpus, unseen_labels: str = "error") -> Corpus:
    """The same corpus with the labels of its train split, or of all splits where there is none.

    Raises UserError where another split has an entity type (or plain label) that train does not have. With `unseen_labels`
    "keep" it becomes a label, and a note says so.
    """
    plain = corpus.task == "pos"

    def labels_of(sentences: Iterable[Sentence]) -> LabelSet:
        return LabelSet.from_tags((s.tags for s in sentences), plain=plain)

    everything = labels_of(s for sentences in corpus.splits.values() for s in sentences)
    if "train" not in corpus.splits:
        return replace(corpus, labels=everything)
    known = labels_of(corpus.splits["train"])
    notes = []
    for split, sentences in corpus.splits.items():
        for kind, number in _count_types(sentences, everything).items():
            if number and kind not in known.types:
                tags = [kind] if plain else [f"B-{kind}", f"I-{kind}"]
                first = next(i for i, s in enumerate(sentences, start=1) if not set(tags).isdisjoint(s.tags))
                times = "once" if number == 1 else f"{number} times"
                what = f"label {kind} occurs {times} in {split} (first in sentence {first}) but not in train"
                if unseen_labels == "error":
                    raise UserError(
                        f"{what}: rename it, or keep it, to be scored as missed, with {setting('unseen_labels', 'keep')}",
                        corpus.name,
                    )
                notes.append(f"{what}; it can only be missed")
    return replace(corpus, labels=everything if notes else known, notes=(*corpus.notes, *notes))


def _count_types(sentences: Iterable[Sentence], labels: LabelSet) -> dict[str, int]:
    """The number of entities of each type, or of words with each plain label, in the order of the labels, zeros included."""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        if labels.plain:
            counts.update(sentence.tags)
        else:
            counts.update(tag[2:] for tag in sentence.tags if tag.startswith("B-"))
    return {kind: counts[kind] for kind in labels.types}

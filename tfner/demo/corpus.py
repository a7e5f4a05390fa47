"""The embedded corpus: what tfner trains on by default, generated without a network.

Takes a task and a seed and returns a `Corpus`. Nothing in it is real news. Its sentences are generated in
`tfner.demo.documents`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from tfner.config import TASKS
from tfner.corpus import Corpus, Sentence
from tfner.demo.chunks import chunk_tags
from tfner.demo.documents import documents
from tfner.demo.names import Token, held_out_names
from tfner.errors import UserError, setting
from tfner.labels import CONLL_LABELS, LabelSet

SIZES = {"train": 5000, "validation": 400, "test": 400}
"""Sentences of each split; the last document may add a few."""

_TAGS_OF: dict[str, Callable[[Sequence[Token]], list[str]]] = {
    "ner": lambda tokens: [token.ner for token in tokens],
    "pos": lambda tokens: ["IN" if token.pos == "SBAR" else token.pos for token in tokens],
    "chunk": chunk_tags,
}


@functools.cache
def demo_corpus(task: str = "ner", seed: int = 0) -> Corpus:
    """Generates the embedded corpus: the same words for every task, with the tags of the task.

    About three in ten of the names in validation and test contain words that never occur in train (`held_out_names`). A seed
    gives the same corpus in every process.

    Raises UserError for an unknown task.
    """
    if task not in TASKS:
        raise UserError(f"{setting('task', task)}: expected one of {', '.join(TASKS)}")
    tags_of = _TAGS_OF[task]
    held = held_out_names(seed)
    splits: dict[str, tuple[Sentence, ...]] = {}
    for split, size in SIZES.items():
        sentences: list[Sentence] = []
        for number, document in enumerate(documents(split, seed, held)):
            for tokens in document:
                sentences.append(Sentence(tuple(token.word for token in tokens), tuple(tags_of(tokens)), number))
            if len(sentences) >= size:
                break
        splits[split] = tuple(sentences)
    labels = CONLL_LABELS
    if task != "ner":
        labels = LabelSet.from_tags((s.tags for split in splits.values() for s in split), plain=task == "pos")
    return Corpus("demo", task, splits, labels)

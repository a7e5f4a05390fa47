"""The signatures of an exported model: names, inputs and outputs, as clients and TF Serving see them.

The graph that computes them, the warm-up requests, the client, the server and the model card all read this table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Field:
    """An input or output: TensorFlow's name of its type, its dimensions by name, and what it holds."""

    dtype: str
    shape: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Signature:
    """A function of an exported model. Offsets are half-open; outputs are padded with 0, false and empty strings."""

    name: str
    meaning: str
    inputs: Mapping[str, Field]
    outputs: Mapping[str, Field]


def _per(item: str, batch: str, fields: Mapping[str, tuple[str, str]]) -> dict[str, Field]:
    return {f"{item}_{name}": Field(dtype, ("batch", batch), meaning) for name, (dtype, meaning) in fields.items()}


ENTITY_FIELDS = {
    "text": ("string", "the entity as it is written in the text"),
    "type": ("string", "its type"),
    "score": ("float32", "mean probability of the labels of its words"),
    "start": ("int32", "first character"),
    "end": ("int32", "character after the last"),
    "first_word": ("int32", "first word"),
    "end_word": ("int32", "word after the last"),
    "accepted": ("bool", "whether its score reaches the threshold of its type, or there are no thresholds"),
}
WORD_FIELDS = {
    "text": ("string", "the word"),
    "label": ("string", "its label"),
    "score": ("float32", "probability of that label"),
    "start": ("int32", "first character"),
    "end": ("int32", "character after the last"),
}

TEXT = Signature(
    "serving_default",
    "Takes raw text and returns its entities and words.",
    {"text": Field("string", ("batch",), "texts in UTF-8; NUL and invalid bytes are read as U+FFFD")},
    {
        "entity_count": Field("int32", ("batch",), "number of entities in each text"),
        **_per("entity", "most entities", ENTITY_FIELDS),
        "word_count": Field("int32", ("batch",), "number of words in each text"),
        **_per("word", "most words", WORD_FIELDS),
    },
)
WORDS = Signature(
    "words",
    "Takes text that is already split into words.",
    {"words": Field("string", ("batch", "words"), "sentences padded with empty strings")},
    {
        "label": Field("string", ("batch", "words"), "label of each word"),
        "score": Field("float32", ("batch", "words"), "probability of that label"),
        "accepted": Field("bool", ("batch", "words"), "false for the words of an entity that is not accepted"),
    },
)
PIECES = Signature(
    "pieces",
    "Takes word pieces from the tokenizer in `tokenizer/`. A word's prediction is that of its first piece.",
    {
        "input_ids": Field("int32", ("batch", "length"), "ids of the word pieces"),
        "attention_mask": Field("int32", ("batch", "length"), "1 for a word piece, 0 for padding"),
    },
    {"probabilities": Field("float32", ("batch", "length", "labels"), "probability of each label; tasks side by side")},
)
SIGNATURES = (TEXT, WORDS, PIECES)
"""Every model has `pieces`. The other two need a WordPiece tokenizer, and tag for the first task of a model."""


def for_task(signature: Signature, task: str) -> Signature:
    """`TEXT` or `WORDS` for one of several tasks of a model: such as `pos` and `pos_words`."""
    name = {TEXT.name: task, WORDS.name: f"{task}_words"}[signature.name]
    return replace(signature, name=name, meaning=f"{signature.meaning} For the task {task}.")


def signatures_of(tasks: Sequence[str], takes_text: bool = True) -> list[Signature]:
    """The signatures of a model with these tasks. One that takes no text has only `pieces`."""
    if not takes_text:
        return [PIECES]
    return [*SIGNATURES, *(for_task(signature, task) for task in tasks if len(tasks) > 1 for signature in (TEXT, WORDS))]

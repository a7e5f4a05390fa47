"""The signatures of an exported model, answered by a tagger: what the graph of a SavedModel does, for the other runtimes.

Takes the arrays of a request and returns the arrays of `contract.SIGNATURES`, so that `serving` need not know what runs a
model. A SavedModel that takes word pieces alone gets the signatures that take text too. Tests hold all of it equal to the graph
(`exports.graph`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfner.contract import (
    ENTITY_FIELDS,
    PIECES,
    TEXT,
    WORD_FIELDS,
    WORDS,
    Field,
    Signature,
    for_task,
    signatures_of,
)
from tfner.corpus import Sentence
from tfner.folder import CONFIG, read_json
from tfner.serving.rest import Inputs, RestError, Tensor
from tfner.serving.servable import Servable
from tfner.tagging.exported import read_exported
from tfner.tagging.runtime import RuntimeTagger
from tfner.tagging.tagger import RowTagger, joined_offsets

Arrays = Mapping[str, np.ndarray]
Answer = Callable[[Arrays], dict[str, np.ndarray]]
"""Takes the inputs of a signature and returns its outputs."""


class _PiecesTagger(RowTagger):
    """Tags through the signature `pieces` of a servable."""

    def __init__(self, servable: Servable):
        exported = read_exported(servable.folder, check=False)
        super().__init__(exported.heads(), exported.config, str(servable.folder))
        self._call = servable.call

    def probabilities(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        (found,) = self._call(PIECES.name, dict(zip(PIECES.inputs, (input_ids, attention_mask), strict=True))).values()
        return found


def with_text(servable: Servable) -> Servable:
    """A servable with the signature `pieces` alone, and the signatures that take text, which tfner tokenizes.

    Raises UserError where the tokenizer in its folder is missing or damaged.
    """
    pieces = partial(servable.call, PIECES.name)
    return _servable(_PiecesTagger(servable), pieces, servable.name, servable.version, servable.folder)


def make_servable(tagger: RuntimeTagger, name: str, version: int, folder: Path) -> Servable:
    """A servable that a tagger answers.

    Args:
        tagger: the tagger; one thread calls it at a time.
        name: the name in the model's address.
        version: its version number.
        folder: the folder of the export.
    """
    vocabulary = read_json(folder / CONFIG)["vocab_size"]  # of the encoder; the tokenizer may have fewer word pieces
    return _servable(tagger, partial(run_pieces, tagger, vocabulary), name, version, folder)


def _servable(tagger: RowTagger, pieces: Answer, name: str, version: int, folder: Path) -> Servable:
    """A servable that a tagger answers, except for the signature `pieces`."""
    answers = {PIECES.name: pieces}
    for task in tagger.heads:
        for function, signature in ((tag_texts, TEXT), (tag_words, WORDS)):
            answer = partial(function, tagger.for_task(task))
            answers.setdefault(signature.name, answer)  # of the first task
            answers[for_task(signature, task).name] = answer
    signatures = signatures_of(list(tagger.heads))
    inputs: dict[str, Inputs] = {
        s.name: {key: Tensor(_dtype(field), (-1,) * len(field.shape)) for key, field in s.inputs.items()} for s in signatures
    }
    definition = {signature.name: _definition(signature) for signature in signatures}
    servable = Servable(name, version, folder, inputs, definition, lambda key, arrays: answers[key](arrays), list(tagger.heads))
    servable.warm_up()
    return servable


def tag_texts(tagger: RowTagger, inputs: Arrays) -> dict[str, np.ndarray]:
    """The outputs of `contract.TEXT` for texts in UTF-8, bytes, shape (batch,). NUL and invalid bytes are read as U+FFFD."""
    entities: list[list[tuple[Any, ...]]] = []
    words: list[list[tuple[Any, ...]]] = []
    for text, offsets, tagged in tagger.tagged([_text(data) for data in inputs["text"]]):
        found = tagger.entities(text, offsets, tagged)
        entities.append([tuple(getattr(e, name) for name in ENTITY_FIELDS) for e in found])
        words.append(
            [(text[a:b], tag, p, a, b) for (a, b), tag, p in zip(offsets, tagged.tags, tagged.probabilities, strict=True)]
        )
    outputs: dict[str, np.ndarray] = {}
    for item, rows, fields in (("entity", entities, ENTITY_FIELDS), ("word", words, WORD_FIELDS)):
        outputs[f"{item}_count"] = np.array([len(row) for row in rows], np.int32)
        for column, (name, (dtype, _)) in enumerate(fields.items()):
            outputs[f"{item}_{name}"] = _dense([[values[column] for values in row] for row in rows], dtype)
    return {name: outputs[name] for name in TEXT.outputs}


def tag_words(tagger: RowTagger, inputs: Arrays) -> dict[str, np.ndarray]:
    """The outputs of `contract.WORDS` for sentences padded with empty strings, bytes, shape (batch, words)."""
    rows = [[_text(data) for data in row] for row in inputs["words"]]
    tagged = tagger.predict([Sentence(tuple(row), ()) for row in rows])
    label, score, accepted = WORDS.outputs
    shape = inputs["words"].shape
    within = np.ones(shape, bool)
    for i, (row, one) in enumerate(zip(rows, tagged, strict=True)):
        for entity in tagger.entities(" ".join(row), joined_offsets(row), one):
            within[i, entity.first_word : entity.end_word] = entity.accepted
    return {
        label: _dense([one.tags for one in tagged], "string").reshape(shape),
        score: np.array([one.probabilities for one in tagged], np.float32).reshape(shape),
        accepted: within,
    }


def run_pieces(tagger: RuntimeTagger, vocabulary: int, inputs: Arrays) -> dict[str, np.ndarray]:
    """The outputs of `contract.PIECES`. Raises RestError for what the encoder, which has this `vocabulary`, cannot take."""
    ids, mask = (inputs[name] for name in PIECES.inputs)
    if ids.shape != mask.shape:
        raise RestError(400, f"expected input_ids and attention_mask of one shape, got {ids.shape} and {mask.shape}")
    if (out := ids[(ids < 0) | (ids >= vocabulary)]).size:
        raise RestError(400, f"expected input_ids from 0 to {vocabulary - 1}, got {out[0]}")
    if not mask.any(1).all():  # OpenVINO would attend to its own padding
        raise RestError(400, f"expected a 1 in each row of attention_mask, got none in row {mask.any(1).argmin()}")
    if ids.shape[1] > tagger.longest:
        raise RestError(400, f"expected rows of at most {tagger.longest} word pieces, got {ids.shape[1]}")
    (probabilities,) = PIECES.outputs
    return {probabilities: tagger.probabilities(ids, mask)}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\0", "\ufffd")


def _dense(rows: Sequence[Sequence[Any]], dtype: str) -> np.ndarray:
    """Rows padded with 0, false or empty strings to the longest; text as UTF-8 bytes."""
    shape = (len(rows), max(map(len, rows), default=0))
    if dtype == "string":
        array = np.full(shape, b"", object)
        rows = [[value.encode() for value in row] for row in rows]
    else:
        array = np.zeros(shape, dtype)
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    return array


def _dtype(field: Field) -> str:
    return {"float32": "DT_FLOAT"}.get(field.dtype, f"DT_{field.dtype.upper()}")


def _definition(signature: Signature) -> dict[str, Any]:
    """A signature as protobuf's JSON, which TensorFlow Serving returns as metadata."""

    def tensors(fields: Mapping[str, Field]) -> dict[str, Any]:
        return {
            name: {
                "dtype": _dtype(field),
                "tensor_shape": {"dim": [{"size": "-1", "name": ""} for _ in field.shape], "unknown_rank": False},
                "name": f"{signature.name}_{name}:0",
            }
            for name, field in fields.items()
        }

    inputs, outputs = tensors(signature.inputs), tensors(signature.outputs)
    return {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict", "defaults": {}}

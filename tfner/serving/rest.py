"""TensorFlow Serving's REST API: its JSON into arrays, and arrays into its JSON.

Bodies of requests go in, numpy arrays come out, and the other way round; text is UTF-8 bytes in arrays of objects. What may
be asked is described by `Signature`s. Nothing here knows HTTP connections, models or TensorFlow.
"""

from __future__ import annotations

import base64
import binascii
import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DEFAULT_SIGNATURE = "serving_default"
INTEGERS = {"DT_INT32": np.int32, "DT_INT64": np.int64}
TEXT = "DT_STRING"


class RestError(Exception):
    """A request that is refused: `status` is the HTTP status, the message what TensorFlow Serving puts under "error"."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Tensor:
    """An input: TensorFlow's name of its type (`TEXT` or one of `INTEGERS`), and its shape, -1 where any size will do."""

    dtype: str
    shape: tuple[int, ...]


Signature = Mapping[str, Tensor]
"""The inputs of a signature by name; the first dimension of each is the batch."""


@dataclass(frozen=True)
class Limits:
    """The largest request that is answered: `body` in bytes, `rows` (texts) a request, `characters` a string."""

    body: int = 4 * 2**20
    rows: int = 5000
    characters: int = 100_000


LIMITS = Limits()


@dataclass(frozen=True)
class Query:
    """A prediction that was asked for: inputs as arrays with one batch size, to be answered in `row` or column form."""

    signature: str
    inputs: dict[str, np.ndarray]
    row: bool


def read_query(body: bytes, signatures: Mapping[str, Signature], limits: Limits = LIMITS) -> Query:
    """The body of a `:predict` request, in row form (`instances`) or column form (`inputs`).

    Raises RestError where it is no such request, does not fit its signature, or is above a limit.
    """
    asked = _parse(body)
    name = asked.get("signature_name", DEFAULT_SIGNATURE) or DEFAULT_SIGNATURE
    if not isinstance(name, str):
        raise RestError(400, f"'signature_name' key must be a string value, got {_show(name)}")
    if name not in signatures:
        raise RestError(
            400, f'Serving signature name: "{name}" not found in signature def; there is {", ".join(sorted(signatures))}'
        )
    if ("instances" in asked) == ("inputs" in asked):
        raise RestError(400, f"Expected one of the keys 'inputs' and 'instances', got {_show(list(asked))}")
    row, signature = "instances" in asked, signatures[name]
    columns = _columns_of_rows(asked["instances"], signature) if row else _columns(asked["inputs"], signature)
    inputs = {key: _array(columns[key], tensor, key, limits) for key, tensor in signature.items()}
    sizes = {key: len(array) for key, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise RestError(400, f"Inputs have inconsistent batch sizes: {sizes}")
    return Query(name, inputs, row)


def write_answer(outputs: Mapping[str, np.ndarray], row: bool) -> bytes:
    """The answer to a `:predict` request: arrays with one batch size as a list of rows, or as columns.

    A single output stands without its name, as in TensorFlow Serving.
    """
    values = {name: _values(array) for name, array in outputs.items()}
    if len(values) == 1:
        (answer,) = values.values()
    elif row:
        answer = [dict(zip(values, items, strict=True)) for items in zip(*values.values(), strict=True)]
    else:
        answer = values
    return _json({"predictions" if row else "outputs": answer})


def write_error(message: str) -> bytes:
    """The body of every answer that is no success."""
    return _json({"error": message})


def write_status(version: int) -> bytes:
    """The status of a model with one loaded version."""
    status = {"error_code": "OK", "error_message": ""}
    return _json({"model_version_status": [{"version": str(version), "state": "AVAILABLE", "status": status}]})


def write_metadata(name: str, version: int, signature_def: Mapping[str, Any]) -> bytes:
    """The metadata of a model; `signature_def` as protobuf's JSON has it, by the signatures' names."""
    spec = {"name": name, "signature_name": "", "version": str(version)}
    return _json({"model_spec": spec, "metadata": {"signature_def": {"signature_def": signature_def}}})


def _parse(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RestError(400, f"JSON Parse error: the body is not UTF-8 ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise RestError(400, f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists in lists without end
        raise RestError(400, f"JSON Parse error: {error}") from error
    if not isinstance(asked, dict):
        raise RestError(400, f"Expected a JSON object, got {_show(asked)}")
    return asked


def _columns_of_rows(rows: Any, signature: Signature) -> dict[str, list]:
    """Instances, each a bare value or an object with every input, as one list per input."""
    if not isinstance(rows, list) or not rows:
        raise RestError(400, f"Expected 'instances' to be a list with at least one value, got {_show(rows)}")
    if not _is_object(rows[0]):
        if len(signature) > 1:
            raise RestError(400, f"Expected 'instances' to be a list of objects with {_names(signature)}")
        return {next(iter(signature)): rows}
    for number, row in enumerate(rows):
        if not _is_object(row) or row.keys() != signature.keys():
            expected = f"Expected an object with {_names(signature)} at item {number} of 'instances'"
            raise RestError(400, f"{expected}, got {_show(row)}")
    return {name: [row[name] for row in rows] for name in signature}


def _columns(inputs: Any, signature: Signature) -> dict[str, Any]:
    """Inputs by name; a single one may stand without its name."""
    if not _is_object(inputs):
        if len(signature) > 1:
            raise RestError(400, f"Expected 'inputs' to be an object with {_names(signature)}, got {_show(inputs)}")
        return {next(iter(signature)): inputs}
    if inputs.keys() != signature.keys():
        raise RestError(400, f"Expected 'inputs' to be an object with {_names(signature)}, got {_show(inputs)}")
    return inputs


def _array(value: Any, tensor: Tensor, name: str, limits: Limits) -> np.ndarray:
    """Nested lists as an array of the tensor's type and shape."""
    shape, flat = [], [value]
    while flat and isinstance(flat[0], list):  # a dimension at a time
        shape.append(len(flat[0]))
        if any(not isinstance(item, list) or len(item) != shape[-1] for item in flat):
            raise RestError(400, f"Input '{name}': expected lists of one length in dimension {len(shape)}: pad them")
        flat = [item for items in flat for item in items]
    if len(shape) != len(tensor.shape) or any(want not in (-1, got) for want, got in zip(tensor.shape, shape, strict=True)):
        expected = "[" + ", ".join("any" if size == -1 else str(size) for size in tensor.shape) + "]"
        raise RestError(400, f"Input '{name}': expected values of shape {expected}, got {_show(value)} of shape {shape}")
    if 0 in shape:
        raise RestError(400, f"Input '{name}': expected at least one value, got shape {shape}")
    if shape[0] > limits.rows:
        raise RestError(400, f"Input '{name}': expected at most {limits.rows:,} rows a request, got {shape[0]:,}: send fewer")
    if tensor.dtype == TEXT:
        array = np.empty(len(flat), object)  # numpy's own strings of bytes would lose zeros at their ends
        array[:] = [_bytes(item, name, limits) for item in flat]
        return array.reshape(shape)
    integer = INTEGERS[tensor.dtype]
    lowest, highest = np.iinfo(integer).min, np.iinfo(integer).max
    wrong = [item for item in flat if type(item) is not int or not lowest <= item <= highest]  # type: True is an int too
    if wrong:
        raise RestError(400, f"Input '{name}': expected values of type {tensor.dtype}, got {_show(wrong[0])}")
    return np.array(flat, integer).reshape(shape)


def _bytes(value: Any, name: str, limits: Limits) -> bytes:
    """A JSON string, or bytes as `{"b64": ...}`, as UTF-8."""
    try:
        data = value.encode() if isinstance(value, str) else base64.b64decode(value["b64"], validate=True)
    except UnicodeEncodeError as error:
        raise RestError(400, f"Input '{name}': a lone surrogate at character {error.start} of a string") from error
    except (TypeError, KeyError, ValueError, binascii.Error) as error:
        raise RestError(400, f"Input '{name}': expected a string or {{\"b64\": ...}}, got {_show(value)}") from error
    if len(data) > limits.characters and (length := len(data.decode("utf-8", "replace"))) > limits.characters:
        raise RestError(
            400, f"Input '{name}': expected strings of at most {limits.characters:,} characters, got {length:,}: split the text"
        )
    return data


def _values(array: np.ndarray) -> list:
    if array.dtype == object:
        text = np.empty(array.size, object)
        text[:] = [item.decode("utf-8", "replace") for item in array.ravel()]
        return text.reshape(array.shape).tolist()
    if array.dtype == np.float32:  # by way of the shortest decimals: 0.2 for what is 0.20000000298 as a double
        return array.astype("U16").astype(np.float64).tolist()
    return array.tolist()


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != {"b64"}


def _names(signature: Signature) -> str:
    return " and ".join(f"'{name}'" for name in sorted(signature))


def _show(value: Any) -> str:
    """A value in a few characters, however large it is."""
    return reprlib.repr(value)


def _json(value: Sequence | Mapping) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

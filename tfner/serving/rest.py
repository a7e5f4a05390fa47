"""The JSON of TensorFlow Serving's REST API.

Takes bodies of requests and returns numpy arrays, and takes arrays and returns bodies of answers. Text is UTF-8 bytes in arrays
of objects. HTTP connections, models and TensorFlow are not known here.
"""

from __future__ import annotations

import base64
import binascii
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfner.contract import TEXT

INTEGERS: dict[str, type[np.int32 | np.int64]] = {"DT_INT32": np.int32, "DT_INT64": np.int64}
STRING = "DT_STRING"


class RestError(Exception):
    """A request that is refused.

    `status` is the HTTP status of the answer. The message is the text that TensorFlow Serving sends as "error".
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Tensor:
    """An input: TensorFlow's name of its type (`STRING` or one of `INTEGERS`) and its shape, with -1 for any size."""

    dtype: str
    shape: tuple[int, ...]


Inputs = Mapping[str, Tensor]
"""The inputs of a signature by name. The first dimension of each is the batch."""


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        body: the most bytes of a request.
        rows: the most rows (texts) of a request.
        characters: the most characters of a string.
        seconds: the longest that a request may take to arrive.
        connections: the most connections at a time.
    """

    body: int = 4 * 2**20
    rows: int = 5000
    characters: int = 100_000
    seconds: float = 60
    connections: int = 512


LIMITS = Limits()


@dataclass(frozen=True)
class Query:
    """A request for a prediction: the inputs as arrays with one batch size, and whether the answer is in `row` form."""

    signature: str
    inputs: dict[str, np.ndarray]
    row: bool


def read_query(body: bytes, signatures: Mapping[str, Inputs], limits: Limits = LIMITS) -> Query:
    """The body of a `:predict` request, in row form (`instances`) or column form (`inputs`).

    Raises RestError where the body is not such a request, does not fit its signature, or exceeds a limit.
    """
    asked = _parse(body)
    name = asked.get("signature_name") or TEXT.name
    if not isinstance(name, str):
        raise RestError(400, f"'signature_name' key must be a string value, got {_show(name)}")
    if name not in signatures:
        raise RestError(
            400, f'Serving signature name: "{name}" not found in signature def; the model has {", ".join(sorted(signatures))}'
        )
    if ("instances" in asked) == ("inputs" in asked):
        raise RestError(400, f"Expected one of the keys 'inputs' and 'instances', got {_show(list(asked))}")
    row, expected = "instances" in asked, signatures[name]
    columns = _columns_of_rows(asked["instances"], expected) if row else _columns(asked["inputs"], expected)
    inputs = {key: _array(columns[key], tensor, key, limits) for key, tensor in expected.items()}
    sizes = {key: len(array) for key, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise RestError(400, f"Inputs have inconsistent batch sizes: {sizes}")
    return Query(name, inputs, row)


def write_answer(outputs: Mapping[str, np.ndarray], row: bool) -> bytes:
    """The answer to a `:predict` request: arrays with one batch size as a list of rows, or as columns.

    A single output is written without its name, as TensorFlow Serving does.
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
    """The body of an answer that reports an error."""
    return _json({"error": message})


def write_status(version: int, failure: str = "") -> bytes:
    """The status of a model with one loaded version, or with one that has stopped because of a `failure`."""
    code, state = ("INTERNAL", "END") if failure else ("OK", "AVAILABLE")
    status = {"error_code": code, "error_message": failure}
    return _json({"model_version_status": [{"version": str(version), "state": state, "status": status}]})


def write_metadata(name: str, version: int, signature_def: Mapping[str, Any]) -> bytes:
    """The metadata of a model. `signature_def` is protobuf's JSON of its signatures, by name."""
    spec = {"name": name, "signature_name": "", "version": str(version)}
    return _json({"model_spec": spec, "metadata": {"signature_def": {"signature_def": signature_def}}})


def _parse(body: bytes) -> dict[str, Any]:
    import orjson  # here, because only a server needs it, while other commands read this module

    try:
        asked = orjson.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RestError(400, f"JSON Parse error: the body is not UTF-8 ({error.reason} at byte {error.start})") from error
    except orjson.JSONDecodeError as error:  # also for half of a surrogate pair, and for lists that are nested too deeply
        raise RestError(400, f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    if not isinstance(asked, dict):
        raise RestError(400, f"Expected a JSON object, got {_show(asked)}")
    return asked


def _columns_of_rows(rows: Any, inputs: Inputs) -> dict[str, list[Any]]:
    """Instances, each a value without a name or an object with every input, as one list per input."""
    if not isinstance(rows, list) or not rows:
        raise RestError(400, f"Expected 'instances' to be a list with at least one value, got {_show(rows)}")
    if not _is_object(rows[0]):
        if len(inputs) > 1:
            raise RestError(400, f"Expected 'instances' to be a list of objects with {_names(inputs)}")
        return {next(iter(inputs)): rows}
    for number, row in enumerate(rows):
        if not _is_object(row) or row.keys() != inputs.keys():
            expected = f"Expected an object with {_names(inputs)} at item {number} of 'instances'"
            raise RestError(400, f"{expected}, got {_show(row)}")
    return {name: [row[name] for row in rows] for name in inputs}


def _columns(values: Any, inputs: Inputs) -> dict[str, Any]:
    """The values of the inputs by name. A single input may be given without its name."""
    if not _is_object(values):
        if len(inputs) > 1:
            raise RestError(400, f"Expected 'inputs' to be an object with {_names(inputs)}, got {_show(values)}")
        return {next(iter(inputs)): values}
    if values.keys() != inputs.keys():
        raise RestError(400, f"Expected 'inputs' to be an object with {_names(inputs)}, got {_show(values)}")
    return dict(values)


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
        raise RestError(400, f"Input '{name}': expected at most {limits.rows:,} rows per request, got {shape[0]:,}: send fewer")
    if tensor.dtype == STRING:
        array = np.empty(len(flat), object)  # numpy's own type for bytes would lose zeros at the end
        array[:] = [_bytes(item, name, limits) for item in flat]
        return array.reshape(shape)
    integer = INTEGERS[tensor.dtype]
    lowest, highest = np.iinfo(integer).min, np.iinfo(integer).max
    wrong = [
        item for item in flat if type(item) is not int or not lowest <= item <= highest
    ]  # not isinstance: True is an int too
    if wrong:
        raise RestError(400, f"Input '{name}': expected values of type {tensor.dtype}, got {_show(wrong[0])}")
    return np.array(flat, integer).reshape(shape)


def _bytes(value: Any, name: str, limits: Limits) -> bytes:
    """A JSON string, or bytes as `{"b64": ...}`, as UTF-8."""
    try:
        data = value.encode() if isinstance(value, str) else base64.b64decode(value["b64"], validate=True)
    except (TypeError, KeyError, ValueError, binascii.Error) as error:
        raise RestError(400, f"Input '{name}': expected a string or {{\"b64\": ...}}, got {_show(value)}") from error
    if len(data) > limits.characters and (length := len(data.decode("utf-8", "replace"))) > limits.characters:
        raise RestError(
            400, f"Input '{name}': expected strings of at most {limits.characters:,} characters, got {length:,}: split the text"
        )
    return data


def _values(array: np.ndarray) -> Any:
    """An array as it is written as JSON: bytes as text in nested lists, numbers as they are, float32 in the shortest decimals.

    Raises RestError for numbers that JSON does not have.
    """
    if array.dtype == object:
        text = np.empty(array.size, object)
        text[:] = [item.decode("utf-8", "replace") for item in array.ravel()]
        return text.reshape(array.shape).tolist()
    if not np.isfinite(array).all():
        raise RestError(500, "The model returned a number that is not finite: train it again, or serve another version")
    return np.ascontiguousarray(array)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != {"b64"}


def _names(inputs: Inputs) -> str:
    return " and ".join(f"'{name}'" for name in sorted(inputs))


def _show(value: Any) -> str:
    """A value in a few characters, whatever its size."""
    return reprlib.repr(value)


def _json(value: Mapping[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)

"""An exported model as a server needs it: its name, version, signatures, and a function to call them.

Takes a folder and returns a `Servable`. `rest` handles JSON, `app` handles HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfner.contents import check_contents
from tfner.contract import PIECES, TEXT, for_task
from tfner.errors import UserError, one_line
from tfner.folder import EXTRA, SAVED_MODEL, damaged, is_version, load_saved_model, read_settings, resolve
from tfner.serving.rest import INTEGERS, STRING, Inputs, RestError, Tensor


@dataclass(frozen=True)
class Servable:
    """A loaded version of a model.

    Attributes:
        name: the name in the model's address.
        version: its version number.
        folder: the folder of the version.
        signatures: the inputs of each signature, by its name.
        signature_def: all signatures as protobuf's JSON.
        call: takes the name of a signature and its inputs, and returns its outputs: arrays with one batch size, text as bytes.
            Raises RestError where the graph refuses the inputs.
        tasks: the tasks that it was trained for.
    """

    name: str
    version: int
    folder: Path
    signatures: Mapping[str, Inputs]
    signature_def: Mapping[str, Any]
    call: Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    tasks: Sequence[str] = ()

    @property
    def takes_text(self) -> bool:
        """Whether the model takes raw text. Models without a WordPiece tokenizer take only word pieces."""
        return TEXT.name in self.signatures

    def warm_up(self) -> None:
        """Calls every signature that takes texts once, because the first call is slow."""
        for signature in (TEXT.name, *(for_task(TEXT, task).name for task in self.tasks)):
            if signature in self.signatures:
                self.call(signature, {key: np.array([b"Hello"], object) for key in TEXT.inputs})


def name_in_address(folder: Path) -> str:
    """The name of the model in a folder. Raises UserError where it cannot be part of an address."""
    if ":" in folder.name:
        raise UserError("expected a folder name without a colon, which ends the name in an address: rename the folder", folder)
    return folder.name


def load_servable(path: str | Path) -> Servable:
    """Loads a model and calls it once, because the first call is slow.

    Args:
        path: the folder of a version, or a folder of versions, whose highest is used. The model is named after the folder of
            versions.

    Raises:
        UserError: where the folder holds no model, or one that is damaged, that tfner did not export, or whose name cannot be
            part of an address.
    """
    folder = resolve(path).absolute()
    numbered = is_version(folder.name)
    name, version = name_in_address(folder.parent if numbered else folder), int(folder.name) if numbered else 1
    try:
        check_contents(folder)
    except (OSError, ValueError) as error:
        raise damaged(folder, error) from error
    loaded = load_saved_model(folder)
    import tensorflow as tf
    from google.protobuf.json_format import MessageToDict
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    stored = SavedModel.FromString((folder / SAVED_MODEL).read_bytes())
    definition = MessageToDict(
        stored.meta_graphs[0], preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )["signature_def"]
    signatures = {key: _inputs(definition[key]["inputs"]) for key in loaded.signatures}
    if PIECES.name not in signatures or any(not _is_servable(inputs) for inputs in signatures.values()):
        raise UserError(
            f"expected an export of tfner, with the signature {PIECES.name}, found {', '.join(signatures) or 'none'}: "
            "export the model with python -m tfner.export",
            folder,
        )

    try:
        tasks = read_settings(folder / EXTRA)[0].tasks
    except (OSError, ValueError) as error:
        raise damaged(folder, error) from error

    def call(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            outputs = loaded.signatures[signature](**{key: tf.constant(array) for key, array in inputs.items()})
            return {key: value.numpy() for key, value in outputs.items()}
        except tf.errors.InvalidArgumentError as error:
            raise RestError(400, reason_of(error.message)) from error
        except tf.errors.ResourceExhaustedError as error:
            raise RestError(503, error.message.splitlines()[0]) from error

    servable = Servable(name, version, folder, signatures, definition, call, tasks)
    servable.warm_up()
    return servable


def reason_of(message: str) -> str:
    """What a message of TensorFlow says besides where in the graph, on one line."""
    if said := re.search(r"assertion failed: (.*)", message):
        return " ".join(re.sub(r"[\[\]]", " ", said[1]).split())
    lines = [line for line in message.splitlines() if line.strip() and not line.startswith(("Graph execution", "Detected at"))]
    return one_line(re.sub(r"\[(\[\{\{|Op:).*", "", lines[0] if lines else message))


def _inputs(definition: Mapping[str, Any]) -> Inputs:
    """The inputs of a signature, from protobuf's JSON."""
    return {
        name: Tensor(tensor["dtype"], tuple(int(dim["size"]) for dim in tensor["tensor_shape"]["dim"]))
        for name, tensor in definition.items()
    }


def _is_servable(inputs: Inputs) -> bool:
    """Whether all inputs are text or integers, with a batch of any size as the first dimension."""
    return all(tensor.dtype in (STRING, *INTEGERS) and tensor.shape[:1] == (-1,) for tensor in inputs.values())

"""An exported model as a server needs it: its name, version, signatures, and a function to call them.

A folder goes in, a `Servable` comes out. Tagging in Python is `tagger`'s; JSON and HTTP are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfner.errors import UserError
from tfner.folder import SAVED_MODEL, load_saved_model, resolve
from tfner.serving.rest import DEFAULT_SIGNATURE, INTEGERS, TEXT, RestError, Signature, Tensor

PIECES = "pieces"  # the signature that every export has


@dataclass(frozen=True)
class Servable:
    """A loaded version of a model.

    `call` takes a signature's name and its inputs, and returns its outputs, arrays with one batch size (text as bytes);
    it raises RestError where the graph refuses the inputs. `signature_def` is protobuf's JSON of all signatures.
    """

    name: str
    version: int
    folder: Path
    signatures: Mapping[str, Signature]
    signature_def: Mapping[str, Any]
    call: Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]

    @property
    def takes_text(self) -> bool:
        """Whether it takes raw text; models without a WordPiece tokenizer take word pieces only."""
        return DEFAULT_SIGNATURE in self.signatures


def load_servable(path: str | Path) -> Servable:
    """Loads a version's folder, or of a folder of versions the highest; it is named after the folder of versions.

    Raises UserError where there is no model, it is damaged, or it was not exported by tfner.
    """
    folder = resolve(path).absolute()
    name, version = (folder.parent.name, int(folder.name)) if folder.name.isdigit() else (folder.name, 1)
    if ":" in name:
        raise UserError(f"{folder}: expected a name without a colon, which ends names in addresses: rename the folder")
    loaded = load_saved_model(folder)
    import tensorflow as tf
    from google.protobuf.json_format import MessageToDict
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    stored = SavedModel.FromString((folder / SAVED_MODEL).read_bytes())
    definition = MessageToDict(
        stored.meta_graphs[0], preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )["signature_def"]
    signatures = {key: _signature(definition[key]["inputs"]) for key in loaded.signatures}
    if PIECES not in signatures or any(not _is_servable(signature) for signature in signatures.values()):
        raise UserError(
            f"{folder}: expected an export of tfner, with the signature {PIECES}, found {', '.join(signatures) or 'none'}: "
            "export it with python -m tfner.export"
        )

    def call(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            outputs = loaded.signatures[signature](**{key: tf.constant(array) for key, array in inputs.items()})
            return {key: value.numpy() for key, value in outputs.items()}
        except tf.errors.InvalidArgumentError as error:
            raise RestError(400, error.message.splitlines()[0]) from error
        except tf.errors.ResourceExhaustedError as error:
            raise RestError(503, error.message.splitlines()[0]) from error

    if DEFAULT_SIGNATURE in signatures:  # the first call is slow: not for a user to wait for
        call(DEFAULT_SIGNATURE, {key: np.array([b"Hello"], object) for key in signatures[DEFAULT_SIGNATURE]})
    return Servable(name, version, folder, signatures, definition, call)


def _signature(inputs: Mapping[str, Any]) -> Signature:
    return {
        name: Tensor(tensor["dtype"], tuple(int(dim["size"]) for dim in tensor["tensor_shape"]["dim"]))
        for name, tensor in inputs.items()
    }


def _is_servable(signature: Signature) -> bool:
    """Whether all inputs are text or integers and start with a batch of any size."""
    return all(tensor.dtype in (TEXT, *INTEGERS) and tensor.shape[:1] == (-1,) for tensor in signature.values())

"""Loading models for the server: what a servable knows, and folders that are refused."""

import re
import shutil

import numpy as np
import pytest
from support.errors import refused

from tfner.contents import CONTENTS
from tfner.contract import PIECES, SIGNATURES, TEXT
from tfner.errors import UserError
from tfner.folder import EXTRA
from tfner.serving.rest import RestError
from tfner.serving.servable import load_servable, reason_of


def test_a_servable_has_the_signatures_of_the_contract(servables):
    one, other, pieces_only = servables
    assert (one.name, one.version, one.takes_text) == ("one", 1, True)
    assert (other.name, other.takes_text) == ("<b>zwei drei<", True)
    assert (pieces_only.name, pieces_only.takes_text) == ("bpe", False)
    assert one.signatures.keys() == {signature.name for signature in SIGNATURES}
    assert pieces_only.signatures.keys() == {PIECES.name}
    for signature in SIGNATURES:
        found = one.signatures[signature.name]
        assert found.keys() == signature.inputs.keys()
        for name, field in signature.inputs.items():
            assert found[name].dtype == f"DT_{field.dtype.upper()}"
            assert found[name].shape == (-1,) * len(field.shape)


def test_a_call_returns_arrays_with_text_as_bytes(servables):
    outputs = servables[0].call(TEXT.name, {"text": np.array(["EU é".encode(), b""], object)})
    assert outputs.keys() == TEXT.outputs.keys()
    assert outputs["word_text"].tolist() == [[b"EU", "é".encode()], [b"", b""]]


def test_inputs_that_the_graph_refuses_are_a_rest_error(servables):
    with pytest.raises(RestError) as caught:
        servables[0].call(PIECES.name, {name: np.array([[10**6]], np.int32) for name in PIECES.inputs})
    assert caught.value.status == 400
    assert re.fullmatch(r"expected input_ids from 0 to \d+, got 1000000", str(caught.value))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Graph execution error:\n\nassertion failed: [expected x, got] [3]\n\t [[{{node A}}]] [Op:B]", "expected x, got 3"),
        (
            "Graph execution error:\n\nDetected at node G defined at (most recent):\nindex 9 is not in [0, 5)\n\t [[x",
            "index 9 is not in [0, 5)",
        ),
        ("{{node x}} out of memory [[{{node x}}]] [Op:C]", "{{node x}} out of memory"),
        ("", ""),
    ],
)
def test_the_reason_is_what_tensorflow_says_besides_the_place(message, reason):
    assert reason_of(message) == reason


def test_a_saved_model_that_tfner_did_not_export_is_refused(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "other" / "1"), signatures={"serving_default": double})
    with refused("servable_not_from_tfner", path=tmp_path / "other" / "1"):
        load_servable(tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "keep"),
    [
        ("variables/variables.data-00000-of-00001", 100),
        ("variables/variables.index", 10),
        ("saved_model.pb", 999),
        ("saved_model.pb", 0),
    ],
)
def test_a_damaged_file_is_one_error_about_the_folder(folders, tmp_path, name, keep):
    folder = shutil.copytree(folders[0] / "1", tmp_path / "1")
    (folder / name).write_bytes((folder / name).read_bytes()[:keep])
    with pytest.raises(UserError) as caught:
        load_servable(folder)
    assert caught.value.path == folder
    assert "\n" not in str(caught.value)
    assert "is not the file that was written with the others" in caught.value.message
    (folder / EXTRA / CONTENTS).unlink()  # as in models of earlier versions of tfner
    with pytest.raises(UserError, match="the SavedModel cannot be loaded") as caught:
        load_servable(folder)
    assert "\n" not in str(caught.value)


def test_a_name_with_a_colon_is_refused(folders, tmp_path):
    folder = shutil.copytree(folders[0], tmp_path / "a:b")
    with refused("servable_name_with_colon", path=folder):
        load_servable(folder)

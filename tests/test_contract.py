import pytest
from support import tiny

from tfner.contract import SIGNATURES, TEXT, WORDS
from tfner.folder import load_saved_model


@pytest.fixture(scope="module")
def loaded(exported):
    return load_saved_model(exported)


def test_names_differ_and_every_field_says_what_it_holds():
    assert len({signature.name for signature in SIGNATURES}) == len(SIGNATURES)
    for signature in SIGNATURES:
        for field in (*signature.inputs.values(), *signature.outputs.values()):
            assert field.meaning and field.shape[0] == "batch" and field.dtype in ("string", "int32", "float32", "bool")


def test_an_export_has_exactly_the_inputs_and_outputs_of_the_contract(loaded):
    assert set(loaded.signatures) == {signature.name for signature in SIGNATURES}
    for signature in SIGNATURES:
        function = loaded.signatures[signature.name]
        inputs = function.structured_input_signature[1]
        assert {name: spec.dtype.name for name, spec in inputs.items()} == {n: f.dtype for n, f in signature.inputs.items()}
        assert {name: len(spec.shape) for name, spec in inputs.items()} == {
            n: len(f.shape) for n, f in signature.inputs.items()
        }
        outputs = function.structured_outputs
        assert {name: spec.dtype.name for name, spec in outputs.items()} == {n: f.dtype for n, f in signature.outputs.items()}


def test_outputs_have_as_many_dimensions_as_the_contract_says(loaded):
    import tensorflow as tf

    text = loaded.signatures[TEXT.name](text=tf.constant([tiny._TEXT, "Nice"]))
    words = loaded.signatures[WORDS.name](words=tf.constant([["Nice", "U"]]))
    for signature, outputs in ((TEXT, text), (WORDS, words)):
        assert {n: len(o.shape) for n, o in outputs.items()} == {n: len(f.shape) for n, f in signature.outputs.items()}

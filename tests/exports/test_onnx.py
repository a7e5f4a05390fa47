"""ONNX Runtime gives the logits of TensorFlow for every variant and architecture, with padding."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import tiny
from support.errors import refused
from transformers import AutoTokenizer

from tfner import export
from tfner import folder as folders
from tfner.config import Config
from tfner.exports import onnx as onnx_format
from tfner.modeling.variants import build_model, logits_function
from tfner.training.state import load_state

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[onnx]'")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: pip install -e '.[onnx]'")

MODELS = {
    "bert": ("finetune", {"precision": "bfloat16"}),
    "distilbert": ("replace", {}),
    "roberta": ("head", {"precision": "float16"}),
    "electra": ("head", {"head_activation": "gelu"}),  # Keras implements it with Erfc
}
"""The variant and settings of each architecture. A conversion takes seconds, so each has only one."""


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A function from an architecture to its training state and the folder exported from it; each is made once."""

    @functools.cache
    def make(kind: str) -> tuple[Path, Path]:
        variant, settings = MODELS[kind]
        root = tmp_path_factory.mktemp(kind)
        folder = tiny.trained_folder(root, kind, variant, corpus=str(tiny.labelled_corpus(root / "corpus")), **settings)
        # in bfloat16 and float16, the random weights give other tags than in float32
        return folder / "training" / "1", export.export(folder, format="onnx", max_f1_loss=1, say=lambda line: None)

    return make


def in_float32(state):
    """The model of a training state in float32."""
    config = replace(Config.from_values(folders.read_json(state / folders.CONFIG)), precision="float32")
    model = build_model(config.variant, str(state / folders.ENCODER), len(tiny.LABELS), config, weights=False)
    model.load_weights(state / folders.WEIGHTS)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_onnx_runtime_gives_the_same_logits(exported, kind):
    state, folder = exported(kind)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    described = [(value.name, value.type, value.shape) for value in (*session.get_inputs(), *session.get_outputs())]
    assert described == [
        ("input_ids", "tensor(int64)", ["batch", "length"]),
        ("attention_mask", "tensor(int64)", ["batch", "length"]),
        ("logits", "tensor(float)", ["batch", "length", len(tiny.LABELS)]),
    ]
    logits = logits_function(in_float32(state))
    for lengths in ([9, 4, 6], [1], [12, 12]):
        ids, mask = tiny.random_inputs(lengths, len(AutoTokenizer.from_pretrained(folder)))
        inputs = {"input_ids": ids.astype(np.int64), "attention_mask": mask.astype(np.int64)}
        found = session.run(["logits"], inputs)[0]
        np.testing.assert_allclose(found[mask == 1], logits(ids, mask).numpy()[mask == 1], atol=1e-4)


def test_the_folder_has_all_files_and_the_code_of_its_card_runs(exported):
    state, folder = exported("roberta")
    assert folder == state.parents[1] / "onnx" / "1"
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["label2id"] == {name: i for i, name in enumerate(tiny.LABELS)}
    assert "architectures" not in config  # no class of transformers has this head
    card = (folder / folders.CARD).read_text("utf-8")
    assert "onnxruntime.InferenceSession" in card
    assert "probabilities" not in card  # the SavedModel's signature
    assert {p.name for p in folder.iterdir()} >= {folders.DESCRIPTION, folders.SCORES, "tokenizer.json", "model.onnx"}
    # the code of the card
    inputs = AutoTokenizer.from_pretrained(folder)(["Peter said in Nice", "Nice"], padding=True, return_tensors="np")
    logits = onnxruntime.InferenceSession(folder / "model.onnx").run(["logits"], dict(inputs))[0]
    assert logits.shape == (*inputs["input_ids"].shape, len(tiny.LABELS))


def test_weights_too_large_for_a_protobuf_message_are_refused(exported, monkeypatch):
    state, _ = exported("electra")
    monkeypatch.setattr(onnx_format, "MAX_BYTES", 1000)
    with refused("onnx_too_large", setting="format"):
        onnx_format.onnx_graph(load_state(state))

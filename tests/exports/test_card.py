"""The model card: metadata that the hub reads, and tables from the contract."""

import socket
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard
from support import tiny

from tfner.contract import PIECES, SIGNATURES
from tfner.evaluation.scores import score
from tfner.exports.card import model_card
from tfner.labels import LabelSet
from tfner.modeling.calibration import Calibration
from tfner.training.state import load_state


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    state = tiny.trained_folder(tmp_path_factory.mktemp("card"), "bert", "finetune", corpus="some/corpus") / "training" / "1"
    labels = LabelSet(tiny.LABELS)
    gold, predicted = [["B-PER", "O", "B-LOC"]], [["B-PER", "B-LOC", "B-LOC"]]
    scores = {"validation": score(gold, gold, labels), "test": score(gold, predicted, labels)}
    return replace(load_state(state), scores={"ner": scores})


def test_the_metadata_has_library_task_and_f1_of_each_split(trained):
    data = ModelCard(model_card(trained, "savedmodel", SIGNATURES)).data
    assert (data.library_name, data.pipeline_tag, data.language) == ("tfner", "token-classification", None)
    found = [(r.dataset_type, r.dataset_split, r.metric_type, r.metric_value) for r in data.eval_results]
    assert found == [("some/corpus", "validation", "f1", 1.0), ("some/corpus", "test", "f1", 0.8)]


def test_the_metadata_of_plain_labels_has_the_accuracy(trained):
    labels = LabelSet(("DT", "NN"), plain=True)
    scores = {"test": score([["DT", "NN", "NN", "NN"]], [["DT", "NN", "NN", "DT"]], labels)}
    [result] = ModelCard(model_card(replace(trained, scores={"ner": scores}), "onnx")).data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.75)


@pytest.mark.parametrize("format", ["savedmodel", "transformers", "onnx"])
def test_a_model_without_scores_has_a_card_without_results(trained, format):
    card = ModelCard(model_card(replace(trained, scores={"ner": {}}), format))
    assert card.data.eval_results is None
    assert "## Scores" not in card.text and "## Use" in card.text


def test_every_signature_has_a_table_with_its_inputs_and_outputs(trained):
    lines = model_card(trained, "savedmodel", SIGNATURES).splitlines()
    for signature in SIGNATURES:
        assert f"### `{signature.name}`" in lines
        for kind, fields in (("input", signature.inputs), ("output", signature.outputs)):
            for name, field in fields.items():
                [line] = [line for line in lines if line.startswith(f"| {kind} | `{name}` | {field.dtype} (")]
                assert line.endswith(f"| {field.meaning} |")


def test_a_model_that_takes_only_pieces_gives_the_reason(trained):
    text = model_card(trained, "savedmodel", [PIECES], "its tokenizer is special")
    assert "not raw text: its tokenizer is special." in text
    assert "serving_default" not in text


def test_the_card_has_scores_labels_and_settings(trained):
    text = model_card(trained, "transformers")
    assert "| corpus | `some/corpus` |" in text
    assert "| epochs trained | 1 |" in text
    assert "0 `O`, 1 `B-PER`, 2 `I-PER`, 3 `B-LOC`, 4 `I-LOC`." in text
    assert text.count("type     precision  recall      f1  number") == 2


def test_a_card_needs_no_network(trained, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert model_card(trained, "savedmodel", SIGNATURES)


def test_calibration_and_decoding_are_described(trained):
    text = model_card(trained, "savedmodel")
    assert "Tags are chosen by `viterbi`" in text and "calibrated" not in text and "Before this export" not in text
    config = replace(trained.config, decode="greedy")
    head = replace(trained.heads["ner"], calibration=Calibration(1.25, {"PER": 0.5, "LOC": None}, 0.9))
    own = replace(trained, config=config, heads={"ner": head})
    text = model_card(own, "onnx")
    assert "Tags are chosen by `greedy`" in text and "divided by 1.250" in text and "precision of 0.9" in text
    assert "| `PER` | 0.5000 |" in text and "| `LOC` | never |" in text
    assert "Before this export, with tags chosen by `viterbi`." in text
    text = model_card(own, "transformers")
    assert "Tags are chosen" not in text and "With tags chosen by `viterbi`; a pipeline takes" in text
    assert "divided by the temperature, 1.250, so" in text and "temperature" not in model_card(trained, "transformers")


@pytest.mark.parametrize(("context", "said"), [("sentence", 0), ("document", 1), ("mixed", 1)])
@pytest.mark.parametrize("format", ["savedmodel", "transformers"])
def test_scores_with_the_context_of_documents_say_so(trained, format, context, said):
    text = model_card(replace(trained, config=replace(trained.config, context=context)), format)
    assert text.count("\n\nThe sentences shared rows with others of their document. Scores of single sentences are") == said

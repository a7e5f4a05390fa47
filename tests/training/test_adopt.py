"""Checkpoints that were trained elsewhere: their labels, and the entities that transformers' own pipeline finds."""

import json

import numpy as np
import pytest
from support import tiny
from support.errors import refused

from tfner import export
from tfner.errors import UserError
from tfner.exports.onnx import onnx_graph
from tfner.folder import CARD, EXTRA, TRAINING, versions
from tfner.modeling.variants import logits_function
from tfner.tagging.load import load_tagger
from tfner.training.adopt import adopt, labels_of
from tfner.training.state import load_state

IOB2 = ["I-LOC", "O", "B-LOC", "B-PER", "I-PER"]
"""Labels in an order that is not tfner's own."""
IOB1 = ["O", "I-PER", "I-LOC", "B-LOC"]
BIOES = ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"]
TEXTS = ["Peter Blackburn rejects German call", "EU rejects German lamb", "Peter said in Nice", "x Unice unbelievable call"]


def checkpoint(folder, kind, labels, **config):
    """Saves a random model for token classification as transformers saves it, and returns its folder."""
    import transformers

    encoder = tiny.model_folder(folder, kind)
    settings = transformers.AutoConfig.from_pretrained(encoder)
    settings.id2label, settings.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
    for name, value in config.items():
        setattr(settings, name, value)
    model = transformers.TFAutoModelForTokenClassification.from_config(settings)
    model(model.dummy_inputs)
    tiny.scatter(model, 5)
    kernel, bias = model.classifier.weights
    kernel.assign(8 * kernel)
    logits = np.concatenate([model(**inputs).logits.numpy()[0] for inputs in tokenized(folder, TEXTS)])
    bias.assign_sub(logits.mean(0))
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def tokenized(folder, texts):
    from tfner.modeling.pretrained import load_tokenizer

    tokenizer = load_tokenizer(str(folder))
    return [dict(tokenizer([text.split()], is_split_into_words=True, return_tensors="tf")) for text in texts]


def pipeline(folder):
    """The pipeline of transformers on TensorFlow, with which a word has the label of its first piece."""
    import transformers

    from tfner.modeling.pretrained import load_tokenizer

    model = transformers.TFAutoModelForTokenClassification.from_pretrained(folder)
    tokenizer = load_tokenizer(str(folder))
    run = transformers.TokenClassificationPipeline(
        model=model, tokenizer=tokenizer, framework="tf", aggregation_strategy="first"
    )

    def entities(text):
        return [(e["entity_group"], e["start"], e["end"], pytest.approx(float(e["score"]), abs=1e-4)) for e in run(text)]

    return entities


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "labels"), [("bert", IOB2), ("distilbert", IOB1), ("roberta", IOB2), ("electra", IOB2), ("xlm-roberta", IOB2)]
)
def test_an_imported_checkpoint_finds_what_the_pipeline_of_transformers_finds(tmp_path, kind, labels):
    source = checkpoint(tmp_path / "checkpoint", kind, labels)
    version = export.export(source, output=tmp_path / "model", say=lambda line: None)
    assert version == tmp_path / "model" / "1"
    expected = pipeline(source)
    # the tiny byte-level tokenizer has no piece for a space with x, and the pipeline takes the space for a word
    texts = TEXTS[:3] if kind == "roberta" else TEXTS
    with load_tagger(version) as tagger:
        found = [[(e.type, e.start, e.end, e.score) for e in tagger.tag_words(text.split())] for text in texts]
    assert sum(map(len, found)) >= 3
    # a single word's score is that of its label; the pipeline averages over the words of an entity as tfner does
    assert found == [expected(text) for text in texts]


def test_an_imported_export_of_tfner_keeps_its_temperature(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", IOB2)
    first = export.export(source, output=tmp_path / "first", temperature=2.0, say=lambda line: None)
    again = export.export(tmp_path / "first", format="transformers", say=lambda line: None)
    second = export.export(again, output=tmp_path / "second", say=lambda line: None)
    ids, mask = tiny.random_inputs([9, 4], len(tiny.PIECES))
    found = []
    for folder in (first, second):
        with load_tagger(folder) as tagger:
            assert tagger.calibration.temperature == tagger.config.temperature == 2.0
            found.append(tagger.probabilities(ids, mask)[mask == 1])
    np.testing.assert_allclose(*found, atol=1e-5)


def test_labels_of_bioes_are_merged_and_nothing_else_changes(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", BIOES)
    adopt(str(source), tmp_path / "model", {})
    trained = load_state(tmp_path / "model" / TRAINING / "1")
    names = trained.row_encoder.labels.names
    assert names == ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")

    import transformers

    original = transformers.TFAutoModelForTokenClassification.from_pretrained(source)
    ids, mask = tiny.random_inputs([9, 4], len(tiny.PIECES))
    raw = np.exp(original(input_ids=ids, attention_mask=mask).logits.numpy().astype(np.float64))
    raw /= raw.sum(-1, keepdims=True)
    sums = {"O": "O", "B-PER": "B-PER S-PER", "I-PER": "I-PER E-PER", "B-LOC": "B-LOC S-LOC", "I-LOC": "I-LOC E-LOC"}
    expected = np.stack([sum(raw[..., BIOES.index(own)] for own in sums[name].split()) for name in names], -1)
    logits = logits_function(trained.model)(ids, mask).numpy().astype(np.float64)
    found = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert np.abs(found - expected)[mask == 1].max() < 1e-5


def test_a_label_that_the_checkpoint_lacks_is_never_predicted(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", IOB1)
    adopt(str(source), tmp_path / "model", {})
    trained = load_state(tmp_path / "model" / TRAINING / "1")
    missing = trained.row_encoder.labels.ids["B-PER"]
    ids, mask = tiny.random_inputs([30] * 4, len(tiny.PIECES))
    logits = logits_function(trained.model)(ids, mask).numpy()
    assert (logits[..., missing] == logits.min(-1)).all() and (np.delete(logits, missing, -1) > -1000).all()


@pytest.mark.slow
def test_an_imported_checkpoint_has_every_format_with_a_corpus(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", BIOES)
    corpus = tiny.labelled_corpus(tmp_path / "corpus")
    folder = tmp_path / "model"
    version = export.export(source, output=folder, say=lambda line: None)
    with refused("corpus_unknown", setting="corpus"):
        export.export(folder, format="openvino", say=lambda line: None)
    other = export.export(folder, format="openvino", corpus=str(corpus), say=lambda line: None)
    with load_tagger(version) as one, load_tagger(other) as two:
        for text in TEXTS:
            found, expected = ([(e.type, e.start, e.end) for e in tagger.tag(text)] for tagger in (two, one))
            assert found == expected
    with refused("transformers_of_merged_labels", setting="format"):
        export.export(folder, format="transformers")
    trained = load_state(folder / TRAINING / "1")
    assert onnx_graph(trained).graph.output[0].type.tensor_type.shape.dim[2].dim_value == 5


def test_the_card_says_where_the_model_came_from(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", IOB2)
    version = export.export(source, output=tmp_path / "model", say=lambda line: None)
    card = (version / EXTRA / CARD).read_text()
    assert f"imported from `{source}`" in card
    assert "epochs trained" not in card


def test_labels_of_words_are_used_as_they_are_for_pos(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", ["NN", "VB", "X"])
    with refused("labels_of_words", setting="task", path=source):
        export.export(source, output=tmp_path / "model")
    version = export.export(source, output=tmp_path / "model", task="pos", say=lambda line: None)
    with load_tagger(version) as tagger:
        assert tagger.labels.plain and tagger.labels.names == ("NN", "VB", "X")


@pytest.mark.parametrize(
    ("own", "names", "numbers"),
    [
        (IOB2, tuple(IOB2), [[0], [1], [2], [3], [4]]),
        (IOB1, ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), [[0], [], [1], [3], [2]]),
        (["O", "U-A", "B-A", "I-A", "L-A"], ("O", "B-A", "I-A"), [[0], [1, 2], [3, 4]]),
    ],
)
def test_labels_stand_for_those_of_the_checkpoint(own, names, numbers):
    labels, found = labels_of(own, False, "x")
    assert (labels.names, found) == (names, numbers)


def test_a_checkpoint_without_a_classification_layer_is_refused(tmp_path):
    source = tiny.model_folder(tmp_path / "encoder", "bert")
    with refused("checkpoint_without_classifier", setting="encoder", path=source):
        export.export(source, output=tmp_path / "model")
    assert not (tmp_path / "model").exists() or not versions(tmp_path / "model" / TRAINING)


def test_labels_without_names_are_refused(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", ["LABEL_0", "LABEL_1"])
    with refused("labels_without_names", setting="task", path=source):
        export.export(source, output=tmp_path / "model")


def test_weights_that_are_not_there_are_refused_and_nothing_is_left(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", IOB2)
    (source / "model.safetensors").unlink()
    (source / "tf_model.h5").unlink(missing_ok=True)
    with pytest.raises(UserError) as caught:
        export.export(source, output=tmp_path / "model")
    assert caught.value.path is not None
    assert not list((tmp_path / "model").rglob("*.h5"))


def test_a_checkpoint_without_an_output_is_refused(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "bert", IOB2)
    with refused("checkpoint_without_output", setting="output", path=source):
        export.export(source)
    config = json.loads((source / "config.json").read_text())
    assert "tfner_merged" not in config  # the checkpoint is left as it was


def test_a_name_that_the_hub_does_not_have_is_refused(tmp_path):
    with pytest.raises(UserError, match="Hugging Face hub"):
        export.export("nobody/no-such-model", output=tmp_path / "model")

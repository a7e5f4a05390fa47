import json
from dataclasses import replace

import pytest
from support import tiny

from tfner.contents import CONTENTS
from tfner.contract import PIECES, SIGNATURES
from tfner.exports import saved_model
from tfner.folder import CALIBRATION, CARD, CONFIG, EXTRA, HISTORY, LABELS, LIMITS, SCORES, TOKENIZER, WARMUP, load_saved_model
from tfner.modeling.variants import logits_function
from tfner.training.state import load_state


def written(folder, kind):
    """A random model's training state, the model, its logits before the export, and the folder that the writer filled."""
    state = tiny.trained_folder(folder, kind, "finetune") / "training" / "1"
    trained = load_state(state)
    ids, mask = tiny.random_inputs([9, 4], len(tiny.PIECES))
    before = logits_function(trained.model)(ids, mask).numpy()
    lines = []
    write = saved_model.writer(trained, lines.append)
    target = folder / "version"
    target.mkdir()
    write(target)
    return trained, (ids, mask, before), target, lines


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return written(tmp_path_factory.mktemp("bert"), "bert")


def test_everything_that_explains_the_model_travels_with_it(bert):
    trained, _, target, lines = bert
    assert {path.name for path in (target / EXTRA).iterdir()} == {CARD, CONFIG, HISTORY, LABELS, LIMITS, SCORES, TOKENIZER} | {
        WARMUP,
        CALIBRATION,
        CONTENTS,
        "learning_curves.png",
    }
    for name in (CONFIG, LABELS, HISTORY):
        assert (target / EXTRA / name).read_bytes() == (trained.state / name).read_bytes()
    assert json.loads((target / EXTRA / LIMITS).read_text())["max_pieces"] == tiny.POSITIONS
    assert lines == []


def test_the_graph_computes_what_the_model_computed_before_the_export(bert):
    import tensorflow as tf

    _, (ids, mask, before), target, _ = bert
    loaded = load_saved_model(target)
    assert set(loaded.signatures) == {signature.name for signature in SIGNATURES}
    pieces = loaded.signatures[PIECES.name]
    found = pieces(input_ids=tf.constant(ids), attention_mask=tf.constant(mask))["probabilities"].numpy()
    expected = tf.nn.softmax(before).numpy()
    for row, length in enumerate(mask.sum(1)):
        assert found[row, :length] == pytest.approx(expected[row, :length], abs=1e-5)


def test_an_encoder_without_word_piece_gets_one_signature_and_a_line_that_says_so(tmp_path):
    _, _, target, lines = written(tmp_path, "roberta")
    assert set(load_saved_model(target).signatures) == {PIECES.name}
    assert len(lines) == 1 and "word pieces only" in lines[0]
    assert "word pieces only" in (target / EXTRA / CARD).read_text("utf-8")


def test_the_learning_curves_mark_the_epoch_that_the_monitor_chose(bert, tmp_path, monkeypatch):
    trained, *_ = bert
    marked = []
    monkeypatch.setattr(saved_model.plots, "learning_curves", lambda rows, best: marked.append(best))
    monkeypatch.setattr(saved_model.plots, "save", lambda figure, path: None)
    for monitor in ("val_loss", "val_masked_accuracy"):
        (tmp_path / monitor).mkdir()
        saved_model._describe(tmp_path / monitor, replace(trained, config=replace(trained.config, monitor=monitor)), 512)
    assert marked == ["val_loss", "f1"]  # a history has no masked accuracy

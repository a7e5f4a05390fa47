"""Temperatures and thresholds that are found, against their definitions and over many samples."""

import json

import numpy as np
import pytest
from support.errors import refused
from support.trainings import training_run

from tfner import evaluate, export
from tfner.config import make_config
from tfner.corpus import Sentence
from tfner.demo.corpus import demo_corpus
from tfner.evaluation.reliability import reliability, scored_words
from tfner.folder import CALIBRATION, EXTRA, TRAINING
from tfner.modeling.calibration import Calibration
from tfner.modeling.variants import logits_function
from tfner.tagging.in_memory import InMemoryTagger
from tfner.tagging.load import load_tagger
from tfner.tagging.tagger import Head
from tfner.training.calibrate import calibrate, lowest_threshold
from tfner.training.state import load_state


@pytest.fixture(scope="module")
def trained(model):
    return load_state(model / TRAINING / "1")


@pytest.fixture(scope="module")
def logits(trained):
    return logits_function(trained.model)


@pytest.fixture
def tagger(trained, logits):
    return InMemoryTagger(logits, trained.heads, trained.config)


SENTENCES = demo_corpus().splits["validation"][:200]


def calibrated(tagger, calibration):
    """The same tagger with another calibration."""
    return InMemoryTagger(tagger.logits, {"ner": Head(tagger.row_encoder, calibration)}, tagger.config)


def loss(tagger, temperature):
    tagger = calibrated(tagger, Calibration(temperature))
    encoded = tagger.row_encoder.encode(SENTENCES)
    words = tagger.row_encoder.to_words(encoded, tagger._run(encoded.rows, iter), np.full(9, np.nan, np.float32))
    ids = [[tagger.labels.ids[tag] for tag in s.tags] for s in SENTENCES]
    return -np.mean(np.log(np.concatenate([own[np.arange(len(i)), i] for own, i in zip(words, ids, strict=True)])))


def test_the_temperature_has_the_least_crossentropy(tagger):
    best = calibrate(tagger, make_config(temperature="auto"), SENTENCES, lambda line: None).temperature
    assert 0.1 < best < 10 and abs(best - 1) > 0.01
    losses = [loss(tagger, best * factor) for factor in (0.9, 0.98, 1, 1.02, 1.1)]
    assert min(losses) == losses[2] and losses[0] > losses[1] and losses[4] > losses[3]


def test_a_temperature_changes_scores_and_no_tag(tagger):
    other = calibrated(tagger, Calibration(3.0))
    tagger.decode = other.decode = "greedy"  # whose label is the most probable one
    before, after = tagger.predict(SENTENCES), other.predict(SENTENCES)
    assert [t.tags for t in after] == [t.tags for t in before]
    one, other = (np.concatenate([t.probabilities for t in tagged]) for tagged in (before, after))
    assert (other <= one + 1e-6).all() and (other < one - 0.01).mean() > 0.5


def test_the_error_on_validation_falls(tagger):
    gold = [s.tags for s in SENTENCES]
    errors = []
    for own in (Calibration(), calibrate(tagger, make_config(temperature="auto"), SENTENCES, lambda line: None)):
        tagged = calibrated(tagger, own).predict(SENTENCES)
        errors.append(reliability(*scored_words(gold, [t.tags for t in tagged], [t.probabilities for t in tagged])).error)
    assert errors[1] < errors[0]


def test_a_temperature_that_reaches_its_bound_is_a_warning(tagger):
    lines, tagger.decode = [], "greedy"
    right = [Sentence(s.words, tuple(t.tags)) for s, t in zip(SENTENCES, tagger.predict(SENTENCES), strict=True)]
    assert calibrate(tagger, make_config(temperature="auto"), right, lines.append).temperature < 0.26
    assert lines[0].startswith("WARNING: the temperature that fits is beyond")
    empty = [Sentence(("\u200b",), ("O",))]
    assert calibrate(tagger, make_config(temperature="auto"), empty, lambda line: None).temperature == 1.0


def test_without_settings_nothing_is_calibrated(tagger):
    assert calibrate(tagger, make_config(), SENTENCES) == Calibration()
    assert calibrate(tagger, make_config(temperature=2), SENTENCES) == Calibration(2.0)


def test_a_threshold_is_the_lowest_tried_that_reaches_the_precision():
    scores = np.linspace(0, 1, 2001)[1:]
    assert lowest_threshold(scores, np.ones(2000, bool), 0.95) == pytest.approx(0.00025)
    assert lowest_threshold(1 - scores * 1e-5, scores < 0.5, 0.95) > 0.9999  # all scores are high
    assert lowest_threshold(scores, scores > 0.5, 0.95) == pytest.approx(0.5, abs=0.06)
    assert lowest_threshold(scores, np.zeros(2000, bool), 0.1) is None
    assert lowest_threshold(scores[:20], np.ones(20, bool), 0.95) is None  # too few to say so
    assert lowest_threshold(np.zeros(0), np.zeros(0, bool), 0.5) is None
    assert lowest_threshold(np.full(500, 0.7), np.ones(500, bool), 0.9) == pytest.approx(
        0.695
    )  # equal scores are accepted together


def test_the_precision_is_reached_in_at_least_95_of_100_samples():
    generator, kept, found = np.random.default_rng(0), 0, 0
    for _ in range(400):
        scores = generator.beta(4, 1, 600)
        threshold = lowest_threshold(scores, generator.random(600) < scores, 0.9)
        if threshold is not None:
            found += 1
            kept += _true_precision(threshold) >= 0.9
    assert found > 300
    assert kept / found >= 0.95


def _true_precision(threshold):
    """The mean of the scores from a threshold on, whose density is 4 x^3."""
    return (4 / 5 * (1 - threshold**5)) / (1 - threshold**4)


def test_a_training_is_calibrated_as_its_settings_say(corpus, tmp_path, small_encoder, capsys):
    run = training_run(
        corpus, tmp_path / "m", encoder=str(small_encoder), epochs=1, temperature="auto", min_precision=0.05, say=print
    )
    run.fit()
    run.score()
    run.unlock()
    output = capsys.readouterr().out
    assert "temperature " in output
    written = json.loads((run.state / CALIBRATION).read_text())
    assert written["temperature"] == run.trained().heads["ner"].calibration.temperature != 1
    assert set(written["thresholds"]) == set(run.corpus.labels.types)
    assert load_state(run.state).heads["ner"].calibration == run.trained().heads["ner"].calibration


def test_an_export_is_calibrated_as_asked_and_an_evaluation_shows_it(runtimes, tmp_path, capsys):
    with load_tagger(runtimes / "1") as tagger:
        own = tagger.calibration
    assert own.temperature != 1 and own.thresholds
    assert json.loads((runtimes / "1" / EXTRA / CALIBRATION).read_text()) == own.to_values()
    for runtime in ("openvino", "onnx"):
        with load_tagger(runtimes / runtime / "1") as tagger:
            assert tagger.calibration == own
    assert evaluate.main([str(runtimes / "1"), "--output", str(tmp_path / "e"), "--json"]) == 0
    output, printed = capsys.readouterr()
    assert "precision of accepted" in printed and "calibration error: words 0." in printed
    accepted = json.loads(output)["accepted"]["overall"]
    assert accepted["predicted"] >= accepted["accepted"] >= accepted["right"] > 0


def test_a_precision_that_no_score_reaches_is_refused(model, tmp_path):
    with refused("min_precision_not_reached", setting="min_precision"):
        export.export(model, output=tmp_path / "m" / "1", min_precision=0.999, say=lambda line: None)
    assert not (tmp_path / "m").exists()

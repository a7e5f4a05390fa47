"""Trainings as the study's: its rows and labels, its loss on padding, and what one choice changes."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from support.errors import refused

from tfner.data.load import load_corpus
from tfner.experiments.choices import REPAIRED, STUDY
from tfner.experiments.study import encode, loss_function, padding_gradient, train
from tfner.modeling.pretrained import encoder_source, load_tokenizer


@pytest.fixture(scope="module")
def small_corpus(corpus):
    return load_corpus(str(corpus))


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(encoder_source("demo"))


def gradient(choices, labels, logits):
    """The gradient of the loss by the logits, shape (positions, classes), which a softmax layer makes probabilities."""
    variable = tf.Variable(logits[None], dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = loss_function(choices, logits.shape[-1])(tf.constant([labels]), keras.activations.softmax(variable))
    return float(loss), tape.gradient(loss, variable).numpy()[0]


def test_the_study_has_one_piece_for_each_word_so_its_alignment_shifts_nothing(small_corpus, tokenizer):
    sentences = small_corpus.splits["train"]
    rows = encode(sentences, tokenizer, small_corpus.labels, STUDY)
    for sentence, ids, labels in zip(sentences, rows.ids, rows.labels, strict=True):
        assert len(ids) == len(sentence.words) + 2
        assert labels == [0, *(small_corpus.labels.ids[tag] for tag in sentence.tags), 0]
    assert any(tokenizer.unk_token_id in ids for ids in rows.ids)


def test_with_split_words_the_alignment_of_the_study_takes_labels_of_later_words(small_corpus, tokenizer):
    sentence = replace(small_corpus.splits["train"][0], words=("U.S.", "beats", "Italy"), tags=("B-LOC", "O", "B-ORG"))
    ids = {name: small_corpus.labels.ids[name] for name in ("O", "B-LOC", "B-ORG")}
    pieces = tokenizer.tokenize("U.S.")
    assert pieces == ["U", ".", "S", "."]
    right = encode([sentence], tokenizer, small_corpus.labels, REPAIRED)
    shifted = encode([sentence], tokenizer, small_corpus.labels, replace(REPAIRED, alignment="shifted"))
    assert right.labels[0][1:5] == [ids["B-LOC"]] * 4
    assert shifted.labels[0][1:5] == [ids["B-LOC"], ids["O"], ids["B-ORG"], ids["B-ORG"]]
    assert right.first == shifted.first == [[1, 5, 5 + len(tokenizer.tokenize("beats"))]]


def test_padding_with_rows_of_zeros_has_no_loss_but_a_gradient_against_the_predicted_class():
    logits = np.random.default_rng(0).normal(size=(2, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    learned = probabilities[0] - np.eye(5)[3]
    loss, found = gradient(STUDY, [3, -1], logits)
    assert loss == pytest.approx(-np.log(probabilities[0, 3]) / 2, rel=1e-5)
    np.testing.assert_allclose(found, [learned / 2, probabilities[1] / 2], atol=1e-6)
    _, found = gradient(replace(STUDY, padding="class 0"), [3, -1], logits)
    np.testing.assert_allclose(found, [learned / 2, (probabilities[1] - np.eye(5)[0]) / 2], atol=1e-6)
    _, found = gradient(REPAIRED, [3, -1], logits)
    np.testing.assert_allclose(found, [learned, np.zeros(5)], atol=1e-6)
    loss, found = padding_gradient(STUDY, logits[1])
    assert loss == 0
    np.testing.assert_allclose(found, probabilities[1], atol=1e-6)
    assert padding_gradient(REPAIRED, logits[1])[0] == 0


def test_a_training_counts_as_keras_does_and_without_padding(small_corpus, tokenizer):
    choices = replace(REPAIRED, batch_size=40)
    rows = list(train(choices, "demo", small_corpus, seed=0, epochs=2))
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["loss"] < rows[0]["loss"]
    validation = small_corpus.splits["validation"]
    pieces = sum(map(len, encode(validation, tokenizer, small_corpus.labels, choices).ids))
    for row in rows:
        positions = 100 * len(validation)
        right = row["masked_accuracy"] * pieces + row["padding_class_0"] * (positions - pieces)
        assert row["val_accuracy"] == pytest.approx(right / positions)


def test_a_part_of_the_sentences_gives_other_weights_and_the_same_seed_the_same_ones(small_corpus):
    def loss(**options):
        return next(train(STUDY, "demo", small_corpus, epochs=1, **options))["loss"]

    assert loss(seed=0, share=0.5) == pytest.approx(loss(seed=0, share=0.5), rel=1e-4)
    assert loss(seed=0, share=0.5) != pytest.approx(loss(seed=1, share=0.5), rel=1e-4)


def test_an_encoder_with_too_few_positions_is_refused(small_corpus, small_encoder):
    with refused("study short encoder", setting="encoder"):
        next(train(STUDY, str(small_encoder), small_corpus, seed=0))

"""Trains a model as the study's notebook does, or with some of its choices repaired.

Takes `Choices`, an encoder and a corpus, and yields a row of measures after each epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfner.config import AUTO, Config, make_config
from tfner.corpus import Corpus, Sentence
from tfner.errors import UserError, setting
from tfner.evaluation.scores import score
from tfner.experiments.choices import LENGTH, Choices, beginning
from tfner.labels import LabelSet
from tfner.modeling.pretrained import encoder_source, load_encoder_config, load_tokenizer
from tfner.modeling.variants import ENCODER, build_model
from tfner.training.optimizers import make_optimizer
from tfner.training.run import resolved
from tfner.training.schedule import FixedSchedule

PADDING = -1
"""The label of padding in the rows of this module."""


@dataclass(frozen=True)
class Rows:
    """Sentences as pieces: `ids` and `labels` of each row, and the piece that speaks for each word; -1 for a word cut off."""

    ids: list[list[int]]
    labels: list[list[int]]
    first: list[list[int]]


def encode(sentences: Sequence[Sentence], tokenizer: Any, labels: LabelSet, choices: Choices) -> Rows:
    """The rows of sentences. [CLS] and [SEP] are labelled O and counted, as in the study; O has id 0."""
    ids, all_labels, first = [], [], []
    lower = getattr(tokenizer, "do_lower_case", False)
    for sentence in sentences:
        pieces: list[str] = []
        starts, word_of = [], []
        for number, word in enumerate(sentence.words):
            whole = word.lower() if lower else word
            split = [whole] if choices.words == "unknown" else (tokenizer.tokenize(word) or [tokenizer.unk_token])
            starts.append(len(pieces) + 1 if len(pieces) + 1 < LENGTH - 1 else -1)
            word_of += [number] * len(split)
            pieces += split
        pieces, word_of = pieces[: LENGTH - 2], word_of[: LENGTH - 2]
        of_words = [labels.ids[tag] for tag in sentence.tags]
        right = choices.alignment == "right"
        own = [of_words[number] for number in word_of] if right else _shifted(pieces, of_words)
        ids.append([tokenizer.cls_token_id, *tokenizer.convert_tokens_to_ids(pieces), tokenizer.sep_token_id])
        all_labels.append([0, *own, 0])
        first.append(starts)
    return Rows(ids, all_labels, first)


def _shifted(pieces: Sequence[str], of_words: Sequence[int]) -> list[int]:
    """A label for each piece as the study takes it: a piece with ## has the label before it, any other the next word's."""
    found, at = [], 0
    for piece in pieces:
        if not piece.startswith("##"):
            at += 1
        found.append(of_words[min(max(at, 1), len(of_words)) - 1])
    return found


def make_model(source: str, labels: int, choices: Choices, settings: Config) -> keras.Model:
    """The study's model: the encoder, dense ReLU layers, a dense softmax layer, with Keras's own initial weights."""
    base = build_model("finetune", source, labels, replace(settings, dropout=0.0))
    ids, mask = base.inputs
    hidden = base.get_layer(ENCODER)(input_ids=ids, attention_mask=mask)[0]
    for i, units in enumerate(choices.units):
        hidden = keras.layers.Dense(units, "relu", name=f"dense_{i}")(hidden)
    probabilities = keras.layers.Dense(labels, "softmax", name="output", dtype=tf.float32)(hidden)
    return keras.Model({"input_ids": ids, "attention_mask": mask}, probabilities)


def train(
    choices: Choices, encoder: str, corpus: Corpus, seed: int, share: float = 1.0, epochs: int = 4, precision: str = AUTO
) -> Iterator[dict[str, Any]]:
    """Trains one model; yields a row after each epoch.

    Args:
        choices: how it is trained.
        encoder: a name as for `tfner train --encoder`.
        corpus: a corpus of entities with a validation split.
        seed: of new weights, dropout and order.
        share: the share of the sentences of both splits that are used, from their beginning.
        epochs: the number of epochs.
        precision: as for `tfner train`.

    Yields:
        `epoch`; `rate`, the highest of the encoder; `precision`; `loss` and `accuracy` of training and `val_loss` and
        `val_accuracy` of validation as Keras computes them, over all positions of rows of 100 pieces, where padding counts as
        class 0; `masked_accuracy` of the other pieces; `f1` of entities, as conlleval counts; `top_class`, the most frequent
        label of words, and `top_share`, its share; `padding_class_0`, the share of padding that is predicted as class 0.

    Raises:
        UserError: for an encoder with less than LENGTH positions.
    """
    source = encoder_source(encoder)
    shape = load_encoder_config(source)
    if shape.max_position_embeddings < LENGTH:
        raise UserError(
            f"{setting('encoder', encoder)}: expected at least {LENGTH} positions, found {shape.max_position_embeddings}"
        )
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tokenizer = load_tokenizer(source)
    settings = resolved(make_config("standard", encoder=encoder, precision=precision, seed=seed), shape.hidden_size)
    splits = {name: corpus.splits[name] for name in ("train", "validation")}
    sentences = {name: beginning(own, share) for name, own in splits.items()}
    rows = {name: encode(own, tokenizer, corpus.labels, choices) for name, own in sentences.items()}
    model = make_model(source, len(corpus.labels), choices, settings)
    steps = -(-len(sentences["train"]) // choices.batch_size)
    optimizer, peak = _optimizer(model, choices, settings)
    schedule = FixedSchedule(epochs, steps, 0.1, epochs)
    step = _train_step(model, optimizer, choices, len(corpus.labels))
    predict = tf.function(lambda ids, mask: model({"input_ids": ids, "attention_mask": mask}, training=False))
    order = np.random.default_rng(seed)
    for epoch in range(epochs):
        sums = np.zeros(3)
        for number, batch in enumerate(_batches(rows["train"], order.permutation(len(sentences["train"])), choices)):
            optimizer.learning_rate = peak * (schedule.share(epoch * steps + number) if choices.warmup else 1.0)
            sums += [len(batch[0]) * float(x) for x in (*step(*map(tf.constant, batch)), 1.0)]
        yield {
            "epoch": epoch + 1,
            "rate": peak,
            "precision": settings.precision,
            "loss": float(sums[0] / sums[2]),
            "accuracy": float(sums[1] / sums[2]),
            **_validate(predict, rows["validation"], sentences["validation"], corpus.labels, choices),
        }


def _optimizer(model: keras.Model, choices: Choices, settings: Config) -> tuple[Any, float]:
    """The optimizer, built, and the peak of its learning rate."""
    if choices.rate is None:
        return make_optimizer(model, settings)
    peak = choices.rate * float(settings.learning_rate)
    optimizer = keras.optimizers.Adam(peak)
    optimizer.build(model.trainable_variables)
    return optimizer, peak


def loss_function(choices: Choices, labels: int) -> Any:
    """The loss of `labels` classes: a function of label ids, int32, shape (batch, length), where padding has PADDING, and
    probabilities, float32, shape (batch, length, labels)."""
    stock = keras.losses.CategoricalCrossentropy()
    each = keras.losses.CategoricalCrossentropy(reduction="none")

    def loss(own: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        if choices.padding == "class 0":
            return stock(tf.one_hot(tf.maximum(own, 0), labels), probabilities)
        if choices.padding == "zeros":  # -1 becomes a row of zeros
            return stock(tf.one_hot(own, labels), probabilities)
        counted = tf.cast(own != PADDING, tf.float32)
        total = tf.reduce_sum(counted * each(tf.one_hot(own, labels), probabilities))
        return tf.math.divide_no_nan(total, tf.reduce_sum(counted))

    return loss


def padding_gradient(choices: Choices, logits: Sequence[float]) -> tuple[float, np.ndarray]:
    """The loss of one position of padding, and its gradient by the logits, for logits of shape (labels,).

    With rows of zeros the loss is 0, yet the gradient is softmax(logits), which lowers the likeliest class most: Keras gives
    labels and logits to one operation, whose gradient is softmax(logits) - labels for labels that add up to 1, and rows of
    zeros do not.
    """
    variable = tf.Variable([[logits]], dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = loss_function(choices, len(logits))(tf.constant([[PADDING]]), keras.activations.softmax(variable))
    return float(loss), tape.gradient(loss, variable).numpy()[0, 0]


def _train_step(model: keras.Model, optimizer: Any, choices: Choices, labels: int) -> Any:
    loss_of = loss_function(choices, labels)
    array = tf.TensorSpec((None, None), tf.int32)
    variables = model.trainable_variables

    @tf.function(input_signature=[array] * 3)
    def step(ids: tf.Tensor, mask: tf.Tensor, own: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            probabilities = model({"input_ids": ids, "attention_mask": mask}, training=True)
            loss = loss_of(own, probabilities)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        right = tf.argmax(probabilities, -1, tf.int32) == tf.maximum(own, 0)
        return loss, tf.reduce_mean(tf.cast(right, tf.float32))

    return step


def _batches(rows: Rows, order: np.ndarray, choices: Choices) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Ids, mask and labels of the batches, int32, shape (batch, length)."""
    for start in range(0, len(order), choices.batch_size):
        some = order[start : start + choices.batch_size]
        length = LENGTH if choices.length == "fixed" else max(len(rows.ids[i]) for i in some)
        ids, mask = np.zeros((2, len(some), length), np.int32)
        labels = np.full((len(some), length), PADDING, np.int32)
        for row, i in enumerate(some):
            pieces = len(rows.ids[i])
            ids[row, :pieces], mask[row, :pieces], labels[row, :pieces] = rows.ids[i], 1, rows.labels[i]
        yield ids, mask, labels


def _validate(predict: Any, rows: Rows, sentences: Sequence[Sentence], labels: LabelSet, choices: Choices) -> dict[str, Any]:
    stock = replace(choices, length="fixed", batch_size=128)
    loss_of = loss_function(choices, len(labels))
    sums: dict[str, float] = dict.fromkeys(("loss", "right", "all", "piece_right", "pieces", "padding_0"), 0.0)
    predicted: list[list[str]] = []
    for ids, mask, own in _batches(rows, np.arange(len(sentences)), stock):
        probabilities = predict(tf.constant(ids), tf.constant(mask))
        found = np.argmax(probabilities, -1)
        counted = own != PADDING
        sums["loss"] += float(loss_of(tf.constant(own), probabilities)) * len(ids)
        sums["right"] += int((found == np.maximum(own, 0)).sum())
        sums["all"] += found.size
        sums["piece_right"] += int((found == own)[counted].sum())
        sums["pieces"] += int(counted.sum())
        sums["padding_0"] += int((found == 0)[~counted].sum())
        for row in found:
            first = rows.first[len(predicted)]
            predicted.append([labels.names[row[at]] if at >= 0 else labels.default for at in first])
    scores = score([s.tags for s in sentences], predicted, labels)
    counts = scores.confusion.sum(axis=0)
    return {
        "val_loss": sums["loss"] / len(sentences),
        "val_accuracy": sums["right"] / sums["all"],
        "masked_accuracy": sums["piece_right"] / sums["pieces"],
        "f1": scores.overall.f1,
        "top_class": scores.labels[int(counts.argmax())],
        "top_share": float(counts.max() / counts.sum()),
        "padding_class_0": sums["padding_0"] / max(1, sums["all"] - sums["pieces"]),
    }

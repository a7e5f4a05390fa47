"""Contenders in training. Each turn is one epoch.

    python training.py tfner     ENCODER CORPUS EPOCHS SEED VARIANT PRECISION
    python training.py trainer   ENCODER CORPUS EPOCHS SEED study|tuned
    python training.py fit       ENCODER CORPUS EPOCHS SEED

A turn returns the training seconds of the epoch, without the scoring, and entity F1 on the validation and test splits, counted
as conlleval does. `tfner` reports test F1 after the last epoch only.
"""

from __future__ import annotations

import sys
import tempfile
import time

from turns import answer, ready

from tfner.data.load import load_corpus
from tfner.evaluation.scores import score
from tfner.modeling.decoding import decode
from tfner.modeling.pretrained import load_tokenizer
from tfner.modeling.rows import RowEncoder


class Scorer:
    """Scores the validation and test splits with a function from ids and mask, both int32 (batch, length), to logits."""

    def __init__(self, row_encoder: RowEncoder, corpus):
        self.row_encoder, self.sentences = row_encoder, {split: corpus.splits[split] for split in ("validation", "test")}
        self.encoded = {split: row_encoder.encode(sentences) for split, sentences in self.sentences.items()}

    def __call__(self, logits) -> dict[str, float]:
        from tfner.modeling.batches import apply_to_rows

        found = {}
        for split, encoded in self.encoded.items():
            values = apply_to_rows(logits, encoded.rows, self.row_encoder.pad_id)
            tags = [tagged.tags for tagged in decode(self.row_encoder, encoded, values)]
            found[split] = score([s.tags for s in self.sentences[split]], tags, self.row_encoder.labels).overall.f1
        return found


def tfner(encoder: str, corpus: str, epochs: int, seed: int, variant: str, precision: str) -> None:
    """tfner's own `train`. A turn starts with an epoch and ends before the next one."""
    from tfner.config import make_config
    from tfner.train import train
    from tfner.training.run import TrainingRun

    own_epoch = TrainingRun._epoch

    def measured(row):
        return {"seconds": row["seconds"], "validation": row["f1"]}

    def epoch(self, batches):
        answer(measured(self.history[-1])) if self.history else ready()
        own_epoch(self, batches)

    TrainingRun._epoch = epoch
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(
            variant=variant, encoder=encoder, corpus=corpus, epochs=epochs, seed=seed, precision=precision,
            patience=epochs, output=f"{folder}/model",
        )  # fmt: skip
        trained = train(config, say=lambda line: None)
    answer({**measured(trained.history[-1]), "test": trained.scores["test"].overall.f1})


def trainer(encoder: str, corpus: str, epochs: int, seed: int, settings: str) -> None:
    """The transformers Trainer in PyTorch, with the study's settings or with the fastest settings that we found."""
    import torch
    from transformers import (
        AutoModelForTokenClassification,
        DataCollatorForTokenClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    tokenizer, loaded = load_tokenizer(encoder), load_corpus(corpus)
    labels = loaded.labels
    align = RowEncoder(tokenizer, labels, "all" if settings == "study" else "first")
    rows = align.encode(loaded.splits["train"]).rows
    data = [{"input_ids": row.ids.tolist(), "attention_mask": [1] * len(row), "labels": row.labels.tolist()} for row in rows]
    model = AutoModelForTokenClassification.from_pretrained(encoder, num_labels=len(labels))
    scores = Scorer(align, loaded)

    @torch.no_grad()
    def logits(ids, mask):
        model.eval()
        return model(input_ids=torch.from_numpy(ids).long(), attention_mask=torch.from_numpy(mask).long()).logits.numpy()

    class Turns(TrainerCallback):
        def on_epoch_begin(self, arguments, state, control, **kwargs):
            answer(self.last) if state.epoch else ready()
            self.start = time.perf_counter()

        def on_epoch_end(self, arguments, state, control, **kwargs):
            seconds = time.perf_counter() - self.start
            self.last = {"seconds": seconds, **scores(logits)}
            model.train()

    options = {"per_device_train_batch_size": 8, "learning_rate": 2e-5, "weight_decay": 0.01}
    if settings == "tuned":
        options = {"per_device_train_batch_size": 32, "learning_rate": 5e-5, "weight_decay": 0.01, "warmup_ratio": 0.1}
        options |= {"group_by_length": True, "bf16": True}
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, num_train_epochs=epochs, seed=seed, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True,
            **options,
        )  # fmt: skip
        turns = Turns()
        collate = DataCollatorForTokenClassification(tokenizer)
        Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=[turns]).train()
    answer(turns.last)


def fit(encoder: str, corpus: str, epochs: int, seed: int) -> None:
    """The study's TensorFlow set-up: rows padded to 100 pieces, batches of 128, stock Keras `fit`. Padding is masked here."""
    import tensorflow as tf
    import tf_keras as keras
    from transformers import TFAutoModelForTokenClassification

    from tfner.modeling.batches import pad

    keras.utils.set_random_seed(seed)
    tokenizer, loaded = load_tokenizer(encoder), load_corpus(corpus)
    align = RowEncoder(tokenizer, loaded.labels, "all")
    rows, length = align.encode(loaded.splits["train"]).rows, 100
    inputs, labels = pad(rows, align.pad_id)
    inputs = {name: array[:, :length] for name, array in inputs.items()}
    data = tf.data.Dataset.from_tensor_slices((inputs, labels[:, :length])).shuffle(len(rows)).batch(128)
    model = TFAutoModelForTokenClassification.from_pretrained(encoder, num_labels=len(loaded.labels))
    model.compile(keras.optimizers.Adam(5e-5))  # the model's own loss, which ignores -100
    scores = Scorer(align, loaded)
    spec = tf.TensorSpec((None, None), tf.int32)
    logits = tf.function(lambda i, m: model(input_ids=i, attention_mask=m, training=False).logits, [spec, spec])

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            answer(self.last) if epoch else ready()
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.last = {"seconds": time.perf_counter() - self.start, **scores(logits)}

    turns = Turns()
    model.fit(data, epochs=epochs, verbose=0, callbacks=[turns])
    answer(turns.last)


if __name__ == "__main__":
    kind, encoder, corpus, epochs, seed, *more = sys.argv[1:]
    {"tfner": tfner, "trainer": trainer, "fit": fit}[kind](encoder, corpus, int(epochs), int(seed), *more)

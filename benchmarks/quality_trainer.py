"""A contender of `time_to_quality.py`: the Trainer of transformers, version 4 or 5. Each turn is an epoch.

    python quality_trainer.py ENCODER DATA ANSWERS SETTINGS SEED

It needs torch, transformers and accelerate alone. DATA is a JSON file: `labels`, the number of labels, and for each split the
rows' `ids` and `labels`. A turn returns the seconds of its steps and of the predictions, and whether it is the last. The
logits of the validation rows, float32, shape (length, labels) each, are in the file ANSWERS. A turn's word `keep` says that the
epoch before was the best so far. The word `test`, after the last epoch, asks for the test rows, with the best epoch's weights.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from turns import answer, ready

PIECES = 2048
"""Word pieces in a batch of predictions, as in tfner."""


class OwnTrainer(Trainer):
    """The Trainer, with a rate of its own for the new layer where one is given."""

    head_rate: float | None = None

    def create_optimizer(self, *arguments):
        if self.head_rate is None:
            return super().create_optimizer(*arguments)
        decayed = set(self.get_decay_parameter_names(self.model))
        kind, options = self.get_optimizer_cls_and_kwargs(self.args)
        groups = [
            {
                "params": [p for n, p in self.model.named_parameters() if (n in decayed, "classifier" in n) == (decays, new)],
                "weight_decay": self.args.weight_decay if decays else 0.0,
                "lr": self.head_rate if new else self.args.learning_rate,
            }
            for decays in (True, False)
            for new in (True, False)
        ]
        self.optimizer = kind(groups, **options)
        return self.optimizer


def main(encoder: str, data: str, answers: str, given: str, seed: str) -> None:
    settings, splits = json.loads(given), json.loads(Path(data).read_text("utf-8"))
    transformers.set_seed(int(seed))  # the new layer
    model = AutoModelForTokenClassification.from_pretrained(encoder, num_labels=splits["labels"])
    rows = [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}
        for ids, labels in zip(splits["train"]["ids"], splits["train"]["labels"], strict=True)
    ]
    epochs, best = settings["epochs"], {}

    def keep(word: str) -> None:
        if word == "keep":
            best.update({name: value.clone() for name, value in model.state_dict().items()})

    class Turns(TrainerCallback):
        result = None

        def on_epoch_begin(self, arguments, state, control, **kwargs):
            keep(answer(self.result) if self.result else ready())
            self.start = time.perf_counter()

        def on_epoch_end(self, arguments, state, control, **kwargs):
            seconds, start = time.perf_counter() - self.start, time.perf_counter()
            np.savez(answers, *predict(model, splits["validation"]["ids"]))
            model.train()
            self.result = {"seconds": seconds, "scoring": time.perf_counter() - start, "saving": 0.0}
            self.result["last"] = round(state.epoch) >= epochs

    with tempfile.TemporaryDirectory() as folder:
        options = (
            {"train_sampling_strategy": "group_by_length"} if transformers.__version__[0] != "4" else {"group_by_length": True}
        )
        arguments = TrainingArguments(
            folder,
            num_train_epochs=epochs,
            seed=int(seed),
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            per_device_train_batch_size=settings["batch_size"],
            learning_rate=settings["learning_rate"],
            weight_decay=settings.get("weight_decay", 0.01),
            warmup_steps=round(settings["warmup"] * epochs * math.ceil(len(rows) / settings["batch_size"])),
            lr_scheduler_type=settings.get("schedule", "linear"),
            bf16=settings["bf16"],
            dataloader_pin_memory=False,
            **(options if settings["by_length"] else {}),
        )
        collate, turns = DataCollatorForTokenClassification(AutoTokenizer.from_pretrained(encoder)), Turns()
        trainer = OwnTrainer(model, arguments, train_dataset=rows, data_collator=collate, callbacks=[turns])
        trainer.head_rate = settings.get("head_learning_rate")
        trainer.train()
    if answer(turns.result) != "test":  # the last epoch is not the best
        model.load_state_dict(best)
    np.savez(answers, *predict(model, splits["test"]["ids"]))
    answer({"versions": {"transformers": transformers.__version__, "torch": torch.__version__}})


@torch.no_grad()
def predict(model, rows: list[list[int]]) -> list[np.ndarray]:
    """The logits of each row. The rows are sorted by length into batches of at most `PIECES` pieces."""
    model.eval()
    found, left = [np.empty(0)] * len(rows), sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    while left:
        length = len(rows[left[0]])
        batch, left = left[: max(1, PIECES // length)], left[max(1, PIECES // length) :]
        ids = torch.tensor([rows[i] + [0] * (length - len(rows[i])) for i in batch])
        mask = torch.tensor([[1] * len(rows[i]) + [0] * (length - len(rows[i])) for i in batch])
        logits = model(input_ids=ids, attention_mask=mask).logits.float().numpy()
        for i, values in zip(batch, logits, strict=True):
            found[i] = values[: len(rows[i])]
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the sweep tries and tfner does not have: other schedules, rates by layer, layers changed or frozen, averages.

`prepare` comes before a `TrainingRun` is created and `attach` after it. Both take the tricks of a recipe as keywords.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np


class Shape:
    """A schedule of another shape: `cosine`, `constant`, or `cooldown`, which is constant until the last share of the steps."""

    def __init__(self, shape: str, epochs: int, steps: int, warmup: float, cooldown: float):
        self._epochs, self.total, self.shape, self.cooldown = epochs, epochs * steps, shape, cooldown
        self.rise = max(1, round(self.total * warmup))

    def share(self, step: int) -> float:
        rise = min(1.0, (step + 1) / self.rise)
        done = max(0.0, (step - self.rise) / max(1, self.total - self.rise))
        if self.shape == "cosine":
            return rise * (1 + math.cos(math.pi * done)) / 2
        if self.shape == "cooldown":
            return min(rise, (self.total - step) / (self.cooldown * self.total))
        return rise

    def epochs(self, values: Any) -> int:
        return self._epochs


def depth(name: str, layers: int) -> int:
    """How many layers above the embeddings a variable is: 0 for an embedding, `layers` for the last layer."""
    found = re.search(r"layer_\._(\d+)", name)
    return int(found[1]) + 1 if found else 0


def part(corpus: Any, share: float = 1.0, **_: Any) -> Any:
    """The corpus with the first `share` of its training sentences."""
    train = corpus.splits["train"]
    return replace(corpus, splits={**corpus.splits, "train": train[: round(len(train) * share)]})


def prepare(layer_decay: float = 1.0, drop: int = 0, reinit: int = 0, freeze: int = 0, **_: Any) -> None:
    """Changes how tfner builds model and optimizer.

    Args:
        layer_decay: the rate of a layer as a multiple of that of the layer above.
        drop: layers that are left out at the top, besides those of the variant.
        reinit: layers at the top that start with random weights.
        freeze: the embeddings and this many layers less one at the bottom are not trained.
    """
    from tfner.modeling import variants
    from tfner.training import optimizers, run

    load, build, step, optimizer = variants.load_encoder_config, run.build_model, run.train_step, optimizers.AdamW
    layers = 0

    def shorter(source: str) -> Any:
        config = load(source)
        config.num_hidden_layers -= drop
        return config

    def changed(*arguments: Any, **options: Any) -> Any:
        nonlocal layers
        model = build(*arguments, **options)
        encoder = model.get_layer("encoder")
        layers = len(encoder.encoder.layer)
        random = np.random.default_rng(0)
        for layer in encoder.encoder.layer[layers - reinit :] if reinit else ():
            for variable in layer.trainable_variables:
                if "kernel" in variable.name:
                    variable.assign(np.clip(random.normal(0, 0.02, variable.shape), -0.04, 0.04))
                else:
                    variable.assign(np.ones(variable.shape) if "gamma" in variable.name else np.zeros(variable.shape))
        return model

    def frozen(model: Any, *arguments: Any) -> Any:
        encoder = model.get_layer("encoder")
        for layer in [encoder.embeddings, *encoder.encoder.layer][:freeze]:
            layer.trainable = False
        return step(model, *arguments)

    class ByLayer(optimizer):
        def update_step(self, gradient: Any, variable: Any) -> None:
            scalars = self._scalars
            if self._var_key(variable) not in self._new:
                factor = layer_decay ** (layers - depth(variable.name, layers))
                self._scalars = (scalars[0] * factor, *scalars[1:])
            super().update_step(gradient, variable)
            self._scalars = scalars

    variants.load_encoder_config, run.build_model, run.train_step = shorter, changed, frozen
    if layer_decay != 1:
        optimizers.AdamW = ByLayer


def attach(training: Any, schedule: str = "", cooldown: float = 0.5, average: float = 0.0, **_: Any) -> None:
    """Changes how a training that is prepared goes on.

    Args:
        schedule: a `Shape` in place of warmup and linear decay.
        cooldown: the share of the steps in which the rate falls, with shape `cooldown`.
        average: the share of the last steps whose weights are averaged, every tenth of them, for the last scores.
    """
    config = training.config
    if schedule:
        training.schedule = Shape(schedule, config.epochs, training.steps, config.warmup, cooldown)
    if not average:
        return
    step, end, total = training._step, training._end_epoch, config.epochs * training.steps
    first, count, sums = round(total * (1 - average)), 0, []

    def averaged(*arguments: Any) -> Any:
        nonlocal count, sums
        result = step(*arguments)
        done = training.progress.epoch * training.steps + training.progress.step + 1
        if done >= first and (total - done) % 10 == 0:
            weights = training.model.get_weights()
            sums = [s + w for s, w in zip(sums, weights, strict=True)] if count else weights
            count += 1
        return result

    def end_epoch() -> None:
        if training.progress.epoch == config.epochs - 1:
            training.model.set_weights([s / count for s in sums])
        end()

    training._step, training._end_epoch = averaged, end_epoch

"""The study's choices in training models 2 and 3, each of which can be repaired, and the trials that tell them apart.

The study's notebook: https://github.com/mahmed31098/Tatia, `tatia-project.ipynb`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfner.corpus import Sentence

LENGTH = 100
"""The pieces that the study pads and cuts its sentences to."""
FAILING, WORKING, DECISIVE = "failing", "working", "decisive"
"""Parts of the trials: choices repaired in the study's run, choices added to a run that works, and runs on all sentences."""


@dataclass(frozen=True)
class Choices:
    """How a model is trained. The defaults are the study's choices.

    Attributes:
        units: the dense ReLU layers before the softmax: (20, 8) in model 2, none in model 3.
        padding: the labels of padding. `zeros`: rows of zeros instead of one-hot rows, as in the study; `class 0`; `masked`:
            padding has no part in the loss, which is the mean over the other pieces.
        rate: of Adam, for the whole model, as a multiple of tfner's default for the encoder (see `default_rates`). The study's
            1e-3 is 20 times that of bert-base. None for tfner's optimizer and rates, with a higher one for new layers.
        warmup: whether the rate rises in a tenth of the steps and falls to 0 afterwards.
        words: `unknown`: a word that is not in the vocabulary is one [UNK]; `pieces`: it is split.
        alignment: `shifted`: the study's own function, which takes the next word's label for every piece that does not begin
            with ##; `right`. They differ only where words are split.
        length: `fixed`: rows of 100 pieces; `longest`: as long as the longest sentence of a batch.
        batch_size: sentences in a step.
    """

    units: tuple[int, ...] = (20, 8)
    padding: str = "zeros"
    rate: float | None = 20
    warmup: bool = False
    words: str = "unknown"
    alignment: str = "shifted"
    length: str = "fixed"
    batch_size: int = 128


STUDY = Choices()
REPAIRED = Choices((20, 8), "masked", None, True, "pieces", "right", "longest", 16)
"""Model 2, trained as tfner does."""


@dataclass(frozen=True)
class Trial:
    """A training of the experiment, with one seed or several.

    Attributes:
        part: FAILING, WORKING or DECISIVE.
        name: what is changed in the run that the part starts from.
        choices: how it is trained.
    """

    part: str
    name: str
    choices: Choices


_REPAIRS: dict[str, dict[str, Any]] = {
    "model 2 of the study": {},
    "padding masked": {"padding": "masked"},
    "padding labelled class 0": {"padding": "class 0"},
    "warmup and decay": {"warmup": True},
    "a quarter of the rate": {"rate": 5},
    "a twentieth of the rate": {"rate": 1},
    "tfner's optimizer and rates": {"rate": None, "warmup": True},
    "words split, labels aligned": {"words": "pieces", "alignment": "right"},
    "rows as long as the longest": {"length": "longest"},
    "batches of 16": {"batch_size": 16},
    "no ReLU layers (model 3)": {"units": ()},
    "a twentieth of the rate, padding masked": {"rate": 1, "padding": "masked"},
    "a twentieth of the rate, padding labelled class 0": {"rate": 1, "padding": "class 0"},
}
_ADDITIONS: dict[str, dict[str, Any]] = {
    "model 2, trained as tfner does": {},
    "padding with rows of zeros": {"padding": "zeros"},
    "padding labelled class 0": {"padding": "class 0"},
    "rows of 100 pieces": {"length": "fixed"},
    "rows of 100 pieces, padding with rows of zeros": {"length": "fixed", "padding": "zeros"},
    "Adam at 20 times the rate, warmup and decay kept": {"rate": 20},
    "no warmup and decay": {"warmup": False},
    "Adam at 20 times the rate, no warmup and decay": {"rate": 20, "warmup": False},
    "a word outside the vocabulary is one [UNK]": {"words": "unknown"},
    "labels shifted": {"alignment": "shifted"},
    "batches of 128": {"batch_size": 128},
    "no ReLU layers (model 3)": {"units": ()},
}
_DECISIVE: dict[str, dict[str, Any]] = {
    "model 2 of the study": {},
    "model 3 of the study": {"units": ()},
    "model 2, a twentieth of the rate, padding masked": {"rate": 1, "padding": "masked"},
    "model 3, a twentieth of the rate, padding masked": {"units": (), "rate": 1, "padding": "masked"},
}
_PARTS = {FAILING: (STUDY, _REPAIRS), WORKING: (REPAIRED, _ADDITIONS), DECISIVE: (STUDY, _DECISIVE)}
TRIALS = tuple(
    Trial(part, name, replace(base, **changes)) for part, (base, named) in _PARTS.items() for name, changes in named.items()
)
"""All trials of the experiment. The first of each part is what its others are compared with."""


def beginning(sentences: Sequence[Sentence], share: float) -> Sequence[Sentence]:
    """The first sentences of a split, at least this share of it: what trials on less than all sentences use."""
    return sentences[: math.ceil(share * len(sentences))]

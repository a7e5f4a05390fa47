"""Finds the calibration of a trained model on validation sentences.

Takes the model's tagger and sentences with their tags; returns a `Calibration`. What it means is defined in
`modeling.calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from scipy.stats import beta

from tfner.config import AUTO, Config
from tfner.corpus import Sentence
from tfner.evaluation.reliability import reliability, scored_entities, scored_words
from tfner.modeling.batches import apply_to_rows
from tfner.modeling.calibration import Calibration
from tfner.modeling.rows import SPECIAL
from tfner.tagging.in_memory import InMemoryTagger

TRIES = 20
"""Thresholds that are tried for each type: those that accept 5 %, 10 % ... of its entities."""
LEVEL = 0.05
"""The probability that the precision of a type is below what is asked for, at the threshold that is chosen for it."""
_LEAST, _MOST = 0.25, 10.0
"""Temperatures that are tried. Lower ones would make float32 round probabilities to 0, higher ones only blur all scores."""


def calibrate(
    tagger: InMemoryTagger, config: Config, sentences: Sequence[Sentence], say: Callable[[str], None] = print
) -> Calibration:
    """Finds temperature and thresholds.

    Args:
        tagger: the model. Its own calibration is not used.
        config: `temperature`, a number or `auto`, and `min_precision`, or None for no thresholds.
        sentences: validation sentences with their tags.
        say: called with each line for the terminal.
    """
    temperature = fit_temperature(tagger, sentences) if config.temperature == AUTO else float(config.temperature)
    found = Calibration(temperature)
    if config.temperature == AUTO and not _LEAST * 1.01 < temperature < _MOST * 0.99:
        say(
            f"WARNING: the temperature that fits is beyond {_LEAST:g} to {_MOST:g}: either validation has no mistakes, or the "
            "model is right no more often than by chance; look at its scores before you use them"
        )
    if config.temperature == AUTO:
        errors = [f"{_error(tagger, sentences, one):.4f}" for one in (Calibration(), found)]
        say(f"temperature {temperature:.3f}: the calibration error of words is {errors[1]} on validation, before {errors[0]}")
    if config.min_precision is None:
        return found
    tagger.calibration = found
    tagged = tagger.predict(sentences)
    gold, tags, scores = [s.tags for s in sentences], [t.tags for t in tagged], [t.probabilities for t in tagged]
    kinds, values, right = scored_entities(gold, tags, scores, tagger.labels.plain)
    own = {kind: np.array([k == kind for k in kinds], bool) for kind in tagger.labels.types}
    thresholds = {kind: lowest_threshold(values[where], right[where], config.min_precision) for kind, where in own.items()}
    for kind, where in own.items():
        say(_line(kind, thresholds[kind], values[where], right[where]))
    return replace(found, thresholds=thresholds, min_precision=config.min_precision)


def fit_temperature(tagger: InMemoryTagger, sentences: Sequence[Sentence]) -> float:
    """The temperature with the least mean crossentropy of words."""
    encoder = tagger.row_encoder
    encoded = encoder.encode(sentences)
    logits = apply_to_rows(tagger.logits, encoded.rows, encoder.pad_id)
    values, gold = [], []
    for row, own in zip(encoded.rows, logits, strict=True):
        spoken = row.speaks & (row.words != SPECIAL)
        values.append(own[spoken].astype(np.float64))
        places = zip(row.sentences[spoken].tolist(), row.words[spoken].tolist(), strict=True)
        gold += [encoder.labels.ids.get(sentences[i].tags[k], -1) for i, k in places]
    known = np.array(gold) >= 0  # the model does not know every label of validation
    if not known.any():
        return 1.0
    words, ids = np.concatenate(values)[known], np.array(gold)[known]

    def loss(log: float) -> float:
        scaled = words / math.exp(log)
        return float(np.mean(logsumexp(scaled, -1) - scaled[np.arange(len(ids)), ids]))

    found = minimize_scalar(loss, bounds=(math.log(_LEAST), math.log(_MOST)), method="bounded", options={"xatol": 1e-6})
    return float(f"{math.exp(found.x):.4g}")


def lowest_threshold(scores: np.ndarray, right: np.ndarray, precision: float) -> float | None:
    """The lowest score from which predictions reach a precision, with probability 1 - `LEVEL`; None where there is none.

    `TRIES` thresholds are tried. Each needs a lower bound of its precision (Clopper and Pearson 1934) of at least `precision`
    at the level `LEVEL / TRIES`, so that all bounds hold together (Bonferroni).

    Args:
        scores: of predictions, shape (predictions,).
        right: whether each is right, shape (predictions,).
        precision: the share of accepted predictions that is to be right.
    """
    if not len(scores):
        return None
    for lowest in np.unique(np.quantile(scores, np.arange(TRIES) / TRIES, method="lower")):
        accepted = scores >= lowest
        number, hits = int(accepted.sum()), int(right[accepted].sum())
        if hits and beta.ppf(LEVEL / TRIES, hits, number - hits + 1) >= precision:
            # towards the next lower score, as scores differ a little between runtimes
            return float(lowest - min(0.01, lowest - max(scores[~accepted], default=0.0)) / 2)
    return None


def _error(tagger: InMemoryTagger, sentences: Sequence[Sentence], calibration: Calibration) -> float:
    """The expected calibration error of words."""
    tagger.calibration = calibration
    tagged = tagger.predict(sentences)
    gold = [s.tags for s in sentences]
    return reliability(*scored_words(gold, [t.tags for t in tagged], [t.probabilities for t in tagged])).error


def _line(kind: str, threshold: float | None, scores: np.ndarray, right: np.ndarray) -> str:
    if threshold is None:
        return f"{kind}: no score is high enough, so none of its entities is accepted"
    accepted = scores >= threshold
    return (
        f"{kind}: accepted from a score of {threshold:.4f}, which are {accepted.mean():.1%} of {len(scores):,} on validation, "
        f"with precision {right[accepted].mean():.4f}"
    )

"""Finds the calibration of a trained model on validation sentences.

Takes the model's tagger and sentences with their tags; returns a `Calibration`. What it means is defined in
`modeling.calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from scipy.stats import beta

from tfner.config import AUTO, Config
from tfner.corpus import Sentence
from tfner.evaluation.reliability import reliability, scored_entities, scored_words
from tfner.modeling.batches import apply_to_rows
from tfner.modeling.calibration import Calibration
from tfner.modeling.decoding import decode, softmax
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
    if config.temperature != AUTO and config.min_precision is None:
        return Calibration(float(config.temperature))
    encoder = tagger.row_encoder
    encoded = encoder.encode(sentences)
    logits = apply_to_rows(lambda ids, mask: tagger.logits(ids, mask)[..., encoder.columns], encoded.rows, encoder.pad_id)
    gold = [s.tags for s in sentences]

    def scored(temperature: float) -> tuple[list[list[str]], list[np.ndarray]]:
        """The tags of each sentence, and their probabilities."""
        tagged = decode(encoder, encoded, [softmax(values / temperature) for values in logits], tagger.decode)
        return [t.tags for t in tagged], [t.probabilities for t in tagged]

    if config.temperature == AUTO:
        words = np.concatenate(encoder.to_words(encoded, logits, np.full(len(encoder.labels), np.nan, np.float32)))
        ids = np.array([encoder.labels.ids.get(tag, -1) for tags in gold for tag in tags])
        known = (ids >= 0) & ~np.isnan(words[:, 0])  # a label of validation alone, and a word without pieces, are not
        temperature = fit_temperature(words[known], ids[known])
        if not _LEAST * 1.01 < temperature < _MOST * 0.99:
            say(
                f"WARNING: the temperature that fits is beyond {_LEAST:g} to {_MOST:g}: either validation has no mistakes, or "
                "the model is right no more often than by chance; look at its scores before you use them"
            )
        before, after = (reliability(*scored_words(gold, *scored(value))).error for value in (1.0, temperature))
        say(f"temperature {temperature:.3f}: the calibration error of words is {after:.4f} on validation, before {before:.4f}")
    else:
        temperature = float(config.temperature)
    if config.min_precision is None:
        return Calibration(temperature)
    kinds, values, right = scored_entities(gold, *scored(temperature), tagger.labels.plain)
    own = {kind: np.array([k == kind for k in kinds], bool) for kind in tagger.labels.types}
    thresholds = {kind: lowest_threshold(values[where], right[where], config.min_precision) for kind, where in own.items()}
    for kind, where in own.items():
        say(_line(kind, thresholds[kind], values[where], right[where]))
    return Calibration(temperature, thresholds, config.min_precision)


def fit_temperature(logits: np.ndarray, ids: np.ndarray) -> float:
    """The temperature with the least mean crossentropy; 1 without words.

    Args:
        logits: of each word, shape (words, labels).
        ids: the id of its label, shape (words,).
    """
    if not len(ids):
        return 1.0
    words = logits.astype(np.float64)

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


def _line(kind: str, threshold: float | None, scores: np.ndarray, right: np.ndarray) -> str:
    if threshold is None:
        return f"{kind}: no score is high enough, so none of its entities is accepted"
    accepted = scores >= threshold
    return (
        f"{kind}: accepted from a score of {threshold:.4f}, which are {accepted.mean():.1%} of {len(scores):,} on validation, "
        f"with precision {right[accepted].mean():.4f}"
    )

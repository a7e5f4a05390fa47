"""Scores a trained model on the validation and test splits, and saves what it finds in the state of its training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfner.corpus import Corpus
from tfner.evaluation.scores import INTERVAL_SAMPLES, Scores, format_scores, score, write_scores
from tfner.folder import MEASURES, PREDICTIONS, SCORES, write_json
from tfner.tagging.in_memory import InMemoryTagger


def score_splits(
    tagger: InMemoryTagger, corpus: Corpus, state: Path, measures: Mapping[str, Any], say: Callable[[str], None]
) -> dict[str, Scores]:
    """Scores each split, and writes the scores, the predicted tags and the measures to the state.

    Args:
        tagger: the model.
        corpus: its corpus; a test split need not be there.
        state: the folder of the training's state.
        measures: facts about the training, to which the speed of tagging is added.
        say: called with each line for the terminal.
    """
    scores: dict[str, Scores] = {}
    predictions: dict[str, list[list[str]]] = {}
    words_per_second = 0.0  # in the last split, before which the model has run
    for split in ("validation", "test"):
        if split not in corpus.splits:
            continue
        sentences = corpus.splits[split]
        start = time.perf_counter()
        predicted = [tagged.tags for tagged in tagger.predict(sentences)]
        words_per_second = sum(map(len, predicted)) / (time.perf_counter() - start)
        predictions[split] = predicted
        scores[split] = score([s.tags for s in sentences], predicted, corpus.labels, INTERVAL_SAMPLES)
        say(f"\n{split} split\n{format_scores(scores[split])}")
    write_scores(state / SCORES, scores)
    (state / PREDICTIONS).write_text(json.dumps(predictions, ensure_ascii=False), "utf-8")
    write_json(state / MEASURES, {**measures, "tagged_words_per_second": words_per_second})
    for line in tagger.warnings():
        say(f"validation and test: {line}")
    return scores

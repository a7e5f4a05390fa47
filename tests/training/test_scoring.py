"""The final scores of a trained model, and what is saved of them."""

import json
import shutil
from dataclasses import replace

import pytest

from tfner.data.load import load_corpus
from tfner.evaluation.scores import read_scores, score
from tfner.folder import MEASURES, PREDICTIONS, SCORES, TRAINING
from tfner.modeling.variants import logits_function
from tfner.tagging.in_memory import InMemoryTagger
from tfner.training.scoring import score_splits
from tfner.training.state import load_state


@pytest.mark.parametrize("splits", [("validation", "test"), ("validation",)])
def test_the_splits_are_scored_and_saved_with_their_tags_and_the_speed(model, corpus, tmp_path, splits):
    state = shutil.copytree(model / TRAINING / "1", tmp_path / "state")
    trained = load_state(state)
    whole = load_corpus(str(corpus))
    some = replace(whole, splits={name: whole.splits[name] for name in ("train", *splits)})
    tagger, lines = InMemoryTagger(logits_function(trained.model), trained.heads, trained.config), []
    scores = score_splits(tagger, some, state, {"devices": "CPU"}, lines.append)
    predictions = json.loads((state / PREDICTIONS).read_text("utf-8"))
    assert list(scores) == list(predictions) == list(read_scores(state / SCORES)) == list(splits)
    for split, tags in predictions.items():
        sentences = whole.splits[split]
        assert tags == [tagged.tags for tagged in tagger.predict(sentences)]
        assert scores[split].overall == score([s.tags for s in sentences], tags, whole.labels).overall
    measures = json.loads((state / MEASURES).read_text("utf-8"))
    assert measures.pop("tagged_words_per_second") > 0
    assert measures == {"devices": "CPU"}
    assert [line.split()[0] for line in lines] == list(splits)

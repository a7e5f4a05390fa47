"""The tagger of a model in memory: it finds what the exported model finds."""

from dataclasses import replace

import numpy as np
import pytest
from support import tiny
from support.errors import refused

from tfner.folder import TRAINING
from tfner.modeling.variants import logits_function
from tfner.tagging.in_memory import InMemoryTagger
from tfner.training.state import load_state

TEXTS = ["Peter Blackburn said in Nice", "", "EU rejects German call . " * 9, "😀 Nice, é Unice"]


@pytest.fixture(scope="module")
def state(exported):
    return load_state(next((exported.parent / TRAINING).iterdir()))


@pytest.fixture
def tagger(state):
    return InMemoryTagger(logits_function(state.model), state.heads, state.config)


def test_a_model_in_memory_and_its_export_find_the_same_entities(tagger, local):
    ids, mask = tiny.random_inputs([9, 4], len(tiny.PIECES))
    difference = tagger.probabilities(ids, mask) - local.probabilities(ids, mask)
    assert np.abs(difference[mask == 1]).max() < 1e-5
    for one, other in zip(tagger.tag_many(TEXTS), local.tag_many(TEXTS), strict=True):
        assert [replace(e, score=0) for e in one] == [replace(e, score=0) for e in other]
        assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-5)


def test_labels_and_settings_are_those_given(tagger, state):
    assert tagger.labels is state.row_encoder.labels
    assert tagger.config is state.config


def test_a_closed_tagger_raises(tagger):
    tagger.close()
    with refused("tagger_in_memory_closed", path="the trained finetune"):
        tagger.tag("EU")

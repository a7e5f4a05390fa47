import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter

import pytest
from support.errors import refused

from tfner.config import TASKS
from tfner.corpus import SPLITS
from tfner.demo import corpus as module
from tfner.demo import grammar
from tfner.demo.corpus import SIZES, demo_corpus
from tfner.labels import CONLL_LABELS, CONLL_TYPES, scheme, spans


def entities(sentence):
    return [(span.type, sentence.words[span.start : span.end]) for span in spans(sentence.tags)]


@pytest.fixture(scope="module")
def elsewhere():
    """The corpus's digest and the heavy libraries imported for it, in a process with another hash seed."""
    program = (
        "import hashlib, json, sys; from tfner.demo.corpus import demo_corpus\n"
        "digest = hashlib.sha256(repr(demo_corpus()).encode()).hexdigest()\n"
        "print(json.dumps([digest, sorted({'tensorflow', 'transformers'} & set(sys.modules))]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_a_process_with_another_hash_seed_generates_the_same_corpus(elsewhere, ner):
    assert elsewhere[0] == hashlib.sha256(repr(ner).encode()).hexdigest()


def test_generating_needs_no_tensorflow(elsewhere):
    assert elsewhere[1] == []


def test_another_seed_generates_another_corpus_and_keeps_the_random_state(ner, monkeypatch):
    monkeypatch.setattr(module, "SIZES", {"train": 60, "validation": 5, "test": 5})
    random.seed(7)
    before = random.getstate()
    other, same = demo_corpus.__wrapped__(seed=1), demo_corpus.__wrapped__(seed=0)
    assert random.getstate() == before
    assert other.splits["train"][:50] != ner.splits["train"][:50]
    assert same.splits["train"][:60] == ner.splits["train"][:60]


def test_every_split_has_its_size_and_every_type(ner):
    assert ner.name == "demo"
    assert ner.labels == CONLL_LABELS
    for split in SPLITS:
        sentences = ner.splits[split]
        assert SIZES[split] <= len(sentences) < SIZES[split] + 15
        counts = Counter(kind for sentence in sentences for kind, _ in entities(sentence))
        assert set(counts) == set(CONLL_TYPES)
        assert min(counts.values()) > 100


def test_tasks_tag_the_same_words_with_valid_tags(corpora):
    for split in SPLITS:
        words = [[(s.words, s.document) for s in corpora[task].splits[split]] for task in TASKS]
        assert words[0] == words[1] == words[2]
        for task in TASKS:
            for sentence in corpora[task].splits[split]:
                assert len(sentence.words) == len(sentence.tags) > 0
                assert set(sentence.tags) <= set(corpora[task].labels.names)
        for task in ("ner", "chunk"):
            assert scheme(s.tags for s in corpora[task].splits[split]) == "IOB2"


def test_documents_are_numbered_from_0_without_gaps(ner):
    for split in SPLITS:
        numbers = [sentence.document for sentence in ner.splits[split]]
        assert numbers == sorted(numbers)
        assert set(numbers) == set(range(numbers[-1] + 1))
        assert min(Counter(numbers).values()) >= 4


def test_names_are_ambiguous(ner):
    types = {}
    for sentence in ner.splits["train"]:
        for kind, words in entities(sentence):
            types.setdefault(words, set()).add(kind)
    several = [words for words, kinds in types.items() if len(kinds) > 1]
    assert len(several) > 50
    assert any(types[(name,)] >= {"LOC", "ORG", "PER"} for name in grammar.SHARED if (name,) in types)


def test_an_unknown_task_is_refused():
    with refused("demo_unknown_task", setting="task"):
        demo_corpus("srl")

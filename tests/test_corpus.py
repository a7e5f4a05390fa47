from dataclasses import replace
from itertools import pairwise

import pytest
from support.errors import refused

from tfner.corpus import Corpus, Sentence, with_labels, with_train_share
from tfner.demo.corpus import demo_corpus
from tfner.labels import LabelSet


def corpus(task="ner", **splits):
    sentences = {
        split: tuple(Sentence(tuple("abc"[: len(tags)]), tuple(tags), document) for document, tags in enumerate(rows))
        for split, rows in splits.items()
    }
    return Corpus("c", task, sentences, LabelSet(("O",)))


def test_counts_are_by_split_and_type_in_the_order_of_the_labels():
    counts = with_labels(corpus(train=[["B-LOC", "I-LOC", "B-PER"], ["O", "B-LOC"]])).counts()["train"]
    assert counts == {"sentences": 2, "documents": 2, "words": 5, "entities": {"PER": 1, "LOC": 2}}
    assert list(counts["entities"]) == ["PER", "LOC"]


def test_a_smaller_share_of_the_training_sentences_is_part_of_a_larger_one():
    corpus = demo_corpus()
    drawn = [with_train_share(corpus, share) for share in (0.01, 0.25, 0.5, 1.0)]
    sizes = [len(one.splits["train"]) for one in drawn]
    assert sizes == [round(share * sizes[-1]) for share in (0.01, 0.25, 0.5, 1.0)]
    for one, other in pairwise(drawn):
        places = [corpus.splits["train"].index(sentence) for sentence in one.splits["train"]]
        assert places == sorted(places)
        assert set(one.splits["train"]) <= set(other.splits["train"])
        assert one.labels == corpus.labels and one.splits["test"] == corpus.splits["test"]
    assert len(with_train_share(corpus, 1e-9).splits["train"]) == 1
    without = replace(corpus, splits={"test": corpus.splits["test"]})
    assert with_train_share(without, 0.1) == without
    assert drawn[0].notes[-1] == f"train: {sizes[0]:,} of {sizes[-1]:,} sentences are used"


def test_labels_are_those_of_train_or_else_of_all_splits():
    assert with_labels(corpus(train=[["B-PER"]], test=[["O"]])).labels.types == ("PER",)
    assert with_labels(corpus(validation=[["B-PER"]], test=[["B-LOC"]])).labels.types == ("PER", "LOC")


@pytest.mark.parametrize(("number", "rows"), [("once", [["O"], ["B-X"]]), ("twice", [["B-X"], ["B-X"]])])
def test_a_label_that_train_does_not_have_is_refused(number, rows):
    with refused(f"label_unseen_in_train_{number}", setting="unseen_labels", path="c"):
        with_labels(corpus(train=[["B-PER"]], validation=rows))


def test_a_label_that_train_does_not_have_is_kept_on_request_with_a_note():
    kept = with_labels(corpus("pos", train=[["NN"]], validation=[["VB"]]), unseen_labels="keep")
    assert kept.labels.names == ("NN", "VB")
    assert kept.notes == ("label VB occurs once in validation (first in sentence 1) but not in train; it can only be missed",)

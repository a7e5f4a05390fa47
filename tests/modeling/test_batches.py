import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import tiny
from support.encoding import ROWS

from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.labels import CONLL_LABELS, IGNORED_LABEL
from tfner.modeling.batches import (
    MAX_PIECES_RATIO,
    apply_to_rows,
    pad,
    plan_inference,
    plan_training,
)
from tfner.modeling.rows import RowEncoder


def padding(lengths, plan) -> int:
    """The number of padded positions in all batches."""
    lengths = np.asarray(lengths)
    return int(sum(lengths[b].max() * len(b) - lengths[b].sum() for b in plan))


lists_of_lengths = st.lists(st.integers(1, 60), max_size=400)


def assert_each_once(plan, number):
    assert sorted(np.concatenate([[], *plan]).astype(int).tolist()) == list(range(number))
    assert all(len(batch) for batch in plan)


@settings(max_examples=100, deadline=None)
@given(lists_of_lengths, st.integers(1, 9), st.integers(0, 2**31))
def test_a_training_pass_has_every_row_once_in_the_expected_number_of_batches(lengths, batch_size, seed):
    plan = plan_training(lengths, batch_size, seed)
    assert_each_once(plan, len(lengths))
    assert len(plan) == -(-len(lengths) // batch_size)


def test_batches_of_rows_of_similar_length_have_the_size_that_is_set():
    lengths = np.random.default_rng(0).integers(20, 50, 803)
    assert sorted(map(len, plan_training(lengths, 8, seed=0))) == [3] + [8] * 100


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 9), st.integers(1, 500)), min_size=1, max_size=400), st.integers(8, 40))
@example([1] * 24 + [8, 97], 13)
def test_only_the_batch_of_the_shortest_rows_may_be_much_larger_than_the_mean(lengths, batch_size):
    lengths = np.asarray(lengths)  # they fit into one pool
    plan = plan_training(lengths, batch_size, seed=0)
    most = MAX_PIECES_RATIO * lengths.sum() / len(plan)
    larger = [b for b in plan if len(b) > 1 and len(b) * lengths[b].max() > most]
    assert len(larger) <= 1 and all(lengths[b].max() <= np.delete(lengths, b).min(initial=500) for b in larger)


def test_only_the_longest_rows_of_a_real_corpus_are_in_smaller_batches(assets):
    sentences = load_corpus(assets / "data/conll2003/train.txt").splits["train"]
    lengths = np.array([len(s.words) for s in sentences])
    plan = plan_training(lengths, 32, seed=0)
    sizes = sorted(map(len, plan))
    assert sizes[-1] <= 33 and sum(size < 31 for size in sizes) < len(plan) / 20
    assert max(len(b) * lengths[b].max() for b in plan) < 32 * lengths.max() / 2


@settings(max_examples=100, deadline=None)
@given(lists_of_lengths, st.integers(1, 300))
def test_inference_batches_have_every_row_once_longest_first_within_the_limit(lengths, pieces):
    plan = plan_inference(lengths, pieces)
    assert_each_once(plan, len(lengths))
    sorted_ = [lengths[i] for batch in plan for i in batch]
    assert sorted_ == sorted(lengths, reverse=True)
    assert all(len(batch) == 1 or len(batch) * lengths[batch[0]] <= pieces for batch in plan)
    left = len(lengths)
    for number, batch in enumerate(plan):
        whole = max(1, pieces // lengths[batch[0]])  # a full batch has no room for one more row
        rest = left if number == 0 else max(2**n for n in range(10) if 2**n <= left)
        assert len(batch) == (whole if left >= whole else rest)
        left -= len(batch)


def test_more_text_has_no_new_shapes_after_a_while(assets):
    sentences = load_corpus(assets / "data/conll2003/train.txt").splits["train"]
    lengths = np.tile([len(s.words) for s in sentences], 20)
    shapes = [
        {(len(batch), part[batch[0]]) for batch in plan_inference(part)}
        for part in np.array_split(lengths, len(lengths) // 4096)
    ]
    early, late = (set().union(*some) for some in (shapes[:40], shapes[40:]))
    assert len(shapes) > 60 and late <= early


def as_lists(plan):
    return [b.tolist() for b in plan]


def test_batches_are_the_same_for_the_same_seed_and_differ_for_another():
    lengths = np.random.default_rng(0).integers(3, 80, 500)
    assert as_lists(plan_training(lengths, 8, seed=5)) == as_lists(plan_training(lengths, 8, seed=5))
    assert as_lists(plan_training(lengths, 8, seed=5)) != as_lists(plan_training(lengths, 8, seed=6))


def test_another_seed_groups_rows_differently():
    lengths = np.random.default_rng(0).integers(3, 80, 5000)
    one, two = ({frozenset(b.tolist()) for b in plan_training(lengths, 8, seed=seed)} for seed in (5, 6))
    assert len(one & two) < len(one) / 20


def test_batches_of_different_lengths_are_mixed():
    lengths = np.random.default_rng(0).integers(3, 80, 5000)
    longest = [lengths[b].max() for b in plan_training(lengths, 8, seed=1)]
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.2


def test_sorting_saves_most_of_the_padding_of_real_sentences(assets):
    sentences = load_corpus(assets / "data/conll2003/valid.txt").splits["validation"]
    lengths = [len(s.words) for s in sentences]
    order = np.random.default_rng(0).permutation(len(lengths))
    unsorted = padding(lengths, [order[i : i + 32] for i in range(0, len(order), 32)])
    pooled, sorted_ = padding(lengths, plan_training(lengths, 32, seed=0)), padding(lengths, plan_inference(lengths, 500))
    assert unsorted > sum(lengths)  # more padding than words
    assert pooled < unsorted / 10
    assert sorted_ < pooled


def test_ids_mask_and_labels_are_padded_with_different_values():
    inputs, labels = pad([ROWS[1], ROWS[0]], pad_id=77)
    assert inputs["input_ids"].tolist() == [[2000, 2001, 2002, 77, 77], [1000, 1001, 1002, 1003, 1004]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert labels.tolist() == [[0, 1, 2, IGNORED_LABEL, IGNORED_LABEL], [0, 1, 2, 3, 4]]
    assert {inputs["input_ids"].dtype, inputs["attention_mask"].dtype, labels.dtype} == {np.dtype(np.int32)}


@pytest.mark.parametrize("pieces", [1, 12, 30, 40, 1000])
def test_values_are_returned_in_the_order_of_the_rows(pieces):
    shapes = []

    def ids_and_mask(input_ids, attention_mask):
        shapes.append(input_ids.shape)
        return np.stack([input_ids, attention_mask], -1)

    values = apply_to_rows(ids_and_mask, ROWS, pad_id=0, pieces=pieces)
    assert [v[:, 0].tolist() for v in values] == [r.ids.tolist() for r in ROWS]
    assert all((v[:, 1] == 1).all() for v in values)
    assert sum(n for n, _ in shapes) == len(ROWS)
    assert shapes[0] == (min(max(1, pieces // 12), 11), 12)


def test_no_rows_give_no_values():
    assert apply_to_rows(lambda ids, mask: ids, [], 0) == []


def test_progress_wraps_the_iteration_over_batches():
    seen = []

    def progress(plan):
        for batch in plan:
            seen.append(len(batch))
            yield batch

    apply_to_rows(lambda ids, mask: ids, ROWS, 0, progress)
    assert seen == [len(ROWS)]


def test_workers_compute_batches_beside_each_other_and_keep_the_order():
    both = threading.Barrier(2, timeout=10)  # breaks unless two threads wait at the same time

    def ids(input_ids, attention_mask):
        both.wait()
        return input_ids

    rows = ROWS + ROWS[:2]
    assert len(plan_inference([len(row) for row in rows], 12)) % 2 == 0
    values = apply_to_rows(ids, rows, 0, workers=2, pieces=12)
    assert [v.tolist() for v in values] == [r.ids.tolist() for r in rows]


def test_encoded_rows_are_passed_on_unchanged(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    sentences = [Sentence(tuple(tiny.WORDS[:n]), ("O",) * n) for n in (3, 9, 1)]
    encoded = encoder.encode(sentences)
    values = apply_to_rows(lambda ids, mask: ids, encoded.rows, encoder.pad_id)
    assert [v.tolist() for v in values] == [r.ids.tolist() for r in encoded.rows]

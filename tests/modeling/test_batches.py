import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import tiny

from tfner.corpus import Sentence
from tfner.data.load import load_corpus
from tfner.labels import CONLL_LABELS, IGNORED_LABEL
from tfner.modeling import batches
from tfner.modeling.batches import (
    MAX_PIECES_RATIO,
    Share,
    apply_to_rows,
    pad,
    pass_seed,
    plan_inference,
    plan_training,
    training_batches,
)
from tfner.modeling.rows import Row, RowEncoder


def row(length: int, number: int) -> Row:
    """A row whose ids encode its number and the position, so that a swap is noticed."""
    ids = np.arange(length, dtype=np.int32) + 1000 * (number + 1)
    labels = np.arange(length, dtype=np.int32) % 7
    return Row(ids, labels, np.zeros(length, np.int32), np.arange(length, dtype=np.int32), np.ones(length, bool))


LENGTHS = [5, 3, 9, 3, 12, 1, 7, 7, 2, 4, 6]
ROWS = [row(length, i) for i, length in enumerate(LENGTHS)]


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
def test_values_are_returned_in_the_order_of_the_rows(monkeypatch, pieces):
    shapes = []

    def ids_and_mask(input_ids, attention_mask):
        shapes.append(input_ids.shape)
        return tf.stack([input_ids, attention_mask], -1)

    monkeypatch.setattr(batches, "plan_inference", lambda lengths: plan_inference(lengths, pieces))
    values = apply_to_rows(ids_and_mask, ROWS, pad_id=0)
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


def elements(number, seed=2, batch_size=4, **options):
    return list(training_batches(ROWS, batch_size, 77, seed, **options).take(number).as_numpy_iterator())


def first_ids(*arguments, **options):
    """The first ids of the rows of each element, which name its rows."""
    return [[int(i) for ids, *_ in e["parts"] for i in ids[:, 0]] for e in elements(*arguments, **options)]


def test_training_batches_are_endless_and_every_pass_has_each_row_once_in_another_order():
    passes = first_ids(9)
    expected = sorted(r.ids[0] for r in ROWS)
    orders = []
    for start in (0, 3, 6):
        part = passes[start : start + 3]
        assert sorted(map(len, part)) == [3, 4, 4]
        assert sorted(i for batch in part for i in batch) == expected
        orders.append(part)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_training_batches_are_the_same_for_the_same_seed_and_differ_for_another():
    again = [first_ids(6, seed) for seed in (2, 2, 3)]
    assert again[0] == again[1] != again[2]


def test_a_training_batch_has_padded_rows_the_number_of_labelled_pieces_and_a_seed_of_its_own():
    plan = plan_training(LENGTHS, 4, pass_seed(2, 0))
    found = elements(6)
    for batch, element in zip(plan, found, strict=False):
        [(ids, mask, labels, first)] = element["parts"]
        inputs, expected = pad([ROWS[i] for i in batch], 77)
        np.testing.assert_array_equal(ids, inputs["input_ids"])
        np.testing.assert_array_equal(mask, inputs["attention_mask"])
        np.testing.assert_array_equal(labels, expected)
        assert first == 0 and element["number"] == sum(len(ROWS[i]) for i in batch)
    seeds = [int(e["seed"]) for e in found]
    assert len(set(seeds)) == 6 and {e["seed"].dtype for e in found} == {np.dtype(np.uint64)}
    assert seeds == [int(e["seed"]) for e in elements(6)]
    assert not set(seeds) & {int(e["seed"]) for e in elements(6, seed=3)}


def assert_equal_elements(one, other):
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("first", [(0, 0), (0, 2), (1, 0), (1, 2), (2, 1)])
def test_training_batches_can_begin_at_any_step_of_any_epoch(first):
    before = first[0] * 3 + first[1]
    assert_equal_elements(elements(5, first=first), elements(before + 5)[before:])


@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_parts_and_replicas_have_the_rows_of_the_whole_batch_padded_to_its_length(replicas, parts):
    steps = 4
    found = elements(steps * replicas, share=Share(replicas, range(replicas), parts))
    for step, whole in enumerate(elements(steps)):
        of_step = found[step * replicas : (step + 1) * replicas]
        pieces = [part for element in of_step for part in element["parts"]]
        assert len(pieces) == replicas * parts
        *arrays, _ = whole["parts"][0]
        for array, several in zip(arrays, list(zip(*pieces, strict=True))[:3], strict=True):
            np.testing.assert_array_equal(np.concatenate(several), array)
        sizes = [len(ids) for ids, *_ in pieces]
        assert max(sizes) - min(sizes) <= 1
        assert [first for *_, first in pieces] == np.cumsum([0, *sizes[:-1]]).tolist()
        assert all(e["number"] == whole["number"] and e["seed"] == whole["seed"] for e in of_step)


def test_a_process_gets_the_elements_of_its_own_replicas():
    everything = elements(12, share=Share(4, range(4), 2))
    for own in (range(2), range(2, 4)):
        expected = [everything[4 * step + replica] for step in range(3) for replica in own]
        assert_equal_elements(elements(6, share=Share(4, own, 2)), expected)


def test_training_batches_have_both_dimensions_dynamic():
    spec = training_batches(ROWS, 4, 0, seed=0, share=Share(parts=2)).element_spec
    assert len(spec["parts"]) == 2
    for *arrays, first in spec["parts"]:
        assert [s.shape.as_list() for s in arrays] == [[None, None]] * 3
        assert {s.dtype for s in (*arrays, first)} == {tf.int32} and first.shape.rank == 0


def test_encoded_rows_are_passed_on_unchanged(wordpiece):
    encoder = RowEncoder(wordpiece, CONLL_LABELS)
    sentences = [Sentence(tuple(tiny.WORDS[:n]), ("O",) * n) for n in (3, 9, 1)]
    encoded = encoder.encode(sentences)
    values = apply_to_rows(lambda ids, mask: ids, encoded.rows, encoder.pad_id)
    assert [v.tolist() for v in values] == [r.ids.tolist() for r in encoded.rows]

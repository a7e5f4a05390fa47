"""The batches of a training: endless, reproducible, split for replicas and parts."""

import numpy as np
import pytest
import tensorflow as tf
from support.encoding import LENGTHS, ROWS

from tfner.modeling.batches import pad, plan_training
from tfner.modeling.pipeline import Share, pass_seed, training_batches


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

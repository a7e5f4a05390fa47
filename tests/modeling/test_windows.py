from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfner.modeling.windows import Window, cut_windows, overlap_and_stride


def pieces_of(sizes):
    """Ids and words of a sentence whose words have these numbers of pieces. Every id occurs once."""
    words = [word for word, size in enumerate(sizes) for _ in range(size)]
    return [100 + i for i in range(len(words))], words


def test_neighbouring_windows_share_a_quarter_of_their_pieces():
    assert overlap_and_stride(20) == (5, 15)
    assert overlap_and_stride(21) == (5, 16)


def test_a_sentence_that_fits_has_one_window_of_all_its_pieces():
    ids, words = pieces_of([1, 2, 1])
    assert cut_windows(ids, words, 4) == ([Window(ids, words, 0, 3)], 0)


def test_one_piece_more_than_fits_makes_a_second_window():
    ids, words = pieces_of([1] * 5)
    windows, cut = cut_windows(ids, words, 4)
    assert windows == [Window(ids[:4], words[:4], 0, 3), Window(ids[3:], words[3:], 3, 5)] and cut == 0


def test_a_sentence_without_pieces_has_no_windows():
    assert cut_windows([], [], 8) == ([], 0)


def test_words_without_pieces_shift_no_neighbour():
    ids, words = pieces_of([1, 0, 2, 0, 1])
    ((window,), cut) = cut_windows(ids, words, 10)
    assert window.words == [0, 2, 2, 4] and cut == 0


def test_a_word_in_two_windows_is_used_where_it_is_further_from_the_cut():
    windows, _ = cut_windows(*pieces_of([1] * 60), 20)
    for before, after in pairwise(windows):
        common = sorted(set(before.words) & set(after.words))
        used_before = [w for w in common if before.first <= w < before.last]
        used_after = [w for w in common if after.first <= w < after.last]
        assert len(common) == 5 and used_before + used_after == common
        assert abs(len(used_before) - len(used_after)) <= 1


def test_a_window_that_no_word_belongs_to_is_left_out():
    windows, cut = cut_windows(*pieces_of([1, 41, 1]), 8)
    assert [(window.first, window.last) for window in windows] == [(0, 2), (2, 3)] and cut == 1


def test_a_word_beyond_the_end_of_its_window_is_counted_as_cut():
    ids, words = pieces_of([3, 9, 1])
    windows, cut = cut_windows(ids, words, 8)
    assert cut == 1 and windows[0].words == [0] * 3 + [1] * 5


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 30)), max_size=60), st.integers(2, 25))
def test_every_word_with_pieces_belongs_to_exactly_one_window_that_has_its_first_piece(sizes, room):
    ids, words = pieces_of(sizes)
    windows, cut = cut_windows(ids, words, room)
    used = [word for window in windows for word in sorted(set(window.words)) if window.first <= word < window.last]
    assert used == sorted(set(words))
    whole = 0
    for window in windows:
        assert 0 < len(window.ids) <= room
        start = window.ids[0] - 100
        assert (window.ids, window.words) == (ids[start : start + room], words[start : start + room])
        for word in set(window.words):
            if window.first <= word < window.last:
                assert 100 + words.index(word) in window.ids
                whole += window.words.count(word) == sizes[word]
    assert cut == len(used) - whole


@pytest.mark.parametrize("room", [2, 3, 4, 5])
def test_the_shortest_rooms_still_use_every_word(room):
    windows, _ = cut_windows(*pieces_of([1] * 9), room)
    assert [w for window in windows for w in range(window.first, window.last)] == list(range(9))

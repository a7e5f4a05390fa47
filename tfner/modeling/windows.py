"""Overlapping windows over the word pieces of a sentence that is longer than a row.

Takes the piece ids of a sentence and the word of each; returns the windows and which words each of them is used for. The
exported graph follows the same rule (`exports.graph`); tests hold the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A stretch of the pieces of a sentence.

    `ids` are the piece ids and `words` the word of each piece. The model's predictions in this window are used for the words
    `first` to `last` (half-open); all other words are context.
    """

    ids: list[int]
    words: list[int]
    first: int
    last: int


def cut_windows(ids: list[int], words: list[int], room: int) -> tuple[list[Window], int]:
    """Cuts the pieces of a sentence into windows of `room` pieces that overlap by a quarter.

    A word belongs to the window in which its first piece is at least half of the overlap away from both cuts. A window to
    which no word belongs is left out.

    Args:
        ids: the piece ids of the sentence, without special pieces.
        words: the number of the word that each piece is from, ascending.
        room: pieces per window.

    Returns:
        The windows, and the number of words that reach beyond the end of their window. A sentence without pieces has no
        windows.
    """
    if not ids:
        return [], 0
    if len(ids) <= room:
        return [Window(ids, words, words[0], words[-1] + 1)], 0
    firsts = [i for i, word in enumerate(words) if i == 0 or word != words[i - 1]]
    overlap, stride = overlap_and_stride(room)
    last = max(0, -(-(len(ids) - room) // stride))
    owned: dict[int, list[int]] = {}  # the words of each window
    cut = 0
    for i, end in zip(firsts, [*firsts[1:], len(ids)], strict=True):
        k = min(max((i - overlap // 2) // stride, 0), last)
        owned.setdefault(k, []).append(words[i])
        cut += end > k * stride + room
    parts = [(slice(k * stride, k * stride + room), own) for k, own in owned.items()]
    return [Window(ids[part], words[part], own[0], own[-1] + 1) for part, own in parts], cut


def overlap_and_stride(room: int) -> tuple[int, int]:
    """How many pieces neighbouring windows of `room` pieces share, and how many pieces apart they start."""
    return room // 4, room - room // 4

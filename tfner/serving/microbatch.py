"""Requests that arrive at about the same time are answered by one call of a model.

Arrays of rows go in from many threads, a future of each request's own outputs comes out. Calls are made one at a time, in a
thread of their own, on few enough rows at once to bound memory. Nothing here knows JSON or TensorFlow.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

Arrays = dict[str, np.ndarray]


class Overloaded(Exception):
    """Too many rows wait already: ask again later."""


@dataclass(eq=False)
class _Request:
    """A request on its way: the rows before `taken` are under way or done, `parts` are their outputs in order."""

    signature: str
    inputs: Arrays
    ends: np.ndarray  # int64, shape (1 + rows,): the size of the rows before each, and of all
    arrived: float  # seconds
    taken: int = 0
    parts: list[Arrays] = field(default_factory=list)
    future: Future[Arrays] = field(default_factory=Future)

    @property
    def rows(self) -> int:
        return len(self.ends) - 1

    @property
    def kind(self) -> tuple:
        """Requests of one kind can be answered by one call: one signature, and rows of the same shape."""
        return self.signature, tuple(array.shape[1:] for array in self.inputs.values())

    def take(self, rows: int, size: int, alone: bool) -> slice:
        """The next rows, at most `rows` of them and `size` together; one that stands `alone` may be larger."""
        start = self.taken
        fitting = int(np.searchsorted(self.ends, self.ends[start] + size, side="right")) - 1
        self.taken = min(start + rows, max(fitting, start + alone))
        return slice(start, self.taken)


class Microbatcher:
    """Merges requests to a function of arrays whose rows (first dimension) do not depend on each other.

    An output `x_count` says how many columns of the outputs `x_...` a row fills; by it the padding is cut, so that a
    request gets what it would get alone, whichever others it was merged with.

    Args:
        call: from a signature's name and its inputs to its outputs; called in one thread.
        rows: most rows of a call.
        size: most bytes of text, or numbers, of a call; a single row may be larger.
        wait: seconds that a request waits for others when nothing else is under way.
        waiting: most rows that wait; requests beyond are refused.
    """

    def __init__(
        self,
        call: Callable[[str, Arrays], Mapping[str, np.ndarray]],
        rows: int = 64,
        size: int = 200_000,
        wait: float = 0.002,
        waiting: int = 10_000,
    ):
        self._call, self._rows, self._size, self._wait, self._most = call, rows, size, wait, waiting
        self._queue: deque[_Request] = deque()
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="microbatcher", daemon=True)
        self._thread.start()

    def submit(self, signature: str, inputs: Arrays) -> Future[Arrays]:
        """Puts a request in the queue; the future holds its outputs, or what the function raised on it.

        Raises Overloaded where the queue is full, or closed.
        """
        request = _Request(signature, inputs, np.concatenate([[0], np.cumsum(_row_sizes(inputs))]), monotonic())
        request.future.set_running_or_notify_cancel()  # from here on nobody can cancel it, so that it takes its result
        with self._changed:
            if self._closed or (self._waiting and self._waiting + request.rows > self._most):
                raise Overloaded(f"{self._waiting:,} texts wait already, {request.rows:,} more are too many: ask again later")
            self._queue.append(request)
            self._waiting += request.rows
            self._changed.notify()
        return request.future

    def close(self) -> None:
        """Refuses new requests, answers those in the queue, and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while shares := self._next():
            self._run(shares)

    def _next(self) -> list[tuple[_Request, slice]]:
        """Waits for requests; takes the first, and what others of its kind fit into the same call. Empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return []
            rest = self._queue[0].arrived + self._wait - monotonic()
            self._changed.wait_for(lambda: self._waiting >= self._rows or self._closed, max(rest, 0))
            kind, rows, size = self._queue[0].kind, self._rows, self._size
            shares, others, unfinished = [], [], []
            for request in self._queue:
                part = request.take(rows, size, alone=not shares) if request.kind == kind and rows else slice(0, 0)
                if part.start == part.stop:
                    others.append(request)
                    continue
                shares.append((request, part))
                rows -= part.stop - part.start
                size = max(size - int(request.ends[part.stop] - request.ends[part.start]), 0)
                if part.stop < request.rows:
                    unfinished.append(request)
            # a long request goes behind the others after each of its shares, so that short ones need not wait for all of it
            self._queue = deque(others + unfinished)
            self._waiting -= self._rows - rows
        return shares

    def _run(self, shares: Sequence[tuple[_Request, slice]]) -> None:
        """One call for all shares; where it fails, one for each, so that a request fails by itself only."""
        inputs = [{name: array[part] for name, array in request.inputs.items()} for request, part in shares]
        try:
            merged = {name: np.concatenate([some[name] for some in inputs]) for name in inputs[0]}
            outputs = self._call(shares[0][0].signature, merged)
            answers, start = [], 0
            for request, part in shares:
                end = start + part.stop - part.start
                cut = _cut(outputs, slice(start, end))
                answers.append((request, cut, _join([*request.parts, cut]) if part.stop == request.rows else None))
                start = end
        except Exception as error:  # whatever it is belongs to who asked, and the thread has to go on
            if len(shares) > 1:
                for share in shares:
                    self._run([share])
            else:
                self._fail(shares[0][0], error)
            return
        for request, cut, answer in answers:
            request.parts.append(cut)
            if answer is not None:
                request.future.set_result(answer)

    def _fail(self, request: _Request, error: Exception) -> None:
        with self._changed:
            if request in self._queue:  # with rows still to be taken
                self._queue.remove(request)
                self._waiting -= request.rows - request.taken
        request.future.set_exception(error)


def _row_sizes(inputs: Arrays) -> np.ndarray:
    """What each row brings, in bytes of text or in numbers; int64, shape (rows,)."""
    rows = len(next(iter(inputs.values())))
    sizes = np.zeros(rows, np.int64)
    for array in inputs.values():
        flat = array.reshape(rows, -1)
        sizes += [sum(map(len, row)) for row in flat] if array.dtype == object else flat.shape[1]
    return sizes


def _cut(outputs: Mapping[str, np.ndarray], rows: slice) -> Arrays:
    """Some rows of outputs, without the columns that only other rows filled; copied, so that the rest can be freed."""
    cut = {name: array[rows] for name, array in outputs.items()}
    for count in [name for name in cut if name.endswith("_count")]:
        width = int(cut[count].max(initial=0))
        for name in cut:
            if name != count and name.startswith(count.removesuffix("count")):
                cut[name] = cut[name][:, :width]
    return {name: array.copy() for name, array in cut.items()}


def _join(parts: Sequence[Arrays]) -> Arrays:
    """Parts one below the other, the narrower ones padded with 0 and empty strings to the columns of the widest."""
    if len(parts) == 1:
        return parts[0]
    return {name: _stack([part[name] for part in parts]) for name in parts[0]}


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    shape = (sum(map(len, arrays)), *(max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)))
    stacked = np.full(shape, b"" if arrays[0].dtype == object else 0, arrays[0].dtype)
    start = 0
    for array in arrays:
        stacked[(slice(start, start + len(array)), *map(slice, array.shape[1:]))] = array
        start += len(array)
    return stacked

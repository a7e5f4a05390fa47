"""Answers requests that arrive at about the same time with one call of a model.

Takes arrays of rows from many threads and returns a future with the outputs of each request. One thread makes one call at a
time, with a limited number of rows, which bounds memory. JSON and TensorFlow are not known here.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np

from tfner.errors import UserError

Arrays = dict[str, np.ndarray]


LONGEST_WAIT = 10
"""The most seconds that requests may be made to wait for others."""


class Overloaded(Exception):
    """Too many rows are waiting, or the thread that makes the calls has ended."""


class AnswerTooLarge(Exception):
    """The outputs of a request, padded to its widest row, have too many values."""


@dataclass(frozen=True)
class Batching:
    """How requests are merged into calls of a model.

    Raises UserError on creation for a value that is out of range.

    Attributes:
        rows: the most rows of a call.
        size: the most bytes of text, or numbers, of a call; a single row may be larger.
        wait: the seconds that a request waits for others while no call is running.
        waiting: the most rows that wait. Further requests are refused.
        values: the most values in the outputs of a request, padding included.
    """

    rows: int = 64
    size: int = 200_000
    wait: float = 0.002
    waiting: int = 10_000
    values: int = 10_000_000

    def __post_init__(self) -> None:
        for name in ("rows", "size", "waiting", "values"):
            value = getattr(self, name)
            if value < 1:
                raise UserError(f"{name}={value}: expected at least 1")  # commands check their own flags
        if not 0 <= self.wait <= LONGEST_WAIT:
            raise UserError(f"wait={self.wait}: expected a number of seconds from 0 to {LONGEST_WAIT}")


BATCHING = Batching()


@dataclass(eq=False)
class _Request:
    """A request in the queue. The rows before `taken` are in a call or done, and `parts` are their outputs, in order."""

    signature: str
    inputs: Arrays
    ends: np.ndarray  # int64, shape (1 + rows,): the total size of the rows before each row, and of all rows
    arrived: float  # seconds
    taken: int = 0
    parts: list[Arrays] = field(default_factory=list)
    future: Future[Arrays] = field(default_factory=Future)

    @property
    def rows(self) -> int:
        return len(self.ends) - 1

    @property
    def kind(self) -> tuple[Any, ...]:
        """The signature and the shape of a row. One call can answer requests of the same kind."""
        return self.signature, tuple(array.shape[1:] for array in self.inputs.values())

    def take(self, rows: int, size: int, alone: bool) -> slice:
        """The next rows: at most `rows` of them with a total of `size`. If `alone`, the first may be larger."""
        start = self.taken
        fitting = int(np.searchsorted(self.ends, self.ends[start] + size, side="right")) - 1
        self.taken = min(start + rows, max(fitting, start + alone))
        return slice(start, self.taken)


class Microbatcher:
    """Merges requests to a function of arrays whose rows (first dimension) do not depend on each other.

    An output `x_count` is the number of columns of the outputs `x_...` that a row fills. The rest is padding and is cut off, so
    that a request gets the same outputs as alone, whichever other requests it is merged with.

    Args:
        call: takes the name of a signature and its inputs and returns its outputs; it is called in one thread.
        batching: how requests are merged.
    """

    def __init__(self, call: Callable[[str, Arrays], Mapping[str, np.ndarray]], batching: Batching = BATCHING):
        self._call, self._batching = call, batching
        self._queue: deque[_Request] = deque()
        self._waiting = 0
        self._closed = False
        self.failure = ""
        """Why the thread has ended, or empty while it runs."""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="microbatcher", daemon=True)
        self._thread.start()

    def submit(self, signature: str, inputs: Arrays) -> Future[Arrays]:
        """Adds a request to the queue. The future holds its outputs, the exception that the function raised, or AnswerTooLarge.

        Raises Overloaded where the queue is full or closed, or the thread has ended.
        """
        request = _Request(signature, inputs, np.concatenate([[0], np.cumsum(_row_sizes(inputs))]), monotonic())
        request.future.set_running_or_notify_cancel()  # a future that could be cancelled might not take its result
        with self._changed:
            if self.failure:
                raise self._stopped()
            if self._closed or (self._waiting and self._waiting + request.rows > self._batching.waiting):
                waiting = "1 text is" if self._waiting == 1 else f"{self._waiting:,} texts are"
                raise Overloaded(f"{waiting} waiting, and {request.rows:,} more are too many: ask again later")
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
        shares: list[tuple[_Request, slice]] = []
        try:
            while shares := self._next():
                self._run(shares)
        except BaseException as error:  # not of a call: no request may wait for ever
            with self._changed:
                self.failure = f"{type(error).__name__}: {error}"
                waiting = {request for request, _ in shares} | set(self._queue)
                self._queue.clear()
            for request in waiting:
                if not request.future.done():
                    request.future.set_exception(self._stopped())
            raise

    def _stopped(self) -> Overloaded:
        return Overloaded(f"the model has stopped ({self.failure}): start the server again")

    def _next(self) -> list[tuple[_Request, slice]]:
        """Waits for requests, and takes the rows of one call: from the first request, and from others of its kind.

        Returns an empty list once the queue is closed and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self._closed)
            if not self._queue:
                return []
            limits = self._batching
            rest = self._queue[0].arrived + limits.wait - monotonic()
            self._changed.wait_for(lambda: self._waiting >= limits.rows or self._closed, max(rest, 0))
            kind, rows, size = self._queue[0].kind, limits.rows, limits.size
            shares: list[tuple[_Request, slice]] = []
            others, unfinished = [], []
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
            # after each of its parts, a long request goes behind the others, so that short ones need not wait for all of it
            self._queue = deque(others + unfinished)
            self._waiting -= limits.rows - rows
        return shares

    def _run(self, shares: Sequence[tuple[_Request, slice]]) -> None:
        """Makes one call for all shares. If it fails, makes one for each, so that a request that fails does so alone."""
        inputs = [{name: array[part] for name, array in request.inputs.items()} for request, part in shares]
        try:
            merged = {name: np.concatenate([some[name] for some in inputs]) for name in inputs[0]}
            outputs = self._call(shares[0][0].signature, merged)
            answers, start = [], 0
            for request, part in shares:
                end = start + part.stop - part.start
                cut = _cut(outputs, slice(start, end))
                parts = [*request.parts, cut]
                shapes = _shapes(parts, request.rows)
                if (values := sum(map(math.prod, shapes.values()))) > self._batching.values:  # of the rows so far
                    raise AnswerTooLarge(
                        f"Expected an answer of at most {self._batching.values:,} values, got {values:,} or more, because all "
                        f"{request.rows:,} rows are padded to the longest: send fewer texts at once, or long ones alone"
                    )
                answers.append((request, cut, _join(parts, shapes) if part.stop == request.rows else None))
                start = end
        except Exception as error:  # the request gets it, whatever it is, and the thread continues
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
            if request in self._queue:  # some of its rows are not taken yet
                self._queue.remove(request)
                self._waiting -= request.rows - request.taken
        request.future.set_exception(error)


def _row_sizes(inputs: Arrays) -> np.ndarray:
    """The size of each row, in bytes of text or in numbers; int64, shape (rows,)."""
    rows = len(next(iter(inputs.values())))
    sizes = np.zeros(rows, np.int64)
    for array in inputs.values():
        flat = array.reshape(rows, -1)
        sizes += [sum(map(len, row)) for row in flat] if array.dtype == object else flat.shape[1]
    return sizes


def _cut(outputs: Mapping[str, np.ndarray], rows: slice) -> Arrays:
    """A copy of some rows of outputs, without the columns that only other rows fill."""
    cut = {name: array[rows] for name, array in outputs.items()}
    for count in [name for name in cut if name.endswith("_count")]:
        width = int(cut[count].max(initial=0))
        for name in cut:
            if name != count and name.startswith(count.removesuffix("count")):
                cut[name] = cut[name][:, :width]
    return {name: array.copy() for name, array in cut.items()}


def _shapes(parts: Sequence[Arrays], rows: int) -> dict[str, tuple[int, ...]]:
    """The shape of each output of a request with this many rows: as wide as the widest of its parts."""
    return {
        name: (rows, *(max(sizes) for sizes in zip(*(part[name].shape[1:] for part in parts), strict=True)))
        for name in parts[0]
    }


def _join(parts: Sequence[Arrays], shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Parts one below the other, the narrower ones padded with 0, false and empty strings."""
    if len(parts) == 1:
        return parts[0]
    return {name: _stack([part[name] for part in parts], shape) for name, shape in shapes.items()}


def _stack(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    stacked = np.full(shape, b"" if arrays[0].dtype == object else 0, arrays[0].dtype)
    start = 0
    for array in arrays:
        stacked[(slice(start, start + len(array)), *map(slice, array.shape[1:]))] = array
        start += len(array)
    return stacked

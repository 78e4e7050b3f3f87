"""Pieces of tensors, so that threads share a tensor and memory does not grow with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import fastinit

from .errors import BadInput
from .spec import TensorSpec

#: Bytes of a tensor that are made, written, read or hashed at a time, which fit in the cache. They are an
#: even number of elements of every dtype, so that no pair of normals is drawn twice.
PIECE = 1 << 20

#: Called with the bytes done and the total, from any thread, one call at a time.
Report = Callable[[int, int], object]


def ranges(spec: TensorSpec) -> Iterator[tuple[int, int]]:
    """Yield the pieces of a tensor as ``(start, stop)`` of its stored words.

    Examples
    --------
    >>> list(ranges(TensorSpec("fc.weight", "F32", (300, 1000))))
    [(0, 262144), (262144, 300000)]
    """
    step = PIECE // spec.itemsize
    words = spec.words
    for start in range(0, words, step):
        yield start, min(start + step, words)


def number_of_threads(threads: int | None) -> int:
    """Return `threads`, by default `fastinit.get_num_threads`. BadInput if it is less than 1."""
    if threads is None:
        try:
            return fastinit.get_num_threads()
        except ValueError as error:
            raise BadInput(str(error)) from None
    if not hasattr(threads, "__index__") or threads < 1:
        raise BadInput(f"threads must be an integer of 1 or more, not {threads!r}")
    return threads


class Progress:
    """Counts the bytes done, and calls `report` at each step. Any thread may add."""

    def __init__(self, total: int, report: Report | None) -> None:
        self.total = total
        self.done = 0
        self._report = report
        self._lock = threading.Lock()

    def add(self, nbytes: int) -> None:
        """Count `nbytes` more as done."""
        with self._lock:
            self.done += nbytes
            if self._report is not None:
                self._report(self.done, self.total)

    def take_back(self, nbytes: int) -> None:
        """Count `nbytes` as not done after all, without a report."""
        with self._lock:
            self.done -= nbytes

"""The threads that share large fills. Results never depend on them.

They are Python's threads, and kernels release the GIL. OpenMP's runtime hangs after a fork and conflicts with
a second one in the process.
"""

from __future__ import annotations

import atexit
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any, TypeVar

Piece = TypeVar("Piece")
_END: Any = object()

#: The most threads, which is more than machines have CPUs.
MOST = 1 << 16
#: As many values or more are shared between threads: fewer do not repay waking one.
MANY = 1 << 18
#: Values between two checks for Ctrl-C.
CHUNK = 1 << 26
_CGROUPS = "/sys/fs/cgroup"

_lock = threading.RLock()  # reentrant: a finaliser may fill an array at any point
_number: int | None = None


def get_num_threads() -> int:
    """Return the number of threads that share a large fill.

    The default is the environment's ``FASTINIT_NUM_THREADS``, or else the number of CPUs that this process
    may run on, by its affinity and the quota of its container.

    Raises
    ------
    ValueError
        ``FASTINIT_NUM_THREADS`` is not a whole number from 1 to 65536.
    """
    global _number
    if _number is None:
        _number = _default_number()
    return _number


def set_num_threads(n: int) -> None:
    """Set the number of threads that share a large fill, including the calling one.

    Parameters
    ----------
    n : int
        1 to 65536. More threads than CPUs gain nothing.

    Raises
    ------
    TypeError
        `n` is not an integer.
    ValueError
        `n` is out of range.

    Examples
    --------
    >>> import fastinit
    >>> before = fastinit.get_num_threads()
    >>> fastinit.set_num_threads(3)
    >>> fastinit.get_num_threads()
    3
    >>> fastinit.set_num_threads(before)
    """
    global _number
    if isinstance(n, bool):
        raise TypeError("the number of threads must be an integer, not bool")
    n = operator.index(n)
    if not 1 <= n <= MOST:
        raise ValueError(f"the number of threads must be from 1 to {MOST}, not {n}")
    with _lock:
        _number = n
        _pool.end()


def run(function: Callable[[Piece], object], pieces: Iterable[Piece], threads: int | None = None) -> None:
    """Call ``function(piece)`` for every piece, in the calling thread and in free threads of the pool.

    If a piece or the iterable raises, no further piece begins. `run` waits for all pieces that have begun,
    then raises the first exception.

    It never waits for a thread to become free. So a piece may call `run`, and many threads may call it at
    once.

    Parameters
    ----------
    function : callable
        It gains from threads only if it releases the GIL.
    pieces : iterable
    threads : int, optional
        The number of threads, including the caller; by default `get_num_threads`.
    """
    remaining = iter(pieces)
    taking = threading.Lock()
    errors: list[BaseException] = []
    working: list[None] = []  # one for each other thread that may have a piece
    stopped: SimpleQueue[None] = SimpleQueue()

    def work() -> None:
        while not errors:
            with taking:
                piece = next(remaining, _END)
            if piece is _END:
                return
            function(piece)

    def help_out() -> None:
        working.append(None)  # before it takes a piece, so that `run` waits for it
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            working.pop()
            stopped.put(None)

    # In the main thread, a signal handler may raise between any two steps from here on.
    try:
        threads = get_num_threads() if threads is None else threads
        _pool.submit(help_out, min(threads, operator.length_hint(pieces, threads)) - 1)
        work()
    except BaseException as error:
        errors.append(error)
    while True:
        try:
            remaining = iter(())
            while working:
                stopped.get()
            break
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors.pop(0)  # not errors[0]: the traceback holds this frame, and with it the list


def share_out(job: Callable[[tuple[int, int]], object], n: int, chunk: int = CHUNK) -> None:
    """Call ``job((start, stop))`` for parts of [0, n), on threads if there are `MANY` values in a chunk."""
    for start in range(0, n, chunk):
        stop = min(n, start + chunk)
        if stop - start < MANY:
            job((start, stop))
        else:
            part = (stop - start) // get_num_threads() // 64 * 64 + 64
            run(job, [(i, min(i + part, stop)) for i in range(start, stop, part)])


def _default_number() -> int:
    text = os.environ.get("FASTINIT_NUM_THREADS")
    if text is None:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cpus, _quota() or cpus)
    if not text.strip().isdecimal() or not 1 <= int(text) <= MOST:
        raise ValueError(f"FASTINIT_NUM_THREADS must be a whole number from 1 to {MOST}, not {text!r}")
    return int(text)


def _quota() -> int | None:
    """Return the number of CPUs that a container may use, rounded up, or None if nothing limits it.

    Version 2 of cgroups has quota and period in one file, version 1 in two.
    """
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            quota, period = (int(word) for file in files for word in _words(f"{_CGROUPS}/{file}"))
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if quota > 0 and period > 0:
            return -(-quota // period)
    return None


def _words(path: str) -> list[str]:
    with open(path) as file:
        return file.read().split()


class _Pool:
    """Threads that call submitted functions, started on demand.

    On Ctrl-C while `concurrent.futures`' pool starts a thread, that pool loses track of the thread and waits
    for it when the interpreter ends.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, function: Callable[[], None], times: int) -> None:
        """Have up to `times` threads call `function`. The caller can do all the work itself."""
        for _ in range(times):
            with _lock:
                if len(self._threads) < max(times, get_num_threads() - 1) and not self._start():
                    return
                self._tasks.put(function)

    def _start(self) -> bool:
        name = f"fastinit_{len(self._threads)}"
        thread = threading.Thread(target=_serve, args=(self._tasks,), name=name, daemon=True)
        self._threads.append(thread)
        handled = sys.exception()
        try:
            thread.start()
        except RuntimeError as error:
            if error.__context__ not in (None, handled):  # Ctrl-C came, and `start` released a lock twice
                raise error.__context__ from None
            self._threads.remove(thread)  # the interpreter is ending, or the system has no more threads
            return False
        return True

    def end(self) -> list[threading.Thread]:
        """Tell the threads to end once they are free. A later `submit` starts new ones."""
        threads, tasks = self._threads, self._tasks
        self._threads, self._tasks = [], SimpleQueue()
        tasks.put(None)
        return threads


def _serve(tasks: SimpleQueue[Callable[[], None] | None]) -> None:
    while (function := tasks.get()) is not None:
        function()
        del function  # do not keep it alive while waiting
    tasks.put(None)  # for the next thread


_pool = _Pool()


@atexit.register
def _end() -> None:
    """Wait for all threads before the interpreter frees its memory."""
    for thread in _pool.end():
        if thread.is_alive():
            thread.join()


def _after_fork() -> None:
    """Replace the pool, whose threads a child lacks, and the lock, whose holder may be gone."""
    global _lock, _pool
    _lock = threading.RLock()
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""Work split over threads, for functions that release the GIL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import fastinit

from .errors import BadInput

Job = TypeVar("Job")


def for_each(
    worker: Callable[[], Callable[[Job], object]], jobs: Iterable[Job], threads: int | None = None
) -> None:
    """Call a function with each job, on several threads.

    Parameters
    ----------
    worker : callable
        Called once in each thread; returns the function that the thread calls with its jobs, so that
        what the function reuses from job to job, a buffer say, belongs to one thread.
    jobs : iterable
        Taken one at a time, as threads become free.
    threads : int, optional
        How many threads, the caller's included; `fastinit.get_num_threads` where it is not given.

    Raises
    ------
    BaseException
        The first one that any thread, or the iterable, raised; the other threads end their jobs first.
        Ctrl-C is one.
    """
    remaining = iter(jobs)
    taking = threading.Lock()
    errors: list[BaseException] = []

    def taken() -> Iterator[Job]:
        while not errors:
            with taking:
                try:
                    job = next(remaining)
                except StopIteration:
                    return
            yield job

    def work() -> None:
        try:
            function = worker()
            for job in taken():
                function(job)
        except BaseException as error:
            errors.append(error)

    others = [threading.Thread(target=work) for _ in range(number_of(threads) - 1)]
    try:
        for thread in others:
            thread.start()
        work()
        for thread in others:
            thread.join()
    except BaseException as error:
        errors.append(error)
    for thread in others:
        if thread.ident is not None:
            thread.join()
    if errors:
        raise errors[0]


def number_of(threads: int | None) -> int:
    """How many threads: those asked for, or `fastinit.get_num_threads`; BadInput for fewer than one."""
    if threads is None:
        try:
            return fastinit.get_num_threads()
        except ValueError as error:
            raise BadInput(str(error)) from None
    if not hasattr(threads, "__index__") or threads < 1:
        raise BadInput(f"threads must be an integer of 1 or more, not {threads!r}")
    return threads

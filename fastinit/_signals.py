"""The signals that end the command: SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_waiting: list[int] = []


@contextmanager
def held() -> Iterator[None]:
    """Defer signals that would end what must not be cut in two.

    An import may swallow a handler's exception, or turn it into an ImportError.
    """
    try:
        with _handlers(lambda number, _: _waiting.append(number)):
            yield
    finally:
        _send_waiting()


@contextmanager
def handled() -> Iterator[None]:
    """Make signals raise an exception, so that the command cleans up. Deferred ones raise at once."""
    with _handlers(_end):
        _send_waiting()
        yield


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # no handler runs in another
        yield
        return
    # None is a handler that is not Python's. SIG_IGN is there under nohup.
    found = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: old for number, old in found.items() if old not in (None, signal.SIG_IGN)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _send_waiting() -> None:
    while _waiting:
        signal.raise_signal(_waiting.pop())


def _end(number: int, _: object) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)

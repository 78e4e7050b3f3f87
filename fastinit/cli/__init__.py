"""The command ``fastinit``."""

from __future__ import annotations

import _thread
import argparse
import importlib
import io
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import fastinit
from fastinit.checkpoint.errors import BadInput

from .terminal import printable

#: Each is a module here, imported when it is the one asked for: the command starts as fast as it can.
VERBS = ("generate", "verify", "inspect", "info")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Its arguments; the process's where they are not given.

    Returns
    -------
    int
        The exit status: 0; 1 where something failed on the way; 2 for input that cannot be used, before
        anything was written; 128 and the signal's number after Ctrl-C, SIGTERM or SIGHUP.
    """
    argv = sys.argv[1:] if argv is None else argv
    _mend_streams()
    # A terminated run cleans up after itself as an interrupted one does.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _end)
    try:
        args = _parser(argv).parse_args(argv)
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except BadInput as error:
        return _fail(2, error)
    except (OSError, MemoryError, ImportError) as error:
        if isinstance(error, OSError) and error.filename is None:
            # Every other file is named. Python must not try to flush what is left to this one.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):  # its reader went away, and knows
                return 1
            error.filename = "standard output"
        return _fail(1, error)
    except KeyboardInterrupt:
        return _fail(130, "interrupted")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _mend_streams() -> None:
    """Have output that is closed go nowhere, and letters that a terminal's encoding lacks be escaped."""
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, as all errors here."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastinit: error: {message}\n")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastinit", description="Initial weights at the speed of memory, the same on every machine."
    )
    parser.add_argument("--version", action="version", version=f"fastinit {fastinit.__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    for verb in argv[:1] if argv and argv[0] in VERBS else VERBS:
        importlib.import_module(f"fastinit.cli.{verb}").add_parser(verbs)
    return parser


def _fail(status: int, error: object) -> int:
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(f"fastinit: error: {printable(message)}", file=sys.stderr)
    return status


def _end(number: int, frame: FrameType | None) -> None:
    """End the command by an exception: not in an import, which may turn it into another, or swallow it."""
    if _importing(frame):
        _thread.start_new_thread(_send_again, (number,))
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        sys.exit(128 + number)


def _send_again(number: int) -> None:
    time.sleep(0.01)
    os.kill(os.getpid(), number)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not main.__code__:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False

"""The command ``fastinit``."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import gc
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import fastinit
from fastinit import _namesake, _signals
from fastinit.checkpoint import BadInput
from fastinit.checkpoint.errors import Unmatched, shortened

from . import completion, generate, info, inspect, models, propagate, rules, verify
from .completion import options
from .terminal import printable

_VERBS = {
    "generate": generate,
    "verify": verify,
    "inspect": inspect,
    "models": models,
    "propagate": propagate,
    "rules": rules,
    "info": info,
    "completion": completion,
}
# Words that people try first -> the options that say it.
_WORDS = {"help": "--help", "version": "--version"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Its arguments; by default those of the process.

    Returns
    -------
    int
        The exit status. 0: done. 1: an error during the work, or a difference. 2: bad input, and nothing was
        written. 128 plus the signal's number: ended by Ctrl-C, SIGTERM or SIGHUP.
    """
    argv = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if argv[0] in _WORDS:
        argv = [*argv[1:2], _WORDS[argv[0]]]
    _mend_streams()
    if not hasattr(fastinit, "CONTRACT"):
        return _fail(1, _namesake.REPLACED)
    try:
        with _signals.handled(), _warnings_as_lines():
            args = _parser(argv).parse_args(argv)
            # The records of a million tensors have no cycles. Walking them takes a third more.
            with _without_collector():
                status: int = args.run(args)
            sys.stdout.flush()
            return status
    except BadInput as error:
        return _fail(2, error)
    except (OSError, MemoryError, ImportError) as error:
        if isinstance(error, OSError) and error.filename is None:
            # Only standard output has no name. Python must not flush the rest to it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):  # the reader closed it
                return 1
            error.filename = "standard output"
        return _fail(1, error)
    except KeyboardInterrupt:
        how = "" if any(each.startswith(("--rank", "--dask")) for each in argv) else " with --resume"
        more = f"; the same command{how} goes on" if argv[0] == "generate" else ""
        return _fail(130, f"interrupted{more}")


def __getattr__(name: str) -> NoReturn:
    if name == "app":  # the other project's command imports it
        raise ImportError(_namesake.REPLACED)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Context in which fastinit's warnings are lines on standard error."""
    with warnings.catch_warnings():
        other = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category is UserWarning:
                print(f"fastinit: warning: {printable(shortened(str(message)))}", file=sys.stderr)
            else:
                other(message, category, *place, **more)

        warnings.showwarning = show
        warnings.simplefilter("always", UserWarning)
        yield


def _mend_streams() -> None:
    """Discard output if its stream is closed, and escape characters that the encoding lacks."""
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Help(argparse.HelpFormatter):
    """Keeps the lines of a text that has some."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all errors of the command, and guess what was meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=_Help)

    def error(self, message: str) -> NoReturn:
        known = [*_VERBS, *_WORDS, *(name for each in options(self) for name in each.option_strings)]
        wrong = re.search(r"(?:invalid choice: '|unrecognized arguments: )([^\s'=]+)", message)
        near = difflib.get_close_matches(wrong[1], known, 1) if wrong else []
        hint = f"; did you mean {near[0]}?" if near else ""
        self.exit(2, f"fastinit: error: {printable(shortened(message))}{hint}\n")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a command, or of all if the first argument names none."""
    parser = _Parser(
        prog="fastinit",
        description="Fast initial weights, the same on every machine.",
        epilog="fastinit help COMMAND says more.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"fastinit {fastinit.__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    parser.set_defaults(parser=parser)
    # A verb's parser takes 0.7 ms to make, so only the requested one is made. Completion needs all.
    for verb in [_VERBS[name] for name in argv[:1] if name in {*_VERBS} - {"completion"}] or _VERBS.values():
        verb.add_parser(verbs)
    return parser


def _fail(status: int, error: object) -> int:
    first, more = (error.first, error.details) if isinstance(error, Unmatched) else (error, "")
    message = " ".join(str(first).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(
        f"fastinit: error: {printable(shortened(message))}",
        *map(printable, more.splitlines()),
        sep="\n",
        file=sys.stderr,
    )
    return status

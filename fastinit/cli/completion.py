"""``fastinit completion``: print the script that completes the command in a shell."""

from __future__ import annotations

import argparse
from typing import Any

from fastinit import _signals
from fastinit.checkpoint import BadInput

# What an option or argument takes that is a file.
_FILES = ("FILE", "FILE_OR_DIR", "MANIFEST", "PRESET_OR_TOML")


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "completion",
        help="print the script that completes the command in a shell",
        description="Print the script that completes the command in a shell. bash reads it from"
        " ~/.local/share/bash-completion/completions/fastinit, zsh from _fastinit in a folder of $fpath.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), metavar="SHELL", help="bash, zsh or tcsh")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    try:
        with _signals.held():
            import shtab
    except ImportError:
        raise BadInput("completion needs shtab: pip install 'fastinit-engine[cli]'") from None
    for each in options(args.parser):
        if each.metavar in _FILES:
            each.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(args.parser, args.shell))
    return 0


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments and options of a parser and of its verbs' parsers."""
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for each in dict.fromkeys(action.choices.values()):
                found += options(each)
    return found

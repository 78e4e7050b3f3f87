"""``fastinit info``: versions, instruction sets and threads."""

from __future__ import annotations

import argparse
from typing import Any

import fastinit


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser("info", help="show this build, this CPU, and what was picked")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print the configuration."""
    fastinit.show_config()
    return 0

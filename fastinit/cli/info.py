"""``fastinit info``: versions, instruction sets and threads."""

from __future__ import annotations

import argparse
from typing import Any

import fastinit

from .terminal import print_json


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser("info", help="show this build, this CPU, and what was picked")
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the configuration."""
    if args.json:
        print_json(fastinit.show_config(mode="dicts"))
    else:
        fastinit.show_config()
    return 0

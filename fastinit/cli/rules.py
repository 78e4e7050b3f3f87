"""``fastinit rules``: the list of presets, or the rules of one."""

from __future__ import annotations

import argparse
from typing import Any

from fastinit.checkpoint import sources

from .tables import print_table
from .terminal import print_json


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "rules",
        help="list the presets, or print the rules of one",
        description="List the presets, or print the TOML of one: a file to read, or to start your own from.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON: the presets, or the TOML of one")
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="a preset's name; lists all if left out")


def run(args: argparse.Namespace) -> int:
    """Print a preset, or list all."""
    if args.preset is not None:
        toml = sources.preset_toml(args.preset)
        if args.json:
            print_json({"preset": args.preset, "toml": toml})
        else:
            print(toml, end="")
        return 0
    first_lines = (sources.preset_toml(preset).partition("\n")[0] for preset in sources.PRESETS)
    abouts = [line.removeprefix("# ") for line in first_lines]
    if args.json:
        print_json({"presets": dict(zip(sources.PRESETS, abouts, strict=True))})
    else:
        print_table(["preset", "what it makes"], [*zip(sources.PRESETS, abouts, strict=True)])
    return 0

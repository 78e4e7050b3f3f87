"""``fastinit models``: the lists of known models that come with fastinit."""

from __future__ import annotations

import argparse
from typing import Any

from fastinit.checkpoint import plan
from fastinit.checkpoint.manifest import MODELS

from .tables import print_table
from .terminal import print_json

_COLUMNS = ("name", "tensors", "parameters", "bytes", "rules_from")


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "models",
        help="list the models that generate knows by name",
        description="List the models that generate knows by name, with their sizes and rules.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print a row for each model."""
    models = []
    for name, path in MODELS.items():
        facts = {"name": name, **plan(path).facts()}
        models.append({key: facts[key] for key in _COLUMNS})
    if args.json:
        print_json({"models": models})
        return 0
    rows = [[v if isinstance(v, str) else f"{v:,}" for v in each.values()] for each in models]
    print_table(["name", "tensors", "parameters", "bytes", "rules"], rows)
    return 0

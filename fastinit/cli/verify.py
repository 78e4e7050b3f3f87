"""``fastinit verify``: make a checkpoint again and compare."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from fastinit.checkpoint import Verification, verify
from fastinit.checkpoint.errors import Damaged

from .terminal import print_json, printable, progress


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "verify",
        help="make a checkpoint again and compare",
        description="Make a checkpoint's tensors again and compare them with the file. The exit status is 0"
        " if all are the same, 1 if one differs, is cut short or missing.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("file", metavar="FILE", help="a .safetensors file, an index of shards, or a folder with either")
    add("--seed", type=int, metavar="N", help="the seed; the metadata's if left out")
    add("--init", metavar="PRESET_OR_TOML", help="the rules; the metadata's if left out")
    add("--threads", type=int, metavar="N", help="the number of threads; one for each CPU if left out")
    add("--json", action="store_true", help="print what was found as JSON")
    add("--quiet", action="store_true", help="print nothing; the exit status says it")


def run(args: argparse.Namespace) -> int:
    """Verify, and print the differences."""
    try:
        with progress(quiet=args.quiet) as report:
            found = verify(args.file, seed=args.seed, init=args.init, threads=args.threads, progress=report)
    except Damaged as error:
        if args.json:
            print_json({"same": False, "damage": str(error)})
        elif not args.quiet:
            print(printable(f"damaged: {error}"))
        return 1
    if args.json:
        print_json({"same": found.same, **asdict(found)})
    elif not args.quiet:
        print(describe(found))
    return 0 if found.same else 1


def describe(found: Verification) -> str:
    """Return the text of a verification."""
    lines = [
        f"{printable(each.name)}: {each.count:,} of {each.size:,} elements differ, first {list(each.index)}:"
        f" expected {each.expected!r}, found {each.actual!r}"
        for each in found.differences
    ]
    lines += [
        f"{printable(name)}: was made with seed {printable(seed)}, its metadata says"
        for name, seed in found.other_seeds.items()
    ]
    if not found.same_recipe:
        lines.append(
            "the tensors are not those of the metadata's recipe: some were added, removed or changed"
        )
    if found.rounded:
        names = printable(", ".join(found.rounded))
        lines.append(f"compared to rounding, as LAPACK's bits are not the same everywhere: {names}")
    verdict = "the same" if found.same else f"{len(found.differences)} of {found.tensors} tensors differ"
    speed = f"{found.bytes:,} bytes, {found.seconds:.2f} s, {found.bytes / found.seconds / 1e9:.2f} GB/s"
    lines.append(f"{verdict}: {found.tensors} tensors, {speed}, seed {found.seed}, rules {found.rules_from}")
    return "\n".join(lines)

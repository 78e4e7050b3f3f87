"""``fastinit generate``: write a checkpoint from a list of tensors."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .terminal import as_json, print_table, printable, progress

if TYPE_CHECKING:
    from fastinit.checkpoint import Summary
    from fastinit.checkpoint.recipe import Recipe


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "generate",
        help="write a checkpoint from a list of tensors",
        description="Write a checkpoint from a list of tensors: the same command, the same bytes anywhere.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "manifest",
        nargs="?",
        metavar="MANIFEST",
        help='JSON of name -> {"dtype", "shape"}, or a .safetensors file, an index of shards or a folder with'
        " either, whose headers are read; - for JSON on standard input; GPT-2 where it is left out",
    )
    add(
        "-o",
        "--output",
        default=".",
        metavar="FILE_OR_DIR",
        help="a name that ends in .safetensors, or a folder; the current one where it is left out",
    )
    add("--seed", type=int, default=0, metavar="N", help="0 where it is left out")
    add(
        "--init",
        default="auto",
        metavar="PRESET_OR_TOML",
        help="rules; auto recognises the model by its names",
    )
    add("--dtype", metavar="D", help="make floating-point tensors F64, F32, F16 or BF16")
    add("--threads", type=int, metavar="N", help="all of this machine's where it is left out")
    add(
        "--max-shard-size",
        metavar="SIZE",
        help="cut into shards above this, such as 500MB; 5GB for a folder where it is left out",
    )
    add(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only tensors whose names match; repeatable",
    )
    add("--force", action="store_true", help="replace what is there")
    add(
        "--resume", action="store_true", help="keep finished shards, each after a comparison of all its bytes"
    )
    add("--digest", action="store_true", help="also hash the bytes")
    add("--dry-run", action="store_true", help="show how each tensor would be filled; write nothing")
    add("--json", action="store_true", help="print the summary, or the dry run, as JSON")
    add("--quiet", action="store_true", help="print only errors")


def run(args: argparse.Namespace) -> int:
    """Generate, or show what would be generated."""
    from fastinit.checkpoint import generate, manifest

    source = manifest.GPT2 if args.manifest is None else args.manifest
    what = {key: getattr(args, key) for key in ("seed", "init", "only")}
    if args.dry_run:
        from fastinit.checkpoint.generation import planned_files
        from fastinit.checkpoint.parallel import number_of
        from fastinit.checkpoint.recipe import prepare

        number_of(args.threads)
        recipe = prepare(manifest.read(source, args.dtype), **what)
        show(recipe, planned_files(recipe.specs, args.output, args.max_shard_size), args)
        return 0
    with progress(quiet=args.quiet) as report:
        summary = generate(
            source,
            args.output,
            **what,
            dtype=args.dtype,
            threads=args.threads,
            max_shard_size=args.max_shard_size,
            force=args.force,
            resume=args.resume,
            digest=args.digest,
            progress=report,
        )
    if args.json:
        print(as_json(asdict(summary)))
    elif not args.quiet:
        print(describe(summary))
    return 0


def describe(summary: Summary) -> str:
    """Say what was written."""
    kept = f", {len(summary.kept)} kept" if summary.kept else ""
    speed = f"{summary.seconds:.2f} s, {summary.bytes / summary.seconds / 1e9:.2f} GB/s"
    lines = [
        f"{_named(summary.files)}{kept}",
        f"{summary.tensors} tensors, {summary.parameters:,} parameters, {summary.bytes:,} bytes, {speed}",
        f"rules   {summary.rules}",
        f"recipe  {summary.recipe}",
    ]
    if summary.digest is not None:
        lines.append(f"digest  {summary.digest}")
    return "\n".join(map(printable, lines))


def show(recipe: Recipe, files: Sequence[Path], args: argparse.Namespace) -> None:
    """Print how each tensor is filled, and where it all would go."""
    specs = recipe.specs
    totals = {
        "tensors": len(specs),
        "parameters": sum(spec.size for spec in specs),
        "bytes": sum(spec.nbytes for spec in specs),
        "rules": recipe.picked,
        "recipe": recipe.digest,
        "files": files,
        "layers": recipe.layers,
        "unused": recipe.unused,
    }
    if args.json:
        keys = ("name", "dtype", "shape", "fans", "rule", "init", "std")
        print(as_json({**totals, "plan": [dict(zip(keys, row, strict=True)) for row in _rows(recipe)]}))
        return
    if args.quiet:
        return
    print_table(
        ["name", "dtype", "shape", "fans", "rule", "init", "std"],
        [
            [name, dtype, _list(shape), _list(fans), rule, init, "" if std is None else f"{std:.6g}"]
            for name, dtype, shape, fans, rule, init, std in _rows(recipe)
        ],
    )
    lines = [
        "",
        f"{totals['tensors']} tensors, {totals['parameters']:,} parameters, {totals['bytes']:,} bytes",
        f"rules   {totals['rules']}" + ("" if recipe.layers is None else f", layers = {recipe.layers}"),
        f"recipe  {totals['recipe']}",
        f"files   {_named(files)}" + (", which is there" if any(map(os.path.lexists, files)) else ""),
    ]
    if recipe.unused:
        lines.append(f"rules that made nothing: {', '.join(recipe.unused)}")
    print(*map(printable, lines), sep="\n")


def _named(files: Sequence[Path]) -> str:
    return f"{files[-1]}, {len(files) - 1} shards" if files[1:] else str(files[0])


def _rows(recipe: Recipe) -> Iterator[tuple[Any, ...]]:
    for choice in recipe.choices:
        spec = choice.spec
        yield spec.name, spec.dtype, spec.shape, choice.fans, choice.rule, choice.label, choice.std


def _list(numbers: Sequence[int] | None) -> str:
    return "" if numbers is None else "[" + ", ".join(map(str, numbers)) + "]"

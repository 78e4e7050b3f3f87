"""``fastinit generate``: write a checkpoint of a model, or from a list of tensors."""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastinit import _signals
from fastinit.checkpoint import BadInput, CheckpointPlan, Choice, Recording, Summary, generate, plan
from fastinit.checkpoint.configs import is_model, named
from fastinit.checkpoint.errors import Unmatched
from fastinit.checkpoint.generation import check
from fastinit.checkpoint.manifest import GPT2
from fastinit.checkpoint.pieces import number_of_threads
from fastinit.checkpoint.ranks import Share
from fastinit.checkpoint.remote import Place
from fastinit.checkpoint.sources import PRESETS

from .tables import print_table
from .terminal import print_json, printable, progress

_EPILOG = f"""presets:
{textwrap.fill(", ".join(PRESETS), 76, initial_indent="  ", subsequent_indent="  ")}
  (fastinit rules says what each makes)

examples:
  fastinit generate config.json -o model/ --seed 7    # a transformers model's own initialisation
  fastinit generate llama-7b --dry-run                # a model that fastinit models shows
  fastinit generate list.json -o model/ --init he     # a list of names, dtypes and shapes
  fastinit generate list.json --init mine.toml --dry-run
  srun fastinit generate list.json -o model/ --rank auto    # by all processes of a Slurm step
"""

_COLUMNS = ("name", "dtype", "shape", "fans", "match", "init", "std")


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "generate",
        help="write a checkpoint of a model, or from a list of tensors",
        description="Write a checkpoint with a model's own initialisation, or from a list of tensors: the"
        " same command, the same bytes anywhere.",
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "manifest",
        nargs="?",
        metavar="MANIFEST",
        help="a model: a transformers config.json or its folder, timm:NAME, torchvision:NAME,"
        " diffusers:FOLDER, py:package.module:callable, or a recording. Or a list: a name that fastinit"
        " models shows, such as llama-7b; JSON of name ->"
        ' {"dtype", "shape"}, - for that on standard input, or a .safetensors file, an index of shards or a'
        " folder with either, whose headers are read. GPT-2 if left out",
    )
    _add_values(add)
    _add_ways(add)
    add("--digest", action="store_true", help="also print a digest of the bytes")
    add(
        "--dry-run",
        action="store_true",
        help="show how each tensor would be filled, and fail as the command would; write nothing",
    )
    add("--json", action="store_true", help="print the summary, or the dry run, as JSON")
    add("--quiet", action="store_true", help="print only warnings and errors")


def _add_values(add: Callable[..., object]) -> None:
    """Add the options that say which bytes are written, and where."""
    add(
        "-o",
        "--output",
        default=".",
        metavar="FILE_OR_DIR",
        help="a name that ends in .safetensors, or a folder, or fsspec's URL of either, such as"
        " s3://bucket/model; the current folder if left out",
    )
    add("--seed", type=int, default=0, metavar="N", help="the seed; 0 if left out")
    add(
        "--init",
        default="auto",
        metavar="PRESET_OR_TOML",
        help="the rules: a preset's name, a TOML file, an initialiser for all matrices such as"
        " 'normal(std=0.02)', or dummy, which makes any tensor; auto, if left out, recognises the model by"
        " its names",
    )
    add("--dtype", metavar="D", help="make floating-point tensors F64, F32, F16, BF16, F8_E4M3 or F8_E5M2")
    add(
        "--max-shard-size",
        metavar="SIZE",
        help="cut into shards above this, such as 500MB; 5GB for a folder if left out",
    )
    lists = {"action": "append", "default": []}
    add("--only", **lists, metavar="GLOB", help="take only tensors whose names match; repeatable")
    add(
        "--arg",
        **lists,
        metavar="KEY=VALUE",
        help="an argument for the constructor of a model, VALUE as in JSON or a word; repeatable",
    )
    add("--record", metavar="FILE", help="write what the model's own code does, as rules; no weights")


def _add_ways(add: Callable[..., object]) -> None:
    """Add the options that say how they are written, on which the bytes don't depend."""
    add("--threads", type=int, metavar="N", help="the number of threads; one for each CPU if left out")
    add("--force", action="store_true", help="replace what is there")
    add(
        "--resume", action="store_true", help="keep finished shards, each after a comparison of all its bytes"
    )
    add(
        "--rank",
        type=_rank,
        metavar="I",
        help="write only the shards of one of several processes that share the folder: number I of N, from 0."
        " The last to end writes the index. auto takes both numbers from RANK and WORLD_SIZE, or SLURM_PROCID"
        " and SLURM_NTASKS",
    )
    add("--world", type=int, metavar="N", help="the number of ranks")
    add(
        "--dask",
        metavar="ADDRESS",
        help="write by the workers of the Dask scheduler there, such as tcp://host:8786",
    )


def run(args: argparse.Namespace) -> int:
    """Generate, or show the plan."""
    what = {key: getattr(args, key) for key in ("seed", "init", "dtype", "max_shard_size", "only")}
    source: Any = GPT2 if args.manifest is None else named(args.manifest, args.output)
    if is_model(source, args.output):
        source = _recorded(source, args)
        if args.record and not args.dry_run:
            if args.only or args.dtype:
                raise BadInput("--record is of the full model: it takes no --only and no --dtype")
            if not args.record.endswith((".json", ".toml")):
                raise BadInput(f"{args.record}: a recording's name ends in .json or .toml")
            if not os.path.isdir(os.path.dirname(args.record) or "."):
                raise BadInput(f"{args.record}: cannot be written: its folder is missing")
            if os.path.lexists(args.record) and not args.force:
                raise BadInput(f"{args.record}: exists; --force replaces it")
            source.save(args.record)
            if not args.quiet:
                print(printable(f"{args.record}: {len(source.rules)} rules for {len(source.specs)} tensors"))
            return 0
    elif args.arg or args.record:
        raise BadInput(f"{source}: --arg and --record need a model, such as a config.json or timm:resnet50")
    number_of_threads(args.threads)
    share = Share.of(args.rank, args.world, force=args.force, digest=args.digest, client=args.dask)
    if args.dry_run:
        try:
            planned = plan(source, args.output, **what)
        except Unmatched as error:
            _show_unmatched(error, args)
            raise BadInput(error.first) from None
        show(planned, args)
        resume = args.resume or args.dask is not None
        check(planned, source, share, only=args.only, force=args.force, resume=resume)
        return 0
    how = {key: getattr(args, key) for key in ("threads", "force", "resume", "digest", "rank", "world")}
    with _client(args.dask) as client, progress(quiet=args.quiet) as report:
        summary = generate(source, args.output, **what, **how, client=client, progress=report)
    if args.json:
        print_json(summary._asdict())
    elif not args.quiet:
        print(describe(summary, of_rank=args.rank is not None))
    return 0


@contextmanager
def _client(address: str | None) -> Iterator[Any]:
    """Context with the client of a Dask cluster, or None."""
    if address is None:
        yield None
        return
    try:
        with _signals.held():
            from fastinit.dask import clusters
    except ImportError as error:
        raise BadInput(f"--dask: {error}") from None
    with clusters.connected(address) as client:
        yield client


def _rank(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor auto") from None


def _recorded(source: str, args: argparse.Namespace) -> Recording:
    """Return what a model's own code does."""
    arguments = {}
    for each in args.arg:
        key, equals, value = each.partition("=")
        if not equals or not key.isidentifier():
            raise BadInput(f"--arg {each}: give KEY=VALUE")
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    try:
        from fastinit.torch import models, recorder
    except ImportError as error:
        raise BadInput(f"{source}: {error}") from None
    model = models.model_of(source, arguments)
    try:
        recording = recorder.record_model(model)
    except (recorder.CannotRecord, BadInput) as error:
        # The command has no such option.
        text = str(error).replace('device="cpu"', 'in Python, fastinit.torch.record(callable, device="cpu")')
        raise BadInput(f"{source}: {text}") from None
    except (Exception, SystemExit) as error:  # whatever the model's own code raises
        raise BadInput(f"{source}: {type(error).__name__}: {error}") from None
    changed = arguments or args.dtype
    return replace(recording, files={}) if not changed and _is_in(source, args.output) else recording


def _is_in(source: str, folder: str) -> bool:
    """Whether a model is a folder, or the config in it."""
    path = Path(source.removeprefix("diffusers:"))
    there = path if os.path.isdir(path) else path.parent
    return os.path.exists(path) and there.resolve() == Path(folder).resolve()


def describe(summary: Summary, *, of_rank: bool = False) -> str:
    """Return the text of a summary. That of a rank counts all ranks' bytes, so they have no speed."""
    kept = f", {len(summary.kept)} kept" if summary.kept else ""
    speed = f"{summary.seconds:.2f} s"
    if not of_rank:
        speed += f", {summary.bytes / summary.seconds / 1e9:.2f} GB/s"
    lines = [
        f"{_named(summary.files)}{kept}",
        f"{_counts(summary)}, {speed}",
        f"rules   {summary.rules_from}",
        f"recipe  {summary.recipe_digest}",
    ]
    if summary.digest is not None:
        lines.append(f"digest  {summary.digest}")
    if summary.missing:
        lines.append(f"missing {len(summary.missing)} files, which other ranks write")
    return "\n".join(map(printable, lines))


def show(planned: CheckpointPlan, args: argparse.Namespace) -> None:
    """Print how each tensor would be filled, and the files."""
    recipe = planned.recipe
    rows = [*map(_row, recipe.choices)]
    if args.json:
        choices = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        more = {"layers": recipe.layers, "unused": recipe.unused, "choices": choices}
        print_json({**planned.facts(), **more})
        return
    if args.quiet:
        return
    _print_rows(rows)
    lines = [
        "",
        _counts(planned),
        f"rules   {recipe.rules_from}" + ("" if recipe.layers is None else f", layers = {recipe.layers}"),
        f"recipe  {recipe.digest}",
        f"files   {_named(planned.files)}"
        + (", which is there" if any(map(_is_there, planned.files)) else ""),
    ]
    if recipe.unused:
        lines.append(f"rules that made nothing: {', '.join(recipe.unused)}")
    print(*map(printable, lines), sep="\n")


def _show_unmatched(error: Unmatched, args: argparse.Namespace) -> None:
    """Print how each tensor would be filled, those without a rule marked, and the rules to add."""
    chosen = {each.spec.name: _row(each) for each in error.choices}
    rows = [
        chosen.get(spec.name, (spec.name, spec.dtype, spec.shape, None, "(no rule)", "", None))
        for spec in error.specs
    ]
    if args.json:
        unmatched = [spec.name for spec in error.specs if spec.name not in chosen]
        choices = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        print_json({"unmatched": unmatched, "rules": error.details, "choices": choices})
    elif not args.quiet:
        _print_rows(rows)
        print("", *map(printable, str(error).splitlines()), sep="\n")


def _row(each: Choice) -> tuple[Any, ...]:
    spec = each.spec
    return spec.name, spec.dtype, spec.shape, each.fans, each.match, each.label, each.std


def _print_rows(rows: Sequence[tuple[Any, ...]]) -> None:
    cells = [
        [name, dtype, _list(shape), _list(fans), match, init, "" if std is None else f"{std:.6g}"]
        for name, dtype, shape, fans, match, init, std in rows
    ]
    print_table(_COLUMNS, cells)


def _counts(of: CheckpointPlan | Summary) -> str:
    return f"{of.tensors} tensors, {of.parameters:,} parameters, {of.bytes:,} bytes"


def _named(files: Sequence[Place]) -> str:
    return f"{files[-1]}, {len(files) - 1} shards" if files[1:] else str(files[0])


def _is_there(path: Place) -> bool:
    return os.path.lexists(path) if isinstance(path, Path) else path.exists()


def _list(numbers: Sequence[int] | None) -> str:
    return "" if numbers is None else "[" + ", ".join(map(str, numbers)) + "]"

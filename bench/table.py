"""``python -m bench.table RECORD.json --pages README.md bench/README.md``: their tables, from a recorded run.

Each table stands between two comments. The first names a record and a table: fills, bounds, activations, or
one of numpy_tables.py.

    <!-- figures: bench/records/zen4.json fills -->
    <!-- end of figures -->

``--keep bench/records/zen4.json`` writes there first what the tables need of a run of `make bench`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from . import numpy_tables
from .report import Line, figure

PEERS = "NumPy", "torch", "oneMKL"
_SECTION = re.compile(r"(<!-- figures: (\S+) (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
_ACTIVATION = re.compile(r"(\w+) (f16|bf16|f32|f64), (16 Ki|16 Mi(?:, 2 threads)?|64)")


def shrink(record: dict) -> dict:
    """What the tables need: the lines of each benchmark and the machine, without the seconds of each call."""
    return {
        "machine": record["machine_info"]["bench"],
        "lines": [line for each in record["benchmarks"] for line in each["extra_info"].get("lines", [])],
    }


def fills(lines: list[Line]) -> Iterator[list[str]]:
    """The large fills: speeds, and how many times each peer's."""
    yield ["16 Mi values, one thread", "Gvalues/s", *PEERS]
    large = (line for line in lines if re.fullmatch(r"\S+ (f|bf)\d+", line.what))
    for (what, speed), group in groupby(large, key=lambda line: (line.what, line.speed)):
        medians = {line.against: line.median for line in group}
        ratios = [figure(medians[peer], "x") if peer in medians else "" for peer in PEERS]
        yield [_name(what), speed.split()[0], *ratios]


def bounds(lines: list[Line]) -> Iterator[list[str]]:
    """What has a bound and no place in another table, and whether it's kept; the limits of uniforms."""
    yield ["", "against", "measured", "fresh", "bound", ""]
    for line in lines:
        if numpy_tables.LINE.fullmatch(line.what):
            continue
        elsewhere = _ACTIVATION.fullmatch(line.what) and line.against.partition(",")[0] == "torch"
        limit = re.fullmatch(r"uniform f\d+", line.what) and line.against.startswith(
            ("memset", "non-temporal", "the clock")
        )
        if (line.bound and not elsewhere) or limit:
            fresh = figure(line.fresh, line.unit) if line.fresh else ""
            yield [line.what, line.against, figure(line.median, line.unit), fresh, line.bound, _missed(line)]


def activations(lines: list[Line]) -> Iterator[list[str]]:
    """How many times torch's speed each activation has, and its share of a copy's."""
    found: dict[str, dict[tuple[str, ...], Line]] = {}
    for line in lines:
        if match := _ACTIVATION.fullmatch(line.what):
            name, *measured = match.groups()
            found.setdefault(name, {})[(*measured, line.against)] = line
    yield ["", "16 Ki", "16 Mi", "fresh", "of a copy", "2 threads", "f16", "bf16", "64: time"]
    for name, by in found.items():
        large = by["f32", "16 Mi", "torch"]
        halves = (
            "; ".join(figure(by[tag, size, "torch"].median, "x") for size in ("16 Ki", "16 Mi"))
            for tag in ("f16", "bf16")
        )
        yield [
            f"`{name}`",
            _with_bound(by["f32", "16 Ki", "torch"]),
            _with_bound(large),
            figure(large.fresh, "x"),
            figure(by["f32", "16 Mi", "copy"].median, "%"),
            figure(by["f32", "16 Mi, 2 threads", "torch"].median, "x"),
            *halves,
            figure(by["f32", "64", "torch, time"].median, "x"),
        ]


TABLES = {"fills": fills, "bounds": bounds, "activations": activations, **numpy_tables.TABLES}


def render(record: dict, table: str) -> str:
    """A table of Markdown, and the machine that it was measured on."""
    heading, *rows = TABLES[table]([Line(**line) for line in record["lines"]])
    about = record["machine"]
    versions = ", ".join(f"{peer} {about[peer]}" for peer in PEERS)
    machine = (
        f"{about['CPU']}, {about['ISA']}, {about['compiler']}, {versions}; fastinit at {about['commit']}"
    )
    lines = [f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *rows)]
    return "\n".join(lines) + f"\n\n{machine}.\n"


def replace(text: str, name: str, record: dict) -> str:
    """`text` with the tables in each section of the record `name`; a ValueError if it has none."""
    if name not in sections(text):
        raise ValueError(f"there's no <!-- figures: {name} TABLE --> ... <!-- end of figures -->")

    def filled(match: re.Match) -> str:
        return match[1] + render(record, match[3]) + match[4] if match[2] == name else match[0]

    return _SECTION.sub(filled, text)


def sections(text: str) -> list[str]:
    """The names of the records that have sections in `text`."""
    return list(dict.fromkeys(match[2] for match in _SECTION.finditer(text)))


def _with_bound(line: Line) -> str:
    bound = ", ".join(filter(None, (line.bound, _missed(line))))
    return figure(line.median, "x") + (f" ({bound})" if bound else "")


def _missed(line: Line) -> str:
    return "missed" if line.kept is False else ""


def _name(what: str) -> str:
    distribution, tag = what.split()
    dtype = re.sub(r"^(b?)f", lambda match: match[1] + "float", tag)
    own = ", NumPy's own bits" if distribution == "uniform" and not tag.endswith("16") else ""
    return f"{distribution.replace('_', ' ')} {dtype}{own}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.table", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("record", type=Path, help="a run of make bench, or what --keep wrote")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write what the table needs there")
    parser.add_argument("--pages", type=Path, nargs="+", metavar="FILE", help="put the tables into these")
    options = parser.parse_args()
    record = json.loads(options.record.read_text())
    if "benchmarks" in record:
        record = shrink(record)
    if options.keep:
        options.keep.parent.mkdir(parents=True, exist_ok=True)
        options.keep.write_text(json.dumps(record, indent=1) + "\n")
    for page in options.pages or []:
        name = (options.keep or options.record).as_posix()
        page.write_text(replace(page.read_text(), name, record))
    if not options.pages:
        print(*(render(record, table) for table in TABLES), sep="\n", end="")


if __name__ == "__main__":
    main()

"""``python -m bench.page RECORD.json -o PAGE.html``: the results of `make bench`, for a colleague."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from datetime import datetime
from html import escape
from itertools import groupby
from pathlib import Path
from statistics import median

from trackbench.page import Section, write

from . import bars, charts
from .charts import COLOURS
from .report import Line

#: Above this load by other programs, a CPU or the memory was shared.
BUSY = 0.5
FILL = re.compile(r"(\S+) (f|bf)\d+")
ACTIVATION = re.compile(r"(\w+) f32, (16 Ki|16 Mi)")
METHOD = re.compile(r"Generator\.(.*), 1 Mi")
SIZES = {"16 Ki": "16 Ki values, in the cache", "16 Mi": "16 Mi values, from memory"}
SHADES = {SIZES["16 Ki"]: "#c0872d", SIZES["16 Mi"]: "#7d5314"}
ISAS = {
    "avx2": "#9db4c0",
    "avx512": "#6fa3c7",
    "avx512ifma": "#3b82c4",
    "avx512bf16": "#24588a",
    "neon": "#3b82c4",
}
PEERS = "NumPy", "torch", "oneMKL"

STYLE = (
    bars.STYLE
    + """
.where { color: light-dark(#555, #aaa); margin: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem;
         margin: 1rem 0; max-width: 60rem; }
.cards div { border: 1px solid #8886; border-radius: 8px; padding: .8rem 1rem; }
.cards b { display: block; font-size: 2.2rem; line-height: 1.2; }
.warning { border-left: 4px solid #d9822b; background: #d9822b22; padding: .5rem .8rem; max-width: 45rem; }
"""
)


def sections(record: dict) -> Iterator[Section]:
    """Yield the charts of a pytest-benchmark record, then all its figures."""
    extras = [each.get("extra_info", {}) for each in record["benchmarks"]]
    lines = _lines(record)
    yield from _fills(lines)
    yield from _activations(lines)
    yield from _methods(lines)
    yield from _calls(lines)
    yield from charts.sizes([extra["size"] for extra in extras if "size" in extra])
    yield from charts.threads([extra["threads"] for extra in extras if "threads" in extra])
    key = "gigavalues_per_second"
    by_isa = (each for each in record["benchmarks"] if key in each.get("extra_info", {}))
    yield from _isas({each["param"]: each["extra_info"][key] for each in by_isa})
    yield from _tables(lines)
    machine = record["machine_info"].get("bench", {})
    about = [["", ""], *([name, str(value)] for name, value in machine.items())]
    yield Section("The machine and the versions", table=about)


def headline(record: dict) -> str:
    """What was measured where and when, three numbers, and a warning if they are doubtful."""
    machine = record["machine_info"].get("bench", {})
    known = {name: str(machine[name]) for name in ("CPU", "CPUs", "ISA", "commit", "load") if name in machine}
    about = [known.get("CPU", ""), f"{known.get('CPUs', '?')} CPUs", known.get("ISA", "")]
    if "datetime" in record:
        when = datetime.fromisoformat(record["datetime"])
        about.append(f"{when.day} {when:%B %Y, %H:%M} UTC")
    about += [f"commit {known.get('commit', 'unknown')}"]
    about += [f"load {', '.join(known.get('load', 'unknown').split())} over 1, 5 and 15 minutes"]
    cards = "".join(
        f"<div><b>{escape(n)}</b>{escape(what)}</div>" for n, what in _numbers(_lines(record))[:3]
    )
    warnings = "".join(f'<p class="warning">{escape(each)}</p>' for each in _warnings(known))
    where = escape(" · ".join(filter(None, about)))
    return f'<p class="where">{where}</p>{warnings}<div class="cards">{cards}</div>'


def _warnings(known: dict[str, str]) -> Iterator[str]:
    load = re.match(r"[\d.]+", known.get("load", ""))
    if load and float(load[0]) > BUSY:
        yield (
            f"The machine was busy: its load was {load[0]} on {known.get('CPUs', '?')} CPUs before the first"
            " benchmark. Contenders take turns, so the ratios suffer less than the speeds, which are too low."
        )
    if known.get("commit", "").endswith("-dirty"):
        yield "The working tree had changes that no commit has."


def _numbers(lines: list[Line]) -> list[tuple[str, str]]:
    """Up to four numbers with their meaning; the last says in how many comparisons a peer wins."""
    found = []
    for work, what in (("normal f32", "float32 normals"), ("uniform f32", "float32 uniforms")):
        ratios = {line.against: _ratio(line) for line in lines if line.what == work and line.against in PEERS}
        if "NumPy" in ratios:
            others = ", ".join(f"{bars.figure(ratios[p])}x {p}'s" for p in PEERS[1:] if p in ratios)
            what += f", 16 Mi values on one thread ({others})" if others else ", 16 Mi values on one thread"
            found.append((f"{bars.figure(ratios['NumPy'])}x", f"NumPy's speed at {what}"))
    for pattern, peer, what in ((METHOD, "NumPy", "methods"), (ACTIVATION, "torch", "activations")):
        ratios = [_ratio(line) for line in lines if pattern.fullmatch(line.what) and line.against == peer]
        if ratios and len(found) < 2:
            about = f"{peer}'s speed, the median of {len(ratios)} {what}"
            found.append((f"{bars.figure(median(ratios))}x", about))
            found.append((f"{bars.figure(max(ratios))}x", f"{peer}'s speed at most"))
    ratios = [_ratio(line) for line in lines if _ratio(line)]
    if ratios:
        lost = sum(map(bars.peer_wins, ratios))
        found.append((f"{lost} of {len(ratios)}", "comparisons are won by the peer; all are below"))
    return found


def _lines(record: dict) -> list[Line]:
    return [
        Line(**line) for each in record["benchmarks"] for line in each.get("extra_info", {}).get("lines", [])
    ]


def _ratio(line: Line) -> float | None:
    """How many times as fast as a peer, for a given array or, if the peer takes none, for a fresh one."""
    peer, _, what = line.against.partition(", ")
    value = line.median or line.fresh
    if line.unit != "x" or peer not in COLOURS or what not in ("", "time") or not value:
        return None
    return 1 / value if what == "time" else value


def _bar(line: Line, name: str | None = None) -> bars.Bar:
    inverse = line.against.endswith(", time")
    quartiles = tuple(sorted(1 / each for each in line.quartiles)) if inverse else line.quartiles
    return bars.Bar(name or line.against.partition(",")[0], _ratio(line), quartiles)


def _chart(
    heading: str, note: str, rows: list[bars.Row], colours: dict[str, str] = COLOURS
) -> Iterator[Section]:
    if rows := [row for row in rows if row.bars]:
        yield Section(heading, note, html=bars.draw(rows, colours))


def _fills(lines: list[Line]) -> Iterator[Section]:
    large = [line for line in lines if FILL.fullmatch(line.what) and line.against in PEERS and _ratio(line)]
    rows = [
        bars.Row(what, speed.split()[0] + " Gv/s", [_bar(line) for line in group])
        for (what, speed), group in groupby(large, key=lambda line: (line.what, line.speed))
    ]
    note = "How many times as fast as each library, one thread, 16 Mi values into memory that is there."
    note += " Gv/s: 10^9 values a second. Other libraries are in the table of ratios."
    yield from _chart("Filling large arrays", note, rows)


def _activations(lines: list[Line]) -> Iterator[Section]:
    found: dict[str, list[bars.Bar]] = {}
    for line in lines:
        if (match := ACTIVATION.fullmatch(line.what)) and line.against == "torch" and _ratio(line):
            found.setdefault(match[1], []).append(_bar(line, SIZES[match[2]]))
    rows = [bars.Row(name, "", each) for name, each in found.items()]
    yield from _chart("Activations in float32", "How many times as fast as torch, one thread.", rows, SHADES)


def _methods(lines: list[Line]) -> Iterator[Section]:
    """The methods that differ from NumPy's by a quarter; the rest is in the table."""
    found = [
        line for line in lines if METHOD.fullmatch(line.what) and line.against == "NumPy" and _ratio(line)
    ]
    found.sort(key=_ratio, reverse=True)
    shown = [line for line in found if not 0.95 < _ratio(line) < 1.25]
    rows = [bars.Row(METHOD.fullmatch(line.what)[1], f"{line.speed} a value", [_bar(line)]) for line in shown]
    rest = len(found) - len(shown)
    note = "How many times as fast as NumPy, one thread, 1 Mi values."
    note += f" {rest} others, between 0.95x and 1.25x, are in the table." if rest else ""
    yield from _chart("Methods of Generator", note, rows)


def _calls(lines: list[Line]) -> Iterator[Section]:
    others = [line for line in lines if _ratio(line) and not any(p.match(line.what) for p in (FILL, METHOD))]
    others = [line for line in others if not re.search(r"\b(f16|bf16|f32|f64), ", line.what)]
    others = [line for line in others if not line.what.startswith("Generator.")]
    rows = [bars.Row(line.what, line.speed, [_bar(line)]) for line in others]
    note = "How many times as fast as the peer: one value or tensor a call, or parameters that are arrays."
    yield from _chart("Small calls", note, rows)


def _isas(works: dict[str, dict[str, float]]) -> Iterator[Section]:
    rows = [
        bars.Row(work, "", [bars.Bar(isa, speeds[isa] / speeds["baseline"]) for isa in ISAS if isa in speeds])
        for work, speeds in works.items()
        if "baseline" in speeds
    ]
    note = "How many times as fast as the baseline's kernel, with the same bits; one thread."
    yield from _chart("Instruction sets", note, rows, ISAS)


def _tables(lines: list[Line]) -> Iterator[Section]:
    """All figures, a table for each pair of units: the figure's and that of fastinit's speed."""
    names = {"x": "Every ratio", "%": "Shares of a limit"}
    notes = {
        "x": "How many times as fast as the peer; of a time, how many times as long.",
        "%": "Of the speed at which the machine writes or copies memory.",
    }
    for unit, speed in dict.fromkeys((line.unit, _speed_unit(line)) for line in lines):
        rows = [
            [line.what, line.against]
            + [cell.removesuffix(unit) for cell in line.cells]
            + [line.speed.removesuffix(f" {speed}")]
            for line in lines
            if (line.unit, _speed_unit(line)) == (unit, speed)
        ]
        ours = f"fastinit, {speed} (fresh)" if speed else "fastinit"
        heading = ["what", "against", f"figure, {unit.strip()}", "quartiles", "fresh array", ours]
        name = names.get(unit, "Other figures") + (f", fastinit in {speed}" if speed else "")
        yield Section(name, notes.get(unit, ""), table=[heading, *rows], folded=len(rows) > 20)


def _speed_unit(line: Line) -> str:
    return line.speed.rpartition(" ")[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("record", type=Path, help="what pytest wrote to --benchmark-json")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    record = json.loads(options.record.read_text())
    write(options.output, "fastinit's benchmarks", list(sections(record)), headline(record), STYLE)
    print(options.output)


if __name__ == "__main__":
    main()

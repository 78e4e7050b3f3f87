"""``python -m bench.table RECORD.json --readme README.md``: the README's table, from a recorded run.

It stands between two comments, the first of which names the record:

    <!-- figures: bench/records/zen5.json -->
    <!-- end of figures -->

``--keep bench/records/zen5.json`` writes there first what the table needs of a run of `make bench`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

PEERS = "NumPy", "torch", "oneMKL"
_SECTION = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def shrink(record: dict) -> dict:
    """What the tables need: the lines of each benchmark and the machine, without the seconds of each call."""
    return {
        "machine": record["machine_info"]["bench"],
        "lines": [line for each in record["benchmarks"] for line in each["extra_info"].get("lines", [])],
    }


def render(record: dict) -> str:
    """The Markdown table of the large fills, and the machine that they were measured on."""
    rows = [["16 Mi values, one thread", "Gvalues/s", *PEERS]]
    rows += [["---"] * len(rows[0])]
    fills = [line for line in record["lines"] if re.fullmatch(r"\S+ (f|bf)\d+", line["what"])]
    for (what, speed), lines in groupby(fills, key=lambda line: (line["what"], line["speed"])):
        medians = {line["against"]: line["median"] for line in lines}
        ratios = [_ratio(medians[peer]) if peer in medians else "" for peer in PEERS]
        rows.append([_name(what), speed.split()[0], *ratios])
    about = record["machine"]
    versions = ", ".join(f"{peer} {about[peer]}" for peer in PEERS)
    machine = (
        f"{about['CPU']}, {about['ISA']}, {about['compiler']}, {versions}; fastinit at {about['commit']}"
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{machine}.\n"


def replace(text: str, name: str, table: str) -> str:
    """`text` with the table in each section of the record `name`; a ValueError where it has none."""
    if name not in sections(text):
        raise ValueError(f"there's no <!-- figures: {name} --> ... <!-- end of figures -->")

    def filled(match: re.Match) -> str:
        return match[1] + table + match[3] if match[2] == name else match[0]

    return _SECTION.sub(filled, text)


def sections(text: str) -> Iterator[str]:
    """The names of the records that have sections in `text`."""
    return (match[2] for match in _SECTION.finditer(text))


def _ratio(median: float | None) -> str:
    return "missing" if median is None else f"{median:.2g}x"


def _name(what: str) -> str:
    distribution, tag = what.split()
    dtype = re.sub(r"^(b?)f", lambda match: match[1] + "float", tag)
    own = ", NumPy's own bits" if distribution == "uniform" else ""
    return f"{distribution.replace('_', ' ')} {dtype}{own}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.table", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("record", type=Path, help="a run of make bench, or what --keep wrote")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write what the table needs there")
    parser.add_argument("--readme", type=Path, help="put the table into this file")
    options = parser.parse_args()
    record = json.loads(options.record.read_text())
    if "benchmarks" in record:
        record = shrink(record)
    if options.keep:
        options.keep.parent.mkdir(parents=True, exist_ok=True)
        options.keep.write_text(json.dumps(record, indent=1) + "\n")
    if options.readme:
        name = (options.keep or options.record).as_posix()
        options.readme.write_text(replace(options.readme.read_text(), name, render(record)))
    else:
        print(render(record), end="")


if __name__ == "__main__":
    main()

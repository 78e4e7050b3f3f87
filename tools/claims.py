"""The table of claims in docs/theory.md: `python -m tools.claims` runs the examples and writes their numbers.

A row's claim is the text that its example gives it.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "theory.md"
EXAMPLES = sorted(
    path.stem for path in (ROOT / "examples").glob("*.py") if "from measuring import" in path.read_text()
)
ROW = re.compile(
    r"^\| (?P<claim>[^|]+) \| (?P<formula>[^|]*) \| (?P<source>[^|]*) \| (?P<measured>[^|]*)"
    r" \| (?P<count>[^|]*) \| \[(?P<example>\w+)\]\(\.\./examples/(?P=example)\.py\) \|$",
    re.MULTILINE,
)


def measure(example):
    """Run an example, and return what it measured, by claim."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("agg")
    folder = str(ROOT / "examples")
    if folder not in sys.path:
        sys.path.append(folder)
    import measuring

    measuring.measured.clear()
    runpy.run_path(f"{folder}/{example}.py", run_name="__main__")
    pyplot.close("all")
    return dict(measuring.measured)


def shown(found):
    """Return a measurement's two cells: the number with its error's digits, and how many values it is of."""
    if not found.count:
        return f"{found.value:.7g}", "exact"
    digits = max(0, -int(f"{found.error:.0e}".partition("e")[2]))
    return f"{found.value:.{digits}f} ± {found.error:.{digits}f}", f"{found.count:,}".replace(",", " ")


def main():
    found = {name: measure(name) for name in EXAMPLES}

    def with_numbers(row):
        measured, count = shown(found[row["example"]].pop(row["claim"]))
        return row[0].replace(f"| {row['measured']} | {row['count']} |", f"| {measured} | {count} |")

    PAGE.write_text(ROW.sub(with_numbers, PAGE.read_text()))
    for name, left in found.items():
        for claim, number in left.items():
            cells = " | ".join([claim, "", "", *shown(number), f"[{name}](../examples/{name}.py)"])
            print(f"no row yet: | {cells} |")


if __name__ == "__main__":
    main()

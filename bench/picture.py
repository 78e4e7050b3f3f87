"""``python -m bench.picture bench/records/zen4.json docs/speed.svg``: draws the picture of the README."""

import json
import sys
from pathlib import Path

import matplotlib
from matplotlib import pyplot

from .report import Line
from .table import PEERS, fills

COLORS = {"fastinit": "#d1495b", "NumPy": "#9db4c0", "torch": "#5c6b73", "oneMKL": "#c9ada7"}


def main(record: Path, picture: Path) -> None:
    """Draw the speeds of large fills, of fastinit and its peers."""
    record = json.loads(record.read_text())
    _, *rows = fills([Line(**line) for line in record["lines"]])
    matplotlib.rcParams |= {"svg.hashsalt": "fastinit", "svg.fonttype": "none", "font.family": "sans-serif"}
    figure, axes = pyplot.subplots(figsize=(7.6, 3.6), layout="constrained")
    for row, (_, speed, *ratios) in enumerate(reversed(rows)):
        speeds = {"fastinit": float(speed)}
        speeds |= {peer: float(speed) / float(r[:-1]) for peer, r in zip(PEERS, ratios, strict=True) if r}
        for place, (name, value) in enumerate(speeds.items()):
            axes.barh(row + 0.3 - 0.2 * place, value, 0.18, color=COLORS[name])
            axes.text(value + 0.03, row + 0.3 - 0.2 * place, f"{value:.2f}", va="center", size=7)
    axes.set_yticks(range(len(rows)), [row[0].partition(",")[0] for row in reversed(rows)])
    about = record["machine"]
    axes.set_xlabel(f"Gvalues/s, one thread, 16 Mi values; {about['CPU']}, {about['ISA']}")
    axes.legend([pyplot.Rectangle((0, 0), 1, 1, color=c) for c in COLORS.values()], COLORS, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""Bars that begin at 1x, as HTML: on the right fastinit is faster, on the left the peer; logarithmic."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from math import exp, log
from typing import NamedTuple

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)

STYLE = """
.bars { --name: 14rem; max-width: 60rem; font-size: .9rem; margin: .8rem 0; }
.bars .keys { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.bars .keys i { display: inline-block; width: 1rem; height: .8rem; border-radius: 2px; margin-right: .4rem; }
.bars .axis, .bars .row { display: grid; grid-template-columns: var(--name) 1fr; gap: 0 .8rem; }
.bars .axis { position: sticky; top: 0; z-index: 1; background: light-dark(#fff, #16181c);
              color: light-dark(#555, #aaa); }
.bars .scale { position: relative; height: 1.7rem; grid-column: 2; }
.bars .scale span { position: absolute; transform: translateX(-50%); }
.bars .row { padding: .3rem 0; align-items: center; border-top: 1px solid #8882; }
.bars .row small { display: inline-block; margin-left: .5rem; color: light-dark(#555, #aaa); }
.bars .lanes { position: relative; align-self: stretch; display: flex; flex-direction: column;
               justify-content: center; }
.bars .lanes > i { position: absolute; top: -.3rem; bottom: -.3rem; border-left: 1px solid #8883; }
.bars .lanes > i.one { border-left: 2px solid light-dark(#222, #ddd); }
.bars .lane { position: relative; height: 18px; }
.bars .lane b { position: absolute; top: 1px; height: 16px; border-radius: 0 3px 3px 0; }
.bars .lane b.peer { border-radius: 3px 0 0 3px; }
.bars b.peer, .bars .keys i.peer {
  background-image: repeating-linear-gradient(135deg, #fff9 0 3px, #0000 3px 6px); }
.bars .keys i.peer { background-color: #888; }
.bars .lane span { position: absolute; line-height: 18px; padding-left: .35rem; white-space: nowrap;
                   font-variant-numeric: tabular-nums; }
@media (max-width: 40rem) {
  .bars .axis, .bars .row { grid-template-columns: 1fr; }
  .bars .scale { grid-column: 1; }
  .bars .lanes > i { top: 0; }
}
"""


class Bar(NamedTuple):
    """How many times as fast as `peer`, with the quartiles."""

    peer: str
    value: float
    quartiles: tuple[float, float] | None = None


class Row(NamedTuple):
    """One job with a bar for each peer."""

    name: str
    note: str
    bars: list[Bar]


def draw(rows: Iterable[Row], colours: dict[str, str]) -> str:
    """Return the chart's HTML. `colours` has one for each peer; its order is that of the legend."""
    rows = list(rows)
    values = [bar.value for row in rows for bar in row.bars]
    low, high = min(0.8, *values) / 1.25, max(2.0, *values) * 1.1
    high *= (high / low) ** 0.2  # room for the number behind the longest bar

    def place(value: float) -> str:
        return f"{100 * (log(value) - log(low)) / (log(high) - log(low)):.2f}%"

    def lane(bar: Bar) -> str:
        left, right = sorted((1.0, bar.value))
        wins = peer_wins(bar.value)
        style = f"left:{place(left)};width:calc({place(right)} - {place(left)});"
        style += f"background-color:{colours[bar.peer]}"
        title = f"{bar.peer}: {figure(bar.value)}x"
        if bar.quartiles:
            title += " (quartiles {:.3g} to {:.3g})".format(*bar.quartiles)
        kind, says = ("peer", f" {escape(bar.peer)} wins") if wins else ("ours", "")
        return (
            f'<div class="lane" title="{escape(title)}"><b class="{kind}" style="{style}"></b>'
            f'<span style="left:{place(right)}">{figure(bar.value)}x{says}</span></div>'
        )

    ticks = [tick for tick in TICKS if low < tick < high * exp(-0.1)]
    lines = "".join(f'<i{" class=one" * (tick == 1)} style="left:{place(tick)}"></i>' for tick in ticks)
    used = {bar.peer for row in rows for bar in row.bars}
    keys = "".join(
        f'<span><i style="background:{colour}"></i>{escape(peer)}</span>'
        for peer, colour in colours.items()
        if peer in used
    )
    if any(map(peer_wins, values)):
        keys += '<span><i class="peer"></i>left of 1x: the peer wins</span>'
    scale = "".join(f'<span style="left:{place(tick)}">{tick:g}x</span>' for tick in ticks)
    body = "".join(
        f'<div class="row"><div>{escape(row.name)}<small>{escape(row.note)}</small></div>'
        f'<div class="lanes">{lines}{"".join(map(lane, row.bars))}</div></div>'
        for row in rows
    )
    return (
        f'<div class="bars"><div class="keys">{keys}</div>'
        f'<div class="axis"><div class="scale">{scale}</div></div>{body}</div>'
    )


def figure(value: float) -> str:
    """Return three digits at most, and no exponent."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}" if value >= 9.95 else f"{value:.2f}"


def peer_wins(value: float) -> bool:
    """Whether the figure as it is printed is below 1."""
    return float(figure(value)) < 1

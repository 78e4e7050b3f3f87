"""The page with charts, in a browser."""

import json
import re
import sys
from pathlib import Path

import pytest
from browser import BROWSER, browse

sys.path.append(str(Path(__file__).parents[1]))  # bench is no part of what is installed

from bench.page import STYLE, headline, sections
from trackbench.page import write

SPEEDS = {"fastinit": 9.0, "NumPy": 0.8, "torch": 0.4, "memset": 20.0}

# A frame as wide as a phone, and what a script finds in it.
PHONE = """<!DOCTYPE html>
<iframe id="frame" src="page.html" width="390" height="800"></iframe><pre id="found"></pre>
<script>
addEventListener("load", () => setTimeout(() => {
  const page = document.getElementById("frame").contentDocument.documentElement;
  const at = (each) => each.getBoundingClientRect();
  const bars = [...page.querySelectorAll(".lane b")].map((bar) => {
    const one = at(bar.closest(".lanes").querySelector(".one")), it = at(bar);
    return [bar.className, it.left - one.left, it.right - one.left, it.height];
  });
  const words = [...page.querySelectorAll(".bars span")].map((each) => at(each).right);
  document.getElementById("found").textContent =
    JSON.stringify({wide: page.scrollWidth, window: page.clientWidth, bars, words: Math.max(...words)});
}, 2000));
</script>
"""


def figure(what, against, median):
    return {
        "what": what,
        "speed": "9.0 Gv/s",
        "against": against,
        "median": median,
        "quartiles": median and [0.9 * median, 1.1 * median],
        "fresh": None,
        "unit": "x",
    }


def size_of(values):
    return {
        "work": "uniform f32",
        "bytes": 4 * values,
        "gigavalues_per_second": SPEEDS,
        "caches": {"L1": 49152, "L2": 1 << 20},
    }


@pytest.fixture
def page(tmp_path):
    extras = [
        {
            "lines": [
                figure("uniform f32", "NumPy", 11.0),
                figure("uniform f32", "torch", 40.0),
                figure("uniform f32", "oneMKL", 0.9),
                figure("</script><b>", "oneMKL", None),
                figure("</script><b>", "torch, time", 1.5),
            ]
        },
        *({"size": size_of(1 << power)} for power in (6, 16, 26)),
        {"threads": {"work": "normal f32", "gigavalues_per_second": {"1": 4.0, "2": 7.5}}},
        {"gigavalues_per_second": {"baseline": 0.05, "avx2": 1.1}},
    ]
    made = record([{"param": "normal f32", "extra_info": extra} for extra in extras])
    write(tmp_path / "page.html", "Benchmarks", list(sections(made)), headline(made), STYLE)
    return tmp_path / "page.html"


def record(benchmarks, load="0.2 0.8 1.6", commit="abc1234"):
    about = {"CPU": "A CPU", "CPUs": 2, "JAX": "missing", "load": load, "commit": commit}
    when = "2026-11-28T20:09:27.710632+00:00"
    return {"machine_info": {"bench": about}, "benchmarks": benchmarks, "datetime": when}


def test_page_needs_no_network(page):
    assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)=""", page.read_text())


@pytest.mark.skipif(BROWSER is None, reason="chromium is missing")
@pytest.mark.parametrize(("scheme", "ink"), [(0, "242, 245, 250"), (1, "42, 63, 95")], ids=["dark", "light"])
def test_charts_are_drawn(page, scheme, ink):
    dom, complaints = browse(page, f"--blink-settings=preferredColorScheme={scheme}")
    assert complaints == []
    charts = dom.split('class="chart')[1:]
    lines, threads = charts
    assert lines.count('class="js-line"') == 2 * len(SPEEDS)  # in the chart, and in its legend
    assert "L1" in lines
    assert threads.count('class="js-line"') == 2
    assert f"rgb({ink})" in lines  # the words of a chart
    assert "<td>missing</td>" in dom


@pytest.mark.skipif(BROWSER is None, reason="chromium is missing")
def test_page_is_as_wide_as_a_phone(page):
    phone = page.with_name("phone.html")
    phone.write_text(PHONE)
    dom, complaints = browse(phone)
    assert complaints == []
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', dom)[1])
    assert found["window"] > 300
    assert found["wide"] == found["window"]
    assert found["words"] <= found["window"]
    for who, left, right, height in found["bars"]:  # a bar begins at 1x, on the right or on the left
        assert abs(left if who == "ours" else right) < 2
        assert right > left
        assert height > 12
    assert [who for who, *_ in found["bars"]] == ["ours", "ours", "peer", "peer", "ours"]


def test_bars_and_numbers(page):
    html = page.read_text()
    bars = re.findall(r'<div class="lane" title="(.*?)"><b class="(\w+)".*?<span .*?>(.*?)</span>', html)
    assert bars == [
        ("NumPy: 11x (quartiles 9.9 to 12.1)", "ours", "11x"),
        ("torch: 40x (quartiles 36 to 44)", "ours", "40x"),
        ("oneMKL: 0.90x (quartiles 0.81 to 0.99)", "peer", "0.90x oneMKL wins"),
        ("torch: 0.67x (quartiles 0.606 to 0.741)", "peer", "0.67x torch wins"),  # 1 / 1.5 of the time
        ("avx2: 22x", "ours", "22x"),
    ]
    assert "<b>11x</b>NumPy&#x27;s speed at float32 uniforms" in html
    assert "<b>2 of 4</b>" in html
    assert "</script><b>" not in html


def test_tables_have_headings_and_each_unit_once(page):
    [table] = re.findall(r"<table>.*?</table>", page.read_text().partition("Every ratio")[2])[:1]
    heading, *rows = re.findall("<tr>.*?</tr>", table)
    names = re.findall("<th( class=number)?>(.*?)</th>", heading)
    assert [name for _, name in names] == [
        *("what", "against", "figure, x", "quartiles", "fresh array", "fastinit, Gv/s (fresh)")
    ]
    assert [bool(right) for right, _ in names] == [False, False, True, True, False, True]
    assert "<td>NumPy</td><td class=number>11</td>" in rows[0]
    assert not re.search(r"\d ?(x|Gv/s)<", "".join(rows))


@pytest.mark.parametrize(
    ("load", "commit", "warned"),
    [
        ("0.2 3.0 3.0", "abc1234", []),
        ("1.3 0.1 0.1", "abc1234", ["The machine was busy: its load was 1.3 on 2 CPUs"]),
        ("0.1 0.1 0.1", "abc1234-dirty", ["The working tree had changes"]),
    ],
)
def test_the_headline(load, commit, warned):
    html = headline(record([], load, commit))
    assert "A CPU · 2 CPUs · 28 November 2026, 20:09 UTC" in html
    assert f"commit {commit} · load {load.replace(' ', ', ')}" in html
    warnings = re.findall('<p class="warning">(.*?)</p>', html)
    assert len(warnings) == len(warned)
    assert all(text.startswith(start) for text, start in zip(warnings, warned, strict=True))

"""The page with charts, in a browser."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # bench is no part of what is installed

from bench.page import sections
from trackbench.page import write

BROWSER = shutil.which("chromium")
SPEEDS = {"fastinit": 9.0, "NumPy": 0.8, "torch": 0.4, "memset": 20.0}

# A frame as wide as a phone, and what a script finds in it.
PHONE = """<!DOCTYPE html>
<iframe id="frame" src="page.html" width="390" height="800"></iframe><pre id="found"></pre>
<script>
addEventListener("load", () => setTimeout(() => {
  const page = document.getElementById("frame").contentDocument.documentElement;
  document.getElementById("found").textContent = `page ${page.scrollWidth} of ${page.clientWidth}`;
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
        {"lines": [figure("uniform f32", "NumPy", 11.0), figure("</script><b>", "oneMKL", None)]},
        *({"size": size_of(1 << power)} for power in (6, 16, 26)),
        {"threads": {"work": "normal f32", "gigavalues_per_second": {"1": 4.0, "2": 7.5}}},
        {"gigavalues_per_second": {"baseline": 0.05, "avx2": 1.1}},
    ]
    record = {
        "machine_info": {"bench": {"CPU": "A CPU", "JAX": "missing"}},
        "benchmarks": [{"param": "normal f32", "extra_info": extra} for extra in extras],
    }
    write(tmp_path / "page.html", "Benchmarks", list(sections(record)))
    return tmp_path / "page.html"


def browse(page, *options):
    """The page's elements once its scripts ran, and what it complained of."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    flags += ["--enable-logging=stderr", f"--user-data-dir={page.parent / 'profile'}"]
    command = [BROWSER, *flags, "--allow-file-access-from-files", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)


def test_page_needs_no_network(page):
    assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)=""", page.read_text())


@pytest.mark.skipif(BROWSER is None, reason="chromium is missing")
@pytest.mark.parametrize(("scheme", "ink"), [(0, "242, 245, 250"), (1, "42, 63, 95")], ids=["dark", "light"])
def test_charts_are_drawn(page, scheme, ink):
    dom, complaints = browse(page, f"--blink-settings=preferredColorScheme={scheme}")
    assert complaints == []
    charts = dom.split('class="chart')[1:]
    assert len(charts) == 4
    bars, lines, threads, isas = charts
    assert bars.count('class="point"') == 1  # a missing peer has no bar
    assert lines.count('class="js-line"') == 2 * len(SPEEDS)  # in the chart, and in its legend
    assert "L1" in lines
    assert threads.count('class="js-line"') == 1
    assert isas.count('class="point"') == 2
    assert f"rgb({ink})" in lines  # the words of a chart
    assert "<td>missing</td>" in dom


@pytest.mark.skipif(BROWSER is None, reason="chromium is missing")
def test_page_is_as_wide_as_a_phone(page):
    phone = page.with_name("phone.html")
    phone.write_text(PHONE)
    dom, complaints = browse(phone)
    assert complaints == []
    wide, window = re.search(r"page (\d+) of (\d+)", dom).groups()
    assert int(window) > 300
    assert wide == window

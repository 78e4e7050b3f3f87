"""Reports, and the files that they write, seen in a browser."""

import json
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from browser import BROWSER, browse, on_a_phone

import fastinit
from fastinit.checkpoint import BadInput
from fastinit.propagation import Report, Trace, panels
from fastinit.propagation.page import _figure


@pytest.fixture(scope="module")
def report():
    return fastinit.propagate(
        "relu,tanh", "xavier_normal,normal(std=1)", depth=30, width=64, seeds=3, batch=32
    )


def test_json_is_all_in_plain_numbers(report, tmp_path):
    report.save(tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == json.loads(report.to_json())
    first = found["traces"][0]
    assert (first["activation"], first["init"]) == ("relu", "xavier_normal")
    assert first["forward"]["word"] == "vanishes"
    median = np.median(report.traces[0].measured["std"], axis=0)
    np.testing.assert_allclose(first["measured"]["std"]["median"], median, rtol=1e-5)
    assert found["traces"][1]["measured"]["dead"]["median"][0] is None  # the input is no layer
    assert found["settings"]["widths"] == [64] * 31


def test_quantiles_of_singular_values(report):
    trace = report.traces[0]
    np.testing.assert_allclose(trace.stretches()[4], trace.singular.max((0, 2)))
    assert trace.depths[-1] == 30


def test_a_report_of_ones_own_measurements(tmp_path):
    """What is needed is little: names, stds and gradients."""
    sizes = 0.5 ** np.arange(4.0)
    trace = Trace(
        "mlp",
        "a </script> model",
        ("input", "a", "b", "c"),
        {"std": sizes[None], "gradient": sizes[None, ::-1]},
    )
    own = Report((trace,))
    assert [each.word for each in own.verdicts] == ["stable", "stable"]
    assert own.verdicts[0].factor == pytest.approx(0.5)
    for suffix in ("html", "png", "svg", "json"):
        own.save(tmp_path / f"a.{suffix}")
    assert "</script> model" not in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(("factor", "ticks"), [(0.9, "D2"), (0.5, None)])
def test_ticks_of_few_decades_have_room(factor, ticks):
    """Of 2 decades, plotly writes all nine digits, and one over the other."""
    sizes = factor ** np.arange(20.0)
    trace = Trace("tanh", "normal", tuple(map(str, range(20))), {"std": sizes[None]})
    [signal] = [panel for panel in panels.PANELS if panel.quantity == "std"]
    lines = [panels.line(trace, signal)]
    assert _figure(signal, lines, {"normal": "#000000"}).layout.yaxis.dtick == ticks


def test_pictures(report, tmp_path):
    from PIL import Image

    report.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) > 500
    for colour in ((0xE4, 0x57, 0x2E), (0x3B, 0x82, 0xC4)):  # a line for each initialiser
        assert (pixels == colour).all(axis=-1).sum() > 1000
    report.save(tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    report.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == text
    assert ElementTree.fromstring(text).tag.endswith("svg")


def test_what_cannot_be_written(report, tmp_path, monkeypatch):
    for name in ("a.pdf", "a", "missing/a.html"):
        with pytest.raises(BadInput, match=r"ends in|cannot be written: No such"):
            report.save(tmp_path / name)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(BadInput, match="folder"):
        report.save(tmp_path / "folder.html")
    for library, suffix in (("plotly", "html"), ("matplotlib", "svg")):
        for module in [
            name for name in sys.modules if name.startswith(("fastinit.propagation.p", "fastinit._pages"))
        ]:
            monkeypatch.delitem(sys.modules, module)
        for module in [name for name in sys.modules if name.partition(".")[0] == library]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(BadInput, match=rf"{library} is missing: pip install 'fastinit-engine\[plots\]'"):
            report.save(tmp_path / f"b.{suffix}")


@pytest.fixture
def page(report, tmp_path):
    report.save(tmp_path / "page.html")
    return tmp_path / "page.html"


def test_a_page_needs_no_network(page):
    assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)=""", page.read_text())


@pytest.mark.skipif(BROWSER is None, reason="chromium is missing")
@pytest.mark.parametrize(("scheme", "ink"), [(0, "242, 245, 250"), (1, "42, 63, 95")], ids=["dark", "light"])
def test_charts_are_drawn(page, scheme, ink):
    dom, complaints = browse(page, f"--blink-settings=preferredColorScheme={scheme}")
    assert complaints == []
    charts = dom.split('class="chart ')[1:]
    assert len(charts) >= 10
    # A line and a band for each initialiser, and theory's lines.
    assert charts[0].count('class="js-line"') >= 4
    assert f"rgb({ink})" in charts[0]
    assert re.search(r'class="bad">(vanishes|explodes)', dom)


@pytest.mark.skipif(BROWSER is None, reason="chromium is missing")
def test_a_page_is_as_wide_as_a_phone(page):
    wide, window = on_a_phone(page)
    assert window > 300
    assert wide == window

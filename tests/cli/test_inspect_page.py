"""The pages of ``fastinit inspect``, seen in a browser."""

import re
import subprocess

import ml_dtypes  # noqa: F401  (safetensors finds bfloat16 by it)
import numpy as np
import pytest
from browser import BROWSER, browse, on_a_phone
from command import FASTINIT
from safetensors.numpy import load_file, save_file

from fastinit.checkpoint import Rule, formats, generate

NASTY = "<b>%{x} </script><script>alert(1)</script>\x1b[31m" + "x" * 500


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of one checkpoint, with a tensor off its law, and one of two."""
    folder = tmp_path_factory.mktemp("pages")
    model = {f"h.{i}.weight": {"dtype": "F32", "shape": [100, 300]} for i in range(30)}
    model |= {name: {"dtype": "BF16", "shape": [50, 50]} for name in (NASTY, "!odd", "orthogonal")}
    model |= {"norm.weight": {"dtype": "F32", "shape": [300]}}
    rules = [Rule("norm.*", "ones"), Rule("orthogonal", "orthogonal"), Rule("*", "normal(std=0.02)")]
    generate(model, folder / "a.safetensors", init=rules)
    tensors, metadata = (f(folder / "a.safetensors") for f in (load_file, lambda path: formats.read(path)[1]))
    tensors["h.7.weight"] = tensors["h.7.weight"] * np.float32(1.2)
    save_file(tensors, folder / "b.safetensors", metadata)
    for name, files in (("fit.html", ["b.safetensors"]), ("two.html", ["a.safetensors", "b.safetensors"])):
        done = subprocess.run(
            [*FASTINIT, "inspect", *files, "-o", name], cwd=folder, capture_output=True, text=True, check=True
        )
        assert done.stdout.endswith(f"written: {name}\n")
    return folder


@pytest.mark.parametrize("name", ["fit.html", "two.html"])
def test_a_page_is_one_file_in_which_names_are_text(pages, name):
    text = (pages / name).read_text()
    assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)=""", text)
    assert "<script>alert" not in text
    assert "\x1b" not in text


def test_rows_of_what_is_marked_come_first(pages):
    text = (pages / "fit.html").read_text()
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    assert rows[0].startswith("<th>name</th><th>dtype</th>")
    assert re.findall(r'class="bad">([^<]*)', text) == ["h.7.weight"]
    assert "h.7.weight" in rows[1]
    assert ">no law<" in text
    assert "34 tensors, 907,800 parameters, 1 marked. " in text
    rows = re.findall(r"<tr>(.*?)</tr>", (pages / "two.html").read_text())
    assert "h.7.weight" in rows[1]
    assert "1.2<" in rows[1]


@pytest.mark.skipif(BROWSER is None, reason="chromium is missing")
@pytest.mark.parametrize(("scheme", "ink"), [(0, "242, 245, 250"), (1, "42, 63, 95")], ids=["dark", "light"])
def test_charts_are_drawn(pages, scheme, ink):
    dom, complaints = browse(pages / "fit.html", f"--blink-settings=preferredColorScheme={scheme}")
    assert complaints == []
    charts = dom.split('class="chart ')[1:]
    assert len(charts) == 4  # of layers, and three others; the constant has none
    # 24 of the layers, the marked one among them, and their law.
    assert charts[0].count('class="js-line"') == 25
    assert "7 tensors have no line here" not in dom
    assert "6 tensors have no line here" in dom
    assert f"rgb({ink})" in charts[0]
    wrong = "rgb(228, 87, 46)"
    assert [wrong in chart for chart in charts] == [True, False, False, False]
    dom, complaints = browse(pages / "two.html")
    assert complaints == []
    assert len(dom.split('class="chart ')[1:]) == 1


@pytest.mark.skipif(BROWSER is None, reason="chromium is missing")
def test_a_page_is_as_wide_as_a_phone(pages):
    wide, window = on_a_phone(pages / "fit.html")
    assert window > 300
    assert wide == window

"""The figures in the README and in bench/README.md are those of a recorded run."""

import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fastinit import _threads
from fastinit.random import Generator, default_rng

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # bench is no part of what is installed

from bench import methods, table  # noqa: E402

#: The tables that each page has.
PAGES = {
    "README.md": ["fills", "numpys"],
    "README.zh.md": ["fills", "numpys"],
    "bench/README.md": ["bounds", "activations", "generator"],
    "docs/compatibility.md": ["methods"],
}
SIZES = "16 Ki", "16 Mi", "16 Mi, 2 threads"


def line(what, speed, against, median, *, fresh=None, unit="x", at_least=None, at_most=None):
    figures = {"median": median, "fresh": fresh, "unit": unit, "at_least": at_least, "at_most": at_most}
    return {"what": what, "speed": speed, "against": against, "quartiles": None, **figures}


RECORD = {
    "machine": {
        "CPU": "A CPU",
        "ISA": "avx2",
        "compiler": "gcc 12",
        "NumPy": "2.4",
        "torch": "missing",
        "oneMKL": "2026",
        "commit": "abc",
    },
    "lines": [
        line("uniform f32", "9.02 (5.1) Gv/s", "NumPy", 11.6, fresh=5.1, at_least=10),
        line("uniform f32", "9.02 (5.1) Gv/s", "torch", None),
        line("truncated_normal bf16", "2.00 (1.1) Gv/s", "oneMKL", 2.06),
        line("random()", "140 ns", "NumPy", 0.9, at_least=1),
        line("import", "", "after", 25.0, at_most=20, unit=" ms"),
        *(line(f"selu f32, {size}", "", "torch", 4.0, fresh=3.0, at_least=5) for size in SIZES),
        line("selu f32, 16 Mi", "", "copy", 81.0, unit="%"),
        line("selu f32, 64", "", "torch, time", 0.25),
        *(line(f"selu {tag}, {size}", "", "torch", 20.4) for tag in ("f16", "bf16") for size in SIZES),
    ],
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_records_figures(page):
    text = (ROOT / page).read_text()
    names = table.sections(text)
    assert names
    for name in names:
        expected = table.replace(text, name, json.loads((ROOT / name).read_text()))
        assert expected == text, f"python -m bench.table {name} --pages {page}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_its_tables(page):
    assert [match[3] for match in table._SECTION.finditer((ROOT / page).read_text())] == PAGES[page]


ABOUT = "A CPU, avx2, gcc 12, NumPy 2.4, torch missing, oneMKL 2026; fastinit at abc."


def test_fills():
    assert table.render(RECORD, "fills").splitlines() == [
        "| 16 Mi values, one thread | Gvalues/s | NumPy | torch | oneMKL |",
        "| --- | --- | --- | --- | --- |",
        "| uniform float32, NumPy's own bits | 9.02 | 12x | missing |  |",
        "| truncated normal bfloat16 | 2.00 |  |  | 2.06x |",
        "",
        ABOUT,
    ]


def test_bounds():
    assert table.render(RECORD, "bounds").splitlines()[2:-2] == [
        "| uniform f32 | NumPy | 12x | 5.1x | ≥ 10x |  |",
        "| random() | NumPy | 0.9x |  | ≥ 1x | missed |",
        "| import | after | 25 ms |  | ≤ 20 ms | missed |",
    ]


def test_activations():
    assert table.render(RECORD, "activations").splitlines()[2:-2] == [
        "| `selu` | 4x (≥ 5x, missed) | 4x (≥ 5x, missed) | 3x | 81% | 4x | 20x; 20x | 20x; 20x | 0.25x |",
    ]


def calls_of(size, ratio, against="NumPy"):
    label = "Generator.random(dtype=float32)" if size == "40" else "Generator.random()"
    return line(f"{label}, {size}", "0.50 ns", against, ratio, at_least=1)


GENERATOR = {
    "machine": RECORD["machine"],
    "lines": [
        calls_of("1 Mi", 3.0),
        calls_of("1 Mi", 0.5, "NumPy, baseline"),
        calls_of("one", 1.5),
        calls_of("40", 0.9),
    ],
}


def test_every_call():
    assert table.render(GENERATOR, "generator").splitlines()[:-2] == [
        "| one thread | ns a value | 1 Mi values | 40 values | one value | baseline |",
        "| --- | --- | --- | --- | --- | --- |",
        "| `random()` | 0.50 | 3x |  | 1.5x | 0.5x (≥ 1x, missed) |",
        "| `random(dtype=float32)` |  |  | 0.9x (≥ 1x, missed) |  |  |",
    ]
    assert table.render(GENERATOR, "numpys").splitlines()[2:-2] == ["| `random()` | 0.50 | 3x |  | 1.5x |"]
    assert len(table.render(GENERATOR, "bounds").splitlines()) == 4


ROWS = [
    [cell.strip() for cell in row.strip("|").split("|")]
    for row in (ROOT / "docs" / "compatibility.md").read_text().partition("## Why")[0].splitlines()
    if row.startswith("| `")
]
NAMES = [name for name in dir(Generator) if not name.startswith("_") and callable(getattr(Generator, name))]


def test_the_page_has_every_method_of_generator_once():
    assert sorted(row[0] for row in ROWS) == sorted(f"`{name}`" for name in NAMES)
    assert {*methods.METHODS} == methods.numpys_methods()
    assert [row[0] for row in ROWS if not row[6]] == ["`fold_in`", "`truncated_normal`"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_page_has_the_parameters_of_the_method(row):
    name = row[0].strip("`")
    ours = inspect.signature(getattr(Generator, name)).parameters
    numpys = getattr(np.random.Generator, name, None)
    numpys = inspect.signature(numpys).parameters if numpys else {}
    assert row[4] == ("" if "out" not in ours else "as in NumPy" if "out" in numpys else "yes")
    assert bool(row[5]) == ("dtype" in ours)
    if row[5] and name != "integers":
        floats = ("float16", "bfloat16", "float32", "float64")
        arguments = (-1, 1) if name == "truncated_normal" else (1,) if name == "standard_gamma" else ()
        for dtype in floats if row[5] == "float16 to float64" else row[5].split(", "):
            made = getattr(default_rng(7), name)(*arguments, size=3, dtype=dtype)
            assert made.dtype.name == dtype


@pytest.mark.parametrize("row", [row for row in ROWS if row[6]], ids=lambda row: row[0])
def test_the_page_has_the_methods_that_use_threads(row, monkeypatch):
    submitted = []
    pool = _threads._Pool()
    monkeypatch.setattr(pool, "submit", lambda function, times: submitted.append(times))
    monkeypatch.setattr(_threads, "_pool", pool)
    before = _threads.get_num_threads()
    _threads.set_num_threads(2)
    try:
        for call in methods.METHODS[row[0].strip("`")].calls:
            call.draw(default_rng(7), methods.MANY if call.many else 40)
    finally:
        _threads.set_num_threads(before)
    assert row[3] == ("yes" if submitted else "")


def test_only_the_records_own_section_changes():
    text = "".join(f"{n}\n<!-- figures: {n}.json fills -->\nold\n<!-- end of figures -->\n" for n in "ab")
    changed = table.replace(text, "b.json", RECORD)
    assert (
        changed
        == text[: text.rindex("old")] + table.render(RECORD, "fills") + text[text.rindex("old\n") + 4 :]
    )
    with pytest.raises(ValueError, match="there's no"):
        table.replace(text, "c.json", RECORD)

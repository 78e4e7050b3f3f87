"""The README's figures are those of a recorded run."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # bench is no part of what is installed

from bench import table  # noqa: E402

README = (ROOT / "README.md").read_text()
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
        {"what": "uniform f32", "speed": "9.02 (5.1) Gv/s", "against": "NumPy", "median": 11.6},
        {"what": "uniform f32", "speed": "9.02 (5.1) Gv/s", "against": "torch", "median": None},
        {"what": "truncated_normal bf16", "speed": "2.00 (1.1) Gv/s", "against": "oneMKL", "median": 2.06},
        {"what": "random()", "speed": "140 ns", "against": "NumPy", "median": 1.6},
    ],
}


@pytest.mark.parametrize("name", [*table.sections(README)])
def test_readme_has_the_records_figures(name):
    expected = table.replace(README, name, table.render(json.loads((ROOT / name).read_text())))
    assert expected == README, f"python -m bench.table {name} --readme README.md"


def test_table():
    assert table.render(RECORD).splitlines() == [
        "| 16 Mi values, one thread | Gvalues/s | NumPy | torch | oneMKL |",
        "| --- | --- | --- | --- | --- |",
        "| uniform float32, NumPy's own bits | 9.02 | 12x | missing |  |",
        "| truncated normal bfloat16 | 2.00 |  |  | 2.1x |",
        "",
        "A CPU, avx2, gcc 12, NumPy 2.4, torch missing, oneMKL 2026; fastinit at abc.",
    ]


def test_only_the_records_own_section_changes():
    text = "".join(f"{n}\n<!-- figures: {n}.json -->\nold\n<!-- end of figures -->\n" for n in "ab")
    assert (
        table.replace(text, "b.json", "new\n")
        == "old".join(text.split("old")[:2]) + "new" + text.split("old")[2]
    )
    with pytest.raises(ValueError, match="there's no"):
        table.replace(text, "c.json", "new\n")

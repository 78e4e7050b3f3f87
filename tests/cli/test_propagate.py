"""``fastinit propagate``: its table, its files, its errors."""

import json
import re

import pytest
from command import FASTINIT, on_a_terminal

from fastinit.cli import propagate, tables

SMALL = ["--depth", 6, "--width", 16, "--seeds", 2, "--batch", 20, "--directions", 8]
ONE = [
    "propagate",
    *SMALL,
    "--activation",
    "relu",
    "--init",
    "xavier_normal,kaiming_normal(mode=fan_out, a=0.1)",
]


def test_a_table(run):
    status, out, _ = run(*ONE)
    assert status == 0
    head, first, second, blank, *more = out.splitlines()
    assert head.split()[:3] == ["activation", "init", "forward"]
    assert re.search(r"relu +xavier_normal +[▁-█]{6} (stable|vanishes) x0\.\d+ +x0\.707 ", first)
    assert "kaiming_normal(a=0.1, mode=fan_out)" in second
    assert blank == ""
    assert more[0].startswith("6 layers of 16 units, 20 inputs, 2 seeds")


def test_json_has_what_the_report_has(run):
    status, out, _ = run(*ONE, "--json")
    found = json.loads(out)
    assert (status, found["schema"]) == (0, 1)
    assert [each["init"] for each in found["traces"]] == [
        "xavier_normal",
        "kaiming_normal(a=0.1, mode=fan_out)",
    ]


def test_files(run, tmp_path):
    for suffix in ("html", "png", "svg", "json"):
        status, out, _ = run(*ONE, "-o", tmp_path / f"a.{suffix}", "--quiet")
        assert (status, out) == (0, "")
        assert (tmp_path / f"a.{suffix}").stat().st_size > 1000
    assert f"written: {tmp_path / 'a.svg'}" in run(*ONE, "-o", tmp_path / "a.svg")[1]


def test_a_models_layers(run, model):
    status, out, _ = run("propagate", model, "--seeds", 1, "--activation", "relu")
    assert status == 0
    assert "own" in out
    assert "784-10, a chain without the rest of the model, 256 inputs" in out
    assert "layers: fc.weight" in out


def test_widths_norm_and_residual(run):
    found = run("propagate", "--widths", "8,8,4", "--norm", "layer", "--residual", "--seeds", 1, "--json")[1]
    settings = json.loads(found)["settings"]
    assert (settings["widths"], settings["norm"], settings["residual"]) == ([8, 8, 4], "layer", True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--depth", 0], "depth must be"),
        (["--width", 1], "width must be"),
        (["--widths", "8,1"], "width must be"),
        (["--widths", "8,x"], "numbers with commas"),
        (["--widths", "8,8", "--depth", 3], "both say the layers"),
        (["--activation", "nope"], "unknown activation 'nope'; known are"),
        (["--activation", "relu("], "activation 'relu('"),
        (["--init", "nope"], "unknown initialiser 'nope'"),
        (["--init", "own"], "is a model's"),
        (["--norm", "group"], "unknown norm 'group'"),
        (["--seeds", 0], "seeds must be"),
        (["--seed", -1], "seed"),
        (["-o", "a.pdf"], "ends in .html"),
        (["-o", "missing/a.html"], "cannot be written: No such"),
        (["-o", "/proc/a.html"], "cannot be written"),
        (["missing.json"], "missing.json"),
        (["timm:resnet18"], "first record it"),
    ],
)
def test_bad_input_is_one_line(run, tmp_path, monkeypatch, arguments, problem):
    monkeypatch.chdir(tmp_path)
    status, out, err = run("propagate", *arguments)
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_table_fits_the_terminal(width):
    shown = on_a_terminal([*FASTINIT, *map(str, ONE)], width)
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", shown).rpartition("\r\r")[2].replace("\r\n", "\n")
    table = shown.partition("\n\n")[0].rpartition("\r")[2]
    assert "xavier_normal" in table
    assert all(tables.cells(line) <= width for line in table.splitlines())


def test_bars():
    nan, inf = float("nan"), float("inf")
    assert propagate.bars([1.0] * 100) == "█" * 8
    assert propagate.bars([1.0, inf, nan, 0.0]) == "██ ▁"
    assert propagate.bars([]) == ""

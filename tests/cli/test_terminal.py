"""Tables, progress and names, on terminals of all kinds."""

import contextlib
import io
import json
import re
import sys
from collections import Counter

import pytest
from command import FASTINIT, on_a_terminal, shell

from fastinit.cli import tables, terminal


@pytest.mark.parametrize(("byte", "unit"), [(10**9, "GB"), (10**3, "KB")])
def test_progress_in_plain_lines(monkeypatch, byte, unit):
    now = iter([0.0, 0.5, 2.0, 2.1, 4.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(now))
    error = io.StringIO()
    with contextlib.redirect_stderr(error), terminal.progress(quiet=False) as report:
        for done in (1, 2, 3, 10):
            report(done * byte, 10 * byte)
    assert error.getvalue() == (
        # no line in the first half second, none 0.1 s later
        f"2.0 of 10.0 {unit}, 1.0 {unit}/s, 8 s left\n10.0 of 10.0 {unit}, 2.5 {unit}/s, 0 s left\n"
    )


@pytest.mark.parametrize("rich", [True, False])
def test_a_terminal(tmp_path, rich):
    """A progress bar and a table if rich is installed, plain text if not."""
    without = "" if rich else "import sys; sys.modules['rich'] = None;"
    script = f"{without}import sys; from fastinit.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "generate", "--only", "*.0.attn.c_attn.*"]
    table = on_a_terminal([*command, "--dry-run"])
    assert "transformer.h.0.attn.c_attn.weight " in table
    assert ("\x1b[1mname" in table) == rich
    written = on_a_terminal([*command, "-o", tmp_path])
    assert "2 tensors, 1,771,776 parameters" in written
    assert ("100%" in written) == rich


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("verb", ["generate", "inspect", "rules"])
def test_a_table_fits_the_terminal_and_cuts_nothing(run, tmp_path, verb, width):
    only = ["--only", "*.0.attn.c_attn.*"]
    run("generate", *only, "-o", tmp_path, "--quiet")
    arguments = {
        "generate": ["generate", "--dry-run", *only, "-o", tmp_path / "new"],
        "inspect": ["inspect", tmp_path],
        "rules": ["rules"],
    }[verb]
    _, piped, _ = run(*arguments)
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", on_a_terminal([*FASTINIT, *map(str, arguments)], width))
    table = re.split(r"\n\n", shown.replace("\r\n", "\n").rpartition("\r")[2])[0]
    assert all(tables.cells(line) <= width for line in table.splitlines())
    rows = piped.partition("\n\n")[0].partition("\n")[2]
    assert Counter("".join(rows.split())) <= Counter("".join(table.split()))


def test_rows_of_layers_are_one(tmp_path):
    shown = on_a_terminal([*FASTINIT, "generate", "--dry-run", "-o", str(tmp_path)])
    assert "24  transformer.h.{0..11}.ln_{1..2}.weight " in shown
    assert len(shown.splitlines()) < 40


def test_rows_fold_only_if_all_else_is_equal():
    rows = [["h.0.w", "F32"], ["h.2.w", "F32"], ["h.1.w", "F16"], ["w12", "F32"], ["w13", "F32"]]
    columns, table = tables.folded(["name", "dtype"], rows)
    assert columns == ["", "name", "dtype"]
    assert table == [
        ["2", "h.{0,2}.w", "F32"],
        ["", "h.1.w", "F16"],
        ["", "w12", "F32"],
        ["", "w13", "F32"],
    ]
    assert tables.folded(["preset"], [["a"]]) == (["preset"], [["a"]])


def test_letters_of_two_cells(run, tmp_path):
    path = tmp_path / "list.json"
    names = ["\u5c42.weight", "e\u0301.weight", "fc.weight"]
    path.write_text(json.dumps({name: {"dtype": "F32", "shape": [4, 5]} for name in names}))
    _, out, _ = run("generate", path, "--init", "he", "--dry-run")
    assert {tables.cells(line.partition("F32")[0]) for line in out.splitlines()[1:4]} == {11}


def test_control_characters_are_shown_and_not_obeyed(run, tmp_path):
    name = "fc\n\x1b[2J\u202e.weight"
    shown = "fc\\n\\x1b[2J\\u202e.weight"
    path = tmp_path / "list.json"
    path.write_text(json.dumps({name: {"dtype": "F32", "shape": [4, 5]}}))
    assert f"\n{shown} " in run("generate", path, "--init", "he", "--dry-run")[1]
    run("generate", path, "--init", "he", "-o", tmp_path)
    assert shown in run("inspect", tmp_path)[1]
    assert run("verify", tmp_path, "--seed", 1)[1].startswith(f"{shown}: 20 of 20 elements differ")
    status, out, err = run("generate", tmp_path / "\x1b[2J")
    assert (status, out, "\x1b" in err, err.count("\n")) == (2, "", False, 1)


def test_names_that_the_terminal_has_no_letters_for(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"größe.weight": {"dtype": "F32", "shape": [4, 5]}}))
    done = shell('PYTHONIOENCODING=ascii "$@"', "generate", path, "--init", "torch", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xf6\\xdfe.weight " in done.stdout

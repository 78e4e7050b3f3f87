"""What strangers may give to the command: one line with status 2, soon, and without much memory."""

import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastinit import checkpoint
from fastinit.checkpoint import BadInput
from fastinit.checkpoint.buffers import plan
from fastinit.checkpoint.spec import TensorSpec

PROGRAM = Path(__file__).parents[1] / "hostile.py"
MODEL = {"a.weight": {"dtype": "F32", "shape": [2, 3]}}


@pytest.mark.parametrize("count", [500, pytest.param(20_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["header", "index", "manifest", "toml", "spec", "size", "command"])
def test_made_inputs(kind, count):
    done = subprocess.run([sys.executable, PROGRAM, kind, str(count)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kind}: {count} inputs, 0 wrong" in done.stdout


def test_made_inputs_find_what_is_wrong():
    code = (
        "import sys; sys.argv = ['hostile.py']; sys.path.insert(0, sys.argv.pop());"
        f"sys.path.insert(0, {str(PROGRAM.parent)!r}); import hostile;"
        "from fastinit.checkpoint import expressions;"
        "hostile.main = lambda argv: 1 / 0;"
        "print(len(hostile.check(lambda pick: ['x'], 3, 0)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "3\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model.json").write_text(json.dumps(MODEL))
    return tmp_path


def safetensors(header):
    text = json.dumps(header).encode()
    Path("a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"1234")


def refused(run, said, *argv):
    status, out, err = run(*argv)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.isprintable() or err[:-1].isprintable()
    assert len(err) < 500
    assert said in err


def rules(init, more=""):
    Path("rules.toml").write_text(f"[[rule]]\nmatch = '*'\ninit = '{init}'\n{more}")
    return "generate", "model.json", "-o", "out", "--dry-run", "--init", "rules.toml"


@pytest.mark.parametrize(
    ("init", "said"),
    [
        ("normal(std={" + "+".join("1" * 5000) + "})", "is not an expression"),
        ("normal(std={" + "-" * 5000 + "1})", "is not an expression"),
        ("normal(std=" + "+".join("1" * 5000) + ")", "a spec is a name"),
        ("normal(std=" + "(" * 3000 + "1" + ")" * 3000 + ")", "a spec is a name"),
        ("normal(std=1if)", "a spec is a name"),
        ("normal(std=" + "9" * 5000 + ")", "a spec is a name"),
        ("inv_freq(base=1e9999999999999999999)", "is too large a base"),
    ],
)
def test_expressions_of_any_length(run, here, init, said):
    refused(run, said, *rules(init))


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 5000 + "]" * 5000, "[[rule]]\nmin_ndim = " + "9" * 5000, "x = 1979-13-99"]
)
def test_toml_that_python_cannot_read(run, here, text):
    argv = rules("zeros")
    Path("rules.toml").write_text(text)
    refused(run, "rules.toml: is not valid TOML: ", *argv)


def test_rules_without_end(run, here):
    argv = [*rules("zeros")[:-1], "/dev/zero"]
    refused(run, "/dev/zero: is over 1000 kB", *argv)


def test_patterns_without_end(run, here):
    bad = json.dumps([{"match": "/^(a+)+$/", "init": "zeros"}])
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    safetensors({"__metadata__": {"fastinit.seed": "1", "fastinit.rules": bad}, "a" * 60 + "!": entry})
    for verb in ("verify", "inspect"):
        refused(run, "it may never end", verb, "a.safetensors")


def test_warnings_quote_a_part_of_what_is_long(run, here):
    _, _, err = run(*rules("zeros", f"same_as = '{'9' * 5000}'\n"))
    assert "which is no tensor of the list" in err
    assert len(err) < 500


def test_fans_of_an_empty_tensor_of_the_largest_shape(run, here):
    Path("model.json").write_text(json.dumps({"a.weight": {"dtype": "F8_E4M3", "shape": [10**18, 3, 0]}}))
    status, out, _ = run("generate", "model.json", "-o", "out", "--dry-run", "--init", "he")
    assert (status, out.count("1000000000000000000")) == (0, 1)


def test_parts_that_are_no_texts(run, here):
    refused(run, "parts must be a list of strings", *rules("zeros", "parts = [1]"))


@pytest.mark.parametrize("digits", ["9" * 5000, "-1", "\u0663" * 5000])
def test_seeds_in_metadata(run, here, digits):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    safetensors({"__metadata__": {"fastinit.seed": digits, "fastinit.rules": "[]"}, "a": entry})
    refused(run, "its metadata has seed", "verify", "a.safetensors")


@pytest.mark.parametrize("file", ["a\0.safetensors", "\ud800.safetensors", "x" * 5000, "."])
def test_an_index_of_files_that_cannot_be(run, here, file):
    Path("i.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": file}}))
    refused(run, "", "inspect", "i.safetensors.index.json")


def test_sizes_and_seeds_of_hundreds_of_digits(run, here, capsys):
    argv = "generate", "model.json", "-o", "out", "--init", "he", "--dry-run"
    refused(run, "is not a number of bytes", *argv, "--max-shard-size", "9" * 400)
    with pytest.raises(SystemExit):
        run(*argv, "--seed", "9" * 5000)
    err = capsys.readouterr().err
    assert "invalid int value" in err
    assert len(err) < 400
    with pytest.raises(BadInput, match="the seed must have at most 4096 bits"):
        checkpoint.plan(MODEL, seed=10**5000, init="he")
    with pytest.raises(BadInput, match="the seed must have at most 4096 bits"):
        checkpoint.plan(MODEL, seed=-(10**5000), init="he")


def test_pipes_in_the_place_of_files(run, here):
    os.mkfifo("a.safetensors")
    argv = "generate", "model.json", "-o", "a.safetensors", "--init", "he"
    for more in ("--resume", "--force"):
        refused(run, "is a pipe or a device, where a file must go", *argv, more)
    for verb in ("inspect", "verify"):
        refused(run, "Not a regular file", verb, "a.safetensors")


def test_empty_paths(run, here):
    refused(run, "the target is empty", "generate", "model.json", "-o", "", "--init", "he")
    for verb in ("inspect", "verify"):
        refused(run, "the path is empty", verb, "")
    refused(run, "the path is empty", "generate", "", "-o", "out", "--init", "he")


@pytest.mark.parametrize("command", ["generate", "inspect", "verify"])
def test_names_that_no_file_may_have(run, here, command):
    refused(run, "File name too long" if command != "generate" else "No such file", command, "x" * 300)


def test_names_of_files_with_escapes(run, here, capsys):
    with pytest.raises(SystemExit):
        run("inspect", "a.safetensors", "b", "\x1b[31mred")
    assert capsys.readouterr().err == "fastinit: error: unrecognized arguments: \\x1b[31mred\n"


def test_more_threads_than_work(run, here, monkeypatch):
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: started.append(self) or start(self))
    argv = "generate", "model.json", "-o", "out", "--init", "he", "--quiet", "--threads", "1000000"
    assert run(*argv)[0] == 0
    assert len(started) < 3


@pytest.mark.parametrize("threads", ["1", "4"])
def test_no_thread_can_be_started(run, here, monkeypatch, threads):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run("generate", "model.json", "-o", "out", "--init", "he", "--threads", threads)[0] == 0
    assert run("verify", "out")[0] == 0
    assert run("inspect", "out")[0] == 0


def test_frequencies_are_made_where_they_are_asked_for():
    import numpy as np

    long = plan("inv_freq", TensorSpec("a", "F64", (10**12,)))
    made = np.empty(3)
    long.fill(made, None, 5 * 10**11)
    assert np.allclose(made, 10000.0 ** -(np.arange(3) / 10**12 + 0.5), rtol=1e-14)
    assert plan("inv_freq", TensorSpec("a", "F32", (0, 10**12))) is not None


def test_lists_of_lists_take_little_memory(here):
    code = (
        "import re; from fastinit.cli import main; status = main(['inspect', 'a.safetensors']);"
        "print(status, int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
    )
    for unit in (b"[],", b"{},", b"1,"):
        text = b'{"a":[' + unit * (99_000_000 // len(unit)) + b"1]}"
        Path("a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "lists or objects where numbers belong" in done.stderr
        status, megabytes = map(int, done.stdout.split())
        assert status == 2
        assert megabytes < 500

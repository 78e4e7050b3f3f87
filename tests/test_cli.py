"""The command: what it prints, where, and its exit status."""

import contextlib
import errno
import importlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from safetensors.numpy import load_file

import fastinit
from fastinit.checkpoint import manifest, tensors
from fastinit.cli import main, terminal

FASTINIT = [sys.executable, "-m", "fastinit"]
MODEL = {
    "fc.weight": {"dtype": "F32", "shape": [10, 784]},
    "fc.bias": {"dtype": "F32", "shape": [10]},
    "fc.position_ids": {"dtype": "I64", "shape": [1, 8]},
}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL))
    return str(path)


@pytest.fixture
def run(capsys):
    def run(*argv):
        status = main([str(argument) for argument in argv])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_version_and_info(run, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"fastinit {fastinit.__version__}\n"
    assert (
        subprocess.check_output([*FASTINIT, "--version"], text=True) == f"fastinit {fastinit.__version__}\n"
    )
    status, out, _ = run("info")
    fastinit.show_config()
    assert (status, out) == (0, capsys.readouterr().out)


def test_the_script_is_the_command(monkeypatch, capsys):
    project = tomllib.loads((Path(fastinit.__file__).parents[1] / "pyproject.toml").read_text())
    module, name = project["project"]["scripts"]["fastinit"].split(":")
    monkeypatch.setattr(sys, "argv", ["fastinit", "--version"])
    with pytest.raises(SystemExit):
        getattr(importlib.import_module(module), name)()
    assert capsys.readouterr().out.startswith("fastinit ")


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("generate", "verify", "inspect", "info"))


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["generate", "--nonsense"], ["generate", "--seed", "x"]])
def test_bad_arguments(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("fastinit: error: ")
    assert error.count("\n") == 1


def test_the_summary(run, model, tmp_path):
    path = tmp_path / "x.safetensors"
    status, out, err = run("generate", model, "-o", path, "--init", "he", "--seed", 3, "--digest")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(path)
    assert lines[1].startswith("3 tensors, 7,858 parameters, 31,464 bytes, ")
    assert lines[1].endswith(" GB/s")
    assert lines[2:3] == ["rules   he"]
    assert [line.split()[0] for line in lines[3:]] == ["recipe", "digest"]
    expected = dict(tensors(MODEL, init="he", seed=3))
    found = load_file(path)
    assert found.keys() == expected.keys()
    assert all((found[name] == expected[name]).all() for name in found)


def test_the_summary_as_json(run, model, tmp_path):
    status, out, _ = run("generate", model, "-o", tmp_path, "--init", "he", "--digest", "--json")
    summary = json.loads(out)
    assert status == 0
    assert summary["files"] == [str(tmp_path / "model.safetensors")]
    assert (summary["tensors"], summary["parameters"], summary["bytes"]) == (3, 7858, 31464)
    assert summary["tensor_digests"].keys() == MODEL.keys()


def test_quiet(run, model, tmp_path):
    assert run("generate", model, "-o", tmp_path, "--quiet") == (0, "", "")
    assert run("generate", model, "-o", tmp_path, "--quiet", "--dry-run") == (0, "", "")


def test_many_shards_are_one_line(run, model, tmp_path):
    _, out, _ = run("generate", model, "-o", tmp_path, "--max-shard-size", 1)
    assert out.splitlines()[0] == f"{tmp_path / 'model.safetensors.index.json'}, 3 shards"
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    _, out, _ = run("generate", model, "-o", tmp_path, "--max-shard-size", 1, "--resume")
    assert out.splitlines()[0] == f"{tmp_path / 'model.safetensors.index.json'}, 3 shards, 2 kept"


def test_without_a_manifest_it_is_gpt2(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("generate", "--only", "*ln_f*")
    assert status == 0
    assert out.splitlines()[:3] == ["model.safetensors", out.splitlines()[1], "rules   gpt2, picked by names"]
    assert load_file("model.safetensors").keys() == {"transformer.ln_f.weight", "transformer.ln_f.bias"}


def test_standard_input(tmp_path):
    command = [*FASTINIT, "generate", "-", "-o", tmp_path, "--quiet"]
    subprocess.run(command, input=json.dumps(MODEL).encode(), check=True)
    assert load_file(tmp_path / "model.safetensors").keys() == MODEL.keys()


def test_a_dry_run(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run("generate", "--dry-run")
    lines = out.splitlines()
    assert (status, err, list(tmp_path.iterdir())) == (0, "", [])
    assert lines[0].split() == ["name", "dtype", "shape", "fans", "rule", "init", "std"]
    [row] = [line.split() for line in lines if line.startswith("transformer.h.0.attn.c_attn.weight ")]
    assert " ".join(row[1:6]) == "F32 [768, 2304] [768, 2304]"  # a Conv1D: in, out
    assert row[-1] == "0.02"
    assert len(lines) == 1 + 148 + 1 + 4
    assert lines[-4:-2] == [
        "148 tensors, 124,439,808 parameters, 497,759,232 bytes",
        "rules   gpt2, picked by names, layers = 12",
    ]
    assert lines[-1] == "files   model.safetensors"

    status, out, _ = run("generate", "--dry-run", "--json")
    plan = json.loads(out)
    assert lines[-2] == f"recipe  {plan['recipe']}"
    assert (plan["files"], plan["layers"], plan["unused"]) == (["model.safetensors"], 12, [])
    assert len(plan["plan"]) == plan["tensors"] == 148
    assert plan["plan"][0].keys() == {"name", "dtype", "shape", "fans", "rule", "init", "std"}


def test_a_dry_run_says_the_recipe_of_the_real_one(run, model, tmp_path):
    _, out, _ = run("generate", model, "--dry-run", "--json")
    _, real, _ = run("generate", model, "-o", tmp_path, "--json")
    assert json.loads(out)["recipe"] == json.loads(real)["recipe"]


def test_a_dry_run_checks_what_the_real_one_would(run, model, tmp_path):
    for wrong in (
        ["--threads", 0],
        ["--max-shard-size", "5 parsecs"],
        ["-o", tmp_path / "missing" / "folder"],
        ["-o", model],
    ):
        for dry in ([], ["--dry-run"]):
            assert run("generate", model, "--init", "he", *wrong, *dry)[0] == 2, wrong
    _, out, _ = run("generate", model, "-o", tmp_path / "new", "--dry-run", "--max-shard-size", 1)
    assert out.splitlines()[-1] == f"files   {tmp_path}/new/model.safetensors.index.json, 3 shards"
    assert not (tmp_path / "new").exists()
    rules = tmp_path / "rules.toml"
    rules.write_text('extends = "he"\n[[rule]]\nmatch = "cf.*"\ninit = "zeros"\n')
    run("generate", model, "-o", tmp_path, "--init", rules)
    _, out, _ = run("generate", model, "-o", tmp_path, "--init", rules, "--dry-run")
    assert out.splitlines()[-2:] == [
        f"files   {tmp_path}/model.safetensors, which is there",
        "rules that made nothing: cf.*",
    ]


LISTS = Path(__file__).parent / "manifests"


@pytest.mark.parametrize("path", [manifest.GPT2, *sorted(LISTS.glob("*.json"))], ids=lambda path: path.stem)
def test_every_list_has_its_preset(run, path):
    status, out, _ = run("generate", path, "--dry-run", "--json")
    presets = {
        "gpt2": "gpt2",
        "bert": "bert",
        "llama": "llama",
        "mixtral": "llama",
        "resnet50": "resnet",
        "vit": "vit",
    }
    assert status == 0
    assert json.loads(out)["rules"] == presets[path.stem.split("-")[0]] + ", picked by names"


@pytest.mark.parametrize(
    "argv",
    [
        ["missing.json"],
        ["model.json", "--init", "nonsense"],
        ["model.json", "--dtype", "F8"],
        ["model.json", "--only", "nothing"],
        ["model.json", "--seed", "-1"],
        ["model.json", "-o", "missing/folder"],
        ["model.json", "-o", "model.json"],
        ["cut.json"],
    ],
)
def test_bad_input_is_one_line_and_status_2(run, tmp_path, model, argv, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cut.json").write_text('{"x": {"dtype": "F32",')
    before = sorted(tmp_path.iterdir())
    status, out, err = run("generate", *argv)
    assert (status, out) == (2, "")
    assert err.startswith("fastinit: error: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "{file}: No space left on device"),
        (MemoryError(), 1, "MemoryError"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_failures(run, model, tmp_path, monkeypatch, error, status, line):
    def fail(*_):
        raise error

    monkeypatch.setattr(os, "pwrite", fail)
    assert run("generate", model, "-o", tmp_path / "new") == (
        status,
        "",
        f"fastinit: error: {line.format(file=tmp_path / 'new' / 'model.safetensors')}\n",
    )
    assert not (tmp_path / "new").exists()


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [*FASTINIT, "generate", "--dry-run"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(("byte", "unit"), [(10**9, "GB"), (10**3, "KB")])
def test_progress_in_plain_lines(monkeypatch, byte, unit):
    now = iter([0.0, 0.5, 2.0, 2.1, 4.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(now))
    error = io.StringIO()
    with contextlib.redirect_stderr(error), terminal.progress(quiet=False) as report:
        for done in (1, 2, 3, 10):
            report(done * byte, 10 * byte)
    assert error.getvalue() == (
        # nothing for the first half second, nothing for 0.1 s later
        f"2.0 of 10.0 {unit}, 1.0 {unit}/s, 8 s left\n10.0 of 10.0 {unit}, 2.5 {unit}/s, 0 s left\n"
    )


def on_a_terminal(command, width=200):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    text = b""
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # a terminal's end
            while part := os.read(ours, 65536):
                text += part
    os.close(ours)
    assert process.returncode == 0
    return text.decode()


@pytest.mark.parametrize("rich", [True, False])
def test_a_terminal(tmp_path, rich):
    """A progress bar and a table where rich is there, plain text where it isn't."""
    without = "" if rich else "import sys; sys.modules['rich'] = None;"
    script = f"{without}import sys; from fastinit.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "generate", "--only", "*.0.attn.c_attn.*"]
    table = on_a_terminal([*command, "--dry-run"])
    assert "transformer.h.0.attn.c_attn.weight " in table
    assert ("\x1b[1mname" in table) == rich
    written = on_a_terminal([*command, "-o", tmp_path])
    assert "2 tensors, 1,771,776 parameters" in written
    assert ("100%" in written) == rich


@pytest.mark.parametrize("verb", ["generate", "inspect"])
def test_a_narrow_terminal_cuts_nothing(run, tmp_path, verb):
    only = ["--only", "*.0.attn.c_attn.*"]
    run("generate", *only, "-o", tmp_path, "--quiet")
    arguments = {"generate": ["generate", "--dry-run", *only], "inspect": ["inspect", str(tmp_path)]}[verb]
    _, piped, _ = run(*arguments)
    narrow = on_a_terminal([*FASTINIT, *arguments], width=80).replace("\r\n", "\n")
    lines = [line for line in piped.splitlines() if "c_attn" in line]
    assert len(lines) == 2
    assert all(line in narrow.splitlines() for line in lines)


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


def shell(line, *arguments):
    """Run a line of sh in which "$@" is the command."""
    command = ["sh", "-c", line, "sh", *FASTINIT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_closed_streams(model, tmp_path):
    for number, closed in enumerate(["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]):
        folder = tmp_path / str(number)
        done = shell(f'"$@" {closed}', "generate", model, "-o", folder)
        assert (done.returncode, done.stderr) == (0, "")
        assert load_file(folder / "model.safetensors").keys() == MODEL.keys()
    done = shell('"$@" <&-', "generate", "-", "-o", tmp_path / "new")
    assert (done.returncode, done.stderr) == (2, "fastinit: error: standard input: is closed\n")
    assert shell('"$@" 2>&-', "generate", "missing.json").returncode == 2


def test_a_full_disk_behind_standard_output(model, tmp_path):
    for arguments in (["generate", "--dry-run"], ["inspect", tmp_path]):
        shell('"$@"', "generate", model, "-o", tmp_path, "--force")
        done = shell('"$@" > /dev/full', *arguments)
        assert done.returncode == 1
        assert done.stderr == "fastinit: error: standard output: No space left on device\n"


def test_names_that_the_terminal_has_no_letters_for(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"größe.weight": {"dtype": "F32", "shape": [4, 5]}}))
    done = shell('PYTHONIOENCODING=ascii "$@"', "generate", path, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xf6\\xdfe.weight " in done.stdout


@pytest.mark.parametrize("module", ["fastinit.cli", "fastinit.cli.generate", "fastinit.checkpoint.rules"])
def test_ctrl_c_while_modules_are_imported(tmp_path, module):
    script = (
        "import sys; from fastinit.__main__ import run\n"
        "class Interrupt:\n"
        "    def find_spec(name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt); run()"
    )
    command = [sys.executable, "-c", script, "generate", "-o", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (130, "", False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_in_an_import_is_heard_after_it(tmp_path, number):
    """NumPy's makes any exception an ImportError; others swallow it."""
    (tmp_path / "catches.py").write_text(
        "import os, signal\n"
        f"try: os.kill(os.getpid(), {number:d}); [None for _ in range(1000)]\n"
        "except BaseException: raise ImportError('of its own')\n"
    )
    script = (
        f"import signal; signal.signal({number:d}, signal.SIG_DFL)\n"  # though these tests run under nohup
        "import sys, time; from fastinit.cli import info, main\n"
        "def run(_): import catches; time.sleep(60)\n"
        "info.run = run; sys.exit(main(['info']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 128 + number
    assert done.stderr == ("fastinit: error: interrupted\n" if number == signal.SIGINT else "")

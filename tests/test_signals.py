"""Signals end the command at any point, and an import does not swallow them."""

import signal
import subprocess
import sys

import pytest

from fastinit import _signals


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


def run(script, *arguments, cwd):
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


# Some modules swallow every exception in an import, or make it an ImportError as NumPy does.
SWALLOWS = """
import os
try: os.kill(os.getpid(), {number}); [None for _ in range(1000)]
except BaseException: raise ImportError("of its own")
"""


def assert_ended(done, number):
    assert done.returncode == 128 + number
    line = "fastinit: error: interrupted; the same command with --resume goes on\n"
    assert done.stderr == (line if number == signal.SIGINT else "")


@pytest.mark.parametrize("module", ["fastinit.cli", "numpy", "fastinit.checkpoint.rules"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_in_an_import_is_heard_after_it(tmp_path, number, module):
    (tmp_path / "swallows.py").write_text(SWALLOWS.format(number=int(number)))
    script = (
        f"import signal; signal.signal({number:d}, signal.SIG_DFL)\n"  # though these tests run under nohup
        "import sys; from fastinit.__main__ import run\n"
        "class Finder:\n"
        "    def find_spec(name, *_):\n"
        f"        if name == {module!r}: import swallows\n"
        "sys.meta_path.insert(0, Finder); sys.argv[1:] = ['generate', '-o', 'model']; run()"
    )
    assert_ended(run(script, cwd=tmp_path), number)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_while_rich_is_imported(tmp_path, number):
    """rich is the only package that is imported after the command has begun."""
    (tmp_path / "rich.py").write_text(SWALLOWS.format(number=int(number)))
    script = (
        f"import signal; signal.signal({number:d}, signal.SIG_DFL)\n"
        "import sys; from fastinit.cli import main; sys.stderr.isatty = lambda: True\n"
        "sys.exit(main(['generate', '-o', 'model']))"
    )
    assert_ended(run(script, cwd=tmp_path), number)
    assert not (tmp_path / "model").exists()


def test_what_was_there_before_is_there_afterwards():
    outer = [signal.getsignal(number) for number in _signals.SIGNALS]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = [signal.getsignal(number) for number in _signals.SIGNALS]
    try:
        with _signals.held():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(SystemExit, match="143"), _signals.handled():
                pytest.fail("it waited")
            with _signals.handled():
                assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
                with pytest.raises(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
        assert [signal.getsignal(number) for number in _signals.SIGNALS] == before
    finally:
        for number, handler in zip(_signals.SIGNALS, outer, strict=True):
            signal.signal(number, handler)

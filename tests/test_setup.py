"""The build: what is compiled and linked again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {
    "src_c/answer.h": "int answer(void);\n",
    "src_c/number.inc.h": "#define NUMBER 1\n",
    "src_c/answer.c": '#include "answer.h"\n#include "number.inc.h"\nint answer(void) { return NUMBER; }\n',
    "src_c/other.c": '#include "answer.h"\n',
    "fastinit/__init__.py": "",
    "fastinit/_numpy_calls.pyx": "print(3)\n",
    "fastinit/_dispatch.pyx": 'cdef extern from "answer.h":\n    int answer()\n\nprint(answer())\n',
}


@pytest.fixture
def run(tmp_path):
    """A function that runs Python in a small project with our setup.py and returns what it prints."""
    shutil.copy(ROOT / "setup.py", tmp_path)
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": "", "CFLAGS": "-O0"}

    def run(*command):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def answers(run):
    """A function that builds the project and returns what its core answers."""

    def answers():
        run("setup.py", "--quiet", "build_ext", "--inplace")
        return run("-c", "import fastinit._dispatch").split()

    return answers


def test_only_a_debug_build_has_symbols(run, tmp_path):
    for folder, options in {"plain": [], "debug": ["--debug"]}.items():
        run("setup.py", "--quiet", "build_ext", f"--build-lib={folder}", f"--build-temp={folder}", *options)
        modules = [path.read_bytes() for path in tmp_path.glob(f"{folder}/fastinit/*.so")]
        assert [b".symtab" in each for each in modules] == [folder == "debug"] * 2


def test_a_changed_c_file_is_linked_again(answers, tmp_path):
    assert answers() == ["1"]
    source = tmp_path / "src_c" / "answer.c"
    source.write_text(source.read_text().replace("NUMBER", "2"))
    assert answers() == ["2"]


def made(folder):
    """The objects and modules of a build, with the times at which they were made."""
    found = [path for suffix in ("o", "so") for path in folder.rglob(f"*.{suffix}")]
    return {path.name.partition(".")[0] + path.suffix: path.stat().st_mtime_ns for path in found}


def test_only_what_is_made_from_a_changed_file_is_made_again(answers, tmp_path):
    answers()
    core = {"answer.o", "other.o", "_dispatch.o", "_dispatch.so"}
    for changed, expected in {
        "src_c/number.inc.h": {"answer.o", "_dispatch.so"},
        "src_c/other.c": {"other.o", "_dispatch.so"},
        "src_c/answer.h": core,
        "fastinit/_numpy_calls.pyx": {"_numpy_calls.o", "_numpy_calls.so"},
        "setup.py": core | {"_numpy_calls.o", "_numpy_calls.so"},
        "fastinit/__init__.py": set(),
    }.items():
        before = made(tmp_path)
        os.utime(tmp_path / changed)
        answers()
        assert {name for name, time in made(tmp_path).items() if time != before[name]} == expected, changed
    header = tmp_path / "src_c" / "number.inc.h"
    header.rename(header.with_name("digit.inc.h"))
    source = tmp_path / "src_c" / "answer.c"
    source.write_text(source.read_text().replace("number.inc.h", "digit.inc.h"))
    assert answers() == ["1"]

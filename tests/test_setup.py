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
    "src_c/answer.c": '#include "answer.h"\nint answer(void) { return 1; }\n',
    "fastinit/__init__.py": "",
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
        [built] = tmp_path.glob(f"{folder}/fastinit/*.so")
        assert (b".symtab" in built.read_bytes()) == (folder == "debug")


def test_a_changed_c_file_is_linked_again(answers, tmp_path):
    assert answers() == ["1"]
    source = tmp_path / "src_c" / "answer.c"
    source.write_text(source.read_text().replace("1", "2"))
    assert answers() == ["2"]

"""Measures how often `compare` is right here, on equal versions and on one with a known slow-down."""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import turns, verdicts
from .builds import Builds, Version, find, git

# Blocks of a generator's output. With the flag, which only this test uses, every twentieth is made twice.
_KERNEL = """
#include <Python.h>
#include <stdint.h>
enum { BLOCK = 512, BLOCKS = 200 };
static uint64_t out[BLOCK * BLOCKS];
static void fill(uint64_t *block, uint64_t state) {
    for (int i = 0; i < BLOCK; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        block[i] = state >> 11 ^ state;
    }
}
static PyObject *run(PyObject *self, PyObject *slow) {
    int extra = PyObject_IsTrue(slow);
    for (int i = 0; i < BLOCKS; i++) {
        fill(out + i * BLOCK, (uint64_t)i);
#ifdef SLOWER
        if (extra && i % 20 == 0)
            fill(out + (i + 1) * BLOCK, (uint64_t)i);
#endif
    }
    (void)extra;
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {{"run", run, METH_O, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "kernel", "", -1, methods, 0, 0, 0, 0};
PyMODINIT_FUNC PyInit_kernel(void) { return PyModule_Create(&module); }
"""
_SETUP = """
from setuptools import Extension, setup
flags = {flags}
setup(name="kernel", version="1", py_modules=[],
      ext_modules=[Extension("kernel", ["kernel.c"], extra_compile_args=flags)])
"""
_SUITE = """
import kernel, pytest

@pytest.mark.parametrize("name", ["slowed", "other", "third"])
def test_kernel(benchmark, name):
    benchmark(kernel.run, name == "slowed")
"""
_SLOWED = "bench_kernel.py::test_kernel[slowed]"


def make_project(folder: Path) -> tuple[Version, Version]:
    """Make a repository with a kernel, and a second commit in which one call takes 5% longer."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    commits = []
    for flags in ([], ["-DSLOWER"]):
        for name, text in {
            "kernel.c": _KERNEL,
            "setup.py": _SETUP.format(flags=flags),
            "bench_kernel.py": _SUITE,
        }.items():
            (folder / name).write_text(text.lstrip())
        git(folder, "add", ".")
        name = ["-c", "user.name=selftest", "-c", "user.email=selftest@localhost"]
        git(folder, *name, "commit", "--quiet", "-m", f"flags: {flags}")
        commits.append(git(folder, "rev-parse", "HEAD"))
    return find(folder, commits[0]), find(folder, commits[1])


def selftest(same: int, slower: int, launches: int, threshold: float) -> int:
    """Print how many of the comparisons of each kind were right."""
    with tempfile.TemporaryDirectory(prefix="track-") as folder:
        repository = Path(folder, "project")
        plain, slow = make_project(repository)
        builds = Builds(repository, Path(folder, "builds"))
        builds.pythons(plain, slow)

        def named_slower(name: str, *versions: Version) -> list[str]:
            suite = turns.Suite(repository, "bench_kernel.py", Path(folder, name))
            labels = [each.label for each in versions]
            unclear = verdicts.unclear(threshold)
            result = turns.compare(builds.pythons(*versions), labels, suite, launches, unclear)
            ratios = {name: verdicts.ratio(each) for name, each in result.logarithms.items()}
            print(
                name,
                *(f"{each.estimate:.3f} [{each.low:.3f}, {each.high:.3f}]" for each in ratios.values()),
                flush=True,
            )
            return [each for each, ratio in ratios.items() if ratio.verdict(threshold) == "slower"]

        alarms = sum(bool(named_slower(f"same {i}", plain, plain)) for i in range(same))
        right = [named_slower(f"slower {i}", plain, slow) for i in range(slower)]
    print(f"A against A, 3 benchmarks: {alarms} of {same} raised an alarm")
    print(f"one 5% slower, of 3: {sum(_SLOWED in each for each in right)} of {slower} caught", end="; ")
    print(f"{sum(set(each) > {_SLOWED} for each in right)} named another too")
    return 0

"""Small projects in repositories of their own, for the tests."""

import textwrap

import pytest

from trackbench import builds, turns, verdicts
from trackbench.__main__ import main

AUTHOR = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
SUITE = """
    import time, toy, pytest

    @pytest.mark.parametrize("name", toy.NAMES)
    def test_it(benchmark, name):
        benchmark.pedantic(toy.work, (name,), rounds=2)
"""
SETUP = "from setuptools import setup; setup(name='toy', version='1', py_modules=['toy'])"


def toy(milliseconds):
    """A module whose functions sleep for the given seconds, so that a busy CPU hardly changes a ratio."""
    return f"""
        import time
        NAMES = {[*milliseconds]}
        def work(name):
            time.sleep({milliseconds}[name] / 1000)
    """


class Project:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        builds.git(folder, "init", "--quiet")
        self.write("setup.py", SETUP)
        self.write("bench_toy.py", SUITE)

    def write(self, name, text):
        (self.folder / name).write_text(textwrap.dedent(text))

    def commit(self, **milliseconds):
        self.write("toy.py", toy(milliseconds))
        builds.git(self.folder, "add", ".")
        builds.git(self.folder, *AUTHOR, "commit", "--quiet", "--allow-empty", "-m", f"{milliseconds}")
        return builds.git(self.folder, "rev-parse", "HEAD")

    def track(self, verb, *arguments):
        return main([verb, "--repository", str(self.folder), *map(str, arguments)])

    def compare(self, *arguments):
        return self.track("compare", "--suite", "bench_toy.py", "--launches", 3, *arguments)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # pytest-benchmark would measure nothing
    monkeypatch.setattr(turns, "TURN", 0.002)
    monkeypatch.setattr(turns, "SHARE", 0.0)
    monkeypatch.setattr(turns, "BLOCKS", 3)
    monkeypatch.setattr(verdicts, "LEAST_LAUNCHES", 2)  # the steps in these tests are far above the noise
    return Project(tmp_path / "project")

"""A pytest plugin in which every benchmark waits for its turns. Only this file is copied beside the suite.

Each process has one end of a pipe. It sends what it collected; for each benchmark that it's ready; then runs
as many calls as it's told and sends the seconds, until it's told 0; and how each test ended.

Under callgrind the clock is a switch instead: what runs between its start and its stop is counted.
"""

import ctypes
import gc
import os
import sys
import sysconfig
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import pytest_benchmark.plugin
from pytest_benchmark.fixture import BenchmarkFixture


class Switch:
    """Replaces the clock: pytest-benchmark calls it before and after the counted calls.

    What a process did before is no part of the count. So no garbage is collected in between; and since a loop
    whose objects take the last blocks of one of Python's pools costs up to a quarter more, each start keeps
    some blocks of every size, and no two calls have the same ones.
    """

    def __init__(self, library, name):
        self._library, self._name, self._on = ctypes.CDLL(library), name.encode(), False
        self._kept = []

    def __call__(self):
        self._on = not self._on
        if self._on:
            gc.disable()
            self._kept += [bytearray(size) for size in range(0, 512, 16) for _ in range(8)]
            self._library.start()
        else:
            self._library.stop(self._name)
            gc.enable()
        return 0.0


class TakesTurns(BenchmarkFixture):
    parent: Connection

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "TRACK_SWITCH" in os.environ:
            self._timer = Switch(os.environ["TRACK_SWITCH"], self.fullname)

    def _raw(self, function_to_benchmark, *args, **kwargs):
        result = function_to_benchmark(*args, **kwargs)
        runner = self._make_runner(function_to_benchmark, args, kwargs)
        self._take_turns(lambda calls: runner(range(calls)))
        return result

    def _raw_pedantic(self, target, args=(), kwargs=None, setup=None, teardown=None, **_):
        result = None

        def call():
            nonlocal result
            use = (setup and setup()) or (args, kwargs or {})
            seconds, result = self._make_runner(target, *use)(None)
            if teardown:
                teardown(*use[0], **use[1])
            return seconds

        call()
        self._take_turns(lambda calls: sum(call() for _ in range(calls)))
        return result

    def _take_turns(self, time_calls):
        self.parent.send(("ready", self.fullname, foreign_modules()))
        while calls := self.parent.recv():
            self.parent.send(time_calls(calls))


def foreign_modules():
    """Return the modules imported from elsewhere though this environment has them; None if none is."""
    own = Path(sysconfig.get_path("purelib"))
    # By module, not by package: one without __init__.py has no file, and others may add to it.
    places = (each.relative_to(own) for each in own.rglob("*") if each.suffix in (".py", ".so"))
    names = {
        ".".join([*at.parent.parts, at.name.partition(".")[0]]).removesuffix(".__init__") for at in places
    }
    files = [getattr(sys.modules[name], "__file__", None) for name in sorted(names & sys.modules.keys())]
    if not any(files):
        return None
    return [file for file in files if file and own not in Path(file).parents]


def pytest_configure():
    TakesTurns.parent = Connection(int(os.environ["TRACK_PIPE"]))
    pytest_benchmark.plugin.BenchmarkFixture = TakesTurns


def pytest_collection_finish(session):
    TakesTurns.parent.send(
        ("collected", [item.nodeid for item in session.items if "benchmark" in item.fixturenames])
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if not report.passed and not getattr(item, "trouble", ""):
        item.trouble = call.excinfo.exconly() if call.excinfo else report.longreprtext
    if report.when == "teardown" and "benchmark" in item.fixturenames:
        TakesTurns.parent.send(("ended", item.nodeid, getattr(item, "trouble", "")))
    return report

"""The fixture `race`, which times calls in turns, and the tables at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil

import numpy as np
import pytest
from rich.console import Console

import fastinit

from . import report

collect_ignore = ["track"]  # its tests aren't benchmarks

LINES = pytest.StashKey[list[report.Line]]()
ISAS = pytest.StashKey[dict[str, dict[str, float]]]()
MACHINE = pytest.StashKey[dict[str, object]]()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also write a checkpoint of 13.5 GB")


def pytest_configure(config):
    config.stash[LINES] = []
    config.stash[ISAS] = {}
    config.stash[MACHINE] = report.machine()  # before any benchmark, so that the load is that of other work


class Race:
    """Times calls in turns, a b c a b c ..., so that a slower machine slows all of them.

    pytest-benchmark times and stores the first; the others take their turns before it.
    """

    def __init__(self, benchmark, config):
        self._benchmark = benchmark
        self._config = config
        self.times: dict[str, np.ndarray] = {}

    def run(self, calls, before: Callable[[], object] = lambda: None, rounds: int | None = None) -> None:
        """Time the calls by name, each after an untimed call of `before`.

        The default of `rounds` comes from pytest-benchmark's options.
        """
        times: dict[str, list[float]] = {name: [] for name in calls}

        def take_turn(name: str) -> None:
            began = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - began)

        ours, *others = calls

        def others_first() -> None:
            for name in others:
                before()
                take_turn(name)
            before()

        others_first()
        take_turn(ours)  # now all are warm, and the time of a round is known
        options = self._config.option
        budget = float(options.benchmark_max_time) / sum(sum(turns) for turns in times.values())
        for turns in times.values():
            turns.clear()
        rounds = rounds or max(options.benchmark_min_rounds, ceil(budget))
        self._benchmark.pedantic(lambda: take_turn(ours), setup=others_first, rounds=rounds)
        self.times = {name: np.array(turns) for name, turns in times.items()}
        self._benchmark.extra_info["seconds"] = times
        if "memset" in times:  # the history divides by it
            self._benchmark.extra_info["limit"] = float(np.median(times["memset"]))

    def ratio(self, slow: str, fast: str) -> np.ndarray:
        """Return the time of `slow` over that of `fast` in each round; empty if `slow` didn't run."""
        return self.times[slow] / self.times[fast] if slow in self.times else np.array([])

    def record(self, *line, **bound) -> None:
        """Add a line to the table and to the stored record."""
        line = report.line(*line, **bound)
        self._config.stash[LINES].append(line)
        self._benchmark.extra_info.setdefault("lines", []).append(line._asdict())

    def record_isas(self, what: str, speeds: dict[str, float]) -> None:
        """Add a row to the table of instruction sets and to the stored record."""
        self._config.stash[ISAS][what] = speeds
        self._benchmark.extra_info["gigavalues_per_second"] = speeds


@pytest.fixture
def race(benchmark, request):
    """Races on one thread, unless the benchmark says otherwise."""
    before = fastinit.get_num_threads()
    fastinit.set_num_threads(1)
    yield Race(benchmark, request.config)
    fastinit.set_num_threads(before)


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["bench"] = config.stash[MACHINE]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(config):
    lines, isas = config.stash[LINES], config.stash[ISAS]
    console = Console(width=max(Console().width, 120))
    if lines:
        report.print_table(lines, console)
    if isas:
        report.print_isas(isas, console)
    if lines or isas:
        report.print_machine(config.stash[MACHINE], console)

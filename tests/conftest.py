import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # bench and tools are no part of what is installed
os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras's own default is not installed


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, and no others")


def pytest_collection_modifyitems(config, items):
    long = config.getoption("--long")
    chosen, others = [], []
    for item in items:
        marked = item.get_closest_marker("long") is not None
        (chosen if marked == long else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = chosen


def pytest_generate_tests(metafunc):
    if "isa" in metafunc.fixturenames:
        import fastinit

        config = fastinit.show_config(mode="dicts")
        metafunc.parametrize(
            "isa", [name for name in config["built"] if name in config["supported"]], indirect=True
        )


@pytest.fixture
def isa(request):
    """The name of each instruction set that this machine runs; the test's fills go through its kernels."""
    from fastinit import _dispatch

    before = _dispatch.select(request.param)
    yield request.param
    _dispatch.select(before)


@pytest.fixture
def alarm():
    """A context that ends as by Ctrl-C, by the exception it gives, after so many seconds."""

    class Interrupted(Exception):
        pass

    def interrupt(*_):
        raise Interrupted

    @contextmanager
    def context(seconds):
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield Interrupted
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    return context

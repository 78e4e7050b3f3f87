import signal
from contextlib import contextmanager

import pytest

collect_ignore_glob = ["*/conftest.py"]  # doctest needs unique module names


def pytest_generate_tests(metafunc):
    if "isa" in metafunc.fixturenames:
        import fastinit

        config = fastinit.show_config(mode="dicts")
        metafunc.parametrize(
            "isa", [name for name in config["built"] if name in config["supported"]], indirect=True
        )


@pytest.fixture
def isa(request):
    """Each instruction set that this machine supports. The test's fills use its kernels."""
    from fastinit import _dispatch

    before = _dispatch.select(request.param)
    yield request.param
    _dispatch.select(before)


@pytest.fixture
def alarm():
    """Return a context that raises an exception after some seconds, as Ctrl-C does."""

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

import pytest


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

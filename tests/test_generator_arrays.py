"""Array parameters: each element equals one that is drawn alone."""

import threading

import numpy as np
import pytest

from fastinit.random import PCG64, Generator, default_rng

METHODS = {"uniform": (0, 1), "truncated_normal": (-1, 1, 0, 1)}
BOUNDS = [(-2, 2), (-2, 2), (0.0, 2), (-0.0, 2), (-2, 2), (8, 9), (8, 9), (-np.inf, 3), (-9, -8), (0, 1e-8)]


@pytest.mark.parametrize("bits", [PCG64, np.random.PCG64DXSM, np.random.MT19937])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bounds_are_prepared_anew_only_where_they_change(bits, dtype):
    """Drawn one by one, and by each pair of bounds from the same places."""
    lows, highs = np.array(BOUNDS * 500).T
    locs = np.linspace(-1, 1, len(lows))
    values = Generator(bits(3)).truncated_normal(lows, highs, locs, 0.5, dtype=dtype)
    rng = Generator(bits(3))
    for i in range(2 * len(BOUNDS)):
        assert rng.truncated_normal(lows[i], highs[i], locs[i], 0.5, dtype=dtype) == values[i]
    for low, high in dict.fromkeys(BOUNDS):
        alone = Generator(bits(3)).truncated_normal(low, high, locs, 0.5, dtype=dtype)
        here = (lows == low) & (highs == high)
        assert (alone[here] == values[here]).all()


@pytest.mark.parametrize("bits", [PCG64, np.random.MT19937])
def test_many_elements_leave_other_threads_their_turn_and_can_be_interrupted(alarm, bits):
    lows = np.linspace(-3, -1, 3_000_000)  # some seconds' work
    turns = []
    stop = threading.Event()

    def other():
        while not stop.wait(0.01):
            turns.append(None)

    thread = threading.Thread(target=other)
    thread.start()
    out = np.full(lows.size, np.nan)
    with alarm(0.3) as interrupted, pytest.raises(interrupted):
        Generator(bits(3)).truncated_normal(lows, 2, out=out)
    stop.set()
    thread.join()
    assert len(turns) > 5
    assert np.isnan(out[-1])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
def test_one_wrong_element_is_an_error_before_the_first_draw(method, dtype):
    wrong = {
        "uniform": [(1, 0), (0, np.inf), (np.nan, 1)],
        "truncated_normal": [(1, 0), (np.inf, np.inf), (-np.inf, -np.inf), (np.nan, 1), (0, np.nan)],
    }[method]
    for low, high in wrong:
        rng = default_rng(7)
        lows, highs = np.zeros(9000), np.ones(9000)
        lows[8000], highs[8000] = low, high
        with pytest.raises((ValueError, OverflowError)) as alone:
            getattr(rng, method)(low, high, dtype=dtype)
        with pytest.raises(type(alone.value)):
            getattr(rng, method)(lows, highs, dtype=dtype)
        assert rng.bit_generator.state == PCG64(7).state

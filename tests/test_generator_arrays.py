"""Array parameters: each element equals one that is drawn alone."""

import re
import threading
import tracemalloc

import ml_dtypes
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
    lows = np.broadcast_to(np.linspace(-3, -1, 1_000_000), (30, 1_000_000))  # some seconds' work
    turns = []
    stop = threading.Event()

    def other():
        while not stop.wait(0.01):
            turns.append(None)

    thread = threading.Thread(target=other)
    thread.start()
    out = np.full(lows.shape, np.nan)
    with alarm(0.3) as interrupted, pytest.raises(interrupted):
        Generator(bits(3)).truncated_normal(lows, 2, out=out)
    stop.set()
    thread.join()
    assert len(turns) > 5
    assert np.isnan(out[-1, -1])


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


@pytest.mark.parametrize(
    "values",
    [
        np.array([1j]),
        np.array([None]),
        np.array(["1"]),
        np.array([b"1"]),
        np.array([1], "M8[s]"),
        np.array([1], "m8[s]"),
        np.array([(1.0,)], [("a", "f8")]),
        np.array([1], np.longdouble),
    ],
    ids=lambda values: str(values.dtype),
)
def test_arrays_are_cast_as_numpy_casts_them(values):
    """What float64 does not hold safely is a TypeError, in every method, before the first draw."""
    with pytest.raises(TypeError) as theirs:
        np.random.default_rng(7).normal(values, 1)
    for method in ("normal", "uniform", "truncated_normal"):
        for arguments in ((values, 2), (0, values)):
            rng = default_rng(7)
            with pytest.raises(TypeError, match=re.escape(str(theirs.value)[:30])):
                getattr(rng, method)(*arguments)
            assert rng.bit_generator.state == PCG64(7).state


@pytest.mark.parametrize("dtype", ["?", "i1", "i8", "u8", "f2", "f4", ">f8", ">i4"])
def test_arrays_that_numpy_takes_are_taken(dtype):
    lows = np.array([0, 1], dtype)
    expected = np.random.default_rng(7).uniform(lows, 2)
    assert (default_rng(7).uniform(lows, 2) == expected).all()
    assert default_rng(7).uniform([0, 1], 2).tolist() == expected.tolist()


def test_a_range_of_minus_zero_is_numpys_error():
    for low, high in ((0.0, -0.0), (np.array([0.0, 0.0]), np.array([1.0, -0.0])), ([0.0], -0.0)):
        for make in (np.random.default_rng, default_rng):
            with pytest.raises(ValueError, match="high - low < 0"):
                make(7).uniform(low, high)
    assert default_rng(7).uniform(-0.0, 0.0) == 0


SHAPE = (1500, 1000)
BROADCAST = {
    "a column and a row": (np.linspace(-2, -1, SHAPE[0])[:, None], np.linspace(1, 2, SHAPE[1])),
    "expanded": (np.broadcast_to(np.float32(-2), SHAPE), np.broadcast_to(np.arange(1000) + 1, SHAPE)),
}


@pytest.mark.parametrize("parameters", BROADCAST)
@pytest.mark.parametrize(("method", "bounds"), [("uniform", ()), ("truncated_normal", (-2, 2))])
@pytest.mark.parametrize("bits", [PCG64, np.random.Philox])
def test_parameters_are_not_copied_to_the_size_of_the_result(bits, method, bounds, parameters):
    draw, out = getattr(Generator(bits(7)), method), np.empty(SHAPE, "f2")
    tracemalloc.start()
    draw(*bounds, *BROADCAST[parameters], dtype="f2", out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < out.nbytes / 2


@pytest.mark.parametrize("dtype", ["f2", ml_dtypes.bfloat16, "f4", "f8"])
@pytest.mark.parametrize("bits", [PCG64, np.random.Philox])
def test_array_bounds_that_differ_do_not_share_their_constants(isa, bits, dtype):
    """Neighbours whose bounds lie in a centre, wide, far and mirrored, near 0 and 1, and at infinity."""
    bounds = np.array(
        [*np.linspace(-9, 9, 40), 0, 1, np.nextafter(1, 0), -1, 3, 5, 40, np.inf, -np.inf, 0.999]
    )
    low, high = np.broadcast_arrays(bounds[:, None], bounds)
    some = (low < high) | (low == high) & np.isfinite(low)
    order = np.random.default_rng(3).permutation(np.count_nonzero(some))
    for pairs in (slice(None), order):
        lows, highs = low[some][pairs], high[some][pairs]
        values = Generator(bits(7)).truncated_normal(lows, highs, 0.5, 2, dtype=dtype)
        rng = Generator(bits(7))
        alone = [rng.truncated_normal(a, b, 0.5, 2, dtype=dtype) for a, b in zip(lows, highs, strict=True)]
        assert values.astype(float).tolist() == alone


@pytest.mark.parametrize(("low", "high", "dtype"), [(0, 7e4, "f2"), (-7e4, 0, "f2"), (0, 1e39, "f4")])
def test_array_bounds_beyond_the_dtype_are_the_errors_of_scalars(low, high, dtype):
    for bounds in ((low, high), ([low], high), (low, [0, high]), (np.full(9000, low), high)):
        with pytest.raises(OverflowError):
            default_rng(7).uniform(*bounds, dtype=dtype)


@pytest.mark.parametrize("dtype", ["f2", ml_dtypes.bfloat16, "f4", "f8"])
@pytest.mark.parametrize("low", [-0.0, np.float64(-0.0), [-0.0]], ids=["float", "scalar", "list"])
def test_a_range_of_minus_zero_is_zero_as_in_numpy(low, dtype):
    assert not np.signbit(np.random.default_rng(7).uniform(low, low, 9)).any()
    assert default_rng(7).uniform(low, low, 9, dtype).tobytes() == np.zeros(9, dtype).tobytes()


@pytest.mark.parametrize("dtype", ["f2", ml_dtypes.bfloat16])
@pytest.mark.parametrize("method", ["uniform", "truncated_normal"])
def test_a_bound_that_rounds_to_zero_keeps_its_sign(method, dtype):
    tiny = float(np.finfo(np.float16).smallest_subnormal if dtype == "f2" else 1e-41) / 100
    arguments = (-tiny, tiny) if method == "uniform" else (-1, 1, 0, tiny)
    singles = getattr(default_rng(7), method)(*arguments, size=99, dtype="f4")
    values = getattr(default_rng(7), method)(*arguments, size=99, dtype=dtype)
    assert not values.any()
    assert (np.signbit(values) == np.signbit(singles)).all()


def test_parameters_in_the_memory_of_the_result():
    values = np.linspace(0.1, 0.9, 9)
    expected = default_rng(7).truncated_normal(values[:-1].copy(), 2)
    default_rng(7).truncated_normal(values[:-1], 2, out=values[1:])
    assert (values[1:] == expected).all()
    assert values[0] == 0.1

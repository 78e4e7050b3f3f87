"""The caller's rounding mode and flushing of subnormals change no bit, and are restored."""

import ctypes
import platform
import warnings
from contextlib import contextmanager

import ml_dtypes
import numpy as np
import pytest

import fastinit
from fastinit import _dtypes, init, random
from fastinit.random import Generator, default_rng

DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
DISTRIBUTIONS = {
    "uniform": (-0.7, 1.9),
    "normal": (0.5, 2.0),
    "truncated_normal": (-2.0, 1.5, 0.5, 2.0),
}

# Of glibc's fenv_t: bytes, where the word that rules SSE or AArch64's arithmetic lies, its control bits, and
# the modes to set in it: round up (or down, or to zero), flush to zero, take subnormals as zero.
FENV = {
    "x86_64": (32, 28, 0xFFC0, {"up": 0x5F80, "down and flush": 0xBFC0, "to zero": 0x7F80}),
    "aarch64": (8, 0, 0xFFFFFFFF, {"up": 1 << 22, "down and flush": 1 << 24 | 2 << 22, "to zero": 3 << 22}),
}
BYTES, OFFSET, CONTROL, MODES = FENV[platform.machine()]
libm = ctypes.CDLL("libm.so.6")


def fenv():
    environment = ctypes.create_string_buffer(BYTES)
    assert libm.fegetenv(environment) == 0
    return environment


def modes():
    return int.from_bytes(fenv().raw[OFFSET : OFFSET + 4], "little") & CONTROL


@pytest.fixture
def number_of_threads():
    before = fastinit.get_num_threads()
    yield
    fastinit.set_num_threads(before)


@contextmanager
def hostile(mode):
    """Context with another floating-point mode of the calling thread."""
    before = fenv()
    changed = bytearray(before.raw)
    changed[OFFSET : OFFSET + 4] = MODES[mode].to_bytes(4, "little")
    assert libm.fesetenv(ctypes.create_string_buffer(bytes(changed), BYTES)) == 0
    try:
        yield
    finally:
        libm.fesetenv(before)


@pytest.mark.parametrize("mode", MODES)
def test_the_hostile_modes_are_hostile(mode):
    def quotients():
        return (np.array([1.0, -1.0, 2.0**-1022]) / np.array([10.0, 10.0, 2.0])).tolist()

    with hostile(mode):
        got = quotients()
    assert got[:2] != quotients()[:2]
    assert (got[2] == 0) == ("flush" in mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bits", [random.PCG64, np.random.Philox])
@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.usefixtures("number_of_threads")
def test_the_callers_floating_point_modes_change_nothing_and_come_back(isa, distribution, tag, mode, bits):
    """A scalar, a small fill, a fill shared with threads that inherit the modes, and array parameters."""
    arrays = [np.array([x, x / 3]) for x in DISTRIBUTIONS[distribution]]

    def draws():
        fastinit.set_num_threads(2)
        rng = Generator(bits(7))
        method = getattr(rng, distribution)
        return [
            method(*DISTRIBUTIONS[distribution], dtype=DTYPES[tag]),
            method(*DISTRIBUTIONS[distribution], size=1001, dtype=DTYPES[tag]),
            method(*DISTRIBUTIONS[distribution], size=(1 << 18) + 3, dtype=DTYPES[tag]),
            method(*arrays, size=(501, 2), dtype=DTYPES[tag]),
        ]

    expected = draws()
    with hostile(mode):
        before = modes()
        got = draws()
        after = modes()
    assert after == before == MODES[mode] & CONTROL
    assert [np.asarray(x).tobytes() for x in got] == [np.asarray(x).tobytes() for x in expected]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bits", [random.PCG64, np.random.Philox])
@pytest.mark.parametrize("tag", DTYPES)
def test_the_modes_change_no_ziggurat(isa, tag, mode, bits):
    def draws():
        rng = Generator(bits(7), normals="ziggurat")
        return [
            method(*arguments, size=size, dtype=DTYPES[tag])
            for method, arguments in ((rng.normal, (0.5, 2.1)), (rng.exponential, (1.7,)))
            for size in (None, 10, 5001)
        ]

    expected = draws()
    with hostile(mode):
        got = draws()
    assert [np.asarray(x).tobytes() for x in got] == [np.asarray(x).tobytes() for x in expected]


@pytest.mark.parametrize("mode", MODES)
def test_subnormal_parameters_are_themselves(mode):
    lows, highs = [0.0, 2e-310], [1.0, 1e-310]
    with hostile(mode):
        values = init.trunc_normal_(np.zeros(9), std=1e-310, a=-1.0, b=1.0, generator=7)
        with pytest.raises(ValueError, match="low"):
            default_rng(7).truncated_normal(lows, highs)
    assert (
        values.tobytes() == init.trunc_normal_(np.zeros(9), std=1e-310, a=-1.0, b=1.0, generator=7).tobytes()
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_subnormal_argument_is_not_mistaken_for_another(mode):
    tiny = [0.0, 5e-324, 1e-323, -5e-324, -0.0]
    with hostile(mode):
        made = [init.constant((1,), value, dtype=np.float64) for value in tiny * 2]
    assert b"".join(map(bytes, made)) == np.array(tiny * 2).tobytes()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tag", DTYPES)
def test_subnormals_survive_flushing(tag, mode):
    smallest = {"f16": 2.0**-24, "bf16": 2.0**-133, "f32": 2.0**-149, "f64": 2.0**-1074}[tag]
    width = 90 * smallest

    def draws():
        rng = default_rng(7)
        values = [
            rng.uniform(0.0, width, 300, DTYPES[tag]),
            rng.normal(0.0, width, 300, DTYPES[tag]),
            rng.truncated_normal(-1, 1, 0.0, width, 300, DTYPES[tag]),
            rng.uniform([0.0], [width], 300, DTYPES[tag]),
            rng.normal([0.0], [width], 300, DTYPES[tag]),
            rng.truncated_normal([-1], [1], [0.0], [width], 300, DTYPES[tag]),
        ]
        scalars = [rng.uniform(0.0, width, None, DTYPES[tag]), rng.normal(0.0, width, None, DTYPES[tag])]
        return [x.tobytes() for x in values], scalars

    expected = draws()
    with hostile(mode):
        got = draws()
    assert got == expected
    assert all(got[1])
    assert len({*np.frombuffer(got[0][0], _dtypes.DTYPES[tag].storage).tolist()}) > 50


@pytest.mark.parametrize("state", ["divide", "over", "under", "invalid"])
@pytest.mark.parametrize("how", ["raise", "warn"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(
    "spec",
    [
        "orthogonal",
        "orthogonal(gain=1e-30)",
        "constant(value=1e-6)",
        "constant(value=1e-46)",
        "normal(std=1e-7)",
        "truncated_normal(std=1e-7)",
        "truncated_normal(low=30, high=inf)",
        "sparse(sparsity=0.3, std=1e-7)",
        "truncated_normal(low=-1e-170, high=1e-170)",
        "truncated_normal(low=-1e-150, high=-1e-160)",
        "kaiming_uniform",
        "eye",
        "bernoulli",
    ],
)
def test_no_error_state_of_the_callers_reaches_an_initialiser(spec, dtype, state, how):
    expected = init.get(spec)((20, 30), rng=default_rng(0), dtype=dtype)
    with np.errstate(**{state: how}), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert init.get(spec)((20, 30), rng=default_rng(0), dtype=dtype).tobytes() == expected.tobytes()
        init.get(spec).plan((20, 30), dtype=dtype)


def test_no_error_state_reaches_the_moments_of_a_narrow_cut():
    with np.errstate(all="raise"):
        plan = init.get("variance_scaling(cut=1e-150)").plan((9, 9), dtype="float64")
    assert 0 < plan.std < 1

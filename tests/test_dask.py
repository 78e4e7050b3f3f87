"""Lazy Dask arrays against the arrays of fastinit.random."""

import inspect
import pickle
import subprocess
import sys

import dask.array as da
import ml_dtypes
import numpy as np
import pytest

from fastinit import random
from fastinit.dask import random as lazy
from fastinit.random import PCG64, PCG64DXSM, Generator

CALLS = {
    "random": (),
    "uniform": (-1, 3.0),
    "standard_normal": (),
    "normal": (1, 0.02),
    "truncated_normal": (-2, 2.5, 1, 0.5),
}
SHAPES = [((100, 33), (10, 7)), ((57,), 5), ((4, 5, 6), (3, 2, 6)), (None, "auto"), ((0, 3), "auto"), (9, -1)]
DTYPES = ["f8", "f4", "f2", ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", [PCG64, PCG64DXSM, np.random.PCG64])
def test_any_chunks_give_the_array_and_leave_the_stream_there(bits, dtype):
    mine, plain = lazy.default_rng(Generator(bits(4))), Generator(bits(4))
    for method, arguments in CALLS.items():
        for shape, chunks in SHAPES:
            made = getattr(mine, method)(*arguments, size=shape, dtype=dtype, chunks=chunks)
            expected = getattr(plain, method)(*arguments, size=() if shape is None else shape, dtype=dtype)
            assert isinstance(made, da.Array)
            assert (made.shape, made.dtype) == (expected.shape, expected.dtype)
            assert made.compute(scheduler="synchronous").tobytes() == expected.tobytes()
    assert mine._rng.bit_generator.state == plain.bit_generator.state


def test_random_and_uniform_are_numpys():
    made = lazy.default_rng(7).random((50, 40), chunks=(7, 40))
    assert (made.compute(scheduler="threads") == np.random.default_rng(7).random((50, 40))).all()


def test_a_part_makes_its_blocks_alone():
    shape = (10**6, 10**6)
    part = lazy.default_rng(4).standard_normal(shape, chunks=(10**4, 10**4))[123_456:123_458, 999_000:999_003]
    place = (slice(123_456, 123_458), slice(999_000, 999_003))
    from fastinit import init

    expected = init.normal(shape, dtype="f8", rng=Generator(PCG64(4)), block=place)
    assert (part.compute(scheduler="synchronous") == expected).all()


def test_names_follow_from_the_arguments():
    one, same, other = (lazy.default_rng(seed) for seed in (4, 4, 5))
    assert one.normal(size=9).name == same.normal(size=9).name != other.normal(size=9).name
    names = {one.normal(size=9).name, same.normal(size=9, chunks=3).name, one.normal(size=9, dtype="f4").name}
    assert len(names) == 3
    copy = pickle.loads(pickle.dumps(one))
    assert copy.random(5).name == one.random(5).name


def test_what_cannot_be_lazy_says_so():
    rng = lazy.default_rng(7)
    for name in ("integers", "choice", "exponential", "permutation"):
        with pytest.raises(NotImplementedError, match=f"{name} has no lazy form"):
            getattr(rng, name)
    with pytest.raises(NotImplementedError, match="arrays have no lazy form"):
        rng.normal([0, 1], size=2)
    with pytest.raises(AttributeError):
        rng.nonsense  # noqa: B018
    with pytest.raises(ValueError, match="ziggurat"):
        lazy.Generator(random.default_rng(7, normals="ziggurat"))
    with pytest.raises(TypeError, match="fastinit"):
        lazy.Generator(np.random.default_rng(7))
    with pytest.raises(TypeError, match="MT19937"):
        lazy.default_rng(np.random.MT19937(1)).random(3)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda rng: rng.normal(0, -1, 3), ValueError),
        (lambda rng: rng.uniform(1, 0, 3), ValueError),
        (lambda rng: rng.uniform(0, 1e6, 3, "f2"), OverflowError),
        (lambda rng: rng.truncated_normal(2, 1, size=3), ValueError),
        (lambda rng: rng.random(-1), ValueError),
        (lambda rng: rng.random(2.5), TypeError),
        (lambda rng: rng.random(3, "i4"), TypeError),
        (lambda rng: rng.random((2,), chunks=(3, 4)), ValueError),
        (lambda rng: rng.normal("x", size=3), ValueError),
    ],
)
def test_a_bad_call_raises_at_once_and_draws_nothing(call, error):
    rng = lazy.default_rng(7)
    with pytest.raises(error):
        call(rng)
    assert rng._rng.bit_generator.state == PCG64(7).state


def test_signatures_are_those_of_fastinit_random_without_out_and_with_chunks():
    for method in CALLS:
        theirs = [name for name in inspect.signature(getattr(Generator, method)).parameters if name != "out"]
        assert [*inspect.signature(getattr(lazy.Generator, method)).parameters] == [*theirs, "chunks"]


def test_fastinit_does_not_load_dask_and_names_its_extra():
    code = "import sys, fastinit.random, fastinit.init, fastinit.checkpoint; sys.exit('dask' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    code = "import sys; sys.modules['dask'] = None; import fastinit.dask"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'fastinit-engine[dask]'" in done.stderr

"""The promise of the stream: element i is the same for all pieces, kernels and threads."""

import signal
import subprocess
import sys
import threading
import tracemalloc
from contextlib import contextmanager

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinit
from fastinit import _dispatch, _dtypes, _sampling, random
from fastinit.random import Generator

DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
TAGS = list(DTYPES)
DISTRIBUTIONS = {
    "uniform": (-0.7, 1.9),
    "normal": (0.5, 2.0),
    "truncated_normal": (-2.0, 1.5, 0.5, 2.0),
}
BIT_GENERATORS = [random.PCG64, random.PCG64DXSM, np.random.PCG64, np.random.PCG64DXSM]


@pytest.fixture(params=DISTRIBUTIONS)
def distribution(request):
    return request.param


@pytest.fixture(params=TAGS)
def tag(request):
    return request.param


def generator(half=False, bits=random.PCG64, seed=7):
    """Return a generator, with a buffered half word if `buffered`."""
    rng = Generator(bits(seed))
    rng.random(int(half), np.float32)
    return rng


def filled(shape, distribution, tag, rng=None):
    """Return a fill by the public method, with which all other ways are compared."""
    method = getattr(rng or generator(), distribution)
    return method(*DISTRIBUTIONS[distribution], size=shape, dtype=DTYPES[tag]).view(
        _dtypes.DTYPES[tag].storage
    )


@contextmanager
def threads(n):
    before = fastinit.get_num_threads()
    fastinit.set_num_threads(n)
    try:
        yield
    finally:
        fastinit.set_num_threads(before)


def test_every_instruction_set_fills_alike(isa, distribution, tag):
    for half in (False, True):
        for size in (1, 63, 64, 65, 128, 129, 1000, 5001):
            got = filled(size, distribution, tag, generator(half))
            before = _dispatch.select("baseline")
            assert got.tobytes() == filled(size, distribution, tag, generator(half)).tobytes()
            _dispatch.select(before)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("scale", [0.02, 2.0**-20, 2.0**-64, 2.0**-122, 2.0**-133])
def test_half_types_are_rounded_once_subnormals_too(isa, dtype, scale):
    for loc in (0, scale, 2.0**-126):
        single, half = (generator().normal(loc, scale, 5001, each) for each in (np.float32, dtype))
        assert half.tobytes() == single.astype(dtype).tobytes()


@pytest.mark.parametrize("half", [False, True])
def test_a_shorter_fill_is_the_start_of_a_longer_one(isa, distribution, tag, half):
    whole = filled(10_000, distribution, tag, generator(half))
    for size in (0, 1, 2, 3, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 4095, 4096, 4097, 9999):
        rng = generator(half)
        assert filled(size, distribution, tag, rng).tobytes() == whole[:size].tobytes()
        twin = generator(half)
        _sampling.consume(twin, size, distribution, tag)
        assert rng.bit_generator.state == twin.bit_generator.state


@pytest.mark.parametrize("bits", BIT_GENERATORS)
def test_any_range_of_a_fill(isa, distribution, tag, bits):
    whole = filled(3000, distribution, tag, generator(True, bits))
    rng = generator(True, bits)
    before = rng.bit_generator.state
    starts = np.random.default_rng(1).integers(0, 1500, 20).tolist()
    for start in [0, 1, 2, 3, *starts]:
        for size in (0, 1, 2, 64, 65, 129, 1500 - start % 2):
            guarded = np.full(size + 2, 77, _dtypes.DTYPES[tag].storage)
            _sampling.fill_at(rng, guarded[1:-1], start, distribution, tag, *DISTRIBUTIONS[distribution])
            assert guarded[1:-1].tobytes() == whole[start : start + size].tobytes()
            assert guarded[0] == guarded[-1] == 77
    assert rng.bit_generator.state == before


def test_a_range_far_along(distribution, tag):
    """Starts up to 64 bits, compared with NumPy's advance."""
    start = 2**40 + 6
    draws = {"normal": {"f64": start}.get(tag, start // 2)}.get(
        distribution, start if tag == "f64" else start // 2
    )
    far = Generator(random.PCG64(np.random.SeedSequence(7)).advance(draws))
    got = np.empty(100, _dtypes.DTYPES[tag].storage)
    _sampling.fill_at(generator(), got, start, distribution, tag, *DISTRIBUTIONS[distribution])
    assert got.tobytes() == filled(100, distribution, tag, far).tobytes()


def test_fill_writes_what_the_method_returns_into_its_storage(distribution, tag):
    for size in (0, 1, 5, 5000, 300_000):
        rng, twin = generator(), generator()
        out = np.empty(size, _dtypes.DTYPES[tag].storage)
        _sampling.fill(rng, out, distribution, tag, *DISTRIBUTIONS[distribution])
        assert out.tobytes() == filled(size, distribution, tag, twin).tobytes()
        assert rng.bit_generator.state == twin.bit_generator.state


axes = st.integers(0, 9).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.builds(
            slice,
            st.none() | st.integers(-n - 1, n + 1),
            st.none() | st.integers(-n - 1, n + 1),
            st.none() | st.integers(-3, 3).filter(bool),
        ),
    )
)


@settings(deadline=None, max_examples=300)
@given(st.lists(axes, max_size=4), st.sampled_from([*DISTRIBUTIONS]), st.sampled_from(TAGS), st.booleans())
def test_any_block_of_a_fill(axes, distribution, tag, half):
    shape = tuple(n for n, _ in axes)
    block = tuple(s for _, s in axes)
    expected = filled(shape, distribution, tag, generator(half))[block]
    out = np.empty(expected.shape, _dtypes.DTYPES[tag].storage)
    rng = generator(half)
    before = rng.bit_generator.state
    indices = tuple(s.indices(n) for n, s in axes)
    _sampling.fill_block(rng, out, shape, indices, distribution, tag, *DISTRIBUTIONS[distribution])
    assert out.tobytes() == expected.tobytes()
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("block", [(slice(2, 9), slice(None)), (slice(None, None, -7), slice(100, 1900, 3))])
def test_a_large_block(distribution, tag, block):
    shape = (50, 2001)
    expected = filled(shape, distribution, tag)[block]
    out = np.empty(expected.shape, _dtypes.DTYPES[tag].storage)
    indices = tuple(s.indices(n) for s, n in zip(block, shape, strict=True))
    _sampling.fill_block(generator(), out, shape, indices, distribution, tag, *DISTRIBUTIONS[distribution])
    assert out.tobytes() == expected.tobytes()


def block_of(out, shape, block, distribution="normal", tag="f32", rng=None):
    indices = tuple(s.indices(n) for s, n in zip(block, shape, strict=True))
    arguments = distribution, tag, *DISTRIBUTIONS[distribution]
    _sampling.fill_block(rng or generator(), out, shape, indices, *arguments)


@pytest.mark.parametrize("step", [-1, 2, -3, 63, 64, -65, 4095, 4097])
def test_elements_apart(distribution, tag, step):
    """Strided elements: made with those between them or alone, in pieces, and along another axis."""
    whole = filled(600_000, distribution, tag, generator(True))
    for shape, block in (
        ((600_000,), (slice(None, None, step),)),
        ((600_000, 1), (slice(None, None, step), slice(None))),
        ((3, 200_000), (slice(None, None, -1), slice(None, None, step))),
        ((600_000 // abs(step), abs(step)), (slice(None, None, step // abs(step)), slice(-1, None))),
    ):
        expected = whole[: np.prod(shape)].reshape(shape)[block]
        for n in (1, 3):
            out = np.empty(expected.shape, _dtypes.DTYPES[tag].storage)
            with threads(n):
                block_of(out, shape, block, distribution, tag, generator(True))
            assert out.tobytes() == expected.tobytes()


def test_elements_apart_take_no_memory_for_those_between():
    half = np.empty(1 << 19, np.float32)
    tracemalloc.start()
    block_of(half, (1 << 20,), (slice(None, None, 2),))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_a_block_can_be_interrupted(alarm):
    out = np.zeros((1 << 12, 1 << 12), np.float32)  # some seconds of work
    with alarm(0.3) as interrupted, pytest.raises(interrupted):
        block_of(out, (1 << 12, 100 << 12), (slice(None), slice(None, None, 100)))
    assert not out[-1, -1]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM"])
def test_words_are_numpys(isa, name, half):
    rng = generator(half, getattr(random, name))
    theirs = np.random.Generator(getattr(np.random, name)(7))
    theirs.random(int(half), np.float32)
    words = theirs.integers(0, 2**32, 1000, dtype=np.uint32)
    before = rng.bit_generator.state
    for start in (0, 1, 2, 3, 500):
        for size in (0, 1, 2, 3, 127, 128, 129, 500):
            out = np.full(size + 2, 77, np.uint32)
            _sampling.words_at(rng, out[1:-1], start)
            assert (out[1:-1] == words[start : start + size]).all()
            assert out[0] == out[-1] == 77
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("name", ["MT19937", "Philox", "SFC64"])
def test_a_generator_without_positions_cannot_be_read_at_one(name):
    rng = Generator(getattr(np.random, name)(7))
    out = np.empty(3, np.float32)
    with pytest.raises(TypeError, match=f"{name} cannot be read at any position"):
        _sampling.fill_at(rng, out, 0, "uniform", "f32", 0.0, 1.0)
    with pytest.raises(TypeError, match=f"{name} cannot be read at any position"):
        _sampling.consume(rng, 3, "uniform", "f32")


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.empty(6, np.float32)[::2], ValueError),
        (np.empty((2, 2), np.float32, "F"), ValueError),
        (np.empty(3, ">f4"), ValueError),
        (np.empty(3, np.float64), TypeError),
        ([0.0], AttributeError),
    ],
)
def test_fills_refuse_arrays_they_cannot_write(out, error):
    for write in (
        lambda: _sampling.fill(generator(), out, "uniform", "f32", 0.0, 1.0),
        lambda: _sampling.fill_at(generator(), out, 0, "uniform", "f32", 0.0, 1.0),
    ):
        with pytest.raises(error):
            write()


def test_a_block_of_another_size_than_out_is_refused():
    with pytest.raises(ValueError, match="out has 5 elements, not 6"):
        _sampling.fill_block(
            generator(), np.empty(5), (2, 3), ((0, 2, 1), (0, 3, 1)), "uniform", "f64", 0.0, 1.0
        )


@pytest.mark.parametrize("half", [False, True])
def test_the_number_of_threads_changes_nothing(isa, distribution, tag, half):
    size = (1 << 18) + 4097
    results = []
    for n in (1, 2, 7):
        with threads(n):
            rng = generator(half)
            values = filled(size, distribution, tag, rng)
            results.append((values.tobytes(), repr(rng.bit_generator.state)))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("bits", [random.PCG64, np.random.PCG64, np.random.MT19937])
@pytest.mark.parametrize("tag", ["f32", "f64"])
def test_a_generator_shared_by_threads_loses_no_draw_and_repeats_none(distribution, tag, bits, monkeypatch):
    """Pieces of full pairs: small ones, and ones large enough to be shared themselves."""
    pieces = [2, 100, 4096, 6, 64, 300_000, 10, 5000]
    workers = 8
    rng = generator(bits=bits)
    start = threading.Barrier(workers)
    drawn = []

    def work(k):
        start.wait()
        drawn.extend(filled(n, distribution, tag, rng) for n in pieces[k:] + pieces[:k])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        pool = [threading.Thread(target=work, args=(k,)) for k in range(workers)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    together = np.sort(np.concatenate(drawn))
    twin = generator(bits=bits)
    alone = np.sort(filled(together.size, distribution, tag, twin))
    assert together.tobytes() == alone.tobytes()
    assert rng.random(2, np.float32).tobytes() == twin.random(2, np.float32).tobytes()


def test_ranges_are_filled_from_many_threads_at_once(distribution, tag):
    rng = generator()
    out = np.empty(200_000, _dtypes.DTYPES[tag].storage)

    def work(start):
        piece = out[start : start + 10_000]
        _sampling.fill_at(rng, piece, start, distribution, tag, *DISTRIBUTIONS[distribution])

    pool = [threading.Thread(target=work, args=(start,)) for start in range(0, out.size, 10_000)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    assert out.tobytes() == filled(out.size, distribution, tag).tobytes()


def test_a_fork_in_the_middle():
    """The child and its parent continue from the same position, each with its own threads."""
    program = """
import os, fastinit, numpy as np
from fastinit.random import default_rng
fastinit.set_num_threads(3)
rng, expected = default_rng(7), np.random.default_rng(7).random(1_500_000)
def goes_on(start):
    return (rng.random(500_000) == expected[start : start + 500_000]).all()
assert goes_on(0)
child = os.fork()
right = goes_on(500_000) and goes_on(1_000_000)
if child == 0:
    os._exit(0 if right else 1)
assert right
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program], check=True, timeout=60
    )


def test_large_unaligned_arrays_are_filled_to_their_edges(tag):
    """Non-temporal fills write full cache lines; the ends and an odd start are ordinary stores."""
    itemsize = _dtypes.DTYPES[tag].storage.itemsize
    size = (9 << 20) // itemsize + 5
    expected = filled(size, "uniform", tag)
    for odd in (0, 1, 3):
        memory = np.full(size + 64, 77, _dtypes.DTYPES[tag].storage)
        out = memory[odd : odd + size]
        _sampling.fill(generator(), out, "uniform", tag, *DISTRIBUTIONS["uniform"])
        assert out.tobytes() == expected.tobytes()
        assert (memory[:odd] == 77).all()
        assert (memory[odd + size :] == 77).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_other_bit_generators_fill_in_pieces(dtype):
    n = (1 << 22) + 6
    whole = Generator(np.random.MT19937(3))
    assert np.array_equal(
        whole.random(n, dtype=dtype), np.random.Generator(np.random.MT19937(3)).random(n, dtype=dtype)
    )
    parts, first = Generator(np.random.MT19937(4)), 1 << 21
    expected = np.concatenate([parts.standard_normal(size, dtype=dtype) for size in (first, n - first)])
    assert np.array_equal(Generator(np.random.MT19937(4)).standard_normal(n, dtype=dtype), expected)


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_other_bit_generators_hear_a_signal(bits):
    """Seconds pass before the last element is made."""

    class Heard(Exception):
        pass

    def hear(*_):
        raise Heard

    out = np.zeros(1 << 27, "f4")
    before = signal.signal(signal.SIGALRM, hear)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Heard):
            Generator(bits(1)).standard_normal(dtype="f4", out=out)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert out[-1] == 0

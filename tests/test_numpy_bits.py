"""Methods that are made from blocks of draws, against NumPy's: bits, states, and where a draw is rejected."""

import random as python_random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastinit
from fastinit import _sampling, init
from fastinit import random as ours
from fastinit.random import Generator, default_rng
from tools import ziggurat

SIZES = [None, 1, 3, 40, 47, 48, 49, 100, 513, 1000, 5000, (7, 30), (100, 3)]
LENGTHS = [1, 2, 47, 48, 49, 100, 1023, 1024, 1025, 1026, 5000]
ARRAYS = ["i8", "f4", "u1", "O", "S3", "c16", "strided", "list", "2d"]


def bounds(rng, dtype):
    """Return a dtype's bounds, some of them, or bounds with a span at which the method changes."""
    low, high = (0, 1) if dtype == np.bool_ else map(int, (np.iinfo(dtype).min, np.iinfo(dtype).max))
    kind = rng.randrange(3)
    if kind == 0:
        return low, high
    first = rng.randint(low, high)
    if kind == 1:
        return sorted((first, rng.randint(low, high)))
    span = rng.choice([0, 1, 9, 255, 256, 65535, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**40])
    return first, min(high, first + span)


def shuffled(generator, kind, n):
    if kind == "list":
        values = list(range(n))
        generator.shuffle(values)
        return np.array(values)
    values = (
        np.arange(3 * n).reshape(n, 3)
        if kind == "2d"
        else np.arange(n).astype("i4" if kind == "strided" else kind)
    )
    if kind == "strided":
        values = np.arange(2 * n)[::2]
    generator.shuffle(values)
    return values


def call(rng):
    """Return a random call of a random method, as a function of a generator."""
    n, length = rng.choice(SIZES), rng.choice(LENGTHS)
    dtype = rng.choice([np.float64, np.float32])
    integer = np.dtype(rng.choice("?bBhHiIlLqQ"))
    low, high = bounds(rng, integer)
    a, b = rng.uniform(-2, 2), rng.uniform(0, 3)
    how = rng.choice(["zig", "zig", "inv"])
    kind, axis = rng.choice(ARRAYS), rng.choice([None, 0, 1, -1])
    p = np.random.default_rng(length).random(length) ** 8
    table = np.arange(4200).reshape(60, 70)
    return rng.choice(
        [
            lambda g: g.standard_normal(n, dtype=dtype),
            lambda g: g.normal(a, b, n),
            lambda g: g.normal(np.linspace(a, b, 7), 2, (30, 7)),
            lambda g: g.multivariate_normal([0, 1], [[1, 0.5], [0.5, 2]], 5),
            lambda g: g.standard_exponential(n, dtype=dtype, method=how),
            lambda g: g.exponential(b, n),
            lambda g: g.exponential(np.linspace(0, b, 7), (30, 7)),
            lambda g: g.integers(low, high, n, dtype=integer, endpoint=True),
            lambda g: g.integers(low, high, n, dtype=integer, endpoint=True),
            lambda g: g.integers(1000, size=n),
            lambda g: g.bytes(length),
            lambda g: g.bit_generator.random_raw(length),
            lambda g: shuffled(g, kind, length),
            lambda g: g.permutation(length),
            lambda g: g.permuted(table, axis=axis),
            lambda g: g.choice(length, n),
            lambda g: g.choice(20_000, min(length, 3000), replace=False),
            lambda g: g.choice(length, n, p=p / p.sum()),
            lambda g: g.random(n, dtype=dtype),
            lambda g: g.standard_gamma(2.0, n),
            lambda g: g.poisson(5, n),
        ]
    )


def same(one, other):
    if not isinstance(one, np.ndarray):
        return type(one) is type(other) and one == other
    if one.dtype == object:
        return list(one) == list(other)
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.mark.parametrize("module", [ours, np.random], ids=["fastinit's", "numpy's"])
@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM"])
def test_any_calls_in_any_order(isa, name, module):
    mine = Generator(getattr(module, name)(5), normals="ziggurat")
    theirs = np.random.Generator(getattr(np.random, name)(5))
    rng = python_random.Random(f"{isa} {name} {module.__name__}")
    for number in range(6500):
        method = call(rng)
        assert same(method(mine), method(theirs)), (number, method.__code__.co_firstlineno)
        assert mine.bit_generator.state == theirs.bit_generator.state, (
            number,
            method.__code__.co_firstlineno,
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", ["standard_normal", "standard_exponential"])
def test_a_rejection_in_each_lane_and_the_last_value(isa, method, dtype):
    accepted_at_once = ziggurat.Asked(
        f"{method.removeprefix('standard_')}_{'f64' if dtype is np.float64 else 'f32'}"
    )
    draws = np.random.PCG64(11).random_raw(4000)
    words = draws if dtype is np.float64 else draws & np.uint64(0xFFFFFFFF)
    rejected = [int(at) for at in np.arange(600, 4000) if not accepted_at_once.accepts(int(words[at]))]
    assert len(rejected) > 10
    for at in [*rejected[:3], *[each for each in rejected if int(words[each]) & 0xFF == 0][:2]]:
        for before in range(18):
            for size in (before + 1, before + 2, 40):
                mine, theirs = default_rng(11, normals="ziggurat"), np.random.default_rng(11)
                for each in (mine, theirs):
                    each.bit_generator.advance(at - (before if dtype is np.float64 else before // 2))
                assert same(
                    getattr(mine, method)(size, dtype=dtype), getattr(theirs, method)(size, dtype=dtype)
                )
                assert mine.bit_generator.state == theirs.bit_generator.state


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", ["standard_normal", "standard_exponential"])
def test_a_million_values_of_which_ten_thousand_are_not_accepted_at_once(isa, method, dtype):
    mine, theirs = default_rng(12, normals="ziggurat"), np.random.default_rng(12)
    assert same(getattr(mine, method)(1 << 20, dtype=dtype), getattr(theirs, method)(1 << 20, dtype=dtype))
    assert mine.bit_generator.state == theirs.bit_generator.state


@pytest.fixture(params=[1, 2, 7])
def threads(request):
    before = fastinit.get_num_threads()
    fastinit.set_num_threads(request.param)
    yield request.param
    fastinit.set_num_threads(before)


SHARED = [
    lambda g, n: g.bytes(4 * n + 3),
    lambda g, n: g.bit_generator.random_raw(n),
    lambda g, n: g.integers(0, 256, n, dtype=np.uint8),
    lambda g, n: g.integers(-8, 8, n, dtype=np.int8),
    lambda g, n: g.integers(0, 2**16, n, dtype=np.uint16),
    lambda g, n: g.integers(0, 2, 32 * n, dtype=bool),
    lambda g, n: g.integers(0, 2**32, n, dtype=np.uint32),
    lambda g, n: g.integers(-5, 2**32 - 5, n),
    lambda g, n: g.integers(0, 2**64, n, dtype=np.uint64),
    lambda g, n: g.integers(-(2**63), 2**63, n),
    lambda g, n: g.integers(0, 1000, n),
    lambda g, n: g.integers(0, 2**40, n),
]


@pytest.mark.parametrize("module", [ours, np.random], ids=["fastinit's", "numpy's"])
def test_threads_leave_bits_and_state(isa, threads, module):
    mine = Generator(module.PCG64(5))
    theirs = np.random.Generator(np.random.PCG64(5))
    for number, method in enumerate(SHARED):
        for n in (2**18, 2**18 + 3):
            assert same(method(mine, n), method(theirs, n)), number
            assert mine.bit_generator.state == theirs.bit_generator.state, number
            for each in (mine, theirs):
                each.integers(9, dtype=np.uint32)  # a word is left, or none


def test_rejections_in_a_thread_s_part(threads):
    # The lower half of one product of a word and 3931 in about a million is below 2^32 % 3931.
    span, n = 3931, 2**18 + 2 * 64 + 1
    words = np.random.PCG64(5).random_raw(2**23).view(np.uint32)
    rejected = np.flatnonzero(words * np.uint32(span) < 2**32 % span)
    twice = rejected[1:-1][np.diff(rejected[1:]) < n // 2]
    part = n // threads // 64 * 64 + 64
    assert len(twice)
    for at in map(int, [rejected[1], twice[0]]):
        for before in (0, 1, part - 1, part, part + 1, n - 2, n - 1, n):
            mine, theirs = default_rng(5), np.random.default_rng(5)
            for each in (mine, theirs):
                each.bit_generator.advance((at - before) // 2)
                if (at - before) % 2:
                    each.integers(2**32, dtype=np.uint32)
            assert same(mine.integers(span, size=n), theirs.integers(span, size=n))
            assert mine.bit_generator.state == theirs.bit_generator.state


@pytest.mark.parametrize("distribution", ziggurat.TABLES)
def test_the_tables_are_numpys(distribution):
    assert ziggurat.TABLES[distribution].read_text() == ziggurat.text(distribution)


@pytest.mark.parametrize("tag", ["float16", "bfloat16"])
@pytest.mark.parametrize("method", ["standard_normal", "standard_exponential"])
def test_half_types_are_rounded_from_float32(method, tag):
    single = getattr(np.random.default_rng(3), method)(1000, dtype=np.float32)
    mine = getattr(default_rng(3, normals="ziggurat"), method)(1000, dtype=tag)
    assert same(mine, single.astype(mine.dtype))


def test_out_of_methods_that_numpy_has_none_for():
    for method, arguments, dtype in (
        ("integers", (0, 9), "i2"),
        ("exponential", (2.0,), "f4"),
        ("normal", (1, 2), "f8"),
    ):
        out = np.empty((30, 5), dtype)
        made = getattr(default_rng(3), method)(*arguments, dtype=out.dtype, out=out)
        assert made is out
        assert same(out, getattr(default_rng(3), method)(*arguments, size=(30, 5), dtype=out.dtype))
    with pytest.raises(TypeError, match="wrong type"):
        default_rng(3).integers(9, out=np.empty(3, "i4"))
    with pytest.raises(ValueError, match="size must match"):
        default_rng(3).integers(9, size=4, out=np.empty(3, "i8"))


def test_normals_are_kept_and_named():
    import copy
    import pickle

    rng = default_rng(3, normals="ziggurat")
    others = [
        pickle.loads(pickle.dumps(rng)),
        copy.copy(rng),
        copy.deepcopy(rng),
        *rng.spawn(1),
        rng.fold_in("a"),
    ]
    assert {each.normals for each in others} == {"ziggurat"}
    assert repr(rng).startswith("Generator(PCG64, normals='ziggurat') at 0x")
    assert str(default_rng(3)) == "Generator(PCG64)"
    assert default_rng(rng, normals="ziggurat") is rng
    assert default_rng(rng) is rng
    assert default_rng(rng, normals="box-muller").normals == "box-muller"
    with pytest.raises(ValueError, match="normals must be 'box-muller' or 'ziggurat', not 'polar'"):
        default_rng(3, normals="polar")


@pytest.mark.parametrize("block", [None, (slice(0, 2), slice(0, 2))])
def test_an_initialiser_needs_box_muller(block):
    with pytest.raises(ValueError, match="give a generator with normals='box-muller'"):
        init.normal((4, 4), rng=default_rng(3, normals="ziggurat"), block=block)
    init.uniform((4, 4), rng=default_rng(3, normals="ziggurat"), block=block)


def test_patched_code_gets_numpys_numbers():
    theirs = np.random.default_rng(3).standard_normal(100)
    with ours.patch():
        assert same(np.random.default_rng(3).standard_normal(100), theirs)
    with ours.patch(normals="box-muller"):
        assert not same(np.random.default_rng(3).standard_normal(100), theirs)


def test_an_exception_frees_the_lock(monkeypatch):
    """As one of a signal's handler does, which may run while the state of NumPy's bit generator is read."""

    def interrupted(_):
        raise KeyboardInterrupt

    rng = Generator(np.random.PCG64(3), normals="ziggurat")
    monkeypatch.setitem(_sampling._OURS, np.random.PCG64, interrupted)
    for method in (rng.standard_normal, rng.bytes, lambda n: rng.shuffle(np.arange(n))):
        with pytest.raises(KeyboardInterrupt):
            method(50_000)
    with ThreadPoolExecutor() as pool:  # the lock is reentrant
        assert pool.submit(rng.bit_generator.lock.acquire, timeout=5).result()


def test_draws_that_were_read_ahead_are_not_lost():
    mine, theirs = default_rng(3), np.random.default_rng(3)
    for rng in (mine, theirs):
        rng.integers(9, size=1000)  # reads a block
    assert same(mine.random(10), theirs.random(10))
    for rng in (mine, theirs):
        rng.integers(9, size=1000)
    jumped = [rng.bit_generator.jumped().random_raw(3) for rng in (mine, theirs)]
    assert same(*jumped)
    mine.integers(9, size=1000)
    theirs.integers(9, size=1000)
    mine.bit_generator.advance(5)
    theirs.bit_generator.advance(5)
    assert same(mine.bit_generator.random_raw(3), theirs.bit_generator.random_raw(3))
    state = mine.bit_generator.state
    first = mine.integers(9, size=1000)
    mine.bit_generator.state = state
    assert same(mine.integers(9, size=1000), first)
    assert (mine.bit_generator.draws(3) == mine.bit_generator.random_raw(3)).all()

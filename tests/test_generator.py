"""Generator against NumPy's: the promised bits, the errors and the interface are the same."""

import copy
import pickle

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastinit import random as ours
from fastinit.random import Generator, default_rng

FOREIGN = ["MT19937", "Philox", "SFC64"]
DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
METHODS = {
    "random": (),
    "uniform": (-1, 2),
    "standard_normal": (),
    "normal": (1, 2),
    "truncated_normal": (-2, 1),
}

# around the sizes at which a fill uses leapfrog lanes (64 draws), releases the GIL, and wakes threads
SIZES = [0, 1, 2, 3, 31, 63, 64, 65, 127, 128, 129, 511, 513, 1025, 4095, 4096, 4097]
MANY = [(1 << 18) - 1, (1 << 18) + 1]


def pair(name="PCG64", seed=7):
    """Our Generator and NumPy's, over our bit generator of that name (if we have it) and NumPy's."""
    bits = getattr(ours, name)(seed)
    return Generator(bits), np.random.Generator(getattr(np.random, name)(seed))


def same(mine, theirs):
    """Type, dtype, shape and every bit."""
    assert type(mine) is type(theirs)
    if isinstance(theirs, np.ndarray):
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        assert mine.tobytes() == theirs.tobytes()
    else:
        assert mine == theirs


def position(rng):
    """The state of any bit generator."""
    return repr(rng.bit_generator.state)


def call(method, *args, **kwargs):
    """Return a step: a call of that method on a generator."""

    def step(rng):
        return getattr(rng, method)(*copy.deepcopy(args), **kwargs)

    step.__qualname__ = f"{method}(*{args}, **{kwargs})"
    return step


def into(shape, order, dtype):
    def step(rng):
        return rng.random(out=np.zeros(shape, dtype, order), dtype=dtype)

    step.__qualname__ = f"random(out={shape} {order} {dtype})"
    return step


def shuffled(n):
    def step(rng):
        array = np.arange(n)
        rng.shuffle(array)
        return array

    step.__qualname__ = f"shuffle({n})"
    return step


sizes = st.one_of(st.none(), st.sampled_from(SIZES), st.sampled_from([(), (3, 5), (0, 4), (7, 1, 19)]))
kinds = st.sampled_from([np.float32, np.float64])
steps = st.one_of(
    st.builds(lambda size, dtype: call("random", size, dtype), sizes, kinds),
    st.builds(lambda size: call("random", size), st.sampled_from(MANY)),
    st.builds(lambda size: call("random", size, np.float32), st.sampled_from(MANY)),
    st.builds(into, st.sampled_from([(5,), (3, 4), (67, 3)]), st.sampled_from("CF"), kinds),
    st.builds(
        lambda low, span, size: call("uniform", low, low + span, size),
        st.floats(-1e9, 1e9),
        st.floats(0, 1e9),
        sizes,
    ),
    st.just(call("uniform", [[-1.5], [2]], [3, 4e9, 2])),
    st.builds(
        lambda high, size, dtype, endpoint: call("integers", 0, high, size, dtype, endpoint),
        st.integers(1, 127),
        sizes,
        st.sampled_from(["i1", "u2", "i4", "u4", "i8", "u8"]),
        st.booleans(),
    ),
    st.builds(lambda n: call("integers", 2**n, size=5), st.integers(1, 62)),
    st.builds(lambda n: call("bytes", n), st.integers(0, 41)),
    st.builds(shuffled, st.integers(0, 40)),
    st.builds(lambda n: call("permutation", n), st.integers(0, 40)),
    st.builds(lambda n, size: call("choice", n, size), st.integers(1, 40), sizes),
    st.builds(lambda n: call("choice", n, n // 2, replace=False), st.integers(2, 400)),
    st.builds(lambda size: call("choice", 3, size, p=[0.25, 0.5, 0.25]), sizes),
    st.builds(lambda scale, size: call("exponential", scale, size), st.floats(0, 9), sizes),
    st.builds(
        lambda size, dtype, method: call("standard_exponential", size, dtype, method),
        sizes,
        kinds,
        st.sampled_from(["zig", "inv"]),
    ),
    st.builds(lambda size: call("poisson", 3.5, size), sizes),
    st.builds(lambda size: call("geometric", 0.3, size), sizes),
)


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", *FOREIGN])
def test_every_interleaving_has_numpys_bits(name):
    @settings(deadline=None, max_examples=200)
    @given(st.integers(0, 2**64), st.lists(steps, max_size=12))
    def check(seed, walk):
        mine, theirs = pair(name, seed)
        for step in walk:
            same(step(mine), step(theirs))
        assert position(mine) == position(theirs)

    check()


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM"])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [*SIZES, *MANY])
def test_uniforms_of_each_instruction_set_have_numpys_bits(isa, name, half, dtype, size):
    mine, theirs = pair(name)
    for rng in (mine, theirs):
        rng.random(int(half), dtype=np.float32)
    same(mine.random(size, dtype), theirs.random(size, dtype))
    same(mine.uniform(-0.1, 0.7, size), theirs.uniform(-0.1, 0.7, size))
    assert position(mine) == position(theirs)


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_numpys_bit_generators_give_what_ours_give(name, dtype, method):
    """Small fills go through its C interface, large ones through its state."""
    mine = Generator(getattr(ours, name)(7))
    theirs = Generator(getattr(np.random, name)(7))
    for size in [None, 1, 5, 4095, 4096, 7, 300_001, 3]:
        same(
            getattr(mine, method)(*METHODS[method], size=size, dtype=dtype),
            getattr(theirs, method)(*METHODS[method], size=size, dtype=dtype),
        )
        assert position(mine) == position(theirs)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000, 4096, 5001])
def test_foreign_words_and_draws_are_what_the_contract_says(name, size):
    """float32 uniforms are 24 bits of each next_uint32; normals take next_uint64."""

    def fresh():
        return getattr(np.random, name)(11)

    rng, bits = Generator(fresh()), fresh()
    words = np.array([bits.ctypes.next_uint32(bits.ctypes.state) for _ in range(size)], np.uint32)
    same(rng.random(size, np.float32), ((words >> 8) * 2.0**-24).astype(np.float32))
    assert position(rng) == position(Generator(bits))
    doubles = np.array([bits.ctypes.next_double(bits.ctypes.state) for _ in range(size)])
    same(rng.uniform(2, 5, size), 2 + 3 * doubles)
    draws = np.array([bits.ctypes.next_uint64(bits.ctypes.state) for _ in range((size + 1) // 2)], np.uint64)
    radius = np.sqrt(-2 * np.log((draws % 2**32 + 0.5) * 2.0**-32))
    angle = 2 * np.pi * ((draws >> 32) + 0.5) * 2.0**-32
    normals = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:size]
    np.testing.assert_allclose(rng.standard_normal(size, np.float32), normals, rtol=1e-6, atol=1e-6)
    rng.standard_normal(size)
    for _ in range((size + 1) // 2 * 2):
        bits.ctypes.next_uint64(bits.ctypes.state)
    assert position(rng) == position(Generator(bits))


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_foreign_fills_do_not_depend_on_their_size(name, dtype, method):
    def fill(size):
        rng = Generator(getattr(np.random, name)(7))
        return getattr(rng, method)(*METHODS[method], size=size, dtype=dtype)

    whole = fill(10_001)
    for size in (0, 1, 2, 3, 64, 513, 4096, 9999):
        assert fill(size).tobytes() == whole[:size].tobytes()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_kinds_of_result(method, dtype):
    rng = default_rng(7)
    draw = getattr(rng, method)
    args = METHODS[method]
    assert type(draw(*args, dtype=dtype)) is float
    for size, shape in {(): (), 0: (0,), 3: (3,), (2, 0): (2, 0), (2, 3): (2, 3)}.items():
        result = draw(*args, size=size, dtype=dtype)
        assert isinstance(result, np.ndarray)
        assert result.dtype == dtype
        assert result.shape == shape
    name = np.dtype(dtype).name
    assert draw(*args, size=3, dtype=name).dtype == dtype
    assert draw(*args, size=3, dtype=np.dtype(dtype)).dtype == dtype
    assert draw(*args, size=3, dtype=None).dtype == np.float64
    for order in "CF":
        out = np.empty((4, 5), dtype, order)
        assert draw(*args, dtype=dtype, out=out) is out
        assert draw(*args, size=(4, 5), dtype=dtype, out=out) is out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scalar_is_the_first_value_and_out_the_same_values(method, dtype):
    args = METHODS[method]

    def draw(size=None, **kwargs):
        rng = default_rng(7)
        value = getattr(rng, method)(*args, size=size, dtype=dtype, **kwargs)
        return value, rng.bit_generator.state

    scalar, after_scalar = draw()
    (one,), after_one = draw(1)
    assert scalar == float(one)
    assert after_scalar == after_one
    values, after = draw((4, 5))
    for order in "CF":
        out, after_out = draw(out=np.empty((4, 5), dtype, order))
        assert out.ravel("K").tobytes() == values.tobytes()
        assert after_out == after
    assert draw(())[0].tobytes() == one.tobytes()
    assert draw(0)[1] == np.random.PCG64(7).state


ARRAYS = {
    "uniform": ([[-1.0], [0.25], [1e-3]], np.linspace(2, 1e4, 8).reshape(2, 1, 4)),
    "normal": ([[-1.0], [0.0], [1e3]], np.linspace(0, 10, 8).reshape(2, 1, 4)),
    "truncated_normal": (
        [[-1.0], [0.25], [-np.inf]],
        np.linspace(2, 9, 8).reshape(2, 1, 4),
        0.5,
        [1, 2, 3, 4],
    ),
}


@pytest.mark.parametrize("name", ["PCG64", "numpy.PCG64", "Philox"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ARRAYS)
def test_array_parameters_broadcast_over_the_stream_of_a_scalar_fill(name, dtype, method):
    cls = np.random.PCG64 if name == "numpy.PCG64" else getattr(ours, name)
    args = ARRAYS[method]
    each = np.broadcast_arrays(*args)
    shape = each[0].shape
    assert shape == (2, 3, 4)

    def draw(*args, **kwargs):
        rng = Generator(cls(7))
        result = getattr(rng, method)(*args, dtype=dtype, **kwargs)
        return result, position(rng)

    got, after = draw(*args)
    assert got.dtype == dtype
    assert got.shape == shape
    flat = zip(*(x.ravel() for x in each), strict=True)
    expected = [draw(*numbers, size=24)[0][i] for i, numbers in enumerate(flat)]
    assert got.tobytes() == np.array(expected, dtype).tobytes()
    assert after == draw(*(x.flat[0] for x in each), size=24)[1]
    assert draw(*args, size=shape)[0].tobytes() == got.tobytes()
    out = np.empty(shape, dtype)
    assert draw(*args, out=out)[0] is out
    assert out.tobytes() == got.tobytes()
    wide, _ = draw(*args, size=(5, *shape))
    assert wide.shape == (5, *shape)
    assert wide[0].tobytes() == got.tobytes()


@pytest.mark.parametrize("size", [None, (2, 3), (4, 2, 3)])
def test_array_uniforms_have_numpys_bits(size):
    mine, theirs = pair()
    low, high = [[0.1], [-3e5]], [1.0, 2.5, 1e7]
    same(mine.uniform(low, high, size), theirs.uniform(low, high, size))
    same(mine.uniform(np.array(0.5), np.float32(2)), theirs.uniform(np.array(0.5), np.float32(2)))
    assert position(mine) == position(theirs)


def test_normals_of_no_scale_are_loc_and_of_nan_are_nan():
    rng = default_rng(7)
    for dtype in DTYPES:
        assert (rng.normal(1.5, 0.0, 9, dtype=dtype) == 1.5).all()
        assert np.isnan(rng.normal(0.0, np.nan, 9, dtype=dtype)).all()
        assert np.isnan(rng.normal([0.0, np.nan], [np.nan, 1.0], dtype=dtype)).all()


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", *FOREIGN])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda rng: pickle.loads(pickle.dumps(rng))])
def test_copies_keep_the_class_and_go_on_alone(name, duplicate):
    rng, _ = pair(name)
    rng.random(3, np.float32)
    twin = duplicate(rng)
    assert type(twin) is Generator
    assert type(twin.bit_generator) is type(rng.bit_generator)
    values = [twin.random(5, np.float32), rng.random(5, np.float32)]
    assert values[0].tobytes() == values[1].tobytes()
    twin.random()
    assert position(twin) != position(rng)


def test_a_shallow_copy_shares_the_bit_generator_as_numpys_does():
    for rng in pair():
        assert copy.copy(rng).bit_generator is rng.bit_generator


class Named(Generator):
    pass


PICKLES = [
    lambda rng, protocol=protocol: pickle.loads(pickle.dumps(rng, protocol))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
]


def test_subclasses_stay_themselves():
    rng = Named(ours.PCG64DXSM(7))
    for other in (pickle.loads(pickle.dumps(rng)), copy.deepcopy(rng), *rng.spawn(2), rng.fold_in("a")):
        assert type(other) is Named
        assert type(other.bit_generator) is ours.PCG64DXSM
    assert str(rng) == "Named(PCG64DXSM)"
    assert repr(rng).startswith("Named(PCG64DXSM) at 0x")


class Labelled(Generator):
    __slots__ = ("place",)

    def __init__(self, seed, label, *, place):
        super().__init__(ours.PCG64(seed))
        self.label, self.place = label, [place]


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, *PICKLES, "spawn", "fold_in"])
def test_a_subclass_keeps_its_attributes_and_may_have_its_own_constructor(how):
    rng = Labelled(7, "a", place=3)
    rng.itself = rng
    if how == "spawn":
        (other,) = rng.spawn(1)
    else:
        other = rng.fold_in("b") if how == "fold_in" else how(rng)
    assert type(other) is Labelled
    assert (other.label, other.place) == ("a", [3])
    assert other.itself is (other if how in (copy.deepcopy, *PICKLES) else rng)
    draws = [other.random(), default_rng(7).random()]
    assert (draws[0] == draws[1]) == (how not in ("spawn", "fold_in"))
    plain = default_rng(7)
    expected = {"spawn": lambda: plain.spawn(1)[0], "fold_in": lambda: plain.fold_in("b")}.get(how)
    assert expected is None or draws[0] == expected().random()


def test_spawned_generators_are_numpys():
    mine, theirs = pair()
    for child, expected in zip(mine.spawn(3), theirs.spawn(3), strict=True):
        assert type(child) is Generator
        same(child.random(9), expected.random(9))

"""PCG64 and PCG64DXSM against NumPy's classes of the same names."""

import copy
import ctypes
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastinit import random as ours

NAMES = ["PCG64", "PCG64DXSM"]
SEEDS = [
    0,
    7,
    2**128 - 1,
    2**200,
    np.int64(5),
    [1, 2, 3],
    np.arange(10),
    np.random.SeedSequence(3, spawn_key=(1, 2), pool_size=8),
]
DELTAS = [0, 1, -1, 63, 2**64 + 3, -(2**127), 2**128 - 1, 2**130 + 5]


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def pair(name, seed=7):
    """Ours and NumPy's."""
    return getattr(ours, name)(seed), getattr(np.random, name)(seed)


def with_a_buffered_half(bits):
    np.random.Generator(bits).random(dtype=np.float32)
    assert bits.state["has_uint32"] == 1
    return bits


@pytest.mark.parametrize("seed", SEEDS, ids=repr)
def test_seeding_and_draws_are_numpys(name, seed):
    mine, theirs = pair(name, seed)
    assert mine.state == theirs.state
    assert (mine.random_raw(1000) == theirs.random_raw(1000)).all()
    assert mine.state == theirs.state


def test_no_seed_is_fresh_entropy(name):
    cls = getattr(ours, name)
    assert cls().state != cls().state
    assert cls(None).seed_seq.entropy != cls(None).seed_seq.entropy


@pytest.mark.parametrize("seed", [-1, 1.5, "7", [-1], [0.5], object()])
def test_bad_seeds_are_numpys_errors(name, seed):
    with pytest.raises((TypeError, ValueError)) as error:
        getattr(np.random, name)(seed)
    with pytest.raises(error.type):
        getattr(ours, name)(seed)


def test_a_seed_sequence_of_another_class(name):
    class Words(np.random.bit_generator.ISeedSequence):
        def generate_state(self, n_words, dtype=np.uint32):
            return np.arange(5, 5 + n_words, dtype=dtype)

    mine, theirs = pair(name, Words())
    assert mine.state == theirs.state


def test_numpys_generator_over_ours_is_default_rng():
    mine, theirs = np.random.Generator(ours.PCG64(7)), np.random.default_rng(7)
    for draw in (
        lambda rng: rng.standard_normal(100),
        lambda rng: rng.random(5, dtype=np.float32),
        lambda rng: rng.integers(0, 100, 7, dtype=np.uint8),
        lambda rng: rng.permutation(20),
    ):
        assert (draw(mine) == draw(theirs)).all()


def test_random_state_over_ours():
    mine, theirs = np.random.RandomState(ours.PCG64(7)), np.random.RandomState(np.random.PCG64(7))
    assert (mine.randn(11) == theirs.randn(11)).all()
    assert (mine.randint(0, 9, 11) == theirs.randint(0, 9, 11)).all()


def test_random_raw(name):
    mine, theirs = pair(name)
    assert type(mine.random_raw()) is type(theirs.random_raw()) is int
    assert mine.random_raw(3, output=False) is None
    theirs.random_raw(3)
    assert (mine.random_raw((2, 3)) == theirs.random_raw((2, 3))).all()


@pytest.mark.parametrize("half", [False, True])
def test_a_state_moves_between_the_classes_both_ways(name, half):
    mine, theirs = pair(name, 1)
    other_mine, other_theirs = pair(name, 2)
    for bits in (mine, theirs):
        bits.random_raw(5)
        if half:
            with_a_buffered_half(bits)
    other_mine.state = theirs.state
    other_theirs.state = mine.state
    assert mine.state == theirs.state == other_mine.state == other_theirs.state
    draws = {
        np.random.Generator(bits).random(9, dtype=np.float32).tobytes()
        for bits in (mine, theirs, other_mine, other_theirs)
    }
    assert len(draws) == 1


def without(state, key):
    return {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    "change",
    [
        lambda state: [],
        lambda state: {**state, "bit_generator": "MT19937"},
        lambda state: {**state, "state": without(state["state"], "inc")},
        lambda state: {**state, "state": {**state["state"], "state": "1"}},
        lambda state: without(state, "bit_generator"),
        lambda state: without(state, "state"),
        lambda state: without(state, "has_uint32"),
        lambda state: without(state, "uinteger"),
        lambda state: {**state, "has_uint32": "x"},
        lambda state: {**state, "has_uint32": None},
        lambda state: {**state, "uinteger": "x"},
    ],
)
def test_a_bad_state_is_numpys_error_and_changes_nothing(name, change):
    mine, theirs = map(with_a_buffered_half, pair(name))
    before = mine.state
    bad = change(pair(name, 8)[0].state)
    with pytest.raises((TypeError, ValueError, KeyError)) as error:
        theirs.state = bad
    with pytest.raises(error.type):
        mine.state = bad
    assert mine.state == before


@pytest.mark.parametrize("number", [2**128, -1])
def test_a_state_of_more_than_128_bits_is_an_error(name, number):
    bits, _ = pair(name)
    before = bits.state
    for key in ("state", "inc"):
        with pytest.raises(OverflowError):
            bits.state = {**before, "state": {**before["state"], key: number}}
    assert bits.state == before


@pytest.mark.parametrize("delta", DELTAS)
def test_advance(name, delta):
    mine, theirs = map(with_a_buffered_half, pair(name))
    assert mine.advance(delta) is mine
    theirs.advance(delta)
    assert mine.state == theirs.state
    assert mine.state["has_uint32"] == 0
    assert mine.random_raw() == theirs.random_raw()


@pytest.mark.parametrize("far", [2**64, 2**64 + 5, 2**100 + 1, 2**128 + 3, -7])
def test_draws_as_far_as_the_stream_goes(name, far):
    bits = pair(name)[0]
    expected = getattr(ours, name)(7).advance(far).random_raw(5)
    here = getattr(ours, name)(7)
    assert (here.draws(5, start=far) == expected).all()
    assert here.state == bits.state


@pytest.mark.parametrize("count", [1.5, 1.0, "1", None, np.float64(2)])
def test_positions_are_integers(name, count):
    bits, theirs = pair(name)
    with pytest.raises(TypeError):
        theirs.advance(count)
    for move in (bits.advance, lambda start: bits.draws(2, start=start)):
        with pytest.raises(TypeError, match="integer"):
            move(count)
    assert bits.state == pair(name)[0].state


@pytest.mark.parametrize("jumps", [0, 1, 2, 10**30, -1, np.int8(3)])
def test_jumped(name, jumps):
    mine, theirs = map(with_a_buffered_half, pair(name))
    before = mine.state
    jumped = mine.jumped(jumps)
    assert type(jumped) is type(mine)
    assert jumped.state == theirs.jumped(jumps).state
    assert mine.state == before
    assert jumped.seed_seq is mine.seed_seq  # NumPy's has a fresh one


def test_spawn(name):
    mine, theirs = pair(name)
    for _ in range(2):
        children = mine.spawn(3)
        assert {*map(type, children)} == {type(mine)}
        assert [child.state for child in children] == [child.state for child in theirs.spawn(3)]
    jumped = mine.jumped()
    assert jumped.spawn(1)[0].state == theirs.spawn(1)[0].state


def test_seed_seq(name):
    seed = np.random.SeedSequence(5)
    assert getattr(ours, name)(seed).seed_seq is seed
    assert getattr(ours, name)(9).seed_seq.entropy == 9


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(name, duplicate):
    bits = with_a_buffered_half(pair(name)[0])
    bits.spawn(2)
    twin = duplicate(bits)
    assert type(twin) is type(bits)
    assert twin.state == bits.state
    assert twin.seed_seq.spawn(1)[0].spawn_key == (2,)
    bits.random_raw()
    assert twin.state != bits.state


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_protocols(name, protocol):
    bits = pair(name)[0]
    assert pickle.loads(pickle.dumps(bits, protocol)).state == bits.state


@pytest.mark.parametrize("interface", ["ctypes", "cffi"])
def test_foreign_function_interfaces(name, interface):
    mine, theirs = pair(name)
    for function in ("next_uint64", "next_uint32", "next_double", "next_uint32", "next_uint32"):
        drawn = [
            getattr(getattr(bits, interface), function)(getattr(bits, interface).state)
            for bits in (mine, theirs)
        ]
        assert drawn[0] == drawn[1]
    assert mine.state == theirs.state
    assert getattr(mine, interface) is getattr(mine, interface)


def test_capsule(name):
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    bits, _ = pair(name)
    bitgen = ctypes.cast(get(bits.capsule, b"BitGenerator"), ctypes.POINTER(ctypes.c_void_p))
    next_raw = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(bitgen[4])
    expected = bits.draws(1)[0]
    assert next_raw(bitgen[0]) == expected


def test_the_lock_is_held_for_draws(name):
    bits, _ = pair(name)
    drawn = threading.Event()
    thread = threading.Thread(target=lambda: (ours.Generator(bits).random(10**6), drawn.set()))
    with bits.lock:
        before = bits.state
        thread.start()
        assert not drawn.wait(0.05)
        assert bits.state == before
    thread.join()
    assert drawn.is_set()


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 63, 64, 65, 511, 512, 513, 5000])
@pytest.mark.parametrize("start", [0, 1, 37])
def test_draws_at_a_position_are_the_draws(isa, name, size, start):
    mine, theirs = pair(name)
    before = mine.state
    assert (mine.draws(size, start) == theirs.random_raw(start + size)[start:]).all()
    assert mine.state == before


@given(st.integers(0, 2**64 - 1))
def test_draws_at_any_position(start):
    for name in NAMES:
        mine, theirs = pair(name)
        theirs.advance(start)
        assert (mine.draws(5, start) == theirs.random_raw(5)).all()


@pytest.mark.parametrize(("size", "error"), [(-1, ValueError), (2.0, TypeError), ((2, 2), TypeError)])
def test_draws_wants_a_whole_number(name, size, error):
    with pytest.raises(error):
        pair(name)[0].draws(size)


@pytest.mark.parametrize("size", [2**70, 2**61, -1, 2.5, "3"])
def test_a_bad_size_of_raw_draws_has_numpys_error(size):
    with pytest.raises(Exception) as numpys:  # noqa: PT011
        np.random.PCG64(7).random_raw(size)
    with pytest.raises(numpys.type):
        ours.PCG64(7).random_raw(size)

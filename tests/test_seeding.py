"""Seed sequences that are made here are those of NumPy's constructor."""

import copy
import pickle
import random as standard

import numpy as np
import pytest

from fastinit import random

standard.seed(7)
INTEGERS = [0, 1, 2**32 - 1, 2**32, 2**64 - 1, 2**127, 2**128 + 5, 10**3000]
INTEGERS += [standard.getrandbits(standard.randrange(1, 400)) for _ in range(40)]
LISTS = [
    [],
    [0],
    [0] * 4,
    [0] * 5,
    (1, 2),
    (2**32, 3),
    (2**32 - 1, 3),
    (2**64 - 1, 3),
    [*range(9)],
    [[1, 2], 3],
    [True],
    [np.uint32(5)],
]
LISTS += [[standard.getrandbits(40) for _ in range(n)] for n in (1, 3, 4, 5, 300)]
OTHERS = [True, np.int64(9), np.uint64(2**63), np.arange(5), np.arange(5, dtype=np.uint32), range(6)]
SPAWN_KEYS = [(), (0,), (5, 2**32), (2**70, 1, 0), tuple(range(300))]


def same(ours, numpys):
    """Whether two seed sequences are the same in all that can be asked of one."""
    assert type(ours) is type(numpys) is np.random.SeedSequence
    assert repr(ours) == repr(numpys)
    for each in (ours, pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert each.n_children_spawned == numpys.n_children_spawned
        assert each.pool.dtype == np.uint32
        assert np.array_equal(each.pool, numpys.pool)
        assert np.array_equal(each.generate_state(9), numpys.generate_state(9))
    for mine, theirs in zip(ours.spawn(2), numpys.spawn(2), strict=True):
        assert repr(mine) == repr(theirs)
        assert np.array_equal(mine.pool, theirs.pool)
    return True


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM"])
@pytest.mark.parametrize("seed", [*INTEGERS, *LISTS, *OTHERS], ids=lambda each: repr(each)[:20])
def test_a_seed_is_numpys(seed, name):
    ours, numpys = getattr(random, name)(seed), getattr(np.random, name)(seed)
    assert ours.state == numpys.state
    assert same(ours.seed_seq, numpys.seed_seq)
    assert ours.spawn(1)[0].state == numpys.spawn(1)[0].state


@pytest.mark.parametrize("pool_size", [4, 8])
@pytest.mark.parametrize("spawn_key", SPAWN_KEYS, ids=len)
@pytest.mark.parametrize("entropy", [*INTEGERS, *LISTS, *OTHERS], ids=lambda each: repr(each)[:20])
def test_a_named_generators_seed_sequence_is_numpys(entropy, spawn_key, pool_size):
    parent = np.random.SeedSequence(entropy, spawn_key=spawn_key, pool_size=pool_size)
    rng = random.Generator(random.PCG64(parent))
    assert rng.bit_generator.state == np.random.PCG64(parent).state
    child = rng.fold_in("layer.weight").bit_generator
    words = child.seed_seq.spawn_key[len(spawn_key) :]
    expected = np.random.SeedSequence(entropy, spawn_key=(*spawn_key, *words), pool_size=pool_size)
    assert child.state == np.random.PCG64(expected).state
    assert same(child.seed_seq, expected)


@pytest.mark.parametrize("seed", [-1, -(2**70), 1.5, "7", [1.5], [-1], [[2], "x"], object], ids=repr)
def test_a_bad_seed_has_numpys_error(seed):
    with pytest.raises((TypeError, ValueError)) as numpys:
        np.random.PCG64(seed)
    with pytest.raises(numpys.type) as ours:
        random.PCG64(seed)
    assert str(ours.value) == str(numpys.value)


def test_a_sequence_of_another_class_makes_its_own_state():
    class Other(np.random.SeedSequence):
        def generate_state(self, n_words, dtype=np.uint32):
            return super().generate_state(n_words, dtype) ^ dtype(1)

    assert random.PCG64(Other(7)).state == np.random.PCG64(Other(7)).state != np.random.PCG64(7).state

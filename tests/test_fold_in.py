"""Named streams: `fold_in` equals a hash of the key that is computed here."""

import hashlib

import numpy as np
import pytest

from fastinit import random as ours
from fastinit.random import Generator, default_rng


def spawn_key(key):
    if isinstance(key, str):
        data = b"s" + key.encode()
    else:
        fewest = next(n for n in range(1, 100) if -(1 << 8 * n - 1) <= key < 1 << 8 * n - 1)
        data = b"i" + int(key).to_bytes(fewest, "little", signed=True)
    digest = hashlib.blake2b(data, digest_size=16, person=b"fastinit-v1").digest()
    return tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))


KEYS = [
    "",
    "a",
    "1",
    "s",
    "layer.0.weight",
    "größe",
    "\0",
    "重み",
    0,
    1,
    -1,
    127,
    128,
    -128,
    -129,
    255,
    2**64,
    -(2**200),
]


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_fold_in_by_hand(name, key):
    seed = np.random.SeedSequence([1, 2], spawn_key=(5,), pool_size=6)
    rng = Generator(getattr(ours, name)(seed))
    child = rng.fold_in(key)
    assert type(child) is Generator
    assert type(child.bit_generator) is type(rng.bit_generator)
    expected = np.random.SeedSequence([1, 2], spawn_key=(5, *spawn_key(key)), pool_size=6)
    assert child.bit_generator.seed_seq.spawn_key == expected.spawn_key
    assert child.bit_generator.seed_seq.pool_size == 6
    assert child.random() == Generator(getattr(ours, name)(expected)).random()


def test_fold_in_depends_on_the_seed_and_the_key_alone():
    rng = default_rng(7)
    before = rng.bit_generator.state
    expected = rng.fold_in("w").random()
    assert rng.bit_generator.state == before
    rng.random(11, np.float32)
    rng.spawn(3)
    assert rng.fold_in("w").random() == expected
    rng.bit_generator.state = ours.PCG64(8).state
    assert rng.fold_in("w").random() == expected
    assert Generator(rng.bit_generator.jumped()).fold_in("w").random() == expected
    assert default_rng(8).fold_in("w").random() != expected
    assert rng.fold_in("a").fold_in("b").random() != rng.fold_in("b").fold_in("a").random()


def test_no_two_keys_nor_children_share_a_stream():
    rng = default_rng(7)
    streams = {rng.fold_in(key).random() for key in KEYS} | {child.random() for child in rng.spawn(20)}
    assert len(streams) == len(KEYS) + 20


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint64])
def test_fold_in_takes_numpys_integers(kind):
    assert default_rng(7).fold_in(kind(100)).random() == default_rng(7).fold_in(100).random()


@pytest.mark.parametrize(
    ("key", "error"),
    [
        *((key, TypeError) for key in (True, np.True_, 1.0, None, b"a", ("a",))),
        ("\ud800", UnicodeEncodeError),
    ],
)
def test_fold_in_refuses_other_keys(key, error):
    with pytest.raises(error):
        default_rng(7).fold_in(key)


def test_fold_in_needs_a_seed_sequence():
    class Words(np.random.bit_generator.ISeedSequence):
        def generate_state(self, n_words, dtype=np.uint32):
            return np.zeros(n_words, dtype)

    with pytest.raises(TypeError, match="SeedSequence, not from Words"):
        Generator(ours.PCG64(Words())).fold_in("a")

"""``from fastinit import random`` in place of ``from numpy import random``."""

import subprocess
import sys
import types

import numpy as np
import pytest

from fastinit import random


def test_every_public_name_of_numpys_is_there():
    ours = {"Generator", "default_rng", "PCG64", "PCG64DXSM"}
    names = {name for name in dir(np.random) if not name.startswith("_")}
    assert ours < {*np.random.__all__} <= names
    for name in names - ours:
        assert getattr(random, name) is getattr(np.random, name)
    for name in ours:
        assert getattr(random, name) is not getattr(np.random, name)
    assert {*np.random.__all__, "patch"} == {*random.__all__}


def test_a_name_that_is_nowhere_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = random.nonsense
    assert not hasattr(random, "__path__")


def test_only_numpys_names_and_ours_are_shown():
    shown = {name for name in dir(np.random) if not name.startswith("_")} | {"patch"}
    assert {*dir(random)} == shown
    for name in shown - {"Generator", "default_rng", "PCG64", "PCG64DXSM", "patch"}:
        assert getattr(random, name) is getattr(np.random, name)


PROGRAM = """
from numpy import random
random.seed(3)
rng = random.default_rng(random.SeedSequence(5))
print(random.rand(2), random.RandomState(1).randint(9, size=5), rng.random(3, "f4"), rng.integers(9, size=5))
print(random.Generator(random.PCG64(1)).uniform(2, 3, 4), rng.permutation(5), rng.normal(size=3).shape)
print([child.random() for child in rng.spawn(2)], isinstance(rng, random.Generator), random.mtrand.randint(5))
from numpy.random import MT19937, default_rng as make
print(random.Generator(MT19937(2)).random(), make(rng) is rng, random.get_state()[0])
random.set_bit_generator(random.PCG64(5))
print(random.rand(3), random.randint(9, size=5), random.get_bit_generator().state)
import pickle, copy
from numpy.random import *
generator = Generator(PCG64DXSM(3))
x = generator.permuted(generator.integers(0, 99, (3, 4)), axis=1)
pickle.loads(pickle.dumps(generator)).shuffle(x)
print(x, copy.deepcopy(generator).choice(list("abc"), 5), generator.bit_generator.jumped().random_raw(2))
inside = sum(generator.random(100_000) ** 2 + generator.random(100_000) ** 2 < 1)
print(4 * inside / 100_000, generator.bytes(5), generator.multinomial(5, [0.5, 0.5]), [beta(2, 3), bytes(3)])
walk = generator.choice([-1, 1], (2, 500)).cumsum(axis=1)
print(walk[:, ::99], generator.triangular(0, 1, 2), generator.dirichlet([1, 2]), seed(3), normal())
for wrong in (lambda: generator.poisson(-1), lambda: generator.integers(3, 3), lambda: default_rng("a")):
    try:
        wrong()
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_program_needs_no_other_change():
    printed = [
        subprocess.check_output([sys.executable, "-c", program], text=True)
        for program in (PROGRAM, PROGRAM.replace("from numpy", "from fastinit"))
    ]
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) >= 4


@pytest.mark.parametrize(
    "seed",
    [0, 7, 2**100, [1, 2], np.arange(3), np.random.SeedSequence(3)],
    ids=lambda seed: type(seed).__name__,
)
def test_default_rng_is_seeded_as_numpys(seed):
    rng = random.default_rng(seed)
    assert type(rng) is random.Generator
    assert type(rng.bit_generator) is random.PCG64
    assert rng.bit_generator.state == np.random.default_rng(seed).bit_generator.state


def test_default_rng_without_a_seed_is_fresh():
    assert random.default_rng().random() != random.default_rng(None).random()


def test_default_rng_wraps_generators():
    rng = random.default_rng(7)
    assert random.default_rng(rng) is rng
    for bits in (random.PCG64DXSM(7), np.random.PCG64(7), np.random.MT19937(7)):
        assert random.default_rng(bits).bit_generator is bits
        theirs = np.random.Generator(bits)
        assert type(random.default_rng(theirs)) is random.Generator
        assert random.default_rng(theirs).bit_generator is bits
        legacy = np.random.RandomState(bits)
        assert random.default_rng(legacy).bit_generator is bits


def test_numpys_default_rng_takes_ours():
    rng = random.default_rng(7)
    assert np.random.default_rng(rng) is rng
    assert np.random.default_rng(rng.bit_generator).bit_generator is rng.bit_generator


def third_party(seed):
    """A library looks the function up by NumPy's name, at each call."""
    return np.random.default_rng(seed)


def test_patch():
    before = np.random.default_rng
    with random.patch():
        assert type(third_party(7)) is random.Generator
        with random.patch():
            assert type(third_party(7)) is random.Generator
        assert type(third_party(7)) is random.Generator
    assert np.random.default_rng is before
    assert type(third_party(7)) is np.random.Generator


def test_the_innermost_patch_decides():
    with random.patch():
        with random.patch("box-muller"):
            assert np.random.default_rng(1).normals == "box-muller"
        assert np.random.default_rng(1).normals == "ziggurat"
    assert type(np.random.default_rng(1)) is np.random.Generator


def test_a_generator_is_returned_unaltered():
    class Own(random.Generator):
        pass

    for rng in (Own(random.PCG64(1)), random.default_rng(1, normals="ziggurat")):
        assert random.default_rng(rng) is rng
        for normals in ("ziggurat", "box-muller"):
            with random.patch(normals):
                assert np.random.default_rng(rng) is rng
    other = random.default_rng(random.default_rng(1, normals="ziggurat"), normals="box-muller")
    assert other.normals == "box-muller"


def test_patch_refuses_another_word_at_once():
    with pytest.raises(ValueError, match="normals must be 'box-muller' or 'ziggurat', not 'polar'"):
        random.patch("polar").__enter__()
    assert np.random.default_rng is not random.default_rng


def test_patches_of_two_threads_may_overlap():
    before = np.random.default_rng
    first, second = random.patch(), random.patch()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert type(third_party(7)) is random.Generator
    second.__exit__(None, None, None)
    assert np.random.default_rng is before


def test_patch_ends_with_an_error():
    before = np.random.default_rng
    with pytest.raises(KeyError), random.patch():
        raise KeyError
    assert np.random.default_rng is before


def test_patched_scipy_draws_from_our_stream():
    from scipy import stats

    with random.patch():
        rng = np.random.default_rng(7)
        values = stats.norm.rvs(size=5, random_state=rng)
    assert (values == np.random.default_rng(7).normal(size=5)).all()
    with random.patch(normals="box-muller"):
        values = stats.norm.rvs(size=5, random_state=np.random.default_rng(7))
    assert (values == random.default_rng(7).normal(size=5)).all()


def test_it_is_a_module_and_not_a_package():
    assert isinstance(random, types.ModuleType)
    with pytest.raises(ModuleNotFoundError, match="not a package"):
        __import__("fastinit.random.mtrand")

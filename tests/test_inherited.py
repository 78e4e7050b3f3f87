"""Methods that Generator has from NumPy draw from its stream, with NumPy's bits."""

import inspect
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fastinit import random as ours
from fastinit._numpy_methods import NumpyMethods
from fastinit.random import PCG64, Generator, default_rng

# Arguments for each method that is NumPy's code over our stream. Some of them draw NumPy's normals, in C.
INHERITED = {
    "beta": (2, 3),
    "binomial": (30, 0.3),
    "bytes": (),
    "chisquare": (3,),
    "choice": (10,),
    "dirichlet": ([1.0, 2.0, 3.0],),
    "exponential": (2,),
    "f": (3, 4),
    "gamma": (2.5, 1),
    "geometric": (0.1,),
    "gumbel": (0, 1),
    "hypergeometric": (15, 20, 10),
    "integers": (0, 1000),
    "laplace": (0, 1),
    "logistic": (0, 1),
    "lognormal": (0, 1),
    "logseries": (0.5,),
    "multinomial": (10, [0.25, 0.75]),
    "multivariate_hypergeometric": ([5, 6, 7], 4),
    "negative_binomial": (5, 0.3),
    "noncentral_chisquare": (3, 1),
    "noncentral_f": (3, 4, 1),
    "pareto": (3,),
    "poisson": (20,),
    "power": (2,),
    "rayleigh": (2,),
    "standard_cauchy": (),
    "standard_exponential": (),
    "standard_gamma": (0.5,),
    "standard_t": (4,),
    "triangular": (0, 1, 3),
    "vonmises": (0, 2),
    "wald": (1, 2),
    "weibull": (2,),
    "zipf": (3,),
}
ON_ARRAYS = ("permutation", "permuted", "shuffle")
FROM_BLOCKS = ("bytes", "choice", "exponential", "integers", "permuted", "shuffle", "standard_exponential")
OWN = ("normals", "random", "uniform", "standard_normal", "normal", "truncated_normal", "fold_in", "spawn")


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "Philox"])
@pytest.mark.parametrize("method", INHERITED)
def test_inherited_methods_have_numpys_bits(name, method):
    mine = Generator(getattr(ours, name)(7))
    theirs = np.random.Generator(getattr(np.random, name)(7))
    for rng in (mine, theirs):
        rng.random(3, np.float32)
    for size in (50, 1):
        drawn = [getattr(rng, method)(*INHERITED[method], size) for rng in (mine, theirs)]
        assert bytes(drawn[0]) == bytes(drawn[1])
    assert mine.random() == theirs.random()


@pytest.mark.parametrize("method", ON_ARRAYS)
def test_inherited_methods_that_order_arrays_have_numpys_bits(method):
    mine, theirs = default_rng(7), np.random.default_rng(7)
    arrays = np.arange(60).reshape(20, 3), np.arange(60).reshape(20, 3)
    results = [getattr(rng, method)(x, axis=1) for rng, x in zip((mine, theirs), arrays, strict=True)]
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(*arrays)
    assert mine.random() == theirs.random()


def test_every_method_is_accounted_for_here_and_in_the_documentation():
    numpys = {name for name in dir(np.random.Generator) if not name.startswith("_")}
    methods = {name for name in dir(Generator) if not name.startswith("_")}
    assert methods == {*INHERITED, *ON_ARRAYS, *OWN, "multivariate_normal", "bit_generator"}
    assert numpys == methods - {"truncated_normal", "fold_in", "normals"}
    classes = Generator.__mro__[: Generator.__mro__.index(NumpyMethods)]
    own = {name for each in classes for name in methods if name in vars(each)}
    assert own == {*OWN, *FROM_BLOCKS}
    table = (Path(__file__).parents[1] / "docs" / "compatibility.md").read_text().partition("## Why")[0]
    for name in methods - {"bit_generator"}:
        assert f"`{name}`" in table


def test_multivariate_normal_has_our_normals():
    mean, covariance = [1, -1], [[2.0, 0.5], [0.5, 1.0]]
    for method in ("cholesky", "eigh", "svd"):
        rng = default_rng(7)
        got = rng.multivariate_normal(mean, covariance, 1000, method=method)
        units = default_rng(7).standard_normal((1000, 2))
        factor, *_ = np.linalg.lstsq(units, got - mean, rcond=None)
        np.testing.assert_allclose(got, mean + units @ factor, atol=1e-12)
        np.testing.assert_allclose(factor.T @ factor, covariance, atol=1e-12)
        assert rng.bit_generator.state == np.random.PCG64(7).advance(2000).state


P = np.arange(1, 101) / 5050
CALLS = {
    f"{name} {size}": lambda rng, name=name, size=size: getattr(rng, name)(*INHERITED[name], size=size)
    for name in INHERITED
    for size in (None, 40, (70, 70))
    if name not in ("bytes", "integers")
} | {
    "bytes": lambda rng: rng.bytes(1001),
    "integers": lambda rng: [rng.integers(9), rng.integers(9, size=50), rng.integers([5, 9], size=(50, 2))],
    "one by p": lambda rng: rng.choice(100, p=P),
    "many by p": lambda rng: rng.choice(100, (70, 70), p=P),
    "once": lambda rng: rng.choice(100, 60, replace=False),
    "once by p": lambda rng: rng.choice(100, 20, replace=False, p=P),
    "rows": lambda rng: rng.choice(np.arange(60).reshape(30, 2), 9),
    "exponential of arrays": lambda rng: rng.exponential(np.arange(9.0)),
    "uniform": lambda rng: [rng.uniform(), rng.uniform(2, 3, 50), rng.uniform([2, 3], 4)],
    "normal": lambda rng: [rng.normal(), rng.normal(2, 3, 50), rng.normal([2, 3], 4)],
    "random": lambda rng: [rng.random(), rng.random(50)],
    "standard_normal": lambda rng: [rng.standard_normal(), rng.standard_normal(50)],
    "multivariate_normal": lambda rng: rng.multivariate_normal([1, 2], [[2, 1], [1, 3]], 50),
    "permutation": lambda rng: [rng.permutation(99), rng.permutation(np.arange(60).reshape(30, 2), axis=1)],
    "permuted": lambda rng: [rng.permuted(np.arange(99)), rng.permuted(np.ones((50, 60)), axis=0)],
    "shuffle": lambda rng: [
        rng.shuffle(np.arange(99)),
        rng.shuffle([1, 2, 3]),
        rng.shuffle(np.ones((5, 5)), 1),
    ],
}
METHODS = [name for name in dir(np.random.Generator) if callable(getattr(np.random.Generator, name))]
METHODS = [name for name in METHODS if not name.startswith("_") and name != "spawn"]


def overriding(base, names, log):
    """A subclass whose methods of these names record their arguments, and call those of `base`."""

    def method(name, self, *arguments, **words):
        bound = inspect.signature(getattr(np.random.Generator, name)).bind(self, *arguments, **words)
        bound.apply_defaults()
        values = [np.asarray(value).tolist() for value in [*bound.arguments.values()][1:]]
        log.append((name, str(values)))
        return getattr(base, name)(self, *arguments, **words)

    return type("Overriding", (base,), {name: lambda *a, _=name, **b: method(_, *a, **b) for name in names})


@pytest.mark.parametrize(
    "names", [METHODS, *([name] for name in METHODS)], ids=lambda names: "+".join(names[:2])
)
def test_a_subclass_sees_the_calls_that_numpy_would_have_it_see(names):
    logs = [], []
    mine = overriding(Generator, names, logs[0])(ours.PCG64(7), normals="ziggurat")
    theirs = overriding(np.random.Generator, names, logs[1])(np.random.PCG64(7))
    for what, call in CALLS.items():
        for log in logs:
            log.clear()
        call(mine), call(theirs)
        assert logs[0] == logs[1], what
        assert mine.bit_generator.state == theirs.bit_generator.state, what


def test_threads_may_spawn_at_once():
    sequence = np.random.SeedSequence(7)
    rngs = [default_rng(sequence), Generator(ours.PCG64DXSM(sequence))]
    found, together = [], threading.Barrier(4)

    def work(rng):
        together.wait()
        for _ in range(200):
            found.extend(child.bit_generator.seed_seq.spawn_key for child in rng.spawn(30))

    threads = [threading.Thread(target=work, args=(rng,)) for rng in rngs * 2]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(before)
    assert len(found) == len({*found}) == 24_000


RANDOMS = {
    "beyond 1": lambda values: np.full(values.shape, 1e6),
    "below 0": lambda values: np.full(values.shape, -5e9),
    "NaN": lambda values: np.full(values.shape, np.nan),
    "reversed": lambda values: values[::-1],
    "float32": lambda values: values.astype("f4"),
    "a list": lambda values: values.tolist(),
}


@pytest.mark.parametrize("what", RANDOMS)
def test_choice_takes_what_a_subclass_s_random_returns(what):
    def subclass(base, bits):
        class Own(base):
            def random(self, *args, **kwargs):
                return RANDOMS[what](super().random(*args, **kwargs))

        return Own(bits)

    mine, theirs = subclass(Generator, PCG64(1)), subclass(np.random.Generator, np.random.PCG64(1))
    p = [0.1, 0.2, 0.3, 0.4]
    assert mine.choice(4, 5000, p=p).tolist() == theirs.choice(4, 5000, p=p).tolist()
    assert mine.bit_generator.state["state"] == theirs.bit_generator.state["state"]


TABLES = {
    "Fortran order": np.asfortranarray(np.arange(6000).reshape(60, 100)),
    "every second": np.arange(12000).reshape(60, 200)[:, ::2],
    "reversed": np.arange(6000)[::-1],
    "three axes, turned": np.arange(6000).reshape(10, 20, 30).transpose(2, 0, 1),
    "short lanes": np.arange(6000).reshape(3000, 2),
    "no elements": np.zeros((0, 3)),
    "empty lanes": np.zeros((3, 0)),
    "a list": list(range(3000)),
    "one element": np.array([5]),
}


@pytest.mark.parametrize("axis", [None, 0, -1, 1])
@pytest.mark.parametrize("what", TABLES)
def test_permuted_of_any_layout_is_numpys(what, axis):
    table = TABLES[what]
    if axis == 1 and np.ndim(table) < 2:
        axis = np.int64(0)
    mine, theirs = Generator(PCG64(7)), np.random.default_rng(7)
    one, other = mine.permuted(table, axis=axis), theirs.permuted(table, axis=axis)
    assert (one.tolist(), one.strides) == (other.tolist(), other.strides)
    assert mine.bit_generator.state["state"] == theirs.bit_generator.state["state"]


@pytest.mark.parametrize("bad", [(3, None), (2**70, None), (np.zeros((3, 40)), 1.0), (np.zeros((3, 40)), 2)])
def test_permuted_refuses_what_numpys_does(bad):
    for rng in (Generator(PCG64(7)), np.random.default_rng(7)):
        with pytest.raises((TypeError, np.exceptions.AxisError)):
            rng.permuted(bad[0], axis=bad[1])

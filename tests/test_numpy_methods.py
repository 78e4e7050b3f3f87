"""`out=` of the methods that NumPy has without it: the bits and states of NumPy's own calls."""

import inspect
import random as python_random
import tracemalloc

import numpy as np
import pytest
from test_inherited import INHERITED

from fastinit import random as ours
from fastinit._numpy_methods import NumpyMethods
from fastinit.random import Generator, default_rng

VECTORS = "dirichlet", "multinomial", "multivariate_hypergeometric"
SINGLE = [
    name
    for name in INHERITED
    if "out" in inspect.signature(getattr(Generator, name)).parameters and name not in (*VECTORS, "choice")
]


def pair(name="PCG64", module=ours):
    mine = Generator(getattr(module, name)(7), normals="ziggurat")
    return mine, np.random.Generator(getattr(np.random, name)(7))


def same_state(mine, theirs):
    assert mine.bit_generator.random_raw() == theirs.bit_generator.random_raw()
    np.testing.assert_equal(mine.bit_generator.state, theirs.bit_generator.state)


def test_every_method_that_makes_an_array_of_a_size_has_out():
    # A copy of the values of multivariate_normal would be all that `out` saves.
    sized = {
        name
        for name in dir(np.random.Generator)
        if not name.startswith("_")
        and callable(getattr(np.random.Generator, name))
        and "size" in inspect.signature(getattr(np.random.Generator, name)).parameters
    }
    have = {name for name in sized if "out" in inspect.signature(getattr(Generator, name)).parameters}
    assert sized - have == {"multivariate_normal"}


@pytest.mark.parametrize("name", dir(np.random.Generator))
def test_signatures_begin_as_numpys(name):
    numpys, own = getattr(np.random.Generator, name), getattr(Generator, name)
    if name.startswith("_") or not callable(numpys):
        return
    before, now = (inspect.signature(each).parameters for each in (numpys, own))
    assert list(now.values())[: len(before)] == list(before.values()) or name in ("random", "standard_normal")
    assert list(now)[: len(before)] == list(before)


@pytest.mark.parametrize("name", ["PCG64", "MT19937"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("method", SINGLE)
def test_out_has_the_values_of_numpys_call(name, method, order):
    for shape in ((), (0,), (3,), (2, 0, 3), (60, 300)):
        mine, theirs = pair(name)
        expected = getattr(theirs, method)(*INHERITED[method], size=int(np.prod(shape)))
        out = np.empty(shape, expected.dtype, order=order)
        assert getattr(mine, method)(*INHERITED[method], out=out) is out
        in_memory = "C" if method == "integers" else order
        assert out.ravel(in_memory).tobytes() == expected.tobytes()
        same_state(mine, theirs)


@pytest.mark.parametrize("method", [name for name in SINGLE if INHERITED[name]])
def test_array_parameters_fill_out_in_c_order(method):
    arguments = INHERITED[method]
    arrays = [np.full((40, 1, 300)[-1 - i % 2 :], x, np.asarray(x).dtype) for i, x in enumerate(arguments)]
    mine, theirs = pair()
    expected = getattr(theirs, method)(*arrays, size=(40, 300))
    out = np.empty(expected.shape, expected.dtype)
    assert getattr(mine, method)(*arrays, size=expected.shape, out=out) is out
    assert out.tobytes() == expected.tobytes()
    same_state(mine, theirs)


def test_parameters_may_be_the_output():
    for method in ("poisson", "standard_t", "exponential"):
        mine, theirs = pair()
        expected = getattr(theirs, method)(np.arange(1, 20001))
        out = np.arange(1, 20001).astype(expected.dtype)
        getattr(mine, method)(out, out=out)
        assert out.tobytes() == expected.tobytes()


def test_vectors_may_come_from_the_output():
    for method, first in (("dirichlet", [1.0, 2, 3, 4]), ("multivariate_hypergeometric", [3, 4, 5, 6])):
        mine, theirs = pair()
        more = () if method == "dirichlet" else (3,)
        out = np.ones((5000, 4), type(first[0]))
        out[0] = first
        expected = getattr(theirs, method)(first, *more, 5000)
        getattr(mine, method)(out[0], *more, 5000, out=out)
        assert out.tobytes() == expected.tobytes()
    mine, theirs = pair()
    x = np.arange(40_000)
    expected = theirs.choice(x[:-1].copy(), 39_999)
    mine.choice(x[:-1], 39_999, out=x[1:])
    assert (x[1:] == expected).all()


def masked(values):
    return np.ma.masked_array(
        np.zeros_like(values), mask=np.arange(values.size).reshape(values.shape) % 2, hard_mask=True
    )


KINDS = {
    "dirichlet": lambda rng, **out: rng.dirichlet([1.0, 2, 3], 4, **out),
    "multinomial": lambda rng, **out: rng.multinomial(9, [0.2, 0.8], 4, **out),
    "multivariate_hypergeometric": lambda rng, **out: rng.multivariate_hypergeometric([3, 4], 2, 4, **out),
    "choice": lambda rng, **out: rng.choice(10, (6, 4), **out),
    "choice with p": lambda rng, **out: rng.choice(2, (6, 4), p=[0.3, 0.7], **out),
    "choice once": lambda rng, **out: rng.choice(30, (6, 4), replace=False, **out),
    "integers": lambda rng, **out: rng.integers([1, 2, 3], 9, (4, 3), **out),
    "permutation": lambda rng, **out: rng.permutation(12, **out),
    "permutation of rows": lambda rng, **out: rng.permutation(np.arange(12).reshape(4, 3), **out),
}


@pytest.mark.parametrize("what", KINDS)
def test_a_subclass_as_output_counts_as_its_memory(what):
    expected = KINDS[what](default_rng(7))
    out = masked(expected)
    mask = out.mask.copy()
    assert KINDS[what](default_rng(7), out=out) is out
    assert (out.data == expected).all()
    assert (out.mask == mask).all()
    if expected.ndim == 2:
        matrix = np.empty_like(expected).view(np.matrix)
        KINDS[what](default_rng(7), out=matrix)
        assert (np.asarray(matrix) == expected).all()


def test_parameters_that_do_not_broadcast_to_the_output_are_refused():
    for method, parameters, shape in (
        ("standard_gamma", [[[1.0, 2.0]]], 2),
        ("gamma", [[1.0]], ()),
        ("poisson", [[1.0, 2]], (2, 3)),
    ):
        rng = default_rng(7)
        dtype = np.int64 if method == "poisson" else np.float64
        with pytest.raises(ValueError, match=r"not compatible|broadcast"):
            getattr(rng, method)(*parameters, out=np.empty(shape, dtype))
        same_state(rng, np.random.default_rng(7))


@pytest.mark.parametrize("shape", [(), (3,), (0,), (40, 100)])
@pytest.mark.parametrize("method", VECTORS)
def test_vectors(method, shape):
    mine, theirs = pair()
    expected = getattr(theirs, method)(*INHERITED[method], size=shape)
    out = np.empty_like(expected)
    assert getattr(mine, method)(*INHERITED[method], out=out) is out
    assert out.tobytes() == expected.tobytes()
    same_state(mine, theirs)
    with pytest.raises(ValueError, match="size must match"):
        getattr(mine, method)(*INHERITED[method], out=np.empty((*shape, 7), out.dtype))
    with pytest.raises(ValueError, match="size must match"):
        getattr(mine, method)(*INHERITED[method], size=9, out=out)


def test_vectors_of_array_parameters():
    mine, theirs = pair()
    out = np.empty((5, 3, 2), np.int64)
    mine.multinomial([10, 20, 30], [0.3, 0.7], out=out)
    assert out.tobytes() == theirs.multinomial([10, 20, 30], [0.3, 0.7], (5, 3)).tobytes()
    count, by_marginals = pair()
    out = np.empty((5, 3), np.int64)
    count.multivariate_hypergeometric([5, 6, 7], 4, 5, "count", out=out)
    expected = by_marginals.multivariate_hypergeometric([5, 6, 7], 4, 5, method="count")
    assert out.tobytes() == expected.tobytes()


P = np.arange(1, 31) / 465
CHOICES = {
    "numbers": (30, {}),
    "elements": (np.arange(30.0), {}),
    "rows": (np.arange(60).reshape(30, 2), {}),
    "columns": (np.arange(60).reshape(2, 30), {"axis": 1}),
    "p": (30, {"p": P}),
    "rows by p": (np.arange(60).reshape(30, 2), {"p": P}),
    "once": (30000, {"replace": False}),
    "strings": (list("abcdefghi"), {}),
}


@pytest.mark.parametrize("size", [1, 20_001, (100, 200)])
@pytest.mark.parametrize("what", CHOICES)
def test_choice(what, size):
    a, words = CHOICES[what]
    mine, theirs = pair()
    expected = theirs.choice(a, size, **words)
    out = np.empty_like(expected)
    assert mine.choice(a, size if what == "columns" else None, out=out, **words) is out
    assert out.tobytes() == expected.tobytes()
    same_state(mine, theirs)
    with pytest.raises(TypeError, match="wrong type"):
        mine.choice(a, size, out=np.empty(out.shape, np.complex64), **words)
    with pytest.raises(ValueError, match="size must match"):
        mine.choice(a, 77, out=out, **words)


@pytest.mark.parametrize(
    "x", [0, 1, 5000, np.arange(9.0), np.arange(60).reshape(3, 20), list("abc")], ids=str
)
def test_permutation(x):
    for axis in range(-np.ndim(x), np.ndim(x)) if np.ndim(x) else [0]:
        mine, theirs = pair()
        expected = theirs.permutation(x, axis)
        out = np.empty(expected.shape, expected.dtype)
        assert mine.permutation(x, axis, out=out) is out
        assert out.tobytes() == expected.tobytes()
        same_state(mine, theirs)
        if np.ndim(x) and not isinstance(x, list):
            itself = x.copy()
            pair()[0].permutation(itself, axis, out=itself)
            assert itself.tobytes() == expected.tobytes()


@pytest.mark.parametrize("method", [*SINGLE, *VECTORS, "choice", "permutation"])
def test_a_wrong_out_is_refused_before_a_draw(method):
    arguments = (100,) if method == "permutation" else INHERITED[method]
    made = np.asarray(
        getattr(default_rng(7), method)(*arguments, *([] if method == "permutation" else [100]))
    )
    fixed = made.copy()
    fixed.flags.writeable = False
    wrong = [
        (TypeError, "out must be an ndarray, not list", made.tolist()),
        (TypeError, "wrong type", made.astype(np.complex64)),
        (ValueError, "writable", fixed),
    ]
    if method != "integers":
        spread = np.empty((*made.shape, 2), made.dtype)[..., 0]
        wrong += [(ValueError, "contiguous", spread)]
    for kind, message, out in wrong:
        rng = default_rng(7)
        with pytest.raises(kind, match=message):
            getattr(rng, method)(*arguments, out=out)
        assert rng.bit_generator.state == default_rng(7).bit_generator.state


@pytest.mark.parametrize("method", [*SINGLE, *VECTORS])
def test_bad_parameters_are_numpys_errors_and_leave_all_as_it_was(method):
    out = np.asarray(getattr(default_rng(7), method)(*INHERITED[method], size=3))
    before = out.copy()
    for place in range(len(INHERITED[method])):
        for bad in (-1, [-1], float("nan"), "a", None, 1e300, 10**400):
            arguments = [*INHERITED[method]]
            arguments[place] = bad
            mine, theirs = pair()
            try:
                expected = getattr(theirs, method)(
                    *arguments, size=out.shape[: 1 if method in VECTORS else None]
                )
            except Exception as error:
                with pytest.raises(type(error)):
                    getattr(mine, method)(*arguments, out=out)
                assert (out == before).all()
            else:
                getattr(mine, method)(*arguments, out=out)
                assert out.tobytes() == expected.tobytes()
                out[...] = before
            same_state(mine, theirs)


@pytest.mark.parametrize("method", ["binomial", "poisson", "hypergeometric", "dirichlet", "choice"])
def test_no_second_array_is_made(method):
    made = np.asarray(getattr(default_rng(7), method)(*INHERITED[method], size=1 << 18))
    tracemalloc.start()
    try:
        getattr(default_rng(7), method)(*INHERITED[method], out=made)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < made.nbytes / 4


def test_misaligned_memory():
    for method in ("poisson", "laplace", "binomial"):
        expected = getattr(default_rng(7), method)(*INHERITED[method], size=10_000)
        out = np.empty(8 * expected.size + 1, np.uint8)[1:].view(expected.dtype)
        getattr(default_rng(7), method)(*INHERITED[method], out=out)
        assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("method", SINGLE)
def test_one_value_and_numbers_that_only_numpy_takes(method):
    for arguments in (
        INHERITED[method],
        tuple(np.float32(x) for x in INHERITED[method]),
        tuple(map(np.asarray, INHERITED[method])),
    ):
        mine, theirs = pair()
        for _ in range(20):
            try:
                expected = getattr(theirs, method)(*arguments)
            except TypeError:
                with pytest.raises(TypeError):
                    getattr(mine, method)(*arguments)
                continue
            got = getattr(mine, method)(*arguments)
            assert (got, type(got)) == (expected, type(expected))
        same_state(mine, theirs)


def test_docstrings_are_numpys_with_out():
    for name, method in vars(NumpyMethods).items():
        if not name.startswith("_"):
            signature = f"{name}{inspect.signature(method)}".replace("self, ", "")
            assert " ".join(method.__doc__.split()).startswith(signature) or name == "standard_gamma"
            assert method.__doc__.partition("Returns\n")[0].count("out : ndarray, optional") == 1


@pytest.mark.parametrize("module", [ours, np.random], ids=["fastinit's", "numpy's"])
@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM"])
def test_all_methods_in_any_order(isa, name, module):
    mine, theirs = pair(name, module)
    rng = python_random.Random(f"{isa} {name} {module.__name__}")
    for number in range(6000):
        method = rng.choice([*SINGLE, *VECTORS, "choice", "random", "standard_normal"])
        arguments = INHERITED.get(method, ())
        size = rng.choice([None, 1, 2, 39, 513, (7, 9), rng.randrange(3000)])
        words = {"size": size}
        if method in ("random", "standard_normal", "standard_gamma", "standard_exponential"):
            words["dtype"] = rng.choice([np.float64, np.float32])
        expected = getattr(theirs, method)(*arguments, **words)
        if size is not None and rng.random() < 0.5:
            words["out"] = np.empty_like(expected)
        got = getattr(mine, method)(*arguments, **words)
        assert type(got) is type(expected), (number, method, words)
        assert np.asarray(got).tobytes() == np.asarray(expected).tobytes(), (number, method, words)
        assert mine.bit_generator.state == theirs.bit_generator.state, (number, method, words)

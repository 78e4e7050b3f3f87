"""Every method of NumPy's Generator: how it is called for n values, and what the documentation says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

MANY = 1 << 20

#: Draws n values; for None one value, as a scalar if the method can.
Draw = Callable[[np.random.Generator, int | None], object]


class Call(NamedTuple):
    """A way to call a method, and the speed over NumPy's that is wanted for `many` values."""

    label: str
    draw: Draw
    at_least: float = 1.0
    many: int | None = MANY  # None: only a few values at once make sense
    few_at_least: float = 0.95  # for one value, and for 40


class Method(NamedTuple):
    """The calls of a method, whose code draws, whose bits these are; whether threads share a large array."""

    calls: tuple[Call, ...]
    code: str = "NumPy's C functions"
    bits: str = "NumPy's"
    threads: bool = False


def sized(name: str, *arguments: object, **words: object) -> Draw:
    """A call of a method that takes `size`."""
    return lambda rng, n: getattr(rng, name)(*arguments, size=n, **words)


def simple(name: str, *arguments: object) -> Method:
    """A method with one call, made by NumPy's C function."""
    written = ", ".join(map(str, arguments))
    return Method((Call(f"{name}({written})", sized(name, *arguments)),))


def rows(name: str, width: int, *arguments: object) -> Draw:
    """A call of a method whose values are vectors: as many as give n numbers, but no fewer than 40."""
    draw = sized(name, *arguments)
    return lambda rng, n: draw(rng, n and max(40, n // width))


def by_numpy(method: Method) -> Method:
    """The method, made by NumPy's own code."""
    return method._replace(code="NumPy's")


#: Arrays to shuffle, one for each library and number of values.
arrays: dict[tuple[type, int], np.ndarray] = {}


def _array(rng: np.random.Generator, n: int | None) -> np.ndarray:
    return arrays.setdefault((type(rng), n or 1), np.arange(n or 1))


def _shuffle(rng: np.random.Generator, n: int | None) -> np.ndarray:
    values = _array(rng, n)
    rng.shuffle(values)
    return values


def _permuted(rng: np.random.Generator, n: int | None) -> np.ndarray:
    return rng.permuted(_array(rng, n))


def _choice_once(rng: np.random.Generator, n: int | None) -> object:
    return rng.choice(2 * (n or 1), n, replace=False)


P = np.arange(1, 1001) / 500500
FASTINIT = "fastinit"
KEPT = "fastinit's own; NumPy's with `normals=\"ziggurat\"`"
FEWER = 1 << 16

METHODS = {
    "random": Method(
        (
            Call("random()", sized("random")),
            Call("random(dtype=float32)", sized("random", dtype=np.float32)),
        ),
        FASTINIT,
        "NumPy's; half types: fastinit's own",
        True,
    ),
    "uniform": Method(
        (Call("uniform(-1, 1)", sized("uniform", -1, 1)),),
        FASTINIT,
        "NumPy's in float64; else fastinit's own",
        True,
    ),
    "standard_normal": Method(
        (
            Call("standard_normal()", sized("standard_normal"), 5),
            Call("standard_normal(dtype=float32)", sized("standard_normal", dtype=np.float32), 7),
        ),
        FASTINIT,
        KEPT,
        True,
    ),
    "normal": Method((Call("normal(1, 2)", sized("normal", 1, 2), 5),), FASTINIT, KEPT, True),
    "multivariate_normal": Method(
        (
            Call(
                "multivariate_normal([0, 1], 2 x 2)",
                rows("multivariate_normal", 2, [0, 1], [[2, 1], [1, 3]]),
            ),
        ),
        "NumPy's, over `standard_normal`",
        KEPT,
        True,
    ),
    "standard_exponential": Method(
        (Call("standard_exponential()", sized("standard_exponential"), 2.2),), FASTINIT
    ),
    "exponential": Method((Call("exponential(2)", sized("exponential", 2.0), 2.2),), FASTINIT),
    "integers": Method(
        (
            Call("integers(1000)", sized("integers", 1000), 3),
            Call("integers(2**32, dtype=uint32)", sized("integers", 2**32, dtype=np.uint32), 3),
            Call("integers(2**64, dtype=uint64)", sized("integers", 2**64, dtype=np.uint64), 3),
            Call("integers(200, dtype=uint8)", sized("integers", 200, dtype=np.uint8), 2),
        ),
        FASTINIT,
        threads=True,
    ),
    "bytes": Method((Call("bytes(8 n)", lambda rng, n: rng.bytes(8 * (n or 1)), 5),), FASTINIT, threads=True),
    "choice": Method(
        (
            Call("choice(1000)", sized("choice", 1000), 3),
            Call("choice(1000, p=p)", sized("choice", 1000, p=P), 2),
            Call("choice(2 n, replace=False)", _choice_once),
        ),
        "fastinit with `p`; else NumPy's, over `integers`",
        threads=True,
    ),
    "shuffle": Method(
        (Call("shuffle(n)", _shuffle, 2), Call("shuffle(64 Ki)", _shuffle, 3, FEWER)), FASTINIT
    ),
    "permutation": Method(
        (
            Call("permutation(n)", lambda rng, n: rng.permutation(n or 1), 2),
            Call("permutation(64 Ki)", lambda rng, n: rng.permutation(n or 1), 3, FEWER),
        ),
        "NumPy's, over `shuffle`",
    ),
    "permuted": Method((Call("permuted(x)", _permuted),), FASTINIT),
    "spawn": Method(
        (Call("spawn(n)", lambda rng, n: rng.spawn(n or 1), many=None),), "fastinit, over the SeedSequence's"
    ),
    "beta": simple("beta", 2, 3),
    "binomial": by_numpy(simple("binomial", 10, 0.5)),
    "chisquare": simple("chisquare", 3),
    "dirichlet": by_numpy(Method((Call("dirichlet([1, 2, 3])", rows("dirichlet", 3, [1.0, 2.0, 3.0])),))),
    "f": simple("f", 3, 4),
    "gamma": simple("gamma", 2.5, 1),
    "geometric": simple("geometric", 0.1),
    "gumbel": simple("gumbel", 0, 1),
    "hypergeometric": by_numpy(simple("hypergeometric", 15, 20, 10)),
    "laplace": simple("laplace", 0, 1),
    "logistic": simple("logistic", 0, 1),
    "lognormal": simple("lognormal", 0, 1),
    "logseries": simple("logseries", 0.5),
    "multinomial": by_numpy(
        Method((Call("multinomial(10, [0.25, 0.75])", rows("multinomial", 2, 10, [0.25, 0.75])),))
    ),
    "multivariate_hypergeometric": by_numpy(
        Method(
            (
                Call(
                    "multivariate_hypergeometric([5, 6, 7], 4)",
                    rows("multivariate_hypergeometric", 3, [5, 6, 7], 4),
                ),
            )
        )
    ),
    "negative_binomial": simple("negative_binomial", 5, 0.3),
    "noncentral_chisquare": simple("noncentral_chisquare", 3, 1),
    "noncentral_f": simple("noncentral_f", 3, 4, 1),
    "pareto": simple("pareto", 3),
    "poisson": simple("poisson", 5),
    "power": simple("power", 2),
    "rayleigh": simple("rayleigh", 2),
    "standard_cauchy": simple("standard_cauchy"),
    "standard_gamma": simple("standard_gamma", 2),
    "standard_t": simple("standard_t", 4),
    "triangular": by_numpy(simple("triangular", 0, 1, 3)),
    "vonmises": simple("vonmises", 0, 2),
    "wald": simple("wald", 1, 2),
    "weibull": simple("weibull", 2),
    "zipf": simple("zipf", 3),
}

#: Those that NumPy lacks; they have no figures.
OWN = {
    "truncated_normal": Method((), FASTINIT, "fastinit's own", True),
    "fold_in": Method((), FASTINIT, "fastinit's own"),
}

#: What the bit generator itself has.
RAW = Call("bit_generator.random_raw(n)", lambda rng, n: rng.bit_generator.random_raw(n), 5)


def numpys_methods() -> set[str]:
    """The names of the methods that NumPy's Generator has now."""
    names = (name for name in dir(np.random.Generator) if not name.startswith("_"))
    return {name for name in names if callable(getattr(np.random.Generator, name))}


def same(one: object, other: object) -> bool:
    """Whether two results have the same type, shape and bits."""
    if isinstance(one, list):  # of generators
        return [each.bit_generator.state for each in one] == [each.bit_generator.state for each in other]
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    return type(one) is type(other) and one == other

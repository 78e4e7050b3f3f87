"""``python -m tools.stubs``: writes the types of what `register` makes, and of the overloads of Generator.

fastinit/init/__init__.pyi follows from the functions' own signatures, fastinit/_generator.pyi from METHODS.
"""

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastinit import init
from fastinit._numpy_methods import NumpyMethods

GENERATOR = """# Written by `python -m tools.stubs`.
from collections.abc import Sequence
from typing import Any, Literal, Self, SupportsIndex, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from numpy.random import BitGenerator, RandomState
from numpy.random.bit_generator import ISeedSequence

from fastinit._typing import Float16, Float32, Float64, Out

__all__ = ["Generator", "default_rng"]

_Size: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
_Real: TypeAlias = float | np.floating[Any] | np.integer[Any] | np.bool[bool]
_Like: TypeAlias = npt.ArrayLike
_Normals: TypeAlias = Literal["box-muller", "ziggurat"]

# A float if neither an array nor a size is given, else an array.
class Generator(np.random.Generator):
    def __init__(self, bit_generator: BitGenerator, normals: _Normals = "box-muller") -> None: ...
    @property
    def normals(self) -> _Normals: ...
    @overload  # type: ignore[override]
    def integers(
        self,
        low: int,
        high: int | None = None,
        size: None = None,
        dtype: type[int] = ...,
        endpoint: bool = False,
        out: None = None,
    ) -> int: ...
    @overload
    def integers(
        self,
        low: _Like,
        high: _Like | None = None,
        size: _Size = None,
        dtype: type[np.int64] = ...,
        endpoint: bool = False,
        out: None = None,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def integers(
        self,
        low: _Like,
        high: _Like | None = None,
        size: _Size = None,
        dtype: npt.DTypeLike = ...,
        endpoint: bool = False,
        out: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[Any]: ...
    @overload
    def standard_exponential(
        self,
        size: None = None,
        dtype: npt.DTypeLike = ...,
        method: Literal["zig", "inv"] = "zig",
        out: None = None,
    ) -> float: ...
    @overload
    def standard_exponential(
        self,
        size: _Size = None,
        dtype: npt.DTypeLike = ...,
        method: Literal["zig", "inv"] = "zig",
        out: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[Any]: ...
    @overload
    def choice(
        self,
        a: int,
        size: None = None,
        replace: bool = True,
        p: _Like | None = None,
        axis: int = 0,
        shuffle: bool = True,
        *,
        out: None = None,
    ) -> int: ...
    @overload
    def choice(
        self,
        a: int,
        size: _Size = None,
        replace: bool = True,
        p: _Like | None = None,
        axis: int = 0,
        shuffle: bool = True,
        *,
        out: npt.NDArray[np.int64] | None = None,
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def choice(
        self,
        a: _Like,
        size: None = None,
        replace: bool = True,
        p: _Like | None = None,
        axis: int = 0,
        shuffle: bool = True,
        *,
        out: None = None,
    ) -> Any: ...
    @overload
    def choice(
        self,
        a: _Like,
        size: _Size = None,
        replace: bool = True,
        p: _Like | None = None,
        axis: int = 0,
        shuffle: bool = True,
        *,
        out: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[Any]: ...
    @overload
    def permutation(
        self, x: int, axis: int = 0, *, out: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.int64]: ...
    @overload
    def permutation(
        self, x: _Like, axis: int = 0, *, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]: ...
    def spawn(self, n_children: int) -> list[Self]: ...  # type: ignore[override]
    def fold_in(self, key: str | int | np.integer[Any]) -> Self: ...
{methods}
def default_rng(
    seed: npt.ArrayLike | ISeedSequence | BitGenerator | np.random.Generator | RandomState | None = None,
    normals: _Normals | None = None,
) -> Generator: ...
"""

INIT = """# Written by `python -m tools.stubs` from the functions' own signatures.
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from fastinit._typing import FanMode, Float16, Float32, Float64, Mode, Nonlinearity, Out

from .fans import Axes
from .fans import calculate_gain as calculate_gain
from .fans import compute_fans as compute_fans
from .filling import Block
from .initializer import Initializer as Initializer
from .initializer import Shape
from .initializer import get as get
from .plans import Plan as Plan
from .recommendations import Recommendation as Recommendation
from .recommendations import recommended as recommended

__all__ = {names}

_T = TypeVar("_T")

{functions}
"""

# The parameters of Generator's methods besides size, dtype and out.
METHODS = {
    "random": "",
    "standard_normal": "",
    "uniform": "low: {} = 0.0, high: {} = 1.0",
    "exponential": "scale: {} = 1.0",
    "normal": "loc: {} = 0.0, scale: {} = 1.0",
    "truncated_normal": "low: {}, high: {}, loc: {} = 0.0, scale: {} = 1.0",
}

# NumPy's methods whose values are integers; those whose values are vectors have no scalar form.
INTEGERS = {
    *("binomial", "geometric", "hypergeometric", "logseries", "multinomial", "multivariate_hypergeometric"),
    *("negative_binomial", "poisson", "zipf"),
}
VECTORS = {"dirichlet", "multinomial", "multivariate_hypergeometric"}


def generator() -> str:
    """Return the stub of `Generator`."""
    lines = []
    for name, own in METHODS.items():
        real, like = (["self", *([own.replace("{}", kind)] if own else [])] for kind in ("_Real", "_Like"))
        size = "size: _Size = None"
        forms = [
            ([*real, "size: None = None", "dtype: npt.DTypeLike | None = ...", "out: None = None"], "float")
        ]
        forms += [
            ([*like, size, *words], result)
            for words, result in _results("float64", "npt.DTypeLike | None", ["*"])
        ]
        lines += _overloads(name, forms, "    ")
        if not own:  # NumPy's take fewer dtypes
            lines[-2 * len(forms)] += "  # type: ignore[override]"
    for name, method in vars(NumpyMethods).items():
        parameters = () if name.startswith("_") else inspect.signature(method).parameters.values()
        if "size" in {each.name for each in parameters} and name != "standard_gamma":  # as NumPy has it
            lines += _with_out(name, parameters)
    return GENERATOR.format(methods="\n".join(lines))


def _with_out(name: str, parameters: Iterable[inspect.Parameter]) -> list[str]:
    """Return the forms of a method of NumPy's that takes `out` here."""

    def words(kind: str, size: str, out: str) -> list[str]:
        types = {"size": size, "method": 'Literal["marginals", "count"]', "out": out}
        written = [each.replace(annotation=types.get(each.name, kind)) for each in parameters]
        return ["self", *map(_written, written[1:-1]), "*", f"out: {out}" + " = None" * out.endswith("None")]

    number, array = (
        ("int", "npt.NDArray[np.int64]") if name in INTEGERS else ("float", "npt.NDArray[np.float64]")
    )
    forms = [] if name in VECTORS else [(words("_Real", "None", "None"), number)]
    forms += [(words("_Like", "_Size", "Out"), "Out"), (words("_Like", "_Size", "None"), array)]
    return _overloads(name, forms, "    ")


def initialisers() -> str:
    """Return the stub of `fastinit.init`: all that `register` made."""
    lines = []
    for name in sorted(init.__all__):
        function = getattr(init, name)
        if hasattr(function, "__signature__"):
            lines += _forms(name, inspect.signature(function))
    return INIT.format(names=sorted(init.__all__), functions="\n".join(lines))


def _forms(name: str, signature: inspect.Signature) -> list[str]:
    """Return the lines of a form in place, or of an array form, whose result has the dtype asked for."""
    parameters = [each for each in signature.parameters.values() if each.name not in ("dtype", "out")]
    words = [_written(each) for each in parameters]
    if keywords := [i for i, each in enumerate(parameters) if each.kind is each.KEYWORD_ONLY]:
        words.insert(keywords[0], "*")
    if "dtype" not in signature.parameters:
        return [f"def {name}({', '.join(words)}) -> {signature.return_annotation}: ..."]
    return _overloads(
        name, [([*words, *more], result) for more, result in _results("float32", "npt.DTypeLike")]
    )


def _results(default: str, dtype: str, keyword: Sequence[str] = ()) -> list[tuple[list[str], str]]:
    """Return the ways to say a dtype and an output, with the type of the result; the default's first."""
    known = sorted(("float16", "float32", "float64"), key=lambda name: name != default)
    forms = [
        ([f"dtype: {each.title()} = ...", "out: None = None"], f"npt.NDArray[np.{each}]") for each in known
    ]
    forms.append(([f"dtype: {dtype} = ...", *keyword, "out: Out"], "Out"))
    forms.append(([f"dtype: {dtype} = ...", "out: npt.NDArray[Any] | None = None"], "npt.NDArray[Any]"))
    return forms


def _overloads(name: str, forms: list[tuple[list[str], str]], indent: str = "") -> list[str]:
    lines = []
    for words, result in forms:
        lines += [f"{indent}@overload", f"{indent}def {name}({', '.join(words)}) -> {result}: ..."]
    return lines


def _written(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {parameter.annotation}{default}"


STUBS = {
    Path(init.__file__).with_suffix(".pyi"): initialisers,
    Path(init.__file__).parents[1] / "_generator.pyi": generator,
}

if __name__ == "__main__":
    for path, text in STUBS.items():
        path.write_text(text())

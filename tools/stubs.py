"""``python -m tools.stubs``: writes fastinit/init/__init__.pyi, the types of what `register` makes."""

import inspect
from pathlib import Path

from fastinit import init
from fastinit.init.initializer import OPTIONS, OPTIONS_IN_PLACE

STUB = Path(init.__file__).with_suffix(".pyi")
HEAD = """# Written by `python -m tools.stubs` from the functions' own signatures.
from typing import Any, TypedDict, TypeVar, Unpack

import numpy.typing as npt

from .fans import Axes
from .fans import calculate_gain as calculate_gain
from .fans import compute_fans as compute_fans
from .initializer import Array, Block, Shape
from .initializer import Initializer as Initializer
from .initializer import get as get
from .plans import Plan as Plan

T = TypeVar("T")

"""


def stub() -> str:
    """The text of the stub: the options that array forms share, and each function that `register` made."""
    axes = {each.name for each in OPTIONS_IN_PLACE}
    lines = ["class _Axes(TypedDict, total=False):"]
    lines += [f"    {each.name}: {each.annotation}" for each in OPTIONS_IN_PLACE]
    lines += ["", "class _Options(_Axes, total=False):"]
    lines += [f"    {each.name}: {each.annotation}" for each in OPTIONS if each.name not in axes] + [""]
    shared = {each.name for each in OPTIONS}
    for name in sorted(init.__all__):
        function = getattr(init, name)
        if not hasattr(function, "__signature__"):
            continue
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.name not in shared]
        words = [_written(each) for each in own]
        first_keyword = next((i for i, each in enumerate(own) if each.kind is each.KEYWORD_ONLY), None)
        if first_keyword is not None:
            words.insert(first_keyword, "*")
        if shared <= signature.parameters.keys():
            words.append("**options: Unpack[_Options]")
        elif axes <= signature.parameters.keys():
            words.append("**options: Unpack[_Axes]")
        lines.append(f"def {name}({', '.join(words)}) -> {signature.return_annotation}: ...")
    return HEAD + "\n".join(lines) + "\n"


def _written(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {parameter.annotation}{default}"


if __name__ == "__main__":
    STUB.write_text(stub())

"""The decorator that makes an initialiser's public functions and table row from one function."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from fastinit._arrays import check_writable, is_sharded, memory_of, needs_torch, say_written
from fastinit._dispatch import default_fp
from fastinit._tables import kept

from .initializer import OPTIONS, OPTIONS_IN_PLACE, Initializer, Scheme, enter, get

_OPTION_NAMES = frozenset(each.name for each in OPTIONS)
_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD


def register(
    *,
    alias: str | None = None,
    in_place: str | None = None,
    names: Mapping[str, str] | None = None,
    convert: Callable[..., dict[str, Any]] | None = None,
    draws: bool = True,
    axes: bool = False,
    keywords: Collection[str] = (),
    integers: Callable[..., Any] | None = None,
    note: str = "",
) -> Callable[[Callable[..., Scheme]], Callable[..., Any]]:
    """Decorate a function that turns an initialiser's own arguments into a scheme.

    It makes the array form, which replaces the function and keeps its name and docstring; the in-place form,
    in the same module; and the row in the table that `get` reads.

    Parameters
    ----------
    alias : str, optional
        Another name of both forms, with an underscore in place, and in specs.
    in_place : str, optional
        The name of the in-place form, torch's if it has one; by default the function's and an underscore.
    names : mapping of str to str, optional
        torch's argument names, by the function's own.
    convert : callable, optional
        Turns torch's arguments into the function's own.
    draws : bool
        Whether the in-place form takes a generator.
    axes : bool
        Whether the in-place form takes a layout and axes, by keyword, as the array form always does.
    keywords : collection of str
        Arguments of the function that its in-place form takes by keyword alone, as torch doesn't have them.
    integers : callable, optional
        Turns torch's arguments into the value that fills a tensor of integers or bools.
    note : str, optional
        The end of the docstring of the in-place form.
    """

    def decorate(function: Callable[..., Scheme]) -> Callable[..., Any]:
        name, twin = function.__name__, in_place or f"{function.__name__}_"
        array_form = _array_form(function)
        signature = _in_place_signature(function, names or {}, draws, axes, keywords)
        in_place_form = _in_place_form(function, twin, signature, names or {}, convert, integers)
        in_place_form.__doc__ = f"Fill in place; see `fastinit.init.{name}`.{note}"
        enter(name, function, twin, alias)
        public = {name: array_form, twin: in_place_form}
        if alias is not None:
            public |= {alias: array_form, f"{alias}_": in_place_form}
        function.__globals__.update(public)
        function.__globals__["__all__"] += public
        return array_form

    return decorate


def _array_form(function: Callable[..., Scheme]) -> Callable[..., Any]:
    """Return the function (shape, own arguments, options) -> array."""
    own = inspect.signature(function).parameters.values()
    shape = inspect.Parameter("shape", _POSITIONAL, annotation="Shape")
    signature = inspect.Signature([shape, *own, *OPTIONS], return_annotation="Array")
    options = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)
    plain = inspect.Signature([shape, *own, options])
    required = {each.name for each in own if each.default is each.empty}
    names = [each.name for each in own]
    made = kept(functools.partial(get, function.__name__))

    @functools.wraps(function)
    def array_form(*positional: Any, **keywords: Any) -> Any:
        if len(positional) == 1 and required <= keywords.keys():  # most calls: to bind takes 4 us
            given = {}
            if not _OPTION_NAMES.issuperset(keywords):
                given = {key: keywords.pop(key) for key in names if key in keywords}
                if unknown := keywords.keys() - _OPTION_NAMES:
                    message = f"{function.__name__}() got an unexpected keyword argument {min(unknown)!r}"
                    raise TypeError(message)
            return made(**given)(*positional, **keywords)
        given = _bound(function.__name__, plain, positional, keywords)
        shape, options = given.pop("shape"), given.pop("options", {})
        return made(**given)(shape, **options)

    array_form.__dict__["__signature__"] = signature
    return array_form


def _bound(
    name: str, signature: inspect.Signature, positional: tuple[Any, ...], keywords: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name. TypeError if they do not fit."""
    try:
        return signature.bind(*positional, **keywords).arguments
    except TypeError as error:
        raise TypeError(f"{name}() {error}") from None


def _in_place_signature(
    function: Callable[..., Scheme],
    names: Mapping[str, str],
    draws: bool,
    axes: bool,
    keywords: Collection[str],
) -> inspect.Signature:
    """Return the signature with torch's arguments in torch's order, and others by keyword."""
    parameter = inspect.Parameter
    torchs = [parameter("tensor", _POSITIONAL, annotation="_T")]
    others = []
    for each in inspect.signature(function).parameters.values():
        if each.name in keywords:
            others.append(each)
        else:
            torchs.append(each.replace(name=names.get(each.name, each.name), kind=_POSITIONAL))
    if draws:
        torchs.append(parameter("generator", _POSITIONAL, default=None, annotation="Any"))
    return inspect.Signature([*torchs, *others, *(OPTIONS_IN_PLACE if axes else [])], return_annotation="_T")


def _in_place_form(
    function: Callable[..., Scheme],
    twin: str,
    signature: inspect.Signature,
    names: Mapping[str, str],
    convert: Callable[..., dict[str, Any]] | None,
    integers: Callable[..., Any] | None,
) -> Callable[..., Any]:
    """Return the function that fills a tensor in place."""
    originals = {names.get(name, name): name for name in inspect.signature(function).parameters}
    parameters = signature.parameters
    defaults = {key: parameters[key].default for key in originals}
    # Without the tensor:
    order = [key for key, each in parameters.items() if each.kind is _POSITIONAL][1:]
    required = {key for key, each in parameters.items() if each.default is each.empty} - {"tensor"}
    keys = frozenset(parameters) - {"tensor"}
    options = keys - {*originals}

    @kept
    def made(**given: Any) -> Initializer:
        if convert is not None:
            given = convert(**{**defaults, **given})
        return get(function.__name__, **{originals.get(key, key): value for key, value in given.items()})

    def in_place_form(*positional: Any, **keywords: Any) -> Any:
        tensor, *more = positional or (None,)
        arguments = keywords | dict(zip(order, more, strict=False)) if more else keywords
        fits = keys.issuperset(arguments) and required <= arguments.keys()
        if not (fits and positional and len(arguments) == len(more) + len(keywords)):
            arguments = _bound(twin, signature, positional, keywords)  # 4 us; says what doesn't fit
            tensor = arguments.pop("tensor")
        given = {}
        if not options.issuperset(arguments):
            given = {key: arguments.pop(key) for key in originals if key in arguments}
        if integers is not None and _fill_integers(tensor, integers(**given)):
            return tensor
        return made(**given).fill_(tensor, **arguments)

    in_place_form.__dict__["__signature__"] = signature
    in_place_form.__name__ = in_place_form.__qualname__ = twin
    in_place_form.__module__ = function.__module__
    return in_place_form


def _fill_integers(tensor: Any, value: Any) -> bool:
    """Fill a tensor with a value if nothing but constants has its dtype. Return False for others."""
    if needs_torch(tensor):
        with sys.modules["torch"].no_grad():
            tensor.fill_(value)
        return True
    if is_sharded(tensor):
        return False
    target, dtype = memory_of(tensor, output=True, fills=True)
    kind = target.dtype.kind
    if dtype is not None and dtype.made is not dtype and dtype.max < abs(value) < math.inf:
        raise ValueError(f"{value} is too large for {dtype.name}")  # a rule's would saturate
    if dtype is not None or not (kind in "biufc" or (kind == "V" and target.dtype.type is not np.void)):
        return False  # a void is bytes or a structure; float8 of ml_dtypes has the kind V, too
    check_writable(target, shared=True)
    convert = {"b": bool, "c": complex, "i": int, "u": int}.get(kind, float)
    with default_fp(), np.errstate(all="ignore"):
        exact = np.array(convert(value), target.dtype)
    if kind in "Vf" and math.isfinite(value) and not math.isfinite(float(exact)):
        raise ValueError(f"{target.dtype.name} has no value near {value}")
    say_written(tensor)
    target[...] = exact
    return True

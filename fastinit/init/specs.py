"""Reads and writes spec strings such as ``"kaiming_normal(0.1, mode=fan_out)"``."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from typing import Any

_LONGEST = 1000


def parse(spec: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the name, the arguments without a name and those with one in a spec string.

    Parameters
    ----------
    spec : str
        ``name(value, ..., argument=value, ...)``; a value is a number, a word, a quoted string, True, False,
        None, a tuple or a list.

    Raises
    ------
    ValueError
        The syntax is wrong, or an argument is given twice.

    Examples
    --------
    >>> parse("kaiming_normal(0.1, mode=fan_out)")
    ('kaiming_normal', [0.1], {'mode': 'fan_out'})
    """
    call = parsed(spec)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("a spec is a name, or name(argument=value, ...)")
    starred = any(isinstance(each, ast.Starred) for each in call.args)
    if starred or any(keyword.arg is None for keyword in call.keywords):
        raise ValueError("arguments are written value or argument=value")
    names = [str(keyword.arg) for keyword in call.keywords]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is given twice")
    values = [_value(keyword.value) for keyword in call.keywords]
    return call.func.id, [*map(_value, call.args)], dict(zip(names, values, strict=True))


def parsed(text: str) -> ast.expr | None:
    """Return the tree of a text in Python's syntax, or None for another text, or one of over 1000 characters.

    A stranger may have written it.
    """
    if len(text) > _LONGEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of `1if`
        try:
            return ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def write(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the spec string of a name and arguments, sorted by argument.

    Examples
    --------
    >>> write("normal", {"std": 0.02}), write("zeros", {})
    ('normal(std=0.02)', 'zeros')
    """
    written = ", ".join(f"{key}={_written(arguments[key])}" for key in sorted(arguments))
    return f"{name}({written})" if written else name


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Name):
        return f"-{node.operand.id}"  # -inf
    try:
        return ast.literal_eval(node)
    except ValueError:
        text = ast.unparse(node)
        raise ValueError(f"{text!r} is not a number, a word, a string or a tuple; quote it?") from None


def _written(value: Any) -> str:
    if isinstance(value, str) and not value.isidentifier():
        return repr(value)
    return str(value)

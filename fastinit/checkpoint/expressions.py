"""The arithmetic in braces in rules, such as ``normal(std={0.02 / sqrt(2 * layers)})``."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

from fastinit.init.specs import parsed

_HOLE = re.compile(r"\{([^{}]*)\}")
# IEEE 754 rounds these and sqrt correctly, so the bits are the same everywhere. Powers are not.
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def variables(text: str) -> set[str]:
    """Return the names that the expressions in a text use.

    Examples
    --------
    >>> variables("uniform(low={-1 / sqrt(fan_in)}, high={1 / sqrt(fan_in)})")
    {'fan_in'}
    """
    trees = [_parse(hole) for hole in _HOLE.findall(text)]
    names = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names - {"sqrt"}


def substitute(text: str, values: Mapping[str, float]) -> str:
    """Return a text with each ``{expression}`` replaced by its value, with all digits.

    Parameters
    ----------
    text : str
        The text. Its expressions have numbers, names, ``+ - * /``, ``sqrt`` and parentheses.
    values : mapping of str to number
        The values of the names.

    Raises
    ------
    ValueError
        An expression has another construct or an unknown name, divides by zero, or takes the root of a
        negative number.

    Examples
    --------
    >>> substitute("normal(std={0.02 / sqrt(2 * layers)})", {"layers": 8})
    'normal(std=0.005)'
    """

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return number
            case ast.Name(id=name) if name in values:
                return values[name]
            case ast.Name(id=name):
                raise ValueError(f"unknown name {name!r}; known are sqrt, {', '.join(values)}")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](value(left), value(right))
            case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
                return math.sqrt(value(argument))
        raise ValueError(f"{ast.unparse(node)!r} is not made of numbers, names, + - * / and sqrt")

    def replaced(hole: re.Match[str]) -> str:
        try:
            return repr(value(_parse(hole[1])))
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"{hole[0]}: {error}") from None

    return _HOLE.sub(replaced, text)


def _parse(expression: str) -> ast.expr:
    if (tree := parsed(expression)) is None:
        raise ValueError(f"{{{expression}}} is not an expression")
    return tree

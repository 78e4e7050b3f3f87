"""The arithmetic of rules."""

import math

import pytest

from fastinit.checkpoint import expressions


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{1 / 3}", 1 / 3),
        ("{0.02 / sqrt(2 * layers)}", 0.02 / math.sqrt(2 * 12)),
        ("{-(1 - 2.5) * +0 - -3}", None),
        ("{-(1 - 2.5) * 4 - -3}", 9.0),
        ("{1e-3}", 1e-3),
    ],
)
def test_values_are_pythons(text, value):
    if value is None:
        with pytest.raises(ValueError, match="is not made of"):
            expressions.substitute(text, {"layers": 12})
    else:
        assert float(expressions.substitute(text, {"layers": 12})) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{1 / 0}", "division by zero"),
        ("{sqrt(0 - 1)}", "math domain error|nonnegative"),
        ("{sqrt(1, 2)}", "is not made of"),
        ("{abs(1)}", "is not made of"),
        ("{__import__('os')}", "is not made of"),
        ("{True}", "is not made of"),
        ("{}", "is not an expression"),
        ("{1 +}", "is not an expression"),
        ("{n}", "unknown name 'n'; known are sqrt, layers"),
    ],
)
def test_nothing_else_is_an_expression(text, message):
    with pytest.raises(ValueError, match=message):
        expressions.substitute(text, {"layers": 12})

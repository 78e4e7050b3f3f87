"""The activations that a network can have: the functions of `fastinit.nn` and their slopes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit import nn
from fastinit.checkpoint import BadInput
from fastinit.init import specs
from fastinit.init.recommendations import activation_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """An activation with its arguments.

    Attributes
    ----------
    name : str
        Its name in `fastinit.nn`, or ``"linear"``.
    arguments : dict
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> str:
        """The text from which `get` makes it."""
        return specs.write(self.name, self.arguments)

    def __call__(self, x: Array) -> Array:
        """Return the outputs of the inputs `x`."""
        forward, _ = _FUNCTIONS[self.name]
        y: Array = forward(x, **self.arguments)
        return y

    def slope(self, x: Array, y: Array) -> Array:
        """Return the derivative at the inputs `x`, whose outputs are `y`."""
        _, backward = _FUNCTIONS[self.name]
        slopes: Array = backward(np.ones_like(x), x, y, **self.arguments)
        return slopes

    @property
    def steepest(self) -> float:
        """The largest slope."""
        x = np.linspace(-4.0, 4.0, 801)
        return float(np.abs(self.slope(x, self(x))).max())


# The function, and (gradient of the output, input, output) -> gradient of the input.
_FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "linear": (lambda x: x.copy(), lambda grad, x, y: grad),
    "relu": (nn.relu, lambda grad, x, y: nn.relu_backward(grad, y)),
    "leaky_relu": (nn.leaky_relu, lambda grad, x, y, **slope: nn.leaky_relu_backward(grad, x, **slope)),
    "selu": (nn.selu, lambda grad, x, y: nn.selu_backward(grad, y)),
    "sigmoid": (nn.sigmoid, lambda grad, x, y: nn.sigmoid_backward(grad, y)),
    "tanh": (nn.tanh, lambda grad, x, y: nn.tanh_backward(grad, y)),
}


def get(activation: Any) -> Activation:
    """Return the activation of a name, a spec such as ``"leaky_relu(negative_slope=0.1)"``, or a function.

    Examples
    --------
    >>> get("LeakyReLU(negative_slope=0.1)").spec
    'leaky_relu(negative_slope=0.1)'
    """
    if isinstance(activation, Activation):
        return activation
    try:
        name, arguments = activation_of(activation)
    except ValueError as error:
        raise BadInput(f"activation {activation!r}: {error}") from None
    if name not in _FUNCTIONS:
        raise BadInput(f"unknown activation {name!r}; known are {', '.join(_FUNCTIONS)}")
    made = Activation(name, arguments)
    try:
        made(np.zeros(1, np.float32))
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"activation {made.spec}: {error}") from None
    return made

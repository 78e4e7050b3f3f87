"""One random network, forward and backward, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastinit.init import Initializer

from .activations import Activation, Array
from .chains import Layer
from .theory import EPSILON

#: Singular values below this share of the largest are rounding.
RESOLVED = 1e-6

# A value is flat if its slope is less than the first share of the steepest. A unit is dead if its slopes are
# less than the second for all inputs. LeakyReLU's 0.01 is no death.
_FLAT, _DEAD = 0.05, 0.005

# Beyond these, what follows is about float32's range, not about the network.
_LEAST, _MOST = 1e-30, 1e30

#: What is measured at each place, the input's first. The last two are linear in what they start from.
QUANTITIES = ("mean", "std", "spread", "dead", "saturated", "gradient", "stretch")


@dataclass(frozen=True)
class Network:
    """A network of linear layers without biases, each with an activation behind it.

    Attributes
    ----------
    chain : sequence of Layer
    activation : Activation
    initializer : Initializer, optional
        By default, the layers' own.
    norm : {"none", "layer", "batch"}
        The normalisation between a layer and its activation, without weights of its own.
    residual : bool
        Whether the input of a square layer is added to its output.
    """

    chain: Sequence[Layer]
    activation: Activation
    initializer: Initializer | None
    norm: str = "none"
    residual: bool = False

    def measure(self, rng: Any, batch: int, directions: int, depths: Sequence[int]) -> dict[str, Array]:
        """Run the network on standard normal inputs, and a standard normal gradient back.

        Parameters
        ----------
        rng : Generator
            It doesn't move. Weights, inputs and gradients are those of names under it.
        batch : int
            The number of inputs.
        directions : int
            The columns of the Jacobian at the first input: those of so many of the first units.
        depths : sequence of int
            The places whose Jacobian is decomposed.

        Returns
        -------
        dict of str to ndarray
            `QUANTITIES`, each of shape (layers + 1,), and ``singular``, sorted down, of shape (depths,
            directions). If a layer's values leave float32's range, its std is 0 or infinite. All else there,
            and all that is behind it, is NaN, and the gradient begins before it.
        """
        places = len(self.chain) + 1
        found = {name: np.full(places, np.nan) for name in QUANTITIES}
        width = self.chain[0].fan_in
        count = min(directions, width)
        found["singular"] = np.full((len(depths), count), np.nan)
        x = rng.fold_in("input").standard_normal((batch, width), dtype="float32")
        tangent = _Scaled(np.eye(count, width, dtype=np.float32))
        steps: list[_Step] = []
        steepest = self.activation.steepest
        for place in range(places):
            if place:
                weight = self.chain[place - 1].weight(self.initializer, rng)
                y, step = _step(self, x @ weight.T, x.shape[1] == weight.shape[0])
                x = x + y if step.adds else y
                if not _LEAST < float(np.abs(x).max()) < _MOST:
                    found["std"][place] = 0.0 if np.abs(x).max() <= _LEAST else np.inf
                    break
                steps.append(step)
                tangent.replace(step.forward(tangent.values, tangent.values @ weight.T))
                found["dead"][place] = (np.abs(step.slope).max(axis=0) < _DEAD * steepest).mean()
                found["saturated"][place] = (np.abs(step.slope) < _FLAT * steepest).mean()
            found["mean"][place], found["std"][place], found["spread"][place] = _statistics(x)
            found["stretch"][place] = tangent.root_mean_square() * np.sqrt(tangent.values.shape[1])
            if place in depths and count:
                found["singular"][depths.index(place), :] = tangent.singular_values()
        self._back(rng, steps, found["gradient"], x.shape[0])
        return found

    def _back(self, rng: Any, steps: Sequence[_Step], found: Array, batch: int) -> None:
        """Write the gradient's std at each place. The weights are made again instead of being kept."""
        last = len(steps)
        width = self.chain[last - 1].fan_out if last else self.chain[0].fan_in
        draws = rng.fold_in("gradient").standard_normal((batch, width), dtype="float32")
        gradient = _Scaled(draws)
        found[last] = gradient.root_mean_square()
        for place in range(last, 0, -1):
            weight = self.chain[place - 1].weight(self.initializer, rng)
            step = steps[place - 1]
            back = step.before(gradient.values) @ weight
            gradient.replace(back + gradient.values if step.adds else back)
            found[place - 1] = gradient.root_mean_square()


@dataclass(frozen=True)
class _Step:
    """What the way back and the Jacobian need of a layer's activation and norm."""

    slope: Array
    adds: bool
    axis: int  # over which the norm takes its statistics: 0 the batch's, 1 a layer's
    normalised: Array | None = None
    scale: Any = None  # what the norm multiplies by

    def before(self, gradient: Array) -> Array:
        """Return the gradient before the norm from that of the activation's output."""
        inner: Array = gradient * self.slope
        if self.normalised is None:
            return inner
        return _through_norm(inner, self.normalised, self.scale, self.axis)

    def forward(self, tangents: Array, inner: Array) -> Array:
        """Return the tangents behind the layer of the first input. A batch's statistics count as fixed."""
        if self.normalised is not None:
            fixed = self.axis == 0
            inner = (
                inner * self.scale if fixed else _through_norm(inner, self.normalised[:1], self.scale[:1], 1)
            )
        inner = inner * self.slope[0]
        return inner + tangents if self.adds else inner


def _step(network: Network, z: Array, square: bool) -> tuple[Array, _Step]:
    """Return the outputs of a norm and an activation, and what is needed of them later."""
    axis = 0 if network.norm == "batch" else 1
    normalised, scale = None, None
    if network.norm != "none":
        scale = 1 / np.sqrt(z.var(axis=axis, keepdims=True) + np.float32(EPSILON))
        z = normalised = (z - z.mean(axis=axis, keepdims=True)) * scale
    y = network.activation(z)
    slope = network.activation.slope(z, y)
    return y, _Step(slope, network.residual and square, axis, normalised, scale)


def _through_norm(values: Array, normalised: Array, scale: Any, axis: int) -> Array:
    """Return what the derivative of a norm, a symmetric matrix, makes of values."""
    along = (values * normalised).mean(axis=axis, keepdims=True)
    found: Array = (values - values.mean(axis=axis, keepdims=True) - normalised * along) * scale
    return found


class _Scaled:
    """Values of any magnitude: float32 in a middle range, times a power of two. Linear maps keep that."""

    def __init__(self, values: Array) -> None:
        self.values, self._power = values, 0

    def replace(self, values: Array) -> None:
        largest = float(np.abs(values).max(initial=0.0))
        if largest and not 2.0**-30 < largest < 2.0**30:
            power = int(np.floor(np.log2(largest)))
            values = np.ldexp(values, -power)
            self._power += power
        self.values = values

    def root_mean_square(self) -> float:
        values = self.values.ravel().astype(np.float64)
        return float(np.ldexp(np.sqrt(values @ values / max(values.size, 1)), self._power))

    def singular_values(self) -> Array:
        """Return as many as there are rows, sorted down. What float32 cannot tell from 0 is 0."""
        rows, columns = self.values.shape
        found = np.zeros(rows)
        found[: min(rows, columns)] = np.linalg.svd(self.values.astype(np.float64), compute_uv=False)
        found[found < RESOLVED * found[0]] = 0.0
        return np.ldexp(found, self._power)


def _statistics(x: Array) -> tuple[float, float, float]:
    """Return the mean and std of all values, and the root mean square, over units, of the std over inputs."""
    centres = x.mean(axis=0, dtype=np.float64)
    apart = (x - centres).ravel()
    within = float(apart @ apart) / x.size
    mean = float(centres.mean())
    spread = within * x.shape[0] / (x.shape[0] - 1)
    return mean, float(np.sqrt(within + centres.var())), float(np.sqrt(spread))

"""Keras 3's initialisers with fastinit's values: `HeNormal` for `keras.initializers.HeNormal`, and so on.

Names, arguments, checks, fans and configs are Keras's. Values are those of `fastinit.init`, the same in every
backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import keras
except ImportError:
    raise ImportError("fastinit.keras needs keras: pip install 'fastinit-engine[keras]'") from None

from fastinit import _dtypes, init
from fastinit.init.filling import fill, ranges_of
from fastinit.init.plans import Plan, Sampled
from fastinit.random import PCG64, Generator

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
]

Array = npt.NDArray[Any]


class _Filled:
    """What calls of all initialisers do; a class says by `_plan` how a tensor of a shape is made."""

    seed: Any

    def __call__(self, shape: Sequence[int], dtype: Any = None, layout: Any = None) -> Any:
        """Return a tensor of Keras's backend.

        Parameters
        ----------
        shape : sequence of int
        dtype : str, optional
            float16, bfloat16, float32 or float64; by default ``keras.config.floatx()``.
        layout : jax.sharding.NamedSharding, optional
            Each device makes its own block. For the JAX backend.

        Raises
        ------
        TypeError
            The dtype is another one, or a SeedGenerator is read while JAX traces a function.
        ValueError
            The seed is negative.
        """
        sizes = tuple(map(int, shape))
        record = _dtypes.of(keras.backend.standardize_dtype(dtype or keras.config.floatx()))
        plan = self._plan(sizes, record)
        entropy = _entropy(self.seed)
        if layout is None:
            return _tensor(_filled(plan, entropy), record)
        import jax

        return jax.make_array_from_callback(
            sizes, _concrete(layout), lambda block: _filled(plan, entropy, block)
        )

    def _plan(self, shape: tuple[int, ...], dtype: _dtypes.Dtype) -> Plan:
        raise NotImplementedError


def _filled(plan: Plan, entropy: Any, block: tuple[slice, ...] | None = None) -> Array:
    """Return the values of a plan, or of a block of it."""
    ranges = None if block is None else ranges_of(block, plan.shape)
    shape = plan.shape if ranges is None else tuple(map(len, ranges))
    out: Array = np.empty(shape, plan.dtype.numpy)
    fill(plan, plan.dtype.view(out), Generator(PCG64(np.random.SeedSequence(entropy))), ranges)
    return out


def _entropy(seed: Any) -> Any:
    """Return the entropy of a seed: an int itself, or the next two words of a SeedGenerator, which moves."""
    if not isinstance(seed, keras.random.SeedGenerator):
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, not {seed}")
        return seed
    words = seed.next()
    try:
        return [int(word) for word in keras.ops.convert_to_numpy(words)]
    except Exception as error:
        raise TypeError("a SeedGenerator cannot be read in a traced function: give an int as seed") from error


def _tensor(values: Array, record: _dtypes.Dtype) -> Any:
    if keras.backend.backend() == "torch" and record.name == "bfloat16":  # torch takes no array of it
        import torch

        made = torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
        return keras.ops.convert_to_tensor(made)
    return keras.ops.convert_to_tensor(values, dtype=record.name)


def _concrete(layout: Any) -> Any:
    """Return a sharding over devices. Keras gives one over an abstract mesh, with its devices set apart."""
    import jax

    if isinstance(layout, keras.distribution.TensorLayout):
        layout = layout.backend_layout
    if isinstance(layout.mesh, jax.sharding.AbstractMesh):
        return jax.sharding.NamedSharding(jax.sharding.get_mesh(), layout.spec)
    return layout


class _Scaled(_Filled):
    """Initialisers whose spread follows from fans, which are Keras's, those of no and of one axis too."""

    scale: float
    mode: str
    distribution: str
    input_axes: Sequence[int] | None
    output_axes: Sequence[int] | None

    def _plan(self, shape: tuple[int, ...], dtype: _dtypes.Dtype) -> Plan:
        fans = _fans(shape, self.input_axes, self.output_axes)
        distribution = {"untruncated_normal": "normal"}.get(self.distribution, self.distribution)
        law = init.get("variance_scaling", scale=self.scale, mode=self.mode, distribution=distribution)
        like = law.plan(tuple(max(fan, 1) for fan in fans), layout="io", dtype=dtype)
        return Sampled(shape, dtype, like.distribution, like.parameters, fans=fans)


def _fans(
    shape: tuple[int, ...], inputs: Sequence[int] | None, outputs: Sequence[int] | None
) -> tuple[int, int]:
    if inputs is not None and outputs is not None:
        sizes = np.array(shape, object)
        return int(np.prod(sizes[list(inputs)])), int(np.prod(sizes[list(outputs)]))
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    return init.compute_fans(shape, layout="io")


def _registered(cls: type) -> type:
    return keras.saving.register_keras_serializable(package="fastinit")(cls)  # type: ignore[no-any-return]


@_registered
class VarianceScaling(_Scaled, keras.initializers.VarianceScaling):
    """`keras.initializers.VarianceScaling` with fastinit's values.

    Examples
    --------
    >>> from fastinit import init, random
    >>> values = keras.ops.convert_to_numpy(VarianceScaling(2.0, seed=7)((30, 20)))
    >>> expected = init.variance_scaling((30, 20), scale=2.0, layout="io", rng=random.default_rng(7))
    >>> bool((values == expected).all())
    True
    """


@_registered
class GlorotUniform(_Scaled, keras.initializers.GlorotUniform):
    """`keras.initializers.GlorotUniform` with fastinit's values."""


@_registered
class GlorotNormal(_Scaled, keras.initializers.GlorotNormal):
    """`keras.initializers.GlorotNormal` with fastinit's values."""


@_registered
class HeUniform(_Scaled, keras.initializers.HeUniform):
    """`keras.initializers.HeUniform` with fastinit's values."""


@_registered
class HeNormal(_Scaled, keras.initializers.HeNormal):
    """`keras.initializers.HeNormal` with fastinit's values."""


@_registered
class LecunUniform(_Scaled, keras.initializers.LecunUniform):
    """`keras.initializers.LecunUniform` with fastinit's values."""


@_registered
class LecunNormal(_Scaled, keras.initializers.LecunNormal):
    """`keras.initializers.LecunNormal` with fastinit's values."""


@_registered
class RandomUniform(_Filled, keras.initializers.RandomUniform):
    """`keras.initializers.RandomUniform` with fastinit's values."""

    def _plan(self, shape: tuple[int, ...], dtype: _dtypes.Dtype) -> Plan:
        return init.get("uniform", low=self.minval, high=self.maxval).plan(shape, layout=None, dtype=dtype)


@_registered
class RandomNormal(_Filled, keras.initializers.RandomNormal):
    """`keras.initializers.RandomNormal` with fastinit's values."""

    def _plan(self, shape: tuple[int, ...], dtype: _dtypes.Dtype) -> Plan:
        return init.get("normal", mean=self.mean, std=self.stddev).plan(shape, layout=None, dtype=dtype)


@_registered
class TruncatedNormal(_Filled, keras.initializers.TruncatedNormal):
    """`keras.initializers.TruncatedNormal` with fastinit's values: cut at two standard deviations."""

    def _plan(self, shape: tuple[int, ...], dtype: _dtypes.Dtype) -> Plan:
        return Sampled(shape, dtype, "truncated_normal", (-2.0, 2.0, float(self.mean), float(self.stddev)))


@_registered
class Orthogonal(_Filled, keras.initializers.Orthogonal):
    """`keras.initializers.Orthogonal` with fastinit's values: all axes but the last are rows."""

    def __call__(self, shape: Sequence[int], dtype: Any = None, layout: Any = None) -> Any:
        sizes = tuple(map(int, shape))
        if len(sizes) < 2:
            raise ValueError(f"orthogonal needs two axes or more, not shape {sizes}")
        return super().__call__(sizes, dtype, layout)

    def _plan(self, shape: tuple[int, ...], dtype: _dtypes.Dtype) -> Plan:
        law = init.get("orthogonal", gain=self.gain)
        return law.plan(shape, layout="io", dtype=dtype)

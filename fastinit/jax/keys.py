"""Keys of `jax.random`, and the generators that they seed."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from fastinit.random import PCG64, Generator

__all__ = ["generator_of", "words_of"]


def words_of(key: Any) -> Any:
    """Return the 32-bit words of a key, typed or raw: traced ones while JAX traces a program.

    Raises
    ------
    TypeError
        It is no key.
    ValueError
        It is an array of keys.
    """
    shape = None
    if isinstance(key, (jax.Array, np.ndarray)):
        if jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
            shape, key = key.shape, jax.random.key_data(key)
        elif key.dtype == np.uint32 and key.ndim:
            shape, key = key.shape[:-1], jax.numpy.copy(key)
    if shape is None:
        given = f"{key.dtype}{[*key.shape]}" if hasattr(key, "dtype") else type(key).__name__
        raise TypeError(
            f"key must be one of jax.random.key or PRNGKey, or a fastinit.random.Generator, not {given}"
        )
    if shape:
        raise ValueError(f"one key is wanted, not keys of shape {shape}: use jax.vmap")
    return key


def generator_of(words: Any) -> Generator:
    """Return the generator that the words of a key seed."""
    return Generator(PCG64(np.asarray(words).tolist()))

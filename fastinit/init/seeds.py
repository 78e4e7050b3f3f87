"""The generator of a fill: one that is given, one of a seed, or one whose seed torch draws."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

from fastinit import random

#: Seeds that filled a tensor, each with its first call. None is one of them once the warning has been given.
#: Threads share the dict without a lock, as setdefault is atomic.
_used: dict[int | None, object] = {}
_MOST_SEEDS = 1 << 16


def generator_of(rng: Any, tensor: Any = None) -> Any:
    """Return the generator that `rng` stands for. If it is None, torch's seed fills a tensor of torch."""
    if isinstance(rng, random.Generator):
        return rng
    if isinstance(rng, np.random.Generator):
        return random.Generator(rng.bit_generator)
    torch = sys.modules.get("torch")  # its objects exist only if it is imported
    if torch is not None and (
        isinstance(rng, torch.Generator) or (rng is None and isinstance(tensor, torch.Tensor))
    ):
        return random.default_rng(torch_seed(rng))
    return random.default_rng(rng)


def torch_seed(generator: Any = None) -> int:
    """Draw a seed from a generator of torch, by default from the one that ``torch.manual_seed`` seeds."""
    torch = sys.modules["torch"]  # whoever calls has imported it
    source = torch.default_generator if generator is None else generator
    return int(torch.randint(0, 2**63 - 1, (), generator=source, device=source.device))


def warn_if_used(seed: Any) -> None:
    """Warn, once in a process, if the seed of a tensor has filled another one."""
    if not isinstance(seed, (int, np.integer)) or len(_used) > _MOST_SEEDS:
        return
    call = object()
    if _used.setdefault(int(seed), call) is call or _used.setdefault(None, call) is not call:
        return
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "fastinit":
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"seed {seed} is used a second time, and tensors of one seed begin with the same draws; for values of"
        f" its own, give each tensor the generator fastinit.random.default_rng({seed}).fold_in(name)",
        stacklevel=level,
    )

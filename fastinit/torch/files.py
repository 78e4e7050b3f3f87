"""Notices tensors that code reads from files."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from .tracker import Call, Ref, key_of
from .values import refs_in

__all__ = ["Files", "leaves"]


class Files(contextlib.ExitStack):
    """Context in which tensors that ``torch.load`` or safetensors' ``load_file`` return are remembered."""

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[int, tuple[str, torch.Tensor]] = {}  # a key is an address, so the tensor must live

    def __enter__(self) -> Files:
        self._watch(torch, "load")
        with contextlib.suppress(ImportError):
            self._watch(importlib.import_module("safetensors.torch"), "load_file")
        return self

    def _watch(self, module: ModuleType, name: str) -> None:
        original: Callable[..., Any] = getattr(module, name)

        @functools.wraps(original)
        def reader(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            for each in tree_leaves(result):
                for tensor in each.state_dict().values() if isinstance(each, nn.Module) else [each]:
                    if isinstance(tensor, torch.Tensor):
                        self._read[key_of(tensor)] = f"{module.__name__}.{name}", tensor
            return result

        setattr(module, name, reader)
        self.callback(setattr, module, name, original)

    def reader_of(self, ref: Ref) -> str | None:
        """Return the name of the function that read what a tensor depends on from a file, or None."""
        for each in (ref, *leaves(ref.history)) if self._read else ():
            if each.key in self._read:
                return self._read[each.key][0]
        return None


def leaves(history: tuple[Call, ...]) -> Iterator[Ref]:
    """Yield all tensors that a history depends on."""
    for call in history:
        for ref in refs_in(call):
            yield ref
            yield from leaves(ref.history)

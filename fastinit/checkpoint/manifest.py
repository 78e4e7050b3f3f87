"""Reads the list of a checkpoint's tensors from JSON, a mapping or another checkpoint's headers."""

from __future__ import annotations

import fnmatch
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from . import formats
from .entries import attributes, entries_of
from .errors import BadInput
from .spec import MAX_BYTES, MAX_HEADER, TensorSpec, checked, parse_json, read_bytes
from .storage import DTYPES, dtype_name

__all__ = ["DTYPES", "GPT2", "MODELS", "TensorSpec", "read", "select"]

#: The lists of known models that come with fastinit, by name.
MODELS = {path.stem: path for path in sorted(Path(__file__).with_name("manifests").glob("*.json"))}

#: The default list: GPT-2, 124M parameters.
GPT2 = MODELS["gpt2"]


def read(
    source: str | os.PathLike[str] | Mapping[str, Any] | Iterable[Any], dtype: npt.DTypeLike | None = None
) -> list[TensorSpec]:
    """Read a list of tensors.

    Parameters
    ----------
    source : path, ``"-"``, mapping or iterable
        A mapping ``{name: {"dtype": ..., "shape": [...]}}``; the same as JSON, in a file or on standard input
        (``"-"``), or the JSON of a safetensors header; or a checkpoint, whose headers are read: a
        ``.safetensors`` file, the ``.index.json`` of a sharded one, or a folder with either. dtypes have the
        names of safetensors, NumPy or torch.

        In Python, dtypes may be those of NumPy and torch themselves, and anything with ``.dtype`` and
        ``.shape`` may stand in place of the inner mapping: an array, a tensor, a `TensorSpec`. So a list is a
        ``state_dict()``, ``named_parameters()`` or other pairs, or a tree of dicts and lists, such as
        `jax.eval_shape` returns. The names in a tree are its keys and indices, joined with dots.
    dtype : str or dtype, optional
        The dtype that all floating-point tensors get: F64, F32, F16, BF16, F8_E4M3 or F8_E5M2.

    Returns
    -------
    list of TensorSpec
        In the order of the source.

    Raises
    ------
    BadInput
        The source cannot be read or used.

    Examples
    --------
    >>> from fastinit.checkpoint import manifest
    >>> manifest.read({"fc.weight": {"dtype": "F32", "shape": [10, 784]}})
    [TensorSpec(name='fc.weight', dtype='F32', shape=(10, 784))]
    >>> import numpy as np
    >>> manifest.read({"layers": [{"w": np.zeros((3, 2))}]})
    [TensorSpec(name='layers.0.w', dtype='F64', shape=(3, 2))]
    """
    specs, where = _read(source)
    if not specs:
        raise BadInput(f"{where}: lists no tensor")
    if dtype is not None:
        name = _float_name(dtype)
        specs = [spec if spec.floating is None else replace(spec, dtype=name) for spec in specs]
    if sum(spec.nbytes for spec in specs) > MAX_BYTES:
        raise BadInput(f"{where}: the tensors together are larger than 2^63 bytes")
    return specs


def select(specs: Sequence[TensorSpec], only: str | Sequence[str]) -> list[TensorSpec]:
    """Return the tensors whose names match a glob, or all if there are no globs. BadInput if none matches."""
    if not only:
        return list(specs)
    if isinstance(only, str):
        only = [only]
    selected = [spec for spec in specs if any(fnmatch.fnmatchcase(spec.name, glob) for glob in only)]
    if not selected:
        raise BadInput(f"no tensor matches {' or '.join(map(repr, only))}")
    return selected


def _float_name(dtype: Any) -> str:
    name = dtype_name(dtype)
    floats = [name for name, dtype in DTYPES.items() if dtype.floating is not None]
    if name not in floats:
        raise BadInput(f"dtype {dtype!r} is none of {', '.join(floats)}")
    return str(name)


def _read(source: Any) -> tuple[list[TensorSpec], str]:
    if isinstance(source, Mapping):
        source = {name: each for name, each in source.items() if not _is_metadata(name, each)}
    if not isinstance(source, os.PathLike) and (found := entries_of(source, "the manifest")) is not None:
        return _listed(found, "the manifest")
    if isinstance(source, str) and source == "-":
        if sys.stdin is None:
            raise BadInput("standard input: is closed")
        return _listed(parse_json(sys.stdin.buffer.read(MAX_HEADER + 1), "standard input"), "standard input")
    if not isinstance(source, (str, os.PathLike)):
        raise BadInput(f"the manifest must be a path, - or a mapping, not {source!r:.200}")
    if not os.fspath(source):
        raise BadInput("the path is empty; . is the current folder")
    path = Path(source)
    format = formats.of(path)
    if path.suffix == format.SUFFIX or os.path.isdir(path):
        return [stored.spec for stored in format.read(path)[0]], str(path)
    if isinstance(source, str) and path.name == source and not (path.suffix or os.path.lexists(path)):
        raise BadInput(f"{path}: No such file or folder, and none of the models {', '.join(MODELS)}")
    entries = parse_json(read_bytes(path), str(path))
    if format.is_index(entries):
        return [stored.spec for stored in format.read_index(path)[0]], str(path)
    return _listed(entries, str(path))


def _listed(entries: Mapping[str, Any], where: str) -> tuple[list[TensorSpec], str]:
    return [_spec(name, each, where) for name, each in entries.items() if not _is_metadata(name, each)], where


def _is_metadata(name: str, entry: Any) -> bool:
    """Whether an entry is the metadata of a header."""
    strings = isinstance(entry, Mapping) and all(isinstance(value, str) for value in entry.values())
    return name == "__metadata__" and (entry is None or strings)


def _spec(name: str, entry: Any, where: str) -> TensorSpec:
    if (found := attributes(entry, name, where)) is not None:
        dtype, shape = found
    # An entry of a header also has the offsets of its data.
    elif isinstance(entry, Mapping) and entry.keys() - {"data_offsets"} == {"dtype", "shape"}:
        dtype, shape = entry["dtype"], entry["shape"]
    else:
        raise BadInput(
            f'{where}: tensor {name!r} must be {{"dtype": ..., "shape": [...]}}, not {entry!r:.200}'
        )
    if isinstance(shape, (list, tuple)):
        shape = tuple(int(n) if hasattr(n, "__index__") and not isinstance(n, bool) else n for n in shape)
    return checked(name, dtype_name(dtype), shape, where)

"""Lists of tensors as Python has them: mappings, pairs of names and tensors, and trees."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .errors import BadInput


def entries_of(source: Any, where: str) -> dict[str, Any] | None:
    """Return the entries of a list by name, or None if `source` is no list.

    Parameters
    ----------
    source : mapping or iterable
        Entries by name; pairs of a name and an entry, such as ``named_parameters()`` gives; or a tree of
        mappings, lists and tuples. There, names are the keys and indices on the way, joined with dots. As in
        JAX, None is a branch without entries.
    where : str
        What errors call the source.

    Returns
    -------
    dict or None
        Each entry is a mapping with ``dtype`` or ``shape``, or has both attributes.

    Examples
    --------
    >>> import numpy as np
    >>> [*entries_of({"layers": [{"w": np.ones(2), "b": None}, {"w": np.ones(2)}]}, "the list")]
    ['layers.0.w', 'layers.1.w']
    """
    if hasattr(source, "state_dict"):
        kind = type(source).__name__
        raise BadInput(f"{where} must be a list of tensors, not a {kind}: give its state_dict()")
    if isinstance(source, (str, bytes)) or hasattr(source, "shape") or not isinstance(source, Iterable):
        return None
    tree = source if isinstance(source, (Mapping, tuple)) else list(source)
    if not isinstance(tree, Mapping) and tree and all(map(_is_pair, tree)):
        branches = [_below(name, entry, where) for name, entry in tree]
    else:
        branches = [_below("", tree, where)]
    found: dict[str, Any] = {}
    for name, entry in itertools.chain.from_iterable(branches):
        if name in found:
            raise BadInput(f"{where}: {name!r} is there twice")
        found[name] = entry
    return found


def attributes(entry: Any, name: str, where: str) -> tuple[Any, Any] | None:
    """Return an entry's attributes ``dtype`` and ``shape``, or None if it has not both."""
    try:
        return entry.dtype, entry.shape
    except AttributeError:
        return None
    except RuntimeError as error:  # torch's, of a parameter whose shape the first call of its module decides
        raise BadInput(f"{where}: tensor {name!r}: {error}") from None


def _is_pair(each: Any) -> bool:
    return isinstance(each, (list, tuple)) and len(each) == 2 and isinstance(each[0], str)


def _below(name: str, tree: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the names and the entries of a branch, or of an entry."""
    if tree is None:
        return
    children: Iterable[tuple[Any, Any]] | None
    if isinstance(tree, Mapping):
        children = None if tree.keys() & {"dtype", "shape"} else tree.items()
    elif isinstance(tree, (list, tuple)):
        children = zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True)
    elif attributes(tree, name, where) is None:
        raise BadInput(f"{where}: tensor {name!r} must have .dtype and .shape, but is {tree!r:.200}")
    else:
        children = None
    if children is None:
        yield name, tree
        return
    for key, child in children:
        if not isinstance(key, (str, int)):
            raise BadInput(f"{where}: names are of strings and integers, not {key!r:.200}")
        yield from _below(f"{name}.{key}" if name else str(key), child, where)

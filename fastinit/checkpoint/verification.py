"""Checkpoints made again, piece by piece, and compared with what is on the disk."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import fastinit

from . import rules, safetensors
from .errors import BadInput
from .files import Files
from .recipe import Recipe, checked_seed
from .spec import TensorSpec
from .values import EPSILON, as_numbers

Array = npt.NDArray[Any]

# LAPACK's rounding, in parts of the tensor's standard deviation: 1e-16 for each of up to 10^7 steps.
_SLACK = 1e-8


@dataclass(frozen=True)
class Difference:
    """A tensor that is not what it must be.

    Attributes
    ----------
    name : str
        The tensor.
    count, size : int
        How many of its elements differ, and how many there are.
    index : tuple of int
        The first of them.
    expected, actual : float or int
        Its values.
    """

    name: str
    count: int
    size: int
    index: tuple[int, ...]
    expected: float
    actual: float


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes
    ----------
    same : bool
        Nothing differs.
    differences : list of Difference
        The tensors that differ, in the file's order.
    recipe : bool
        The tensors and rules are those whose digest the metadata has; true where it has none to compare.
    rounded : list of str
        The tensors that were compared to rounding, because LAPACK makes them.
    tensors, bytes : int
        How much was compared.
    seconds : float
        How long it took.
    seed : int
        The seed that was used.
    rules : str
        Where the rules came from.
    other_seeds : dict of str to str
        Files with differences whose own metadata has another seed, and that seed.
    """

    differences: list[Difference]
    recipe: bool
    rounded: list[str]
    tensors: int
    bytes: int
    seconds: float
    seed: int
    rules: str
    other_seeds: dict[str, str]

    @property
    def same(self) -> bool:
        """Nothing differs."""
        return self.recipe and not self.differences


def verify(
    path: str | os.PathLike[str],
    *,
    seed: int | None = None,
    init: str | os.PathLike[str] | Sequence[rules.Rule] | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Verification:
    """Make a checkpoint's tensors again and compare each with the file.

    Memory does not grow with the checkpoint, but for tensors that are made whole, such as orthogonal ones.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file, the ``.index.json`` of a sharded checkpoint, or a folder with either.
    seed : int, optional
        The seed; what the metadata says where it is not given.
    init : str, path or sequence of Rule, optional
        The rules, as of `generate`; what the metadata says where they are not given.
    threads : int, optional
        How many threads; `fastinit.get_num_threads` where it is not given.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes, from any thread, one at a time.

    Returns
    -------
    Verification

    Raises
    ------
    BadInput
        Where the file cannot be read, or nothing says how it was made.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fastinit import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.safetensors")
    ...     _ = checkpoint.generate({"fc.weight": {"dtype": "F32", "shape": [10, 784]}}, path, seed=7)
    ...     same = checkpoint.verify(path).same
    ...     other = checkpoint.verify(path, seed=8).differences
    >>> same, [(difference.name, difference.index) for difference in other]
    (True, [('fc.weight', (0, 0))])
    """
    began = time.perf_counter()
    stored, metadata = safetensors.read(path)
    specs = [tensor.spec for tensor in stored]
    recipe = _recipe(specs, metadata, seed, init, str(path))
    digest = metadata.get("fastinit.recipe")
    # One shard alone, and what the caller says of seed and rules, is not what the metadata's digest is about.
    comparable = digest is not None and seed is None and init is None and not _is_shard(Path(path))
    with Files(stored) as files:
        comparison = _Comparison(stored, files, progress)
        recipe.produce(recipe.choices, comparison.compare, threads)
    return Verification(
        differences=[comparison.found[spec.name] for spec in specs if spec.name in comparison.found],
        recipe=not comparable or digest == recipe.digest,
        rounded=[choice.spec.name for choice in recipe.choices if not choice.plan.exact],
        tensors=len(specs),
        bytes=comparison.total,
        seconds=time.perf_counter() - began,
        seed=recipe.seed,
        rules=recipe.picked,
        other_seeds=_other_seeds({t.path for t in stored if t.spec.name in comparison.found}, recipe.seed),
    )


def _other_seeds(paths: Iterable[Path], seed: int) -> dict[str, str]:
    said = {path.name: safetensors.read(path)[1].get("fastinit.seed", str(seed)) for path in sorted(paths)}
    return {name: other for name, other in said.items() if other != str(seed)}


def _recipe(
    specs: Sequence[TensorSpec], metadata: Mapping[str, str], seed: int | None, init: Any, where: str
) -> Recipe:
    if seed is None:
        seed = _recorded_seed(metadata, where)
    recorded = rules.of_metadata(metadata, where) if init is None else None
    if init is None and recorded is None:
        raise BadInput(f"{where}: has no rules in its metadata: say with --init how it was made")
    ours = str(fastinit.CONTRACT)
    contract = metadata.get("fastinit.contract", ours)
    if contract != ours:
        raise BadInput(f"{where}: was made under stream contract {contract}; this fastinit has {ours}")
    choices = rules.resolve(specs, init if recorded is None else recorded)
    picked = choices.picked if recorded is None else "as recorded"
    return Recipe(checked_seed(seed), choices, choices.rules, picked)


def _recorded_seed(metadata: Mapping[str, str], where: str) -> int:
    text = metadata.get("fastinit.seed")
    if text is None:
        raise BadInput(f"{where}: has no seed in its metadata: say with --seed how it was made")
    if not text.isdecimal():
        raise BadInput(f"{where}: its metadata has seed {text!r}, which is no number")
    return int(text)


def _is_shard(path: Path) -> bool:
    return path.suffix == safetensors.SUFFIX and re.search(r"-\d{5}-of-\d{5}$", path.stem) is not None


class _Comparison:
    """Compares pieces with files, and keeps what differs of each tensor."""

    def __init__(
        self,
        stored: Sequence[safetensors.Stored],
        files: Files,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self.found: dict[str, Difference] = {}
        self.total = sum(tensor.spec.nbytes for tensor in stored)
        self._stored = {tensor.spec.name: tensor for tensor in stored}
        self._files = files
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def compare(self, choice: rules.Choice, start: int, expected: Array) -> None:
        """Compare elements from `start` on with the file; any thread may."""
        actual = self._files.read(self._stored[choice.spec.name], start, start + expected.size)
        # As bytes: NaN is what it is, and a zero has a sign.
        differing = np.zeros(0, np.intp)
        if not np.array_equal(actual.view(np.uint8), expected.view(np.uint8)):
            differing = _differing(choice, actual, expected)
        with self._lock:
            if differing.size:
                self._record(choice, start, actual, expected, differing)
            self._done += expected.nbytes
            if self._progress is not None:
                self._progress(self._done, self.total)

    def _record(
        self,
        choice: rules.Choice,
        start: int,
        actual: Array,
        expected: Array,
        differing: npt.NDArray[np.intp],
    ) -> None:
        spec = choice.spec
        at = int(differing[0])
        index = tuple(int(i) for i in np.unravel_index(start + at, spec.shape))
        known = self.found.get(spec.name)
        count = len(differing) + (known.count if known else 0)
        if known and known.index < index:
            self.found[spec.name] = replace(known, count=count)
            return
        pair = (as_numbers(values[at : at + 1], spec.dtype)[0].item() for values in (expected, actual))
        self.found[spec.name] = Difference(spec.name, count, spec.size, index, *pair)


def _differing(choice: rules.Choice, actual: Array, expected: Array) -> npt.NDArray[np.intp]:
    if choice.plan.exact:
        words = np.dtype(f"u{actual.itemsize}")
        return np.flatnonzero(actual.view(words) != expected.view(words))
    dtype = choice.spec.dtype
    wanted = as_numbers(expected, dtype).astype(np.float64)
    # One step of the dtype, for values on the edge between two roundings.
    slack = EPSILON[dtype] * np.abs(wanted) + _SLACK * (choice.plan.std or 0.0)
    return np.flatnonzero(~np.isclose(as_numbers(actual, dtype), wanted, rtol=0.0, atol=slack))

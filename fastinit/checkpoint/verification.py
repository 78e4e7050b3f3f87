"""Makes checkpoints again, piece by piece, and compares them with their files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import fastinit

from . import formats, rules
from .choices import Choice
from .errors import BadInput, Damaged
from .files import Files
from .formats import Stored
from .pieces import Progress, Report
from .recipe import Recipe, checked_seed, resolve
from .spec import TensorSpec

Array = npt.NDArray[Any]

# The rounding of LAPACK, in standard deviations of the tensor: 1e-16 for each of up to 10^7 steps.
_SLACK = 1e-8


@dataclass(frozen=True)
class Difference:
    """A tensor that differs from the one made again.

    Attributes
    ----------
    name : str
        The tensor.
    count, size : int
        The number of elements that differ, and of all elements.
    index : tuple of int
        The index of the first element that differs.
    expected, actual : float, int or complex
        The value made again, and the value in the file.
    """

    name: str
    count: int
    size: int
    index: tuple[int, ...]
    expected: complex
    actual: complex


@dataclass(frozen=True)
class Verification:
    """The result of `verify`.

    Attributes
    ----------
    same : bool
        True if nothing differs.
    differences : list of Difference
        The tensors that differ, in the order of the file.
    same_recipe : bool
        True if the tensors and rules have the digest in the metadata, or if that has no digest.
    rounded : list of str
        The tensors that LAPACK makes, which are compared only to rounding.
    tensors, bytes : int
        The number of tensors and of bytes compared.
    seconds : float
        The time of the call.
    seed : int
        The seed used.
    rules_from : str
        The source of the rules.
    other_seeds : dict of str to str
        The seed in the metadata of each file that differs and has another seed.
    """

    differences: list[Difference]
    same_recipe: bool
    rounded: list[str]
    tensors: int
    bytes: int
    seconds: float
    seed: int
    rules_from: str
    other_seeds: dict[str, str]

    @property
    def same(self) -> bool:
        """True if nothing differs."""
        return self.same_recipe and not self.differences


def verify(
    path: str | os.PathLike[str],
    *,
    seed: int | None = None,
    init: str | os.PathLike[str] | Sequence[rules.Rule] | None = None,
    threads: int | None = None,
    progress: Report | None = None,
) -> Verification:
    """Make a checkpoint's tensors again and compare each with the file.

    Memory does not grow with the checkpoint, unless a rule needs a full tensor (``orthogonal``).

    Parameters
    ----------
    path : path
        A ``.safetensors`` file, the ``.index.json`` of a sharded checkpoint, or a folder with either.
    seed, init : optional
        As for `plan`; by default those in the metadata.
    threads, progress
        As for `generate`.

    Raises
    ------
    BadInput
        The file cannot be read, or its seed or rules are unknown.

    Examples
    --------
    >>> import tempfile
    >>> from fastinit import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = {"fc.weight": {"dtype": "F32", "shape": [10, 784]}}
    ...     _ = checkpoint.generate(model, folder, seed=7, init="torch")
    ...     found = [checkpoint.verify(folder), checkpoint.verify(folder, seed=8)]
    >>> [(each.same, [(d.name, d.index) for d in each.differences]) for each in found]
    [(True, []), (False, [('fc.weight', (0, 0))])]
    """
    began = time.perf_counter()
    stored, metadata = formats.read(path)
    is_shard = formats.of(Path(path)).is_shard(Path(path))
    recipe = _recipe([tensor.spec for tensor in stored], metadata, seed, init, Path(path), is_shard)
    # The digest in the metadata is of all shards, with the seed and the rules in the metadata.
    recorded = seed is None and init is None and not is_shard
    with Files(stored) as files:
        comparison = _Comparison(stored, files, progress)
        recipe.produce(recipe.choices, comparison.compare, threads)
    found = comparison.found
    return Verification(
        differences=[found[tensor.spec.name] for tensor in stored if tensor.spec.name in found],
        same_recipe=not recorded or metadata.get("fastinit.recipe", recipe.digest) == recipe.digest,
        rounded=[choice.spec.name for choice in recipe.choices if not choice.plan.exact],
        tensors=len(stored),
        bytes=comparison.progress.total,
        seconds=time.perf_counter() - began,
        seed=recipe.seed,
        rules_from=recipe.rules_from,
        other_seeds=_other_seeds({t.path for t in stored if t.spec.name in found}, recipe.seed),
    )


def _other_seeds(paths: Iterable[Path], seed: int) -> dict[str, str]:
    metadata = {path.name: formats.read(path)[1] for path in sorted(paths)}
    seeds = {name: each.get("fastinit.seed", str(seed)) for name, each in metadata.items()}
    return {name: other for name, other in seeds.items() if other != str(seed)}


def _recipe(
    specs: Sequence[TensorSpec],
    metadata: Mapping[str, str],
    seed: int | None,
    init: Any,
    where: Path,
    is_shard: bool,
) -> Recipe:
    if seed is None:
        seed = _recorded_seed(metadata, where)
    recorded = rules.of_metadata(metadata, str(where)) if init is None else None
    if init is None and recorded is None:
        raise BadInput(f"{where}: has no rules in its metadata: say with --init how it was made")
    ours = str(fastinit.CONTRACT)
    contract = metadata.get("fastinit.contract", ours)
    if contract != ours:
        raise BadInput(f"{where}: was made under stream contract {contract}; this fastinit has {ours}")
    if recorded is None and is_shard:
        return of_model(specs, seed, init, where)
    if recorded is None:
        return resolve(specs, init, seed)
    seed = checked_seed(seed)
    try:
        return replace(resolve(specs, recorded, seed), rules_from="as recorded")
    except BadInput as error:
        raise Damaged(str(error).replace("the rules given", f"{where}: its recorded rules")) from None


def of_model(specs: Sequence[TensorSpec], seed: int, init: Any, shard: Path) -> Recipe:
    """Return the recipe of a shard. Its rules see the whole model, if the index beside the shard lists it."""
    model = {spec.name: spec for spec in specs}
    index, problem = formats.of(shard).index_beside(shard), "no index beside it lists it"
    if index is not None:
        try:
            model |= {tensor.spec.name: tensor.spec for tensor in formats.read(index)[0]}
            problem = ""
        except BadInput as error:
            problem = str(error)
    recipe = resolve([*model.values()], init, seed).of(specs)
    if problem and recipe.layers is not None:
        raise BadInput(f"{shard}: is one shard, and its rules use layers, which cannot be counted: {problem}")
    return recipe


def _recorded_seed(metadata: Mapping[str, str], where: Path) -> int:
    text = metadata.get("fastinit.seed")
    if text is None:
        raise BadInput(f"{where}: has no seed in its metadata: say with --seed how it was made")
    if not (text.isdecimal() and len(text) < 4000):  # more digits than Python reads
        raise BadInput(f"{where}: its metadata has seed {text!r:.200}, which is no number that is a seed")
    return checked_seed(int(text))


class _Comparison:
    """Compares pieces with files. Keeps the first difference of each tensor and their number."""

    def __init__(self, stored: Sequence[Stored], files: Files, report: Report | None) -> None:
        self.found: dict[str, Difference] = {}
        self.progress = Progress(sum(tensor.spec.nbytes for tensor in stored), report)
        self._stored = {tensor.spec.name: tensor for tensor in stored}
        self._files = files
        self._lock = threading.Lock()

    def compare(self, choice: Choice, start: int, expected: Array) -> None:
        """Compare words from `start` on with the file. Any thread may call."""
        actual = self._files.read(self._stored[choice.spec.name], start, start + expected.size)
        # Compare bytes: a NaN equals itself, and zeros have signs.
        if not np.array_equal(actual.view(np.uint8), expected.view(np.uint8)):
            stored = choice.spec.stored
            elements = stored.elements(actual), stored.elements(expected)
            differing = _differing(choice, *elements)
            if differing.size:
                with self._lock:
                    self._record(choice, start * stored.packed, *elements, differing)
        self.progress.add(expected.nbytes)

    def _record(
        self, choice: Choice, start: int, actual: Array, expected: Array, differing: npt.NDArray[np.intp]
    ) -> None:
        spec = choice.spec
        at = int(differing[0])
        index = tuple(int(i) for i in np.unravel_index(start + at, spec.shape))
        earlier = self.found.get(spec.name)
        count = len(differing) + (earlier.count if earlier else 0)
        if earlier and earlier.index < index:
            self.found[spec.name] = replace(earlier, count=count)
            return
        parts = (spec.stored.widen(values[at : at + 1]).tolist() for values in (expected, actual))
        pair = (each[0] if len(each) == 1 else complex(*each) for each in parts)
        self.found[spec.name] = Difference(spec.name, count, spec.size, index, *pair)


def _differing(choice: Choice, actual: Array, expected: Array) -> npt.NDArray[np.intp]:
    if choice.plan.exact:
        words = np.dtype(f"u{actual.itemsize}")
        return np.flatnonzero(actual.view(words) != expected.view(words))
    dtype = choice.spec.floating
    assert dtype is not None  # what LAPACK computes is floats
    wanted = dtype.widen(expected).astype(np.float64)
    # One step of the dtype, because a value may lie between two roundings.
    slack = dtype.epsilon * np.abs(wanted) + _SLACK * (choice.plan.std or 0.0)
    return np.flatnonzero(~np.isclose(dtype.widen(actual), wanted, rtol=0.0, atol=slack))

"""Checkpoints made from a list of tensors: written as files, or handed out one by one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import sizes
from .choices import Choice
from .errors import BadInput
from .formats import Shard
from .pieces import Progress, Report, number_of_threads
from .planning import CheckpointPlan, Manifest, check_names, checked_target, plan
from .recipe import DataDigest, Recipe
from .writer import Output, read_at


class Summary(NamedTuple):
    """What `generate` did.

    Attributes
    ----------
    files : list of Path
        The checkpoint's files, the index included.
    kept : list of Path
        Those of them that were there before, and right.
    tensors, parameters, bytes : int
        The number of tensors, of elements, and of bytes of data.
    seconds : float
        The time that it took.
    rules_from : str
        Where the rules came from: the name of the preset that ``"auto"`` picked, say.
    recipe_digest : str
        Digest of names, dtypes, shapes, rules, seed and contract number, from which the bytes follow.
    digest : str or None
        Digest of the bytes, if it was asked for.
    tensor_digests : dict or None
        Digest of each tensor's bytes, if it was asked for.
    """

    files: list[Path]
    kept: list[Path]
    tensors: int
    parameters: int
    bytes: int
    seconds: float
    rules_from: str
    recipe_digest: str
    digest: str | None
    tensor_digests: dict[str, str] | None


def generate(
    manifest: Manifest,
    target: str | os.PathLike[str],
    *,
    seed: int = 0,
    init: Any = "auto",
    dtype: npt.DTypeLike | None = None,
    max_shard_size: int | str | None = None,
    only: str | Sequence[str] = (),
    threads: int | None = None,
    force: bool = False,
    resume: bool = False,
    digest: bool = False,
    progress: Report | None = None,
) -> Summary:
    """Write a checkpoint: the same arguments, the same bytes on every machine.

    Memory does not grow with the model, except for a tensor whose rule needs all of it (``orthogonal``). A
    file gets its name when all of it is on the disk, and the index comes last.

    Parameters
    ----------
    manifest, target, seed, init, dtype, max_shard_size, only
        As of `plan`.
    threads : int, optional
        The number of threads; `fastinit.get_num_threads` if it is not given.
    force : bool, optional
        Replace what is there.
    resume : bool, optional
        Keep the shards that are there, each after a comparison with what it must be.
    digest : bool, optional
        Also compute the digest of the bytes.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes, from any thread, one at a time.

    Returns
    -------
    Summary

    Raises
    ------
    BadInput
        An argument, or what it names, cannot be used. Nothing has been written.
    OSError
        Writing failed. Finished shards stay, for `resume`; an unfinished one does not.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     summary = generate({"fc.weight": {"dtype": "F32", "shape": [10, 784]}}, folder, init="he")
    >>> summary.parameters, [path.name for path in summary.files]
    (7840, ['model.safetensors'])
    """
    began = time.perf_counter()
    options = {"seed": seed, "init": init, "dtype": dtype, "max_shard_size": max_shard_size, "only": only}
    planned = plan(manifest, checked_target(target), **options)
    job = _Job(planned, number_of_threads(threads), DataDigest() if digest else None, progress)
    kept = _write(planned, job, force=force, resume=resume)
    return Summary(**planned.facts(), kept=kept, seconds=time.perf_counter() - began, **job.digests())


def tensors(
    manifest: Manifest,
    *,
    seed: int = 0,
    init: Any = "auto",
    dtype: npt.DTypeLike | None = None,
    only: str | Sequence[str] = (),
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Make a checkpoint's tensors one by one, with the values that `generate` writes.

    Parameters
    ----------
    manifest, seed, init, dtype, only
        As of `plan`.

    Yields
    ------
    name : str
        In the order of the manifest.
    array : ndarray
        The tensor. A BF16 one has the dtype of ``ml_dtypes``.

    Raises
    ------
    BadInput
        An argument, or what it names, cannot be used. It is raised at once, not at the first tensor.

    Examples
    --------
    >>> from fastinit.checkpoint import tensors
    >>> model = {"fc.weight": {"dtype": "F32", "shape": [10, 784]}}
    >>> for name, array in tensors(model, init="he", seed=7):
    ...     print(name, array.shape, array.dtype)
    fc.weight (10, 784) float32
    """
    recipe = plan(manifest, seed=seed, init=init, dtype=dtype, only=only).recipe
    return ((choice.spec.name, _array(recipe, choice)) for choice in recipe.choices)


def _array(recipe: Recipe, choice: Choice) -> npt.NDArray[Any]:
    flat = np.empty(choice.spec.size, choice.spec.storage)

    def copy(_: Choice, start: int, values: npt.NDArray[Any]) -> None:
        flat[start : start + values.size] = values

    recipe.produce([choice], copy)
    dtype = choice.spec.storage if choice.spec.floating is None else choice.spec.floating.numpy
    return flat.view(dtype).reshape(choice.spec.shape)


class _Job:
    """The data of all shards, on its way to files or compared with what they hold."""

    def __init__(
        self, planned: CheckpointPlan, threads: int, digest: DataDigest | None, report: Report | None
    ) -> None:
        self._recipe = planned.recipe
        self._threads = threads
        self._digest = digest
        self._progress = Progress(planned.bytes, report)

    def write(self, output: Output, shard: Shard) -> None:
        """Write a shard."""
        output.write(shard.header, 0)
        self._produce(shard, output.write)

    def holds(self, path: Path, shard: Shard) -> bool:
        """Whether a file is what would be written, to its last byte."""
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            return False

        def compare(data: bytes | memoryview, offset: int) -> None:
            # A memoryview would be compared element by element.
            if read_at(path, fd, len(data), offset) != bytes(data):
                raise _Different

        before = self._progress.done
        try:
            if os.fstat(fd).st_size == shard.nbytes:
                compare(shard.header, 0)
                self._produce(shard, compare)
                return True
        except _Different:
            self._progress.done = before
        finally:
            os.close(fd)
        return False

    def _produce(self, shard: Shard, put: Callable[[memoryview, int], object]) -> None:
        def sink(choice: Choice, start: int, values: npt.NDArray[Any]) -> None:
            data = values.data.cast("B")
            put(data, shard.offsets[choice.spec.name] + start * values.itemsize)
            if self._digest is not None:
                self._digest.add(choice.spec.name, start, data)
            self._progress.add(len(data))

        of_shard = [choice for choice in self._recipe.choices if choice.spec.name in shard.offsets]
        self._recipe.produce(of_shard, sink, self._threads)

    def digests(self) -> dict[str, Any]:
        """Return what `Summary` says of the bytes."""
        if self._digest is None:
            return {"digest": None, "tensor_digests": None}
        specs = self._recipe.specs
        of_tensors = {spec.name: self._digest.tensor(spec.name) for spec in specs}
        return {"digest": self._digest.combined(specs), "tensor_digests": of_tensors}


class _Different(Exception):
    """A file's data is not what it must be."""


def _write(planned: CheckpointPlan, job: _Job, *, force: bool, resume: bool) -> list[Path]:
    """Write the files of a plan; return those that were kept."""
    folder, stem, format = planned.folder, planned.stem, planned.format
    metadata = planned.recipe.metadata()
    shards = [format.lay_out(file, specs, metadata) for file, specs in planned.shards.items()]
    content = {shard.file: shard.header for shard in shards}
    if len(shards) > 1:
        content[format.index_name(stem)] = format.index(planned.recipe.specs, shards)
    kept = []
    with Output(folder, stem) as output:
        old = format.family(folder, stem)
        if old and not (force or resume):
            raise BadInput(f"{old[0]}: exists; --force replaces it, --resume keeps what is right")
        check_names(old)
        _check_room(folder, planned.bytes, [*old, output.part])
        if not force:
            _check_written_by_us(old, content)
        for shard in shards:
            path = folder / shard.file
            if path in old and resume and job.holds(path, shard):
                kept.append(path)
                continue
            output.begin(path)
            job.write(output, shard)
            _retire(old, content)
            output.finish()
        _retire(old, content)
        for file in [*content][len(shards) :]:
            output.begin(folder / file)
            output.write(content[file], 0)
            output.finish()
    return kept


def _check_room(folder: Path, needed: int, old: Iterable[Path]) -> None:
    """BadInput if a file system has no room for `needed` bytes, even without the old files."""
    system = os.statvfs(folder)
    free = system.f_bavail * system.f_frsize
    for path in old:
        with contextlib.suppress(FileNotFoundError):
            free += os.lstat(path).st_blocks * 512
    # A file system that doesn't count its blocks says that it has none.
    if system.f_blocks and needed > free:
        raise BadInput(f"{folder}: needs {sizes.shown(needed)}, {sizes.shown(free)} are free")


def _check_written_by_us(old: Iterable[Path], content: Mapping[str, bytes]) -> None:
    """BadInput if a file does not begin as the new one of its name would; a file may be cut short."""
    for path in old:
        expected = content.get(path.name, b"")
        try:
            with open(path, "rb") as file:
                ours = expected and expected.startswith(file.read(len(expected)))
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        if not ours:
            raise BadInput(f"{path}: was written by another command; --force replaces it")


def _retire(old: Sequence[Path], content: Mapping[str, bytes]) -> None:
    """Remove the files that will not be replaced, the index first: it must not list old shards with new."""
    for path in old:
        if path.name not in content or path.suffix == ".json":
            path.unlink(missing_ok=True)

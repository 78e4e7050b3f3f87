"""Makes checkpoints from a list of tensors, as files or one array at a time."""

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
from .recording import Recording
from .writer import Output, read_at


class Summary(NamedTuple):
    """The result of `generate`.

    Attributes
    ----------
    files : list of Path
        The checkpoint's files, including the index.
    kept : list of Path
        The files that existed with the right content.
    tensors, parameters, bytes : int
        The number of tensors, of elements, and of bytes of data.
    seconds : float
        The time of the call.
    rules_from : str
        The source of the rules, such as the preset that ``"auto"`` picked.
    recipe_digest : str
        Digest of names, dtypes, shapes, rules, seed and contract number, which determine the bytes.
    digest : str or None
        Digest of the bytes, if requested.
    tensor_digests : dict or None
        Digest of each tensor's bytes, if requested.
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
    """Write a checkpoint. The same arguments give the same bytes on every machine.

    Memory does not grow with the model, unless a rule needs a full tensor (``orthogonal``). A file gets its
    name once it is complete on the disk, and the index comes last.

    Parameters
    ----------
    manifest, target, seed, init, dtype, max_shard_size, only
        As for `plan`.
    threads : int, optional
        The number of threads; by default `fastinit.get_num_threads`.
    force : bool, optional
        Replace existing files, and remove those of the old checkpoint that are not replaced. Such files are
        an error if `only` is given and the list is a recording or is in the same folder.
    resume : bool, optional
        Keep existing shards whose bytes, all compared, are right.
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
        An argument, or a file that it names, cannot be used. Nothing has been written.
    OSError
        Writing failed. Finished shards stay, for `resume`. The unfinished one is removed.

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
    spare = bool(only) and _is_in(manifest, planned.folder)
    kept = _write(planned, job, force=force, resume=resume, spare=spare)
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
        As for `plan`.

    Yields
    ------
    name : str
        In the order of the manifest.
    array : ndarray
        The tensor. BF16 and the floats of 8 or 4 bits have the dtype of ``ml_dtypes``.

    Raises
    ------
    BadInput
        An argument, or a file that it names, cannot be used. The call raises it, not the first tensor.

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
    flat = np.empty(choice.spec.words, choice.spec.storage)

    def copy(_: Choice, start: int, values: npt.NDArray[Any]) -> None:
        flat[start : start + values.size] = values

    recipe.produce([choice], copy)
    return choice.spec.stored.array(flat).reshape(choice.spec.shape)


class _Job:
    """Makes the data of shards, and writes it to files or compares it with them."""

    def __init__(
        self, planned: CheckpointPlan, threads: int, digest: DataDigest | None, report: Report | None
    ) -> None:
        self._recipe = planned.recipe
        self._threads = threads
        self._digest = digest
        self._progress = Progress(planned.bytes, report)

    def write(self, output: Output, shard: Shard) -> None:
        output.write(shard.header, 0)
        self._produce(shard, output.write)

    def holds(self, path: Path, shard: Shard) -> bool:
        """Whether a file has exactly the bytes of a layout."""
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
        """Return the digests for `Summary`."""
        if self._digest is None:
            return {"digest": None, "tensor_digests": None}
        specs = self._recipe.specs
        of_tensors = {spec.name: self._digest.tensor(spec.name) for spec in specs}
        return {"digest": self._digest.combined(specs), "tensor_digests": of_tensors}


class _Different(Exception):
    """A file has other bytes than it should."""


def _is_in(manifest: Manifest, folder: Path) -> bool:
    """Whether the list is in a folder, or is the folder. A recording may be of the model in it."""
    if isinstance(manifest, Recording):
        return True
    if not isinstance(manifest, (str, os.PathLike)) or manifest == "-":
        return False
    source = Path(manifest)
    return folder.exists() and (source if source.is_dir() else source.parent).samefile(folder)


def _write(planned: CheckpointPlan, job: _Job, *, force: bool, resume: bool, spare: bool) -> list[Path]:
    """Write the files of a plan, and `spare` those that they do not replace. Return those that were kept."""
    folder, format = planned.folder, planned.format
    shards, content = _laid_out(planned)
    kept = []
    with Output(folder, planned.stem) as output:
        old = _check(planned, shards, content, force=force, resume=resume, spare=spare)
        for shard in shards:
            path = folder / shard.file
            if path in old and resume and any(job.holds(path, layout) for layout in format.layouts(shard)):
                kept.append(path)
                continue
            output.begin(path)
            job.write(output, shard)
            _retire(old, content)
            output.finish()
        _retire(old, content)
        texts = {name: text.encode() for name, text in planned.beside.items()}
        for file, data in [*texts.items(), *[*content.items()][len(shards) :]]:
            output.begin(folder / file)
            output.write(data, 0)
            output.finish()
    return kept


def _laid_out(planned: CheckpointPlan) -> tuple[list[Shard], dict[str, bytes]]:
    """Return the shards of a plan, and the headers of its files by name, an index last."""
    format, metadata = planned.format, planned.recipe.metadata()
    shards = [format.lay_out(file, specs, metadata) for file, specs in planned.shards.items()]
    content = {shard.file: shard.header for shard in shards}
    if len(shards) > 1:
        content[format.index_name(planned.stem)] = format.index(planned.recipe.specs, shards)
    return shards, content


def check(
    planned: CheckpointPlan, manifest: Manifest, *, only: Sequence[str] = (), force: bool, resume: bool
) -> None:
    """Raise the BadInput that `generate` would raise before it writes."""
    spare = bool(only) and _is_in(manifest, planned.folder)
    _check(planned, *_laid_out(planned), force=force, resume=resume, spare=spare)


def _check(
    planned: CheckpointPlan,
    shards: Sequence[Shard],
    content: Mapping[str, bytes],
    *,
    force: bool,
    resume: bool,
    spare: bool,
) -> list[Path]:
    """Return the files in the place of a plan's. BadInput if they can't be replaced, or there is no room.

    With `spare`, it is an error if files of an old checkpoint would stay beside the plan's.
    """
    folder, format = planned.folder, planned.format
    beside = {folder / name: text.encode() for name, text in planned.beside.items()}
    old = format.family(folder, planned.stem) if folder.exists() else []
    if old and not (force or resume):
        raise BadInput(f"{old[0]}: exists; --force replaces it, --resume keeps what is right")
    left = [path for path in old if path.name not in content]
    if spare and left:
        raise BadInput(
            f"{left[0]}: would stay beside {[*content][-1]}, which has fewer tensors; give a file's name,"
            f" such as {folder / 'part'}{format.SUFFIX}"
        )
    check_names([*old, *beside])
    for path, text in beside.items():
        if not force and path.exists() and path.read_bytes() != text:
            raise BadInput(f"{path}: differs from that of this model; --force replaces it")
    _check_room(folder, planned.bytes, [*old, folder / f".{planned.stem}.part"])
    if old and not force:
        beginnings = {file: [data] for file, data in content.items()}
        for shard in shards:
            beginnings[shard.file] = [layout.header for layout in format.layouts(shard)]
        _check_written_by_us(old, beginnings)
    return old


def _check_room(folder: Path, needed: int, old: Iterable[Path]) -> None:
    """Raise BadInput if the file system has no room for `needed` bytes, even without the old files."""
    system = os.statvfs(folder if folder.exists() else folder.parent)
    free = system.f_bavail * system.f_frsize
    for path in old:
        with contextlib.suppress(FileNotFoundError):
            free += os.lstat(path).st_blocks * 512
    # A file system that doesn't count its blocks reports 0.
    if system.f_blocks and needed > free:
        raise BadInput(f"{folder}: needs {sizes.shown(needed)}, {sizes.shown(free)} are free")


def _check_written_by_us(old: Iterable[Path], beginnings: Mapping[str, Sequence[bytes]]) -> None:
    """Raise BadInput if a file has none of the beginnings of its name. It may be shorter."""
    for path in old:
        expected = beginnings.get(path.name, [])
        try:
            with open(path, "rb") as file:
                found = file.read(max(map(len, expected), default=0))
            ours = any(each.startswith(found[: len(each)]) for each in expected)
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        if not ours:
            raise BadInput(f"{path}: was written by another command; --force replaces it")


def _retire(old: Sequence[Path], content: Mapping[str, bytes]) -> None:
    """Remove the files that will not be replaced, the index first, so that it never lists new shards."""
    for path in old:
        if path.name not in content or path.suffix == ".json":
            path.unlink(missing_ok=True)

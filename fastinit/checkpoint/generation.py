"""Checkpoints made from a list of tensors: written as files, or handed out one by one."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import safetensors, sizes
from .errors import BadInput
from .manifest import read, select
from .parallel import number_of
from .safetensors import INDEX_SUFFIX, SUFFIX, Shard
from .writer import Output, read_at

if TYPE_CHECKING:
    import numpy.typing as npt

    from .manifest import TensorSpec
    from .recipe import DataDigest, Recipe
    from .rules import Choice

Source = str | os.PathLike[str] | Mapping[str, Any]

#: The most bytes of data in each file in a folder, where nothing else is said. Hugging Face's default.
MAX_SHARD_SIZE = "5GB"


@dataclass(frozen=True)
class Summary:
    """What `generate` did.

    Attributes
    ----------
    files : list of Path
        The checkpoint's files, the index included.
    kept : list of Path
        Those of them that were there before, and right.
    tensors, parameters, bytes : int
        How many tensors, elements and bytes of data there are.
    seconds : float
        How long it took.
    rules : str
        Where the rules came from: the preset's name, say, that ``"auto"`` picked.
    recipe : str
        Digest of names, dtypes, shapes, rules, seed and contract number, from which the bytes follow.
    digest : str or None
        Digest of the bytes, where it was asked for.
    tensor_digests : dict or None
        Digest of each tensor's bytes, where it was asked for.
    """

    files: list[Path]
    kept: list[Path]
    tensors: int
    parameters: int
    bytes: int
    seconds: float
    rules: str
    recipe: str
    digest: str | None
    tensor_digests: dict[str, str] | None


def generate(
    manifest: Source,
    target: str | os.PathLike[str],
    *,
    seed: int = 0,
    init: Any = "auto",
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    max_shard_size: int | str | None = None,
    only: str | Sequence[str] = (),
    force: bool = False,
    resume: bool = False,
    digest: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Summary:
    """Write a checkpoint.

    The same arguments give the same bytes on every machine. Data is made in pieces and written as it is
    made, so that memory does not grow with the model (but for tensors whose rule needs them whole, such as
    ``orthogonal``). A file gets its name when all of it is on the disk, and the index comes last.

    Parameters
    ----------
    manifest : path, ``"-"`` or mapping
        The list of tensors; see `fastinit.checkpoint.manifest.read`.
    target : path
        A name that ends in ``.safetensors``, or else a folder, which gets ``model.safetensors`` or, above
        `max_shard_size`, shards and an index, named as Hugging Face does.
    seed : int, optional
        The seed of all tensors.
    init : str, path or list of Rule, optional
        Which rules say how tensors are filled: a preset, ``"auto"``, a TOML file.
    dtype : str or dtype, optional
        What floating-point tensors become: F64, F32, F16 or BF16.
    threads : int, optional
        How many threads; `fastinit.get_num_threads` where it is not given.
    max_shard_size : int or str, optional
        The most bytes of data in a file, such as ``"500MB"``. A larger tensor is a file of its own. 5GB for
        a folder, no limit for a file, where it is not given.
    only : str or sequence of str, optional
        Globs; only the tensors whose names match one are written, with the values they always have.
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
        Where an argument or what it names cannot be used; nothing has been written.
    OSError
        Where writing failed. Finished shards stay, for `resume`; an unfinished one does not.

    Examples
    --------
    >>> import tempfile
    >>> from fastinit.checkpoint import generate
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     summary = generate({"fc.weight": {"dtype": "F32", "shape": [10, 784]}}, folder, init="he")
    >>> summary.parameters, [path.name for path in summary.files]
    (7840, ['model.safetensors'])
    """
    began = time.perf_counter()
    specs = read(manifest, dtype)
    selected = select(specs, only)
    threads = number_of(threads)
    folder, stem, groups = destination(selected, target, max_shard_size)
    with Output(folder, stem) as output:
        old = safetensors.family(folder, stem)
        if old and not (force or resume):
            raise BadInput(f"{old[0]}: exists; --force replaces it, --resume keeps what is right")
        _check_names([*old, *(folder / file for file in safetensors.files(groups, stem))])
        _check_room(folder, sum(spec.nbytes for spec in selected), [*old, output.part])
        first = folder / next(iter(groups))
        if not (resume and first in old):
            output.begin(first)
            output.reserve(sum(spec.nbytes for spec in groups[first.name]))
        # NumPy and the initialisers are loaded here, while the file system makes room.
        from .recipe import DataDigest, prepare

        recipe = prepare(specs, seed=seed, init=init, only=only)
        metadata = recipe.metadata()
        shards = [safetensors.lay_out(file, group, metadata) for file, group in groups.items()]
        content = {shard.file: shard.header for shard in shards}
        if len(shards) > 1:
            content[stem + INDEX_SUFFIX] = safetensors.index(selected, shards)
        if not force:
            _check_written_by_us(old, content)

        job = _Job(recipe, threads, DataDigest() if digest else None, progress)
        kept = []
        for shard in shards:
            path = folder / shard.file
            if path in old and resume and job.holds(path, shard):
                kept.append(path)
                continue
            if path != output.path:
                output.begin(path)
            job.write(output, shard)
            _retire(old, content)
            output.finish()
        _retire(old, content)
        for file in [*content][len(shards) :]:
            output.begin(folder / file)
            output.write(content[file], 0)
            output.finish()
    return Summary(
        files=[folder / file for file in content],
        kept=kept,
        tensors=len(selected),
        parameters=sum(spec.size for spec in selected),
        bytes=job.total,
        seconds=time.perf_counter() - began,
        rules=recipe.picked,
        recipe=recipe.digest,
        digest=job.digest.combined(selected) if job.digest else None,
        tensor_digests={spec.name: job.digest.tensor(spec.name) for spec in selected} if job.digest else None,
    )


def tensors(
    manifest: Source,
    *,
    seed: int = 0,
    init: Any = "auto",
    dtype: npt.DTypeLike | None = None,
    only: str | Sequence[str] = (),
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Make a checkpoint's tensors one by one, the values that `generate` writes.

    Parameters
    ----------
    manifest, seed, init, dtype, only
        As for `generate`.

    Yields
    ------
    name : str
        In the order of the manifest.
    array : ndarray
        The tensor; a BF16 one has the dtype of ``ml_dtypes``.

    Raises
    ------
    BadInput
        At once, where an argument or what it names cannot be used.

    Examples
    --------
    >>> from fastinit.checkpoint import tensors
    >>> model = {"fc.weight": {"dtype": "F32", "shape": [10, 784]}}
    >>> for name, array in tensors(model, init="he", seed=7):
    ...     print(name, array.shape, array.dtype)
    fc.weight (10, 784) float32
    """
    from .recipe import prepare

    recipe = prepare(read(manifest, dtype), seed=seed, init=init, only=only)
    return ((choice.spec.name, _array(recipe, choice)) for choice in recipe.choices)


def _array(recipe: Recipe, choice: Choice) -> npt.NDArray[Any]:
    import numpy as np

    from fastinit import _dtypes

    flat = np.empty(choice.spec.size, choice.spec.storage)

    def copy(_: Choice, start: int, values: npt.NDArray[Any]) -> None:
        flat[start : start + values.size] = values

    recipe.produce([choice], copy)
    dtype = choice.spec.storage if choice.spec.tag is None else _dtypes.dtype(choice.spec.tag)
    return flat.view(dtype).reshape(choice.spec.shape)


class _Job:
    """The data of all shards, on its way to files or compared with what they hold."""

    def __init__(
        self,
        recipe: Recipe,
        threads: int,
        digest: DataDigest | None,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self.recipe = recipe
        self.threads = threads
        self.digest = digest
        self.total = sum(spec.nbytes for spec in recipe.specs)
        self._progress = progress
        self._done = 0
        self._counting = threading.Lock()

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

        def compare(data: memoryview, offset: int) -> None:
            # Not as a memoryview, which is compared element by element.
            if read_at(path, fd, len(data), offset) != bytes(data):
                raise _Different

        before = self._done
        try:
            if os.fstat(fd).st_size == shard.nbytes:
                compare(memoryview(shard.header), 0)
                self._produce(shard, compare)
                return True
        except _Different:
            self._done = before
        finally:
            os.close(fd)
        return False

    def _produce(self, shard: Shard, put: Callable[[memoryview, int], object]) -> None:
        def sink(choice: Choice, start: int, values: npt.NDArray[Any]) -> None:
            data = values.data.cast("B")
            put(data, shard.offsets[choice.spec.name] + start * values.itemsize)
            if self.digest is not None:
                self.digest.add(choice.spec.name, start, data)
            with self._counting:
                self._done += len(data)
                if self._progress is not None:
                    self._progress(self._done, self.total)

        of_shard = [choice for choice in self.recipe.choices if choice.spec.name in shard.offsets]
        self.recipe.produce(of_shard, sink, self.threads)


class _Different(Exception):
    """A file's data is not what it must be."""


def destination(
    specs: Sequence[TensorSpec], target: str | os.PathLike[str], max_shard_size: int | str | None
) -> tuple[Path, str, dict[str, list[TensorSpec]]]:
    """The folder to write in, what its files' names begin with, and which tensors go into which file."""
    if not isinstance(target, (str, os.PathLike)):
        raise BadInput(f"the target must be a path, not {target!r:.200}")
    folder, stem = Path(target), "model"
    if folder.suffix == SUFFIX and not os.path.isdir(folder) and not os.fspath(target).endswith(os.sep):
        folder, stem = folder.parent, folder.stem
    elif max_shard_size is None:
        max_shard_size = MAX_SHARD_SIZE
    limit = None if max_shard_size is None else sizes.parse(max_shard_size)
    return folder, stem, safetensors.split(specs, stem, limit)


def planned_files(
    specs: Sequence[TensorSpec], target: str | os.PathLike[str], max_shard_size: int | str | None
) -> list[Path]:
    """The files that `generate` would write, the index last; BadInput for a target that cannot be."""
    folder, stem, groups = destination(specs, target, max_shard_size)
    if not os.path.isdir(folder) and not (os.path.isdir(folder.parent) and not os.path.lexists(folder)):
        raise BadInput(f"{folder}: is no folder, nor can it become one")
    files = [folder / file for file in safetensors.files(groups, stem)]
    _check_names(files)
    return files


def _check_names(paths: Iterable[Path]) -> None:
    """See that files can have these names."""
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        if stat.S_ISDIR(mode):
            raise BadInput(f"{path}: is a folder, where a file must go")


def _check_room(folder: Path, needed: int, old: Iterable[Path]) -> None:
    """See that the file system has room for what is new, if all that is old went."""
    system = os.statvfs(folder)
    free = system.f_bavail * system.f_frsize
    for path in old:
        with contextlib.suppress(FileNotFoundError):
            free += os.lstat(path).st_blocks * 512
    # One that doesn't count its blocks has none.
    if system.f_blocks and needed > free:
        raise BadInput(f"{folder}: needs {sizes.shown(needed)}, {sizes.shown(free)} are free")


def _check_written_by_us(old: Iterable[Path], content: Mapping[str, bytes]) -> None:
    """See that files begin as this command's would, as far as they go."""
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
    """Remove what will not be replaced, and first the index: it must never list old shards and new ones."""
    for path in old:
        if path.name not in content or path.suffix == ".json":
            path.unlink(missing_ok=True)

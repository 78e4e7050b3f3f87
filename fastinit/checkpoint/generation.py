"""Makes checkpoints from a list of tensors, as files or one array at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import existing, ranks, workers
from .choices import Choice
from .configs import named
from .job import Job, Layout
from .pieces import Progress, Report, number_of_threads
from .planning import CheckpointPlan, Manifest, checked_target, plan
from .ranks import Share
from .recipe import DataDigest, Recipe
from .remote import Place
from .writer import Locked


class Summary(NamedTuple):
    """The result of `generate`.

    Attributes
    ----------
    files : list of Path or Url
        The checkpoint's files, including the index. ``str`` of a `Url` is the URL.
    kept : list of Path or Url
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
    missing : list of Path or Url
        The files that other ranks have yet to write.
    """

    files: list[Place]
    kept: list[Place]
    tensors: int
    parameters: int
    bytes: int
    seconds: float
    rules_from: str
    recipe_digest: str
    digest: str | None
    tensor_digests: dict[str, str] | None
    missing: list[Place]


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
    rank: int | str | None = None,
    world: int | None = None,
    client: Any = None,
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
        Called as ``progress(done, total)``, in bytes, from any thread, one at a time. Those of other ranks
        don't count.
    rank, world : int, optional
        Write only shards `rank`, ``rank + world`` and so on, from 0, in a folder that `world` processes
        share, in any order. Shards whose header and size are right are kept; with `resume`, those whose bytes
        are. Whoever sees all shards writes the index. ``rank="auto"`` takes both from the environment:
        ``RANK`` and ``WORLD_SIZE``, or ``SLURM_PROCID`` and ``SLURM_NTASKS``.
    client : distributed.Client, optional
        Write the shards as tasks of a Dask cluster, whose workers share the folder. Shards are kept as by a
        rank, `force` removes old files first, `threads` are those of a task, by default 1, and `progress` is
        called for each shard that is done. A shard is written again if its worker is killed.

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
    share = Share.of(rank, world, force=force, digest=digest, client=client)
    number = number_of_threads(1 if threads is None and client is not None else threads)
    options = {"seed": seed, "init": init, "dtype": dtype, "max_shard_size": max_shard_size, "only": only}
    manifest = named(manifest, checked_target(target))
    planned = plan(manifest, target, **options)
    layout = Layout.of(planned)
    shards = layout.shards if share is None else share.taken(layout.shards)
    digested = DataDigest() if digest else None
    counted = Progress(sum(shard.data_bytes for shard in shards), progress)
    job = Job(planned.recipe, number, digested, counted)
    how = {"force": force, "resume": resume, "spare": bool(only) and existing.is_in(manifest, planned.folder)}
    missing: list[Place] = []
    if share is None and client is None and isinstance(planned.folder, Path):
        kept = _write(planned.folder, planned, layout, job, **how)
    elif share is None:
        kept = _write_unlocked(client, planned, layout, job, **how)
    else:
        ranks.check(planned, layout, spare=how["spare"])
        kept = ranks.write(planned, shards, job, compare=resume)
        missing = ranks.finish(planned, layout, shards)
    seconds = time.perf_counter() - began
    return Summary(
        **planned.facts(), kept=kept, missing=missing, seconds=seconds, **_digests(digested, planned.recipe)
    )


def _digests(digest: DataDigest | None, recipe: Recipe) -> dict[str, Any]:
    """Return the digests for `Summary`."""
    if digest is None:
        return {"digest": None, "tensor_digests": None}
    of_tensors = {spec.name: digest.tensor(spec.name) for spec in recipe.specs}
    return {"digest": digest.combined(recipe.specs), "tensor_digests": of_tensors}


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


def check(
    planned: CheckpointPlan,
    manifest: Manifest,
    share: Share | None = None,
    *,
    only: str | Sequence[str] = (),
    force: bool,
    resume: bool,
) -> None:
    """Raise the BadInput that `generate` would raise before it writes."""
    layout, spare = Layout.of(planned), bool(only) and existing.is_in(manifest, planned.folder)
    if share is None:
        existing.check(planned, layout, force=force, resume=resume, spare=spare)
    else:
        ranks.check(planned, layout, spare=spare)


def _write(
    folder: Path,
    planned: CheckpointPlan,
    layout: Layout,
    job: Job,
    *,
    force: bool,
    resume: bool,
    spare: bool,
) -> list[Place]:
    """Write the files of a plan, alone, and `spare` those that they do not replace. Return those kept."""
    kept: list[Place] = []
    with Locked(folder, planned.stem) as output:
        old = existing.check(planned, layout, force=force, resume=resume, spare=spare)
        # An old checkpoint stays whole until the new one is.
        done = output.wait if force and old else output.finish
        for shard in layout.shards:
            path = folder / shard.file
            if path in old and resume and job.holds(path, planned.format.layouts(shard)):
                kept.append(path)
                continue
            if not force:
                path.unlink(missing_ok=True)  # it is damaged, and its room is needed
            output.begin(shard.file)
            job.write(output, shard)
            done()
        for file, data in layout.texts.items():
            if output.waits or not (resume and ranks.is_text(folder / file, data)):
                output.begin(file)
                output.write(data, 0)
                done()
        output.finish_all(old, layout.content)
    ranks.remove_parts(planned)
    return kept


def _write_unlocked(
    client: Any, planned: CheckpointPlan, layout: Layout, job: Job, *, force: bool, resume: bool, spare: bool
) -> list[Place]:
    """Do what `_write` does by the workers of a Dask cluster, or where no file has a lock."""
    folder = planned.folder
    with Locked(folder, planned.stem) if isinstance(folder, Path) else contextlib.nullcontext():
        goes_on = resume or client is not None
        old = existing.check(planned, layout, force=force, resume=goes_on, spare=spare)
        if force:
            existing.retire(old, layout.content if resume else {})
        if client is None:
            kept = ranks.write(planned, layout.shards, job, compare=resume)
        else:
            kept = workers.write(planned, layout.shards, client, job, compare=resume)
        if missing := ranks.finish(planned, layout, layout.shards):
            raise FileNotFoundError(errno.ENOENT, "was written by a worker that doesn't share it", missing[0])
    return kept

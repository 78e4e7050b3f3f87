"""Writes the shards of a checkpoint as tasks of a Dask cluster."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from .formats import Shard
from .job import Job
from .pieces import Progress
from .planning import CheckpointPlan
from .ranks import write_shard
from .recipe import DataDigest, Recipe
from .remote import Place


def write(
    planned: CheckpointPlan, shards: Sequence[Shard], client: Any, job: Job, *, compare: bool
) -> list[Place]:
    """Do what `ranks.write` does by the workers of `client`, a ``distributed.Client``.

    A task is one shard, so the scheduler gives it to another worker if its own is killed. What a worker needs
    to know travels with the task: the shard's header and its part of the recipe.
    """
    folder, kept = planned.folder.absolute(), []
    done: SimpleQueue[Any] = SimpleQueue()
    futures: dict[Any, Shard] = {}
    try:
        for shard in shards:
            task = folder, job.recipe_of(shard), shard, job.threads, compare, job.digest is not None
            future = client.submit(_written, *task, pure=False)
            futures[future] = shard
            future.add_done_callback(done.put)
        for _ in shards:
            future = done.get()
            shard = futures[future]
            was_whole, digest = future.result()
            if was_whole:
                kept.append(planned.folder / shard.file)
            if job.digest is not None:
                job.digest.merge(digest)
            job.skip(shard)
    except BaseException:
        client.cancel([*futures])
        raise
    return sorted(kept)


def _written(
    folder: Place, recipe: Recipe, shard: Shard, threads: int, compare: bool, digested: bool
) -> tuple[bool, DataDigest]:
    """Write a shard unless it is whole, in a worker. Return whether it was, and the digests of its data."""
    digest = DataDigest()
    job = Job(recipe, threads, digest if digested else None, Progress(0, None))
    return write_shard(folder, job, shard, compare=compare or digested), digest

"""Shares a checkpoint between processes, on any number of hosts, that neither talk nor wait.

Each has a rank, and writes the shards that fall to it. A shard gets its name when it is complete, so whoever
sees all of them knows that the checkpoint needs only its index, and writes that. There is no lock: if two
write one file, it is replaced by the same bytes.
"""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastinit import _threads

from . import existing, formats
from .errors import BadInput
from .formats import Shard
from .job import Job, Layout
from .planning import CheckpointPlan, check_names
from .remote import Place, Upload
from .writer import Output, output, part_of, parts, reading

_REMEDY = "remove it first"  # if a file is of another command, as no rank may replace it
_VARIABLES = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))


class Share(NamedTuple):
    """The shards of a rank: every `world`-th, the first being number `rank` from 0."""

    rank: int
    world: int

    @classmethod
    def of(
        cls, rank: Any, world: Any, *, force: bool = False, digest: bool = False, client: Any = None
    ) -> Share | None:
        """Return the share in `generate`'s arguments, or None if they give no rank. BadInput if wrong."""
        if rank is None and world is None:
            return None
        if client is not None:
            raise BadInput("rank excludes client: a cluster's workers share all shards")
        if force:
            raise BadInput(
                "rank excludes force: one that begins late would remove what others wrote; remove old files"
            )
        if digest:
            raise BadInput(
                "rank excludes digest: it makes only its shards; resume without rank tells the digest of all"
            )
        if rank == "auto":
            if world is not None:
                raise BadInput("rank auto has its world from the environment, too: leave out world")
            rank, world = _from_environment()
        if rank is None:
            raise BadInput("world needs rank, the number of this process from 0")
        if world is None:
            raise BadInput("rank needs world, the number of ranks")
        try:
            rank, world = operator.index(rank), operator.index(world)
        except TypeError:
            raise BadInput(f"rank and world must be integers, not {rank!r} and {world!r}") from None
        if world < 1:
            raise BadInput(f"world must be 1 or more, not {world}")
        if not 0 <= rank < world:
            raise BadInput(f"rank must be from 0 to {world - 1}, as world is {world}, not {rank}")
        return cls(rank, world)

    def taken(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        """Return the rank's shards."""
        return shards[self.rank :: self.world]


def _from_environment() -> tuple[int, int]:
    """Return the rank and the world that torchrun or srun gives a process."""
    for names in _VARIABLES:
        if all(name in os.environ for name in names):
            texts = [os.environ[name] for name in names]
            if not all(map(str.isdecimal, texts)):
                raise BadInput(f"{' and '.join(names)} must be numbers, not {' and '.join(map(repr, texts))}")
            return int(texts[0]), int(texts[1])
    known = " or ".join(" and ".join(names) for names in _VARIABLES)
    raise BadInput(f"rank auto needs {known} in the environment")


def check(planned: CheckpointPlan, layout: Layout, *, spare: bool) -> None:
    """Raise the BadInput that a rank raises before it writes; `spare` is as for `existing.check`."""
    existing.check(planned, layout, resume=True, spare=spare, remedy=_REMEDY)
    folder = planned.folder
    if isinstance(folder, Path):
        check_names(folder, {part_of(folder / file).name for file in layout.content | layout.beside})


def write(planned: CheckpointPlan, shards: Sequence[Shard], job: Job, *, compare: bool) -> list[Place]:
    """Write some shards of a plan, unless they are whole. Return those that were.

    A file is whole if its header and size are right; with `compare`, if all bytes are.
    """
    kept: list[Place] = []

    def write_one(shard: Shard) -> None:
        if write_shard(planned.folder, job, shard, compare=compare):
            kept.append(planned.folder / shard.file)

    # What must be written in order is made by one thread, so the threads make several files.
    _threads.run(write_one, shards, 1 if isinstance(planned.folder, Path) else job.threads)
    return sorted(kept)


def write_shard(folder: Place, job: Job, shard: Shard, *, compare: bool) -> bool:
    """Write a shard unless it is whole, in any of its layouts. Return whether it was."""
    path = folder / shard.file
    layouts = formats.of(path).layouts(shard)

    def right() -> bool:
        if compare:
            return job.holds(path, layouts)
        whole = is_whole(path, layouts)
        if whole:
            job.skip(shard)
        return whole

    return _put(path, lambda out: job.write(out, shard), right)


def finish(planned: CheckpointPlan, layout: Layout, mine: Sequence[Shard]) -> list[Place]:
    """Write what comes after all shards, if they are whole. Return the files that are missing.

    The unfinished files of `mine`, which are whole, and of all that is, are removed.
    """
    folder, format = planned.folder, planned.format
    old = format.family(folder, planned.stem) if folder.exists() else []
    names = {path.name for path in old}
    # A listing costs less than to open each file, which only the last ranks do.
    missing = [shard for shard in layout.shards if shard.file not in names]
    unfit = [] if missing else [s for s in layout.shards if not is_whole(folder / s.file, format.layouts(s))]
    if unfit or names - layout.content.keys():
        existing.check_written_by_us(planned, layout, old, _REMEDY)
    missing += unfit
    if missing:
        remove_parts(planned, {shard.file for shard in mine})
        return [folder / file for file in (*(shard.file for shard in missing), *layout.listing)]
    for file, data in layout.texts.items():
        _put_text(folder / file, data)
    remove_parts(planned)
    return []


def is_whole(path: Place, layouts: Sequence[Shard]) -> bool:
    """Whether a file has the header and the size of one of some layouts."""
    try:
        with reading(path) as file:
            fitting = [each.header for each in layouts if each.nbytes == file.size]
            return bool(fitting) and file.read(max(map(len, fitting)), 0).startswith(tuple(fitting))
    except FileNotFoundError:
        return False


def is_text(path: Place, data: bytes) -> bool:
    """Whether a file has exactly some bytes."""
    return path.exists() and path.read_bytes() == data


def _put_text(path: Place, data: bytes) -> None:
    _put(path, lambda out: out.write(data, 0), lambda: is_text(path, data))


def _put(path: Place, write: Callable[[Output | Upload], object], right: Callable[[], bool]) -> bool:
    """Write a file unless it is right. Return whether it was."""
    if right():
        return True
    with output(path.parent) as out:
        while True:
            out.begin(path.name)
            write(out)
            # Another process may have made the file, and removed this one's as the remains of a kill.
            with contextlib.suppress(FileNotFoundError):
                out.finish()
                return False
            if right():
                return False


def remove_parts(planned: CheckpointPlan, files: Container[str] | None = None) -> None:
    """Remove what a kill left of some files, or of all of a checkpoint, which are complete."""
    for path, file in parts(planned.folder) if isinstance(planned.folder, Path) else ():
        ours = file in planned.beside or planned.format.belongs(file, planned.stem)
        if ours if files is None else file in files:
            path.unlink(missing_ok=True)

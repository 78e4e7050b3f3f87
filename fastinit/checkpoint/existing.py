"""The files in the place of a checkpoint that is to be written: whether they may be, and their removal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import sizes
from .errors import BadInput
from .job import Layout
from .planning import CheckpointPlan, Manifest, check_names
from .recording import Recording
from .remote import Place
from .writer import parts, reading


def is_in(manifest: Manifest, folder: Place) -> bool:
    """Whether the list is in a folder, or is the folder. A recording may be of the model in it."""
    if isinstance(manifest, Recording):
        return True
    if not isinstance(manifest, (str, os.PathLike)) or manifest == "-" or not isinstance(folder, Path):
        return False
    source = Path(manifest)
    return folder.exists() and (source if source.is_dir() else source.parent).samefile(folder)


def check(
    planned: CheckpointPlan,
    layout: Layout,
    *,
    force: bool = False,
    resume: bool = False,
    spare: bool = False,
    remedy: str = "--force replaces it",
) -> list[Place]:
    """Return the files in the place of a plan's. BadInput if they can't be replaced, or there is no room.

    With `spare`, it is an error if files of an old checkpoint would stay beside the plan's. `remedy` says
    what helps against a file of another command.
    """
    folder, format, content = planned.folder, planned.format, layout.content
    old = format.family(folder, planned.stem) if folder.exists() else []
    if old and not (force or resume):
        raise BadInput(f"{old[0]}: exists; --force replaces it, --resume keeps what is right")
    left = [path for path in old if path.name not in content]
    if spare and left:
        raise BadInput(
            f"{left[0]}: would stay beside {[*content][-1]}, which has fewer tensors; give a file's name,"
            f" such as {folder / 'part'}{format.SUFFIX}"
        )
    if isinstance(folder, Path):
        check_names(folder, {*(path.name for path in old), *layout.beside, *content})
    for name, text in layout.beside.items():
        path = folder / name
        if not force and path.exists() and path.read_bytes() != text:
            raise BadInput(f"{path}: differs from that of this model; {remedy}")
    if isinstance(folder, Path):
        unfinished = [path for path, file in parts(folder) if format.belongs(file, planned.stem)]
        _check_room(folder, _needed(layout, old, resume=resume and not force), unfinished)
    if old and not force:
        check_written_by_us(planned, layout, old, remedy)
    return old


def _needed(layout: Layout, old: Sequence[Place], *, resume: bool) -> int:
    """Return the bytes that are written beside the old ones: all, or those of files that are not resumed."""
    there = {path.name for path in old} if resume else ()
    return sum(shard.data_bytes for shard in layout.shards if shard.file not in there)


def _check_room(folder: Path, needed: int, old: Iterable[Path]) -> None:
    """Raise BadInput if the file system has no room for `needed` bytes, even without unfinished files."""
    system = os.statvfs(folder if folder.exists() else folder.parent)
    free = system.f_bavail * system.f_frsize
    # A file system that doesn't count its blocks reports 0.
    if not system.f_blocks or needed <= free:
        return
    for path in old:
        with contextlib.suppress(FileNotFoundError):
            free += os.lstat(path).st_blocks * 512
    if needed > free:
        raise BadInput(
            f"{folder}: needs {sizes.shown(needed)}, {sizes.shown(free)} are free; an old checkpoint stays"
            " until the new one is complete"
        )


def check_written_by_us(planned: CheckpointPlan, layout: Layout, old: Iterable[Place], remedy: str) -> None:
    """Raise BadInput if a file doesn't begin as the plan's of that name does. It may be shorter."""
    beginnings: dict[str, Sequence[bytes]] = {file: [data] for file, data in layout.listing.items()}
    for shard in layout.shards:
        beginnings[shard.file] = [each.header for each in planned.format.layouts(shard)]
    for path in old:
        expected = beginnings.get(path.name, [])
        try:
            with reading(path) as file:
                found = file.read(max(map(len, expected), default=0), 0)
            ours = any(each.startswith(found[: len(each)]) for each in expected)
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        if not ours:
            raise BadInput(f"{path}: was written by another command; {remedy}")


def retire(old: Sequence[Place], content: Mapping[str, bytes]) -> None:
    """Remove the files that will not be replaced, the index first, so that it never lists new shards."""
    for path in old:
        if path.name not in content or path.suffix == ".json":
            path.unlink(missing_ok=True)

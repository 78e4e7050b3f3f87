"""Lays out the files of a checkpoint, and makes their data."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy.typing as npt

from .choices import Choice
from .formats import Shard
from .pieces import Progress
from .planning import CheckpointPlan
from .recipe import DataDigest, Recipe
from .remote import Place, Upload
from .writer import Output, reading


class Layout(NamedTuple):
    """The files of a plan.

    Attributes
    ----------
    shards : list of Shard
        The files with tensors.
    listing : dict of str to bytes
        The name and the bytes of the index. Empty if there is one shard.
    beside : dict of str to bytes
        Other files by name, such as ``config.json``.
    """

    shards: list[Shard]
    listing: dict[str, bytes]
    beside: dict[str, bytes]

    @classmethod
    def of(cls, planned: CheckpointPlan) -> Layout:
        """Return the layout of a plan."""
        format, metadata = planned.format, planned.recipe.metadata()
        shards = [format.lay_out(file, specs, metadata) for file, specs in planned.shards.items()]
        listing = {}
        if len(shards) > 1:
            listing[format.index_name(planned.stem)] = format.index(planned.recipe.specs, shards)
        return cls(shards, listing, {name: text.encode() for name, text in planned.beside.items()})

    @property
    def content(self) -> dict[str, bytes]:
        """The headers of shards and the index, by name, the index last."""
        return {shard.file: shard.header for shard in self.shards} | self.listing

    @property
    def texts(self) -> dict[str, bytes]:
        """The files that are written after all shards, by name, the index last."""
        return self.beside | self.listing


class Job:
    """Makes the data of shards, and writes it to files or compares it with them.

    Parameters
    ----------
    recipe : Recipe
        The recipe of the tensors, and of others perhaps.
    threads : int
        The number of threads.
    digest : DataDigest or None
        What digests the data.
    progress : Progress
        What counts the bytes.
    """

    def __init__(self, recipe: Recipe, threads: int, digest: DataDigest | None, progress: Progress) -> None:
        self._recipe = recipe
        self.threads = threads
        self.digest = digest
        self._progress = progress
        self._choices = {choice.spec.name: choice for choice in recipe.choices}

    def recipe_of(self, shard: Shard) -> Recipe:
        """Return what makes the tensors of a shard, without the rules, which its header has."""
        choices = [self._choices[name] for name in shard.offsets]
        return replace(self._recipe, choices=choices, rules=[], unused=[])

    def write(self, output: Output | Upload, shard: Shard) -> None:
        """Write the bytes of a shard to the file that was begun."""
        output.write(shard.header, 0)
        self._produce(shard, output.write, output.in_order)

    def holds(self, path: Place, layouts: Iterable[Shard]) -> bool:
        """Whether a file has exactly the bytes of one of some layouts."""
        return any(self._holds(path, each) for each in layouts)

    def _holds(self, path: Place, shard: Shard) -> bool:
        with contextlib.ExitStack() as stack:
            file = reading(path)
            try:
                stack.enter_context(file)
            except OSError:
                return False

            def compare(data: bytes | memoryview, offset: int) -> None:
                # A memoryview would be compared element by element.
                if file.read(len(data), offset) != bytes(data):
                    raise _Different

            try:
                if file.size == shard.nbytes:
                    compare(shard.header, 0)
                    self._produce(shard, compare, file.in_order)
                    return True
            except _Different:
                pass
        return False

    def skip(self, shard: Shard) -> None:
        """Count the bytes of a shard as done."""
        if shard.data_bytes:
            self._progress.add(shard.data_bytes)

    def _produce(self, shard: Shard, put: Callable[[memoryview, int], object], in_order: bool) -> None:
        def sink(choice: Choice, start: int, values: npt.NDArray[Any]) -> None:
            data = values.data.cast("B")
            put(data, shard.offsets[choice.spec.name] + start * values.itemsize)
            if self.digest is not None:
                self.digest.add(choice.spec.name, start, data)
            self._progress.add(len(data))
            counted.append(len(data))

        counted: list[int] = []
        of_shard = [self._choices[name] for name in shard.offsets]  # in the order of the file
        try:
            self._recipe.produce(of_shard, sink, 1 if in_order else self.threads)
        except _Different:
            self._progress.take_back(sum(counted))
            raise


class _Different(Exception):
    """A file has other bytes than it should."""

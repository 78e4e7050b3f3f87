"""What is to be generated: every tensor with its rule, and the digests of it."""

from __future__ import annotations

import functools
import hashlib
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fastinit
from fastinit.random import PCG64, Generator

from . import manifest
from .errors import BadInput
from .parallel import for_each
from .rules import Choice, Rule, dumps, resolve
from .spec import TensorSpec

#: Bytes of a tensor that are made, written and hashed at a time. An even number of elements of every dtype,
#: so that no pair of normals is drawn twice; in the cache between the kernel and the write.
PIECE = 1 << 20

Sink = Callable[[Choice, int, npt.NDArray[Any]], object]


@dataclass(frozen=True)
class Recipe:
    """A checkpoint that can be made.

    Parameters
    ----------
    seed : int
        The seed that every tensor's stream comes from, with its name.
    choices : list of Choice
        The tensors and what fills each.
    rules : list of Rule
        The rules that these came from.
    picked : str
        Where the rules came from.
    layers, unused
        As of `rules.Choices`.
    """

    seed: int
    choices: list[Choice]
    rules: list[Rule]
    picked: str
    layers: int | None = None
    unused: Sequence[str] = ()

    @property
    def specs(self) -> list[TensorSpec]:
        """The tensors."""
        return [choice.spec for choice in self.choices]

    @functools.cached_property
    def digest(self) -> str:
        """BLAKE2b of all that the tensors' bytes follow from, whatever the tensors' order."""
        head = {"bit_generator": "PCG64", "contract": fastinit.CONTRACT, "seed": self.seed}
        choices = sorted(self.choices, key=lambda choice: choice.spec.name)
        tensors = ([c.spec.name, c.spec.dtype, c.spec.shape, c.label] for c in choices)
        # The text of one object, whose last key is "tensors".
        return _hash(tensors, f'{_compact(head)[:-1]},"tensors":', "}")

    def metadata(self) -> dict[str, str]:
        """What a file says about how it was made."""
        return {
            "format": "pt",
            "fastinit.version": fastinit.__version__,
            "fastinit.contract": str(fastinit.CONTRACT),
            "fastinit.seed": str(self.seed),
            "fastinit.bit_generator": "PCG64",
            "fastinit.rules": dumps(self.rules),
            "fastinit.recipe": self.digest,
        }

    def produce(self, choices: Sequence[Choice], sink: Sink, threads: int | None = None) -> None:
        """Make the data of some tensors, in pieces.

        Parameters
        ----------
        choices : sequence of Choice
            The tensors.
        sink : callable
            Called as ``sink(choice, start, values)`` with elements ``[start, start + values.size)`` of a
            tensor, `PIECE` bytes or its last ones, from any thread and in any order. `values` is reused
            afterwards.
        threads : int, optional
            How many threads.
        """

        def worker() -> Callable[[tuple[Choice, Generator, int, int]], None]:
            buffer = np.empty(PIECE, np.uint8)

            def make(job: tuple[Choice, Generator, int, int]) -> None:
                choice, rng, start, stop = job
                storage = choice.spec.storage
                if choice.plan.whole:
                    tensor = np.empty(stop, storage)
                    choice.fill(tensor, rng)
                    step = PIECE // storage.itemsize
                    for start in range(0, stop, step):
                        sink(choice, start, tensor[start : start + step])
                else:
                    values = buffer[: (stop - start) * storage.itemsize].view(storage)
                    choice.fill(values, rng, start)
                    sink(choice, start, values)

            return make

        for_each(worker, self._jobs(choices), threads)

    def _jobs(self, choices: Sequence[Choice]) -> Iterator[tuple[Choice, Generator, int, int]]:
        root = Generator(PCG64(self.seed))
        for choice in choices:
            spec, size = choice.spec, choice.spec.size
            rng = root.fold_in(spec.name)
            step = max(size, 1) if choice.plan.whole else PIECE // spec.storage.itemsize
            for start in range(0, size, step):
                yield choice, rng, start, min(start + step, size)


def prepare(specs: Sequence[TensorSpec], *, seed: int, init: Any, only: str | Sequence[str]) -> Recipe:
    """Choose how tensors are filled; the parameters are those of `generate`."""
    selected = {spec.name for spec in manifest.select(specs, only)}
    # All of them have a choice, though only some may be wanted: a rule may depend on how deep the model is.
    choices = resolve(specs, init)
    wanted = [choice for choice in choices if choice.spec.name in selected]
    return Recipe(checked_seed(seed), wanted, choices.rules, choices.picked, choices.layers, choices.unused)


def checked_seed(seed: Any) -> int:
    """A seed as an int; BadInput where it is none."""
    try:
        seed = operator.index(seed)
    except TypeError:
        raise BadInput(f"the seed must be an integer, not {seed!r}") from None
    if seed < 0:
        raise BadInput(f"the seed must not be negative, but is {seed}")
    return int(seed)


class DataDigest:
    """A digest of tensors' bytes that depends neither on files nor on the order in which pieces come.

    A tensor's digest is the BLAKE2b of the BLAKE2b digests of its pieces of `PIECE` bytes; the whole one
    is the BLAKE2b of all tensors' names, dtypes, shapes and digests, sorted by name.
    """

    def __init__(self) -> None:
        self._pieces: dict[str, dict[int, bytes]] = {}

    def add(self, name: str, start: int, data: memoryview) -> None:
        """Take the piece of a tensor that begins at element `start`."""
        self._pieces.setdefault(name, {})[start] = hashlib.blake2b(data, digest_size=32).digest()

    def tensor(self, name: str) -> str:
        """The digest of one tensor."""
        pieces = self._pieces.get(name, {})
        joined = b"".join(pieces[start] for start in sorted(pieces))
        return hashlib.blake2b(joined, digest_size=32).hexdigest()

    def combined(self, specs: Sequence[TensorSpec]) -> str:
        """The digest of all of them."""
        specs = sorted(specs, key=lambda spec: spec.name)
        return _hash([spec.name, spec.dtype, spec.shape, self.tensor(spec.name)] for spec in specs)


_compact = json.JSONEncoder(separators=(",", ":")).encode


def _hash(tensors: Iterable[list[Any]], before: str = "", after: str = "") -> str:
    """BLAKE2b of a JSON list and what stands around it; never all of its text at once."""
    state = hashlib.blake2b(f"{before}[".encode(), digest_size=32)
    separator = ""
    for tensor in tensors:
        state.update(f"{separator}{_compact(tensor)}".encode())
        separator = ","
    state.update(f"]{after}".encode())
    return state.hexdigest()

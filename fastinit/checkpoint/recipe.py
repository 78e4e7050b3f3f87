"""Recipes: the tensors of a checkpoint with their rules, and digests of both."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import operator
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import fastinit
from fastinit import _threads
from fastinit.init import Initializer
from fastinit.random import PCG64, Generator

from . import sources
from .choices import Choice
from .errors import BadInput, Unmatched
from .matching import Model
from .pieces import PIECE, number_of_threads, ranges
from .rules import Rule, dumps
from .spec import TensorSpec

Sink = Callable[[Choice, int, npt.NDArray[Any]], object]


@dataclass(frozen=True)
class Recipe:
    """Tensors with their rules and a seed.

    Attributes
    ----------
    seed : int
        The seed. It and a tensor's name determine the tensor's stream.
    choices : list of Choice
        The tensors with their rules and plans.
    rules : list of Rule
        The rules that won, in order, with all arithmetic evaluated. They make the same tensors from any part
        of the model.
    rules_from : str
        The source of the rules: a preset's name, a file's path, or a phrase.
    layers : int or None
        The number of blocks, if a winning rule uses it.
    unused : list of str
        The matches of rules that made no tensor, except those of presets.
    """

    seed: int
    choices: list[Choice]
    rules: list[Rule]
    rules_from: str
    layers: int | None
    unused: list[str]

    @property
    def specs(self) -> list[TensorSpec]:
        """The tensors."""
        return [choice.spec for choice in self.choices]

    def of(self, specs: Iterable[TensorSpec]) -> Recipe:
        """Return the recipe of some of the tensors, with the rules of all."""
        names = {spec.name for spec in specs}
        return replace(self, choices=[choice for choice in self.choices if choice.spec.name in names])

    @functools.cached_property
    def digest(self) -> str:
        """BLAKE2b of all that determines the tensors' bytes. It does not depend on their order."""
        head = {"bit_generator": "PCG64", "contract": fastinit.CONTRACT, "seed": self.seed}
        choices = sorted(self.choices, key=lambda choice: choice.spec.name)
        tensors = ([c.spec.name, c.spec.dtype, c.spec.shape, c.label] for c in choices)
        # The text of one object, whose last key is "tensors".
        return _hash(tensors, f'{_compact(head)[:-1]},"tensors":', "}")

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the recipe's files."""
        return {
            "format": "pt",
            "fastinit.version": fastinit.__version__,
            "fastinit.contract": str(fastinit.CONTRACT),
            "fastinit.seed": str(self.seed),
            "fastinit.bit_generator": "PCG64",
            "fastinit.rules": dumps(self.rules),
            "fastinit.recipe": self.digest,
        }

    def produce(self, choices: Iterable[Choice], sink: Sink, threads: int | None = None) -> None:
        """Make the data of some tensors, in pieces.

        Parameters
        ----------
        choices : iterable of Choice
            The tensors.
        sink : callable
            Called as ``sink(choice, start, values)`` with words ``[start, start + values.size)`` of a
            tensor, one of its `ranges`, from any thread and in any order. The memory of `values` is reused
            afterwards.
        threads : int, optional
            The number of threads; by default `fastinit.get_num_threads`.
        """
        own = threading.local()

        def make(job: tuple[Choice, Generator, int, int]) -> None:
            choice, rng, start, stop = job
            storage = choice.spec.storage
            if choice.addressable:
                if not hasattr(own, "buffer"):
                    own.buffer = np.empty(PIECE, np.uint8)
                values = own.buffer[: (stop - start) * storage.itemsize].view(storage)
                choice.fill(values, rng, start)
                sink(choice, start, values)
            else:
                tensor = np.empty(stop, storage)
                choice.fill(tensor, rng)
                for start, stop in ranges(choice.spec):
                    sink(choice, start, tensor[start:stop])

        choices = list(choices)
        most = sum(-(-choice.spec.nbytes // PIECE) for choice in choices)
        _threads.run(make, self._jobs(choices), min(number_of_threads(threads), max(most, 1)))

    def _jobs(self, choices: Iterable[Choice]) -> Iterator[tuple[Choice, Generator, int, int]]:
        root = Generator(PCG64(self.seed))
        for choice in choices:
            rng = choice.generator(root)
            if choice.addressable:
                yield from ((choice, rng, *piece) for piece in ranges(choice.spec))
            elif choice.spec.size:
                yield choice, rng, 0, choice.spec.size


def resolve(
    specs: Sequence[TensorSpec],
    init: Any = "auto",
    seed: Any = 0,
    config: Mapping[str, Any] | None = None,
    *,
    wanted: Sequence[TensorSpec] | None = None,
) -> Recipe:
    """Return the recipe of a model; `init` and `seed` are as for `fastinit.checkpoint.plan`.

    `config` is what the model's config.json says, if there is one. A tensor that is not `wanted`, all by
    default, needs no rule. BadInput if no rule matches a tensor, its
    rule cannot make it, a rule is malformed, or a preset is unknown.
    """
    rules_from, own, preset = sources.load(specs, init, config)
    rules = own + preset
    model = Model(specs, rules, rules_from)
    won: list[dict[Rule, None]] = [{} for _ in rules]
    needed = {spec.name for spec in (specs if wanted is None else wanted)}
    choices, left = [], []
    for spec in specs:
        number = model.find(spec)
        if number is None:
            left += [spec] * (spec.name in needed)
            continue
        choices.append(model.choose(spec, number))
        won[number][choices[-1].rule] = None
    if left:
        error = _unmatched(rules_from, left, choices, specs)
        raise error if isinstance(init, (str, os.PathLike)) else BadInput(error.first)
    if isinstance(init, (str, os.PathLike, Initializer)):
        sources.warn_untied(specs, {choice.spec.name: choice.stream for choice in choices}, config or {})
    used = [rule for rule, exact in zip(rules, won, strict=True) if exact]
    return Recipe(
        seed=checked_seed(seed),
        choices=choices,
        rules=[rule for exact in won for rule in exact],
        rules_from=rules_from,
        layers=model.layers if any("layers" in rule.variables for rule in used) else None,
        unused=[rule.match for rule, exact in zip(own, won, strict=False) if not exact],
    )


def _unmatched(
    rules_from: str, left: Sequence[TensorSpec], choices: list[Choice], specs: Sequence[TensorSpec]
) -> Unmatched:
    """Return the error that lists tensors without a rule, grouped if only numbers in their names differ."""
    groups: dict[str, list[TensorSpec]] = {}
    for spec in left:
        pattern = r"\d+".join(map(re.escape, re.split(r"(?<!\w)\d+(?!\w)", spec.name)))
        groups.setdefault(f"/^{pattern}$/" if r"\d+" in pattern else glob.escape(spec.name), []).append(spec)
    first = f"{left[0].name!r}, {left[0].dtype} {list(left[0].shape)}"
    message = f"{rules_from}: no rule matches tensor {first}"
    message += f" and {len(left) - 1} more" if left[1:] else ""
    lines = []
    for match, group in groups.items():
        init = "normal(std=0.02)" if len(group[0].shape) > 1 and group[0].floating else "zeros"
        quoted = f"'{match}'" if "'" not in match else json.dumps(match)
        lines += [f"# {len(group)}: {group[0].name}, {group[0].dtype} {list(group[0].shape)}"]
        lines += ["[[rule]]", f"match = {quoted}", f'init = "{init}"', ""]
    base = rules_from.partition(",")[0]
    if base in sources.PRESETS:
        lines.insert(0, f'extends = "{base}"\n')
    details = "\n".join(["Rules for a TOML file, to be made right:", "", *lines])
    return Unmatched(message, details, choices, list(specs))


#: The most bits of a seed.
_LONGEST_SEED = 4096


def checked_seed(seed: Any) -> int:
    """Return a seed as an int. BadInput if it is not a valid seed."""
    try:
        seed = operator.index(seed)
    except TypeError:
        raise BadInput(f"the seed must be an integer, not {seed!r}") from None
    if seed.bit_length() > _LONGEST_SEED:  # more than Python prints
        raise BadInput(f"the seed must have at most {_LONGEST_SEED} bits")
    if seed < 0:
        raise BadInput(f"the seed must not be negative, but is {seed}")
    return int(seed)


class DataDigest:
    """A digest of tensors' bytes. It depends neither on the files nor on the order of pieces.

    A tensor's digest is the BLAKE2b of the BLAKE2b digests of its pieces of `PIECE` bytes. The combined
    digest is the BLAKE2b of the tensors' names, dtypes, shapes and digests, sorted by name.
    """

    def __init__(self) -> None:
        self._pieces: dict[str, dict[int, bytes]] = {}

    def add(self, name: str, start: int, data: memoryview) -> None:
        """Add the piece of a tensor that begins at element `start`."""
        self._pieces.setdefault(name, {})[start] = hashlib.blake2b(data, digest_size=32).digest()

    def merge(self, other: DataDigest) -> None:
        """Add the pieces of another digest, of other tensors."""
        self._pieces.update(other._pieces)

    def tensor(self, name: str) -> str:
        """Return the digest of one tensor."""
        pieces = self._pieces.get(name, {})
        joined = b"".join(pieces[start] for start in sorted(pieces))
        return hashlib.blake2b(joined, digest_size=32).hexdigest()

    def combined(self, specs: Sequence[TensorSpec]) -> str:
        """Return the combined digest of some tensors."""
        specs = sorted(specs, key=lambda spec: spec.name)
        return _hash([spec.name, spec.dtype, spec.shape, self.tensor(spec.name)] for spec in specs)


_compact = json.JSONEncoder(separators=(",", ":")).encode


def _hash(tensors: Iterable[list[Any]], before: str = "", after: str = "") -> str:
    """Return the BLAKE2b of a JSON list and the text around it, without holding all in memory."""
    state = hashlib.blake2b(f"{before}[".encode(), digest_size=32)
    separator = ""
    for tensor in tensors:
        state.update(f"{separator}{_compact(tensor)}".encode())
        separator = ","
    state.update(f"]{after}".encode())
    return state.hexdigest()

"""Rules: a pattern of names and the initialiser of the tensors that match."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fastinit import init
from fastinit.init.fans import LAYOUTS

from . import buffers, expressions, joined, steps
from .errors import BadInput
from .patterns import literal, matcher

#: NumPy's limit.
MAX_NDIM = 64

_TYPES: dict[str, Any] = {
    "match": str,
    "init": str,
    "layout": str,
    "min_ndim": int,
    "max_ndim": int,
    "padding_idx": int,
    "then": tuple,
    "same_as": str,
    "view": str,
    "parts": tuple,
    "axis": int,
    "data": str,
}
_KINDS = {str: "a string", int: "an integer", tuple: "a list of strings"}


@dataclass(frozen=True, slots=True)
class Rule:
    """How to make the tensors whose names match.

    Parameters
    ----------
    match : str
        A case-sensitive glob for the full name, or ``/regex/``, searched for anywhere in it.
    init : str
        A spec for `fastinit.init.get`, or a buffer: ``arange``, ``tril``, ``inv_freq(base=10000)``.
        Arithmetic in braces is evaluated first. In it, `layers` is the number of blocks, and `fan_in` is
        that of the weight of a bias. A rule with `fan_in` skips tensors without such a weight. ``data``
        stands for the elements in `data`.
    layout : str, optional
        The order of a weight's axes, as of `fastinit.init.compute_fans`. If fans are needed, the default is
        ``"oi"``.
    min_ndim, max_ndim : int
        The rule skips tensors with fewer or more axes.
    padding_idx : int, optional
        The index of a row that is set to zero afterwards, as `torch.nn.Embedding` does.
    then : tuple of str, optional
        Steps after the first fill, in order, such as ``"* 0.5"`` or ``"[0] = zeros"``; see `steps.Step`.
    same_as : str, optional
        The name of the tensor whose stream this one shares, so that tied tensors are equal. If `match` is a
        regular expression, ``\\1`` stands for its first group.
    view : str, optional
        The part of that tensor which this one is, with the tensor's shape, such as ``(4, 8)[:2]``; or a norm
        of it, such as ``(4, 8).norm(1)``. `init` and `then` make the full tensor.
    parts : tuple of str, optional
        The tensors of which this one is made, side by side: for each its name, a space, and the view of it,
        such as ``"q.weight (4, 8)[:]"``. `init` and `then` make each of them in full.
    axis : int, optional
        The axis along which the parts lie.
    data : str, optional
        The elements, as `buffers.packed` makes it.

    Raises
    ------
    BadInput
        A parameter is invalid.

    Examples
    --------
    >>> from fastinit.checkpoint import Rule
    >>> Rule("*.c_proj.weight", "normal(std={0.02 / sqrt(2 * layers)})", layout="io").layout
    'io'
    """

    match: str
    init: str
    layout: str | None = None
    min_ndim: int = 0
    max_ndim: int = MAX_NDIM
    padding_idx: int | None = None
    then: tuple[str, ...] = ()
    same_as: str | None = None
    view: str | None = None
    parts: tuple[str, ...] = ()
    axis: int = 0
    data: str | None = None

    def __post_init__(self) -> None:
        defaults = {f.name: f.default for f in fields(self)}
        for key, kind in _TYPES.items():
            value = getattr(self, key)
            fits = type(value) is kind and (kind is not tuple or all(type(each) is str for each in value))
            if not (fits or (value is None and defaults[key] is None)):
                raise BadInput(f"{key} must be {_KINDS[kind]}, not {value!r:.200}")
        if not self.match:
            raise BadInput("match is empty")
        if self.layout not in (None, *LAYOUTS):
            raise BadInput(f"unknown layout {self.layout!r}; known are {', '.join(LAYOUTS)}")
        if (self.padding_idx or 0) < 0:
            raise BadInput("padding_idx cannot be negative")
        if literal(self.match) is None:
            matcher(self.match)
        if (self.init == "data") != (self.data is not None):
            raise BadInput('init = "data" and the key data go together')
        if self.view is not None and self.same_as is None:
            raise BadInput("view needs same_as")
        if self.parts and self.same_as is not None:
            raise BadInput("parts name their tensors: there is no same_as beside them")
        if self.axis and not self.parts:
            raise BadInput("axis needs parts")
        try:
            joined.names_in(self.parts)
            _check_init(self.init)
            for step in self.then:
                _check_step(step)
        except (ValueError, TypeError) as error:
            raise BadInput(f"init {self.init!r}: {error}") from None

    @property
    def variables(self) -> set[str]:
        """The names in the arithmetic of `init`."""
        return _variables(self.init)

    def table(self) -> dict[str, Any]:
        """Return the parameters that differ from their defaults, as in TOML and JSON."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}


def dumps(rules: Iterable[Rule]) -> str:
    """Return rules as the compact JSON of a checkpoint's metadata."""
    return json.dumps([rule.table() for rule in rules], separators=(",", ":"), ensure_ascii=False)


def of_metadata(metadata: Mapping[str, str], where: str) -> list[Rule] | None:
    """Return the rules in a checkpoint's metadata, or None. BadInput, which names `where`, if malformed."""
    text = metadata.get("fastinit.rules")
    if text is None:
        return None
    try:
        return from_tables(json.loads(text), f"{where}: metadata")
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{where}: metadata: fastinit.rules is not valid JSON: {error}") from None


def from_tables(tables: Any, where: str, also: Sequence[str] = ()) -> list[Rule]:
    """Return the rules of tables, of which some may be rules already.

    BadInput if one is malformed; it names `where`, the number of the rule, and the keys, `also` those that a
    table may have had.
    """
    if not isinstance(tables, (list, tuple)):
        raise BadInput(f"{where}: rules must be a list, each under [[rule]]")
    rules = []
    for number, table in enumerate(tables, 1):
        try:
            if isinstance(table, Rule):
                rules.append(table)
                continue
            if not isinstance(table, Mapping):
                raise BadInput(f"must be a table, not {table!r:.200}")
            if unknown := table.keys() - _TYPES.keys():
                raise BadInput(f"unknown key {min(unknown)!r}; known are {', '.join([*_TYPES, *also])}")
            if missing := {"match", "init"} - table.keys():
                raise BadInput(f"lacks {' and '.join(sorted(missing))}")
            given: dict[str, Any] = {
                key: tuple(table[key]) for key in ("then", "parts") if isinstance(table.get(key), list)
            }
            if isinstance(table["init"], init.Initializer):
                given["init"] = table["init"].spec
            rules.append(Rule(**{**table, **given}))
        except BadInput as error:
            raise BadInput(f"{where}: rule {number}: {error}") from None
    return rules


# A model has many tensors and few initialisers.
initializer = functools.cache(init.get)
_variables = functools.cache(expressions.variables)


_check_step = functools.cache(steps.check)


@functools.cache
def _check_init(text: str) -> None:
    # Any values will do, as only the form is checked.
    spec = expressions.substitute(text, {"layers": 1, "fan_in": 1})
    if not buffers.is_buffer(spec):
        initializer(spec)

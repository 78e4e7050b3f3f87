"""Templates: tables of a TOML file, made rules by what config.json and the list of tensors say."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import expressions
from .errors import BadInput
from .patterns import matcher
from .spec import TensorSpec

__all__ = ["KEYS", "filled"]

#: The keys of a table that a rule does not have.
KEYS = ("sizes", "without")

_SIZE = re.compile(r"(?P<name>.+)\[(?P<axis>\d+|#)\]")


def filled(tables: Any, config: Mapping[str, Any], specs: Sequence[TensorSpec], where: str) -> Any:
    """Return tables without what only a list of tensors tells.

    - In `init`, the names of `config` and those of the table's `sizes` become numbers.
    - ``padding_idx = "pad_token_id"`` takes config's, or is dropped if it is no row of each matching tensor.
    - ``layout = "bias"`` is ``"io"`` if each bias beside has the length of the weight's last axis.
    - A table with `sizes` or `without` becomes one for each tensor, unless one for all says the same.

    Parameters
    ----------
    tables : list of mapping
        A TOML file's ``rule``. What is malformed is left to `rules.from_tables`.
    config : mapping
        The names that stand for numbers.
    specs : sequence of TensorSpec
        The list.
    where : str
        The source, for error messages.
    """
    if not isinstance(tables, (list, tuple)):
        return tables
    shapes = {spec.name: spec.shape for spec in specs}
    result: list[Any] = []
    for number, table in enumerate(tables, 1):
        try:
            result += _filled(dict(table), config, shapes) if isinstance(table, Mapping) else [table]
        except (ValueError, TypeError, re.error) as error:
            raise BadInput(f"{where}: rule {number}: init {table.get('init')!r}: {error}") from None
    return result


def _filled(
    table: dict[str, Any], config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> list[dict[str, Any]]:
    sizes, without = table.pop("sizes", {}), table.pop("without", None)
    if not isinstance(sizes, dict) or not isinstance(without, (str, type(None))):
        raise ValueError("sizes must be a table, and without a string")
    special = table.get("padding_idx") == "pad_token_id" or table.get("layout") == "bias"
    if not (sizes or without or special):
        return [_with(table, config)]
    if not isinstance(table.get("match"), str):
        raise ValueError("match must be a string")
    matches, low, high = matcher(table["match"]), table.get("min_ndim", 0), table.get("max_ndim", 64)
    found = {
        name: match
        for name, shape in shapes.items()
        if low <= len(shape) <= high and (match := matches(name))
    }
    if table.get("padding_idx") == "pad_token_id":
        row = config.get("pad_token_id")
        fits = row is not None and 0 <= row < min(
            (shapes[name][0] for name in found if shapes[name]), default=row + 1
        )
        table = {k: v for k, v in table.items() if k != "padding_idx"} | (
            {"padding_idx": row} if fits else {}
        )
    if table.get("layout") == "bias":
        table["layout"] = "io" if _is_io([*found], shapes) else "oi"
    if not (sizes or without):
        return [_with(table, config)]
    each = {}
    for name, match in found.items():
        values = {key: _size(match, texts, shapes) for key, texts in sizes.items()}
        if None not in values.values() and not (without and match.expand(without) in shapes):
            each[name] = _with(table, {**config, **values})
    tables = list(each.values())
    if len(tables) == len(found) and all(one == tables[0] for one in tables):
        return tables[:1]
    return [{**one, "match": glob.escape(name)} for name, one in each.items()]


def _is_io(names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether each weight with a bias, of which there is one, has the bias's length as its last axis."""
    pairs = [(shapes[name], shapes.get(re.sub("weight$", "bias", name))) for name in names]
    lengths = [shape[-1:] == bias for shape, bias in pairs if bias is not None]
    return bool(lengths) and all(lengths)


def _size(match: re.Match[str], texts: Any, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Return the axis of the first tensor, or the number of tensors, that some text names."""
    for text in [texts] if isinstance(texts, str) else texts:
        parts = _SIZE.fullmatch(text)
        if parts is None:
            raise ValueError(f"size {text!r} must be a name and [axis], or [#]")
        wanted = matcher(match.expand(parts["name"]))
        names = [name for name in ([match.expand(parts["name"])] if "*" not in parts["name"] else shapes)]
        named = [name for name in names if name in shapes and wanted(name)]
        if parts["axis"] == "#":
            return len(named)
        if named and int(parts["axis"]) < len(shapes[named[0]]):
            return shapes[named[0]][int(parts["axis"])]
    return None


def _with(table: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with numbers for names in its init. Other names stay."""
    init = table.get("init")
    if not isinstance(init, str):
        return dict(table)
    numbers = {key: value for key, value in values.items() if isinstance(value, (int, float))}

    def replaced(hole: re.Match[str]) -> str:
        text = re.sub(r"\b[a-z_]+\b", lambda name: str(numbers.get(name[0], name[0])), hole[0])
        return text if expressions.variables(text) else expressions.substitute(text, {})

    return {**table, "init": re.sub(r"\{[^{}]*\}", replaced, init)}

"""Which initialiser makes each tensor: ordered rules, from a file, a preset or a checkpoint's metadata."""

from __future__ import annotations

import fnmatch
import functools
import glob
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fastinit import fans, init

from . import buffers, expressions
from .errors import BadInput
from .spec import TensorSpec

_FOLDER = Path(__file__).parent / "presets"
_ALIASES = {"mistral": "llama"}

#: Names that stand for a list of rules.
PRESETS = sorted({path.stem for path in _FOLDER.glob("*.toml")} - {"base"} | set(_ALIASES))

#: What ``auto`` takes where no preset knows the names: every weight as its torch module would make it.
FALLBACK = "torch"

#: NumPy's limit.
MAX_NDIM = 64

_TYPES = {"match": str, "init": str, "layout": str, "min_ndim": int, "max_ndim": int, "padding_idx": int}


@dataclass(frozen=True, slots=True)
class Rule:
    """How to make the tensors whose names match.

    Parameters
    ----------
    match : str
        A glob for the whole name, case-sensitive, or ``/regex/``, searched for anywhere in it.
    init : str
        An initialiser as `fastinit.init.get` takes it, or a buffer: ``arange``, ``tril``,
        ``inv_freq(base=...)``. Arithmetic in braces is worked out first; there `layers` is the number of the
        model's blocks and `fan_in` that of the weight beside a bias. A rule with `fan_in` passes over tensors
        with no such weight.
    layout : {"oi", "io"}, optional
        The order of a weight's axes; ``"oi"`` where fans are needed and nothing is said.
    min_ndim, max_ndim : int
        The rule passes over tensors of fewer axes, and of more.
    padding_idx : int, optional
        A row set to zero afterwards, as `torch.nn.Embedding` does.

    Raises
    ------
    BadInput
        Where one of them cannot be used.

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

    def __post_init__(self) -> None:
        for key, kind in _TYPES.items():
            value = getattr(self, key)
            if type(value) is not kind and not (value is None and key in ("layout", "padding_idx")):
                raise BadInput(f"{key} must be {'a string' if kind is str else 'an integer'}, not {value!r}")
        if not self.match:
            raise BadInput("match is empty")
        if self.layout not in (None, *fans.LAYOUTS):
            raise BadInput(f"unknown layout {self.layout!r}; known are {', '.join(fans.LAYOUTS)}")
        if (self.padding_idx or 0) < 0:
            raise BadInput("padding_idx cannot be negative")
        try:
            if _literal(self.match) is None:
                _pattern(self.match)
        except re.error as error:
            raise BadInput(f"match {self.match!r} is not a regular expression: {error}") from None
        try:
            _check_init(self.init)
        except (ValueError, TypeError) as error:
            raise BadInput(f"init {self.init!r}: {error}") from None

    @property
    def variables(self) -> set[str]:
        """The names in the arithmetic of `init`."""
        return _variables(self.init)

    def table(self) -> dict[str, Any]:
        """Return what is not left at its default, as TOML and JSON hold it."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}


@dataclass(frozen=True, slots=True)
class Choice:
    """A tensor and what makes it.

    Attributes
    ----------
    spec : TensorSpec
        The tensor.
    rule : str
        The match that won.
    exact : Rule
        A rule that makes this tensor with nothing left to work out.
    plan : Plan or BufferPlan
        What fills it.
    """

    spec: TensorSpec
    rule: str
    exact: Rule
    plan: init.Plan | buffers.BufferPlan

    @property
    def layout(self) -> str | None:
        """The order of the axes, None where no rule says."""
        return self.exact.layout

    @property
    def fans(self) -> tuple[int, int] | None:
        """fan_in and fan_out, where they are used, or a layout is named and there are axes for it."""
        if self.plan.fans is None and self.exact.layout is not None and len(self.spec.shape) > 1:
            return _fans(self.exact, self.spec)
        return self.plan.fans

    @property
    def mean(self) -> float | None:
        """The expected mean."""
        return None if self.plan.mean is None else self.plan.mean * self._kept

    @property
    def std(self) -> float | None:
        """The expected standard deviation."""
        if self.plan.std is None:
            return None
        mean = self.plan.mean or 0.0
        return math.sqrt(self._kept * (self.plan.std * self.plan.std + (1 - self._kept) * mean * mean))

    @property
    def label(self) -> str:
        """How the tensor is made, in a few words."""
        extras = {k: v for k, v in self.exact.table().items() if k in ("layout", "padding_idx")}
        return " ".join([self.exact.init, *(f"{key}={value}" for key, value in extras.items())])

    @property
    def _kept(self) -> float:
        # The share of rows that a padding row leaves.
        rows = 0 if self.exact.padding_idx is None else self.spec.shape[0]
        return 1 - 1 / rows if rows else 1.0

    def fill(self, out: npt.NDArray[Any], rng: Any, start: int = 0) -> None:
        """Write elements ``[start, start + out.size)`` of the tensor, in C order.

        Parameters
        ----------
        out : ndarray
            One-dimensional, of the tensor's storage dtype.
        rng : Generator
            The tensor's own generator, ``root.fold_in(name)``. It doesn't move.
        start : int
            The first element's index.
        """
        self.plan.fill(out, rng, start)
        if self.exact.padding_idx is not None:
            row = math.prod(self.spec.shape[1:])
            first = self.exact.padding_idx * row - start
            out[max(first, 0) : max(first + row, 0)] = 0


class Choices(list[Choice]):
    """What `resolve` returns: a choice for each tensor, in the manifest's order.

    Attributes
    ----------
    picked : str
        Where the rules came from: a preset's name, or a file's.
    rules : list of Rule
        The rules that won, in order, with all arithmetic worked out: they make the same tensors from any part
        of the manifest.
    layers : int or None
        The number of blocks, where a rule that won uses it.
    unused : list of str
        What no tensor was made by: matches of rules that were given, not of a preset's.
    """

    picked: str
    rules: list[Rule]
    layers: int | None
    unused: list[str]


def resolve(specs: Sequence[TensorSpec], init: Any = "auto") -> Choices:
    """Find what makes each tensor.

    Parameters
    ----------
    specs : sequence of TensorSpec
        The whole manifest: the number of layers and a bias's fan come from other tensors' names and shapes.
    init : str, path or list of Rule or mapping
        A preset's name, ``"auto"``, the path of a TOML file, or the rules themselves.

    Returns
    -------
    Choices
        A list of `Choice` in the order of `specs`.

    Raises
    ------
    BadInput
        For a tensor that no rule matches or that its rule cannot make, a malformed rule, an unknown preset.

    Examples
    --------
    >>> from fastinit.checkpoint import manifest, rules
    >>> specs = manifest.read({"fc.weight": {"dtype": "F32", "shape": [10, 784]}})
    >>> choices = rules.resolve(specs, "he")
    >>> choices[0].label, choices[0].fans, round(choices[0].std, 4)
    ('kaiming_normal(nonlinearity=relu) layout=oi', (784, 10), 0.0505)
    """
    picked, own, preset = _load(specs, init)
    rules = own + preset
    model = Model(specs, rules, picked)
    exact: list[dict[Rule, None]] = [{} for _ in rules]
    choices = Choices()
    for spec in specs:
        number = model.match(spec)
        choice = model.choose(spec, number)
        exact[number][choice.exact] = None
        choices.append(choice)
    choices.picked = picked
    choices.rules = [rule for group in exact for rule in group]
    used = [rule for rule, group in zip(rules, exact, strict=True) if group]
    choices.layers = model.layers if any("layers" in rule.variables for rule in used) else None
    choices.unused = [rule.match for rule, group in zip(own, exact, strict=False) if not group]
    return choices


def dumps(rules: Iterable[Rule]) -> str:
    """Return rules as the compact JSON that a checkpoint's metadata keeps."""
    return json.dumps([rule.table() for rule in rules], separators=(",", ":"), ensure_ascii=False)


def of_metadata(metadata: Mapping[str, str], where: str) -> list[Rule] | None:
    """Return the rules that a checkpoint's metadata keeps; None where it keeps none.

    BadInput, naming `where`, if they are not what `dumps` writes.
    """
    text = metadata.get("fastinit.rules")
    if text is None:
        return None
    try:
        return _rules(json.loads(text), f"{where}: metadata")
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{where}: metadata: fastinit.rules is not valid JSON: {error}") from None


def source(preset: str) -> str:
    """Return the TOML of a preset, to read or to start from.

    Examples
    --------
    >>> from fastinit.checkpoint import rules
    >>> print(rules.source("gpt2").splitlines()[0])
    # transformers' GPT2PreTrainedModel._init_weights with initializer_range = 0.02.
    """
    if preset not in (*PRESETS, "base"):
        known = ", ".join(PRESETS)
        raise BadInput(f"unknown preset {preset!r}; known are {known}; a file's name ends in .toml")
    return (_FOLDER / f"{_ALIASES.get(preset, preset)}.toml").read_text(encoding="utf-8")


def _load(specs: Sequence[TensorSpec], init: Any) -> tuple[str, list[Rule], list[Rule]]:
    """Where the rules came from, those that were given, and those of presets, which come after them."""
    if isinstance(init, (list, tuple)):
        return "the rules given", _rules(init, "init"), []
    if not isinstance(init, (str, os.PathLike)):
        raise BadInput(f"init must be a preset's name, a TOML file or a list of rules, not {init!r:.200}")
    if init == "auto":
        return _recognised(specs)
    if isinstance(init, str) and not (init.endswith(".toml") or os.sep in init or _is_file(init)):
        return init, [], _preset(init)
    try:
        text = Path(init).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{init}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{init}: is not UTF-8") from None
    return os.fspath(init), *_parse(text, str(init))


def _is_file(init: str) -> bool:
    return init not in PRESETS and os.path.isfile(init)


def _recognised(specs: Sequence[TensorSpec]) -> tuple[str, list[Rule], list[Rule]]:
    for preset in PRESETS:
        family = tomllib.loads(source(preset)).get("family")
        if family and any(map(_pattern(family), (spec.name for spec in specs))):
            return f"{preset}, picked by names", [], _preset(preset)
    return f"{FALLBACK}, for names that no preset knows", [], _preset(FALLBACK)


def _preset(name: str) -> list[Rule]:
    own, extended = _parse(source(name), f"preset {name}")
    return own + extended


def _parse(text: str, where: str) -> tuple[list[Rule], list[Rule]]:
    """The rules of a TOML file, and those of the preset that it extends."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where}: is not valid TOML: {error}") from None
    unknown = content.keys() - {"rule", "extends", "family"}
    if unknown:
        raise BadInput(f"{where}: unknown key {min(unknown)!r}; known are rule, extends, family")
    base = content.get("extends")
    own, extended = _rules(content.get("rule", []), where), [] if base is None else _preset(base)
    if not own + extended:
        raise BadInput(f"{where}: has no [[rule]]")
    return own, extended


def _rules(tables: Any, where: str) -> list[Rule]:
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
                raise BadInput(f"unknown key {min(unknown)!r}; known are {', '.join(_TYPES)}")
            if missing := {"match", "init"} - table.keys():
                raise BadInput(f"lacks {' and '.join(sorted(missing))}")
            rules.append(Rule(**table))
        except BadInput as error:
            raise BadInput(f"{where}: rule {number}: {error}") from None
    return rules


# A model has many tensors and few initialisers.
@functools.cache
def _initializer(spec: str) -> init.Initializer:
    return init.get(spec)


@functools.cache
def _check_init(text: str) -> None:
    # Any values do: only the form is checked here, by those who know it.
    spec = expressions.substitute(text, {"layers": 1, "fan_in": 1})
    if not buffers.is_buffer(spec):
        _initializer(spec)


_variables = functools.cache(expressions.variables)


def _pattern(match: str) -> Callable[[str], Any]:
    if len(match) > 1 and match[0] == match[-1] == "/":
        return re.compile(match[1:-1]).search
    return re.compile(fnmatch.translate(match)).match


def _literal(match: str) -> str | None:
    """The one name that a glob without wildcards matches; None for other matches."""
    if len(match) > 1 and match[0] == match[-1] == "/":
        return None
    name = re.sub(r"\[([*?[])\]", r"\1", match)
    return name if glob.escape(name) == match else None


def _fans(rule: Rule, spec: TensorSpec) -> tuple[int, int]:
    return fans.compute_fans(spec.shape, layout=rule.layout or "oi")


class Model:
    """A manifest under a list of rules: what one tensor's rule must know of the others.

    Parameters
    ----------
    specs : sequence of TensorSpec
    rules : list of Rule
    where : str
        Where the rules came from, for errors.
    """

    def __init__(self, specs: Sequence[TensorSpec], rules: list[Rule], where: str) -> None:
        self.tensors = {spec.name: spec for spec in specs}
        self.rules = rules
        self.where = where
        # A file's metadata has a rule for each bias that its weight's fan_in made: these are looked up.
        self._named: dict[str, list[int]] = {}
        self._patterns: dict[int, Callable[[str], Any]] = {}
        for number, rule in enumerate(rules):
            name = _literal(rule.match)
            if name is None:
                self._patterns[number] = _pattern(rule.match)
            else:
                self._named.setdefault(name, []).append(number)
        self._exact: dict[tuple[int, str, str], Rule] = {}
        # Most tensors of a model are alike but for their names.
        self._plans: dict[tuple[str, str, str, tuple[int, ...]], init.Plan | buffers.BufferPlan] = {}

    def match(self, spec: TensorSpec) -> int:
        """Return the number of the first rule that takes a tensor."""
        numbers: list[int] = sorted([*self._named.get(spec.name, []), *self._patterns])
        for number in numbers:
            rule = self.rules[number]
            if not rule.min_ndim <= len(spec.shape) <= rule.max_ndim:
                continue
            if number in self._patterns and not self._patterns[number](spec.name):
                continue
            if "fan_in" not in rule.variables or self.fan_in(spec) is not None:
                return number
        raise BadInput(f"{self.where}: no rule matches tensor {spec.name!r}, {spec.dtype} {list(spec.shape)}")

    def choose(self, spec: TensorSpec, number: int) -> Choice:
        """Return a tensor's choice under a rule that matches it."""
        rule = self.rules[number]
        names = rule.variables
        try:
            text = expressions.substitute(rule.init, {name: self.value(name, spec) for name in names})
            # However it was written, so that all tensors of a rule have one record of it.
            text = text if buffers.is_buffer(text) else _initializer(text).spec
            # What depends on a tensor's neighbours is recorded for it alone, under its own name.
            match = glob.escape(spec.name) if "fan_in" in names else rule.match
            plan = self._plan(text, rule.layout or "oi", spec)
            if rule.padding_idx is not None and not (spec.shape and rule.padding_idx < spec.shape[0]):
                raise ValueError(f"padding_idx {rule.padding_idx} is no row of shape {spec.shape}")
        except (ValueError, TypeError) as error:
            where = f"{self.where}: tensor {spec.name!r}, matched by {rule.match!r}"
            raise BadInput(f"{where}: {error}") from None
        key = number, match, text
        if key not in self._exact:
            self._exact[key] = replace(rule, match=match, init=text)
        return Choice(spec, rule.match, self._exact[key], plan)

    def _plan(self, text: str, layout: str, spec: TensorSpec) -> init.Plan | buffers.BufferPlan:
        key = text, layout, spec.dtype, spec.shape
        if key not in self._plans:
            plan = buffers.plan(text, spec)
            self._plans[key] = plan or _initializer(text).plan(spec.shape, layout=layout, dtype=str(spec.tag))
        return self._plans[key]

    def value(self, name: str, spec: TensorSpec) -> int:
        """Return what a name stands for in the arithmetic of a tensor's rule."""
        if name == "layers" and self.layers is not None:
            return self.layers
        if name == "fan_in" and (fan_in := self.fan_in(spec)) is not None:
            return fan_in
        raise ValueError(f"its init uses {name}, which nothing in the manifest tells")

    @functools.cached_property
    def layers(self) -> int | None:
        """The number of blocks, from the highest number in the names; None where none has one.

        The number is the one behind ``h``, ``layers``, ``blocks`` or their like, where some name has that, as
        experts and heads are numbered too; else the first in each name.
        """
        for pattern in (r"(?:^|\.)(?:h|layers?|blocks?)\.(\d+)\.", r"(?:^|\.)(\d+)\."):
            numbers = [int(found[1]) for name in self.tensors if (found := re.search(pattern, name))]
            if numbers:
                return max(numbers) + 1
        return None

    def fan_in(self, spec: TensorSpec) -> int | None:
        """The fan_in of the weight beside a bias; None where there is no weight with fans."""
        weight = self.tensors.get(re.sub(r"bias$", "weight", spec.name))
        if weight is None or weight is spec or len(weight.shape) < 2:
            return None
        return _fans(self.rules[self.match(weight)], weight)[0]

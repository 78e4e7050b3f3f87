"""Loads rules from a preset, a TOML file or a list, or picks a preset by the tensors' names."""

from __future__ import annotations

import glob
import os
import re
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastinit.init import Initializer

from . import families
from .errors import BadInput
from .patterns import matcher
from .recording import Recording
from .rules import Rule, from_tables, initializer
from .spec import TensorSpec
from .templates import KEYS as TEMPLATE_KEYS
from .templates import filled

#: Names that stand for a list of rules. Each model_type of a family is another name of its preset.
PRESETS = sorted(path.stem for path in families.FOLDER.glob("*.toml") if path.stem != "base")

#: The most bytes of a file of rules.
_MOST = 1_000_000

_BETTER = "give the model's config.json, or rules of your own, to be sure"
_CONFIG = ("initializer_range", "pad_token_id", "tie_word_embeddings")


def load(
    specs: Sequence[TensorSpec], init: Any, config: Mapping[str, Any] | None = None
) -> tuple[str, list[Rule], list[Rule]]:
    """Load the rules of `init`, which is as for `fastinit.checkpoint.plan`.

    Parameters
    ----------
    specs : sequence of TensorSpec
        The tensors.
    init : object
        As for `fastinit.checkpoint.plan`.
    config : mapping, optional
        What transformers' config.json of the model says.

    Returns
    -------
    rules_from : str
        A preset's name, a file's path, or a phrase.
    own, preset : list of Rule
        The caller's rules, and those of presets, which come after them.
    """
    config = config or {}
    if isinstance(init, Recording):
        return "the recording", list(init.rules), []
    if isinstance(init, Mapping):
        init = _tables(init)
    if isinstance(init, (list, tuple)):
        return "the rules given", from_tables(init, "init"), []
    if isinstance(init, Initializer):
        init = init.spec
    if not isinstance(init, (str, os.PathLike)):
        raise BadInput(f"init must be a preset's name, a TOML file or a list of rules, not {init!r:.200}")
    if init == "auto":
        return _recognised(specs, config)
    if init == "dummy":
        return "dummy values, for load tests", [], _dummy(specs)
    is_file = init not in (*PRESETS, *families.by_type()) and os.path.isfile(init)
    if isinstance(init, str) and not (init.endswith(".toml") or os.sep in init or is_file):
        if (spec := _spec(init)) is not None:
            return f"{spec} for every matrix", [], [*_preset("base", specs, {}), Rule("*", spec, min_ndim=2)]
        return init, [], _preset(init, specs, config)
    try:
        with open(init, "rb") as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:
            raise BadInput(f"{init}: is over {_MOST // 1000} kB, and no list of rules")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{init}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{init}: is not UTF-8") from None
    return os.fspath(init), *_parse(text, str(init), specs, config)


def _tables(init: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of a mapping of patterns to initialisers. A table may stand in place of its `init`."""
    if {"match", "init"} <= init.keys():
        raise BadInput("init is one rule: give a list of rules")
    tables = {match: each if isinstance(each, Mapping) else {"init": each} for match, each in init.items()}
    return [{"match": match, **table} for match, table in tables.items()]


def preset_toml(preset: str) -> str:
    """Return the TOML of a preset.

    Examples
    --------
    >>> from fastinit.checkpoint import sources
    >>> print(sources.preset_toml("gpt2").splitlines()[0])
    # transformers' GPT2PreTrainedModel._init_weights; nanoGPT's and GPTBigCode's, too.
    """
    preset = families.by_type().get(preset, preset)
    if preset not in (*PRESETS, "base"):
        known = ", ".join(PRESETS)
        raise BadInput(
            f"unknown preset {preset!r}; known are {known}, and model types such as mistral; a file's name"
            " ends in .toml"
        )
    return (families.FOLDER / f"{preset}.toml").read_text(encoding="utf-8")


def warn_untied(specs: Sequence[TensorSpec], streams: Mapping[str, str], config: Mapping[str, Any]) -> None:
    """Warn if tensors that the list's family ties have streams of their own."""
    for family in families.by_names(specs)[:1]:
        content = families.content(family.preset)
        settings = _settings(content, config)
        for name, first in _ties(specs, content.get("tied", {}), settings).items():
            if first in streams and streams[name] != streams[first]:
                warnings.warn(
                    f"{name} and {first} are one tensor in {family.preset}, but get values of their own, so"
                    f" from_pretrained unties them: give {name} same_as = {first!r}",
                    stacklevel=4,
                )


def _warn_absent(rules: Sequence[Rule], specs: Sequence[TensorSpec], where: str) -> None:
    """Warn if a rule says same_as of a tensor that the list doesn't have."""
    names = {spec.name for spec in specs}
    for rule in rules:
        found = map(matcher(rule.match), names) if rule.same_as else ()
        try:
            absent = {match.expand(rule.same_as) for match in found if match} - names
        except re.error:
            continue  # it is an error once the rule makes a tensor
        if absent:
            warnings.warn(
                f"{where}: {rule.match} has same_as = {min(absent)!r}, which is no tensor of the list",
                stacklevel=6,
            )


def _ties(specs: Sequence[TensorSpec], tied: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """Return the tensors of a list that are tied, each with the tensor that it equals."""
    shapes = {spec.name: spec.shape for spec in specs}
    found: dict[str, str] = {}
    for name, firsts in tied.items() if config.get("tie_word_embeddings", True) else ():
        # A list may have the tied tensor alone: it is made as the one that it equals would be.
        absent = shapes.get(name) if isinstance(firsts, str) else None
        for first in [firsts] if isinstance(firsts, str) else firsts:
            if name in shapes and shapes.get(first, absent) == shapes[name]:
                found.setdefault(name, first)
    return found


def _tied(rules: Sequence[Rule], ties: Mapping[str, str], specs: Sequence[TensorSpec]) -> list[Rule]:
    """Return rules that make each tied tensor as the rule of the tensor that it equals."""
    ndim = {spec.name: len(spec.shape) for spec in specs}
    return [
        replace(rule, match=glob.escape(name), same_as=first)
        for name, first in ties.items()
        for rule in [
            rule
            for rule in rules
            if rule.min_ndim <= ndim[name] <= rule.max_ndim and matcher(rule.match)(first)
        ][:1]
    ]


def _recognised(specs: Sequence[TensorSpec], config: Mapping[str, Any]) -> tuple[str, list[Rule], list[Rule]]:
    """Return the rules of the preset whose family the model is of. Warn if that is not sure."""
    known = families.by_type()
    if config.get("model_type") in known:
        preset, why = known[config["model_type"]], f"picked by model_type {config['model_type']}"
        return f"{preset}, {why}", [], _preset(preset, specs, config)
    found = families.by_names(specs)
    preset = found[0].preset if found else families.unsure(specs)
    doubt = ""
    if not found:
        doubt = "the names are of no known family"
    elif len(found) > 1:
        doubt = f"the names are those of {' and of '.join(each.preset for each in found)}"
    elif others := found[0].others(specs):
        more = f" and {len(others) - 1} more" if others[1:] else ""
        doubt = f"{preset} has no {others[0]!r}{more}"
    elif config:
        doubt = f"no preset is for model_type {config.get('model_type')!r}"
    if doubt:
        warnings.warn(f"{doubt}: preset {preset} may be wrong; {_BETTER}", stacklevel=5)
    chosen = "picked by names" if found else "for names that no preset knows"
    return f"{preset}, {chosen}{_taken(preset, config)}", [], _preset(preset, specs, config)


def _taken(preset: str, config: Mapping[str, Any]) -> str:
    """Return what a preset takes for the numbers that names don't tell, as text."""
    settings = _settings(families.content(preset), config)
    if "initializer_range" not in settings:
        return ""
    padding = settings.get("pad_token_id")
    token = "no padding token" if padding is None else f"padding token {padding}"
    return f", initializer_range {settings['initializer_range']}, {token}"


def _dummy(specs: Sequence[TensorSpec]) -> list[Rule]:
    """Return rules that make any tensor: norms and variances ones, biases and integers zeros."""
    ones = matcher(r"/(norm\w*\.|ln_?\w*\.|bn\w*\.|^|\.)(weight|gamma|running_var|\w*scale\w*)$/")

    def init(spec: TensorSpec) -> str:
        if spec.floating is None:
            return "ones" if spec.dtype.startswith("F") else "zeros"
        if len(spec.shape) > 1:
            return "normal(std=0.02)"
        return "ones" if ones(spec.name) else "zeros"

    return list(Recording.of(specs, [Rule(glob.escape(spec.name), init(spec)) for spec in specs]).rules)


def _spec(init: str) -> str | None:
    """Return the spec of an initialiser in one spelling, or None if a preset has this name, or it is none."""
    if init in PRESETS or init in families.by_type():
        return None
    try:
        return str(initializer(init).spec)
    except (ValueError, TypeError) as error:
        if "(" in init:
            raise BadInput(f"init {init!r}: {error}") from None
        return None


def _settings(content: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what config.json says, or else what a TOML file takes for that."""
    base = content.get("extends")
    base = families.by_type().get(base, base) if isinstance(base, str) else None
    below = _settings(families.content(base), {}) if base in (*PRESETS, "base") else {}
    given = {key: config[key] for key in _CONFIG if key in config}
    return {**below, **content.get("config", {}), **given}


def _preset(name: str, specs: Sequence[TensorSpec], config: Mapping[str, Any]) -> list[Rule]:
    text = preset_toml(name)
    own, extended = _parse(text, f"preset {name}", specs, config)
    return own + extended


def _parse(
    text: str, where: str, specs: Sequence[TensorSpec], config: Mapping[str, Any]
) -> tuple[list[Rule], list[Rule]]:
    """Return the rules of a TOML file, and those of the preset that it extends."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of integers with thousands of digits, too
        raise BadInput(f"{where}: is not valid TOML: {error}") from None
    unknown = content.keys() - {"rule", "extends", "family", "config", "tied"}
    if unknown:
        raise BadInput(
            f"{where}: unknown key {min(unknown)!r}; known are rule, extends, family, config, tied"
        )
    for key in ("config", "tied"):
        if not isinstance(content.get(key, {}), dict):
            raise BadInput(f"{where}: {key} must be a table")
    for firsts in content.get("tied", {}).values():
        if not all(isinstance(first, str) for first in (firsts if isinstance(firsts, list) else [firsts])):
            raise BadInput(f"{where}: tied must name tensors, not {firsts!r:.200}")
    config = _settings(content, config)
    base = content.get("extends")
    own = from_tables(filled(content.get("rule", []), config, specs, where), where, TEMPLATE_KEYS)
    _warn_absent(own, specs, where)
    extended = [] if base is None else _preset(base, specs, config)
    if not own + extended:
        raise BadInput(f"{where}: has no [[rule]]")
    ties = _ties(specs, content.get("tied", {}), config)
    return _tied([*own, *extended], ties, specs) + own, extended

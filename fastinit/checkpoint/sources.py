"""Loads rules from a preset, a TOML file or a list, or picks a preset by the tensors' names."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import BadInput
from .recording import Recording
from .rules import Rule, from_tables, matcher
from .spec import TensorSpec

_FOLDER = Path(__file__).parent / "presets"
_ALIASES = {"mistral": "llama"}

#: Names that stand for a list of rules.
PRESETS = sorted({path.stem for path in _FOLDER.glob("*.toml")} - {"base"} | set(_ALIASES))

#: The preset of ``"auto"`` if no other knows the names. It fills each weight as its torch module does.
FALLBACK = "torch"


def load(specs: Sequence[TensorSpec], init: Any) -> tuple[str, list[Rule], list[Rule]]:
    """Load the rules of `init`, which is as for `fastinit.checkpoint.plan`.

    Returns
    -------
    rules_from : str
        A preset's name, a file's path, or a phrase.
    own, preset : list of Rule
        The caller's rules, and those of presets, which come after them.
    """
    if isinstance(init, Recording):
        return "the recording", list(init.rules), []
    if isinstance(init, (list, tuple)):
        return "the rules given", from_tables(init, "init"), []
    if not isinstance(init, (str, os.PathLike)):
        raise BadInput(f"init must be a preset's name, a TOML file or a list of rules, not {init!r:.200}")
    if init == "auto":
        return _recognised(specs)
    is_file = init not in PRESETS and os.path.isfile(init)
    if isinstance(init, str) and not (init.endswith(".toml") or os.sep in init or is_file):
        return init, [], _preset(init)
    try:
        text = Path(init).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{init}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{init}: is not UTF-8") from None
    return os.fspath(init), *_parse(text, str(init))


def preset_toml(preset: str) -> str:
    """Return the TOML of a preset.

    Examples
    --------
    >>> from fastinit.checkpoint import sources
    >>> print(sources.preset_toml("gpt2").splitlines()[0])
    # transformers' GPT2PreTrainedModel._init_weights with initializer_range = 0.02.
    """
    if preset not in (*PRESETS, "base"):
        known = ", ".join(PRESETS)
        raise BadInput(f"unknown preset {preset!r}; known are {known}; a file's name ends in .toml")
    return (_FOLDER / f"{_ALIASES.get(preset, preset)}.toml").read_text(encoding="utf-8")


def _recognised(specs: Sequence[TensorSpec]) -> tuple[str, list[Rule], list[Rule]]:
    for preset in PRESETS:
        family = tomllib.loads(preset_toml(preset)).get("family")
        if family and any(map(matcher(family), (spec.name for spec in specs))):
            return f"{preset}, picked by names", [], _preset(preset)
    return f"{FALLBACK}, for names that no preset knows", [], _preset(FALLBACK)


def _preset(name: str) -> list[Rule]:
    own, extended = _parse(preset_toml(name), f"preset {name}")
    return own + extended


def _parse(text: str, where: str) -> tuple[list[Rule], list[Rule]]:
    """Return the rules of a TOML file, and those of the preset that it extends."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where}: is not valid TOML: {error}") from None
    unknown = content.keys() - {"rule", "extends", "family"}
    if unknown:
        raise BadInput(f"{where}: unknown key {min(unknown)!r}; known are rule, extends, family")
    base = content.get("extends")
    own, extended = from_tables(content.get("rule", []), where), [] if base is None else _preset(base)
    if not own + extended:
        raise BadInput(f"{where}: has no [[rule]]")
    return own, extended

"""Families of models: whose names a list has, and whether that leaves a doubt."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .spec import TensorSpec

__all__ = ["FOLDER", "Family", "by_names", "by_type", "content", "unsure"]

FOLDER = Path(__file__).parent / "presets"

#: Names that transformers gives, in models of any family.
_TRANSFORMERS = re.compile(
    r"(^|\.)(embed_tokens|shared|wte|lm_head|(word|token|position|tok)_embeddings?|query_key_value|in_proj_qkvz)\."
    r"|(layers?|h|block)\.\d+\.(self_attn|attention|attn|SelfAttention|self_attention|mixer|mlp)\.[a-z]"
    r"|(^|\.)embeddings\.(patch|cls_token|LayerNorm)"
)
#: Names of timm, diffusers, torchvision and torch.nn that look alike.
_OTHERS = re.compile(
    r"(^|\.)(down_blocks|transformer_blocks|encoder_layer_\d+)\.|in_proj_weight$|(^|\.)blocks\.\d+\.attn\.qkv\."
)


class Family(NamedTuple):
    """Models with the same names and values.

    Attributes
    ----------
    preset : str
        The preset that makes them.
    model_types : tuple of str
        Their names, as ``model_type`` in transformers' config.json.
    some, every : str
        Regular expressions: one name or more has `some` in it, and `every` is the pattern of each full name.
    """

    preset: str
    model_types: tuple[str, ...]
    some: str
    every: str

    def others(self, specs: Sequence[TensorSpec]) -> list[str]:
        """Return the names that the family doesn't have."""
        every = re.compile(self.every, re.VERBOSE)
        return [spec.name for spec in specs if not every.fullmatch(spec.name)]


@functools.cache
def content(preset: str) -> Mapping[str, Any]:
    """Return what the TOML of a preset says."""
    return tomllib.loads((FOLDER / f"{preset}.toml").read_text(encoding="utf-8"))


@functools.cache
def _families() -> list[Family]:
    return [
        Family(path.stem, tuple(table["model_types"]), table["some"], table["every"])
        for path in sorted(FOLDER.glob("*.toml"))
        for table in content(path.stem).get("family", [])
    ]


def by_type() -> dict[str, str]:
    """Return the preset of each model_type."""
    return {name: family.preset for family in _families() for name in family.model_types}


def by_names(specs: Sequence[TensorSpec]) -> list[Family]:
    """Return the families whose names a list has, one for each preset, that of the most models first.

    A preset that extends another comes after it. If no family has all names, the one that lacks the fewest is
    the only one; none is if that lacks more than a third.
    """
    names = [spec.name for spec in specs]
    found = [family for family in _families() if any(map(re.compile(family.some).search, names))]
    presets = {family.preset for family in found}
    lacks = {family: len(family.others(specs)) for family in found}
    found.sort(
        key=lambda each: (lacks[each], content(each.preset)["extends"] in presets, -len(each.model_types))
    )
    complete = [family for family in found if not lacks[family]]
    nearest = [family for family in found[:1] if 3 * lacks[family] <= len(specs)]
    return list({family.preset: family for family in reversed(complete or nearest)}.values())[::-1]


def unsure(specs: Sequence[TensorSpec]) -> str:
    """Return the preset of a list of no known family."""
    alike = any(_TRANSFORMERS.search(spec.name) for spec in specs)
    return "transformers" if alike and not any(_OTHERS.search(spec.name) for spec in specs) else "torch"

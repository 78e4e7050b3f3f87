"""The rule that fills each tensor of a module, and the fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from fastinit.checkpoint import BadInput, Recording, TensorSpec
from fastinit.checkpoint.choices import Choice
from fastinit.checkpoint.manifest import read
from fastinit.checkpoint.matching import Model
from fastinit.checkpoint.planning import Manifest
from fastinit.checkpoint.recording import recording_of
from fastinit.checkpoint.sources import load
from fastinit.random import PCG64, Generator

from .filling import fill, write
from .names import Named, named_tensors, spec_of

__all__ = ["choices", "fill_chosen", "listed"]


def listed(tensors: Sequence[Named], init: Any, manifest: Manifest) -> tuple[Any, list[TensorSpec]]:
    """Return what fills a part of a model, and the list of the whole model, which must have its tensors.

    "auto" takes the rules of a list that is a recording.
    """
    recording = recording_of(manifest)
    whole = read(manifest if recording is None else recording.manifest())  # type: ignore[arg-type]
    names = {spec.name for spec in whole}
    specs = [_spec(each, None) for each in tensors if each.persistent]
    if absent := [spec.name for spec in specs if spec.name not in names]:
        raise BadInput(f"{absent[0]} is not in the manifest")
    _check_shapes(specs, whole, "the manifest")
    return recording if recording is not None and init == "auto" else init, whole


def choices(
    tensors: Sequence[Named], init: Any, dtype: torch.dtype | None, whole: Sequence[TensorSpec] | None = None
) -> dict[str, Choice]:
    """Return the choice of each tensor that rules fill. BadInput if they cannot.

    Rules see the whole model's tensors, if these are given, as they may depend on its depth.
    """
    specs = [_spec(each, dtype) for each in tensors]
    if isinstance(init, Recording):
        _check_shapes(specs, init.specs, "the recording")
    whole = specs if whole is None else whole
    rules_from, own_rules, preset = load(whole, init)
    model = Model(whole, own_rules + preset, rules_from)
    chosen = {}
    for each, spec in zip(tensors, specs, strict=True):
        kept = not each.is_parameter and not each.tensor.is_meta
        if kept and not (each.persistent or isinstance(init, Recording)):
            continue
        try:
            chosen[each.name] = model.choose(spec, model.match(spec))
        except BadInput:
            if not kept:
                raise
    return chosen


def fill_chosen(module: nn.Module, seed: int, chosen: Mapping[str, Choice]) -> None:
    """Fill the tensors of a module that have a choice; of a DTensor this rank's part."""
    root = Generator(PCG64(seed))
    for each in named_tensors(module):
        choice = chosen.get(each.name)
        if choice is None or not choice.spec.size:
            continue
        rng = choice.generator(root)
        if choice.spec.floating is not None:
            fill(each.tensor, choice.plan, rng)
        else:
            values = torch.empty(choice.spec.size, dtype=each.tensor.dtype, device="cpu").numpy()
            choice.plan.fill(values, rng)
            write(each.tensor, values)


def _spec(each: Named, dtype: torch.dtype | None) -> TensorSpec:
    like = each.tensor
    if dtype is not None and like.is_floating_point():
        like = torch.empty(like.shape, dtype=dtype, device="meta")
    return spec_of(each.name, like)


def _check_shapes(specs: Sequence[TensorSpec], others: Sequence[TensorSpec], where: str) -> None:
    shapes = {spec.name: spec.shape for spec in others}
    for spec in specs:
        if (shape := shapes.get(spec.name, spec.shape)) != spec.shape:
            raise BadInput(f"{spec.name} has shape {spec.shape}, but in {where} {shape}")

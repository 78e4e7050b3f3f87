"""`initialize`: fills all tensors of a module, by its own code or by rules."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from fastinit.checkpoint import BadInput, Recording, Rule
from fastinit.checkpoint.matching import Model
from fastinit.checkpoint.recipe import checked_seed
from fastinit.checkpoint.sources import load
from fastinit.init.seeds import torch_seed
from fastinit.random import PCG64, Generator

from . import own
from .filling import fill, write
from .memory import with_large_pages
from .names import Named, check_parameters, named_tensors, spec_of
from .naming import Live, by_name
from .sharding import local

__all__ = ["initialize"]

Init = Recording | str | os.PathLike[str] | Sequence[Rule] | Callable[[nn.Module], object] | None


_NOT_FILLED = {
    True: "the module's own code does not fill it: give init=fastinit.torch.record(constructor)",
    False: "the module's own code does not fill it: build the module under fastinit.torch.meta_parameters(),"
    " which keeps buffers",
}


def initialize(
    module: nn.Module,
    seed: int | None = 0,
    init: Init = None,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """Fill a module's parameters and buffers; each value follows from seed, name and place.

    Parameters
    ----------
    module : torch.nn.Module
        Parameters and buffers on the meta device get memory first. Tied parameters stay tied, and are filled
        once, under their first name.
    seed : int or None
        None draws the seed from torch's default generator.
    init : optional
        What fills the tensors. None: the module's own code, as under `by_name`, which is
        ``initialize_weights()``, else ``init_weights()``, else each submodule's ``reset_parameters()``,
        children first. A callable: it is called with the module, under `by_name`. Else a `Recording`, a
        preset's name, a TOML file or a list of rules. These leave buffers that have memory and match no rule
        as they are.
    device, dtype : optional
        Where the tensors go, and the dtype of those of floating point. By default those of the meta device go
        to the CPU, and others stay.

    Returns
    -------
    Module
        `module`.

    Raises
    ------
    TypeError
        A parameter is lazy, complex or an integer, or gathered by FSDP2, or a DTensor that is a partial sum,
        on the meta device or to be filled by the module's own code. Nothing has been written.
    BadInput
        No rule matches a parameter, or a rule cannot make it. Nothing has been written.
    RuntimeError
        The module's code did not fill a tensor that was on the meta device. The message names it, and what
        was on that device is there again. Or a parametrization has no inverse: nothing has been written.

    Warns
    -----
    UserWarning
        The module's code did not fill some parameters, which stay as they were.

    Notes
    -----
    Of DTensors, such as FSDP2's, each rank fills its own part, without communication: the values are those
    of the whole tensor on one device. They need `init`, such as ``record(constructor)``.

    A module whose constructor does more than its reset methods, as torchvision's do, is filled like that by
    ``init=record(constructor)``. torch's generators and defaults stay as they are.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(3, 4, device="meta"), nn.Linear(4, 2, device="meta"))
    >>> initialize(model, 7)[1].weight.shape
    torch.Size([2, 4])
    """
    if seed is None:
        seed = torch_seed()
    seed = checked_seed(seed)
    tensors = named_tensors(module)
    check_parameters(tensors)
    _check_shards(module, tensors)
    with torch.no_grad():
        if init is None or callable(init):
            _check_whole(tensors)
            code = own.run if init is None else init
            meta = {each.name for each in tensors if each.tensor.is_meta}
            with _allocated(tensors, device, dtype), _generators_kept(tensors):
                _run(module, seed, code, meta)
        else:
            model = _model(tensors, init, dtype)
            with _allocated(tensors, device, dtype):
                _fill(module, seed, model)
    return module


def _check_shards(module: nn.Module, tensors: list[Named]) -> None:
    """Raise TypeError if this rank's part of a DTensor cannot be filled, or FSDP2 has gathered parameters."""
    for name, child in module.named_modules():
        state = child._get_fsdp_state() if hasattr(child, "_get_fsdp_state") else None
        group = getattr(state, "_fsdp_param_group", None)
        if not getattr(group, "is_sharded", True):
            held = (each.name for each in tensors if each.is_parameter and each.name.startswith(name))
            raise TypeError(
                f"{next(held, name)} is gathered by FSDP2: call module.reshard() of each FSDP module first"
            )
    for each in tensors:
        try:
            part = local(each.tensor)
        except TypeError as error:
            raise TypeError(f"{each.name}: {error}") from None
        if part is not None and part.is_meta:
            raise TypeError(
                f"{each.name} is a DTensor on the meta device: call module.to_empty(device=...) first"
            )


def _check_whole(tensors: list[Named]) -> None:
    """Raise TypeError for a DTensor, whose own code would draw once for each rank."""
    for each in tensors:
        if local(each.tensor) is not None:
            raise TypeError(
                f"{each.name} is a DTensor, which the module's own code cannot fill by name: give"
                " init=fastinit.torch.record(constructor), or rules"
            )


def _run(module: nn.Module, seed: int, code: Callable[[nn.Module], object], meta: set[str]) -> None:
    """Run code under `by_name`, and see that it filled all."""
    with by_name(module, seed) as live:
        own.without_parametrizations(module, functools.partial(code, module), live)
    unfilled = [each for each in named_tensors(module) if not _filled(each, live)]
    for each in unfilled:
        if each.name in meta or each.tensor.is_meta:
            raise RuntimeError(f"{each.name} was on the meta device, and {_NOT_FILLED[each.is_parameter]}")
    if left := [each.name for each in unfilled if each.is_parameter]:
        names = ", ".join(left[:5])
        warnings.warn(
            f"{len(left)} parameters stay as they were, as the module's own code does not fill them: {names}",
            stacklevel=3,
        )


def _filled(each: Named, live: Live) -> bool:
    return not each.tensor.numel() or (live.filled(each.tensor) and not each.tensor.is_meta)


def _model(tensors: list[Named], init: Any, dtype: torch.dtype | None) -> Model:
    """Return the tensors that rules fill, with the rules. BadInput if they cannot."""
    specs = []
    for each in tensors:
        like = each.tensor
        if dtype is not None and like.is_floating_point():
            like = torch.empty(like.shape, dtype=dtype, device="meta")
        specs.append(spec_of(each.name, like))
    if isinstance(init, Recording):
        recorded = {spec.name: spec.shape for spec in init.specs}
        for spec in specs:
            if recorded.get(spec.name, spec.shape) != spec.shape:
                shape = recorded[spec.name]
                raise BadInput(f"{spec.name} has shape {spec.shape}, but in the recording {shape}")
        rules_from, rules = "the recording", list(init.rules)
    else:
        rules_from, own_rules, preset = load(specs, init)
        rules = own_rules + preset
    model = Model(specs, rules, rules_from)
    for each, spec in zip(tensors, specs, strict=True):
        kept = not each.is_parameter and not each.tensor.is_meta
        if kept and not (each.persistent or isinstance(init, Recording)):
            del model.tensors[each.name]
            continue
        try:
            model.choose(spec, model.match(spec))
        except BadInput:
            if not kept:
                raise
            del model.tensors[each.name]
    return model


def _fill(module: nn.Module, seed: int, model: Model) -> None:
    root = Generator(PCG64(seed))
    for each in named_tensors(module):
        spec = model.tensors.get(each.name)
        if spec is None or not spec.size:
            continue
        choice = model.choose(spec, model.match(spec))
        rng = choice.generator(root)
        if choice.spec.floating is not None:
            fill(each.tensor, choice.plan, rng)
        else:
            values = torch.empty(spec.size, dtype=each.tensor.dtype).numpy()
            choice.plan.fill(values, rng)
            write(each.tensor, values)


@contextlib.contextmanager
def _allocated(
    tensors: list[Named], device: torch.device | str | None, dtype: torch.dtype | None
) -> Iterator[None]:
    """Give tensors memory, a device and a dtype, in all modules that share them; take it back at an error."""
    made = []
    for each in tensors:
        old = each.tensor
        to = torch.device(device if device is not None else "cpu" if old.is_meta else old.device)
        as_dtype = dtype if dtype is not None and old.is_floating_point() else old.dtype
        if (to, as_dtype) == (old.device, old.dtype):
            continue
        if old.is_meta:
            new = with_large_pages(torch.empty_like(old, device=to, dtype=as_dtype))
        else:
            new = old.to(to, as_dtype)
        if isinstance(old, nn.Parameter):
            new = torch.Tensor._make_subclass(type(old), new, old.requires_grad)
            new.__dict__.update(old.__dict__)
        made.append((each, new))
    for each, new in made:
        _put(each, new)
    try:
        yield
    except BaseException:
        for each, _ in made:
            _put(each, each.tensor)
        raise


def _put(each: Named, tensor: torch.Tensor) -> None:
    for owner, name in each.owners:
        (owner._parameters if each.is_parameter else owner._buffers)[name] = tensor


@contextlib.contextmanager
def _generators_kept(tensors: list[Named]) -> Iterator[None]:
    """Context after which torch's generators are as before."""
    devices = {each.tensor.device for each in tensors if each.tensor.is_cuda}
    with torch.random.fork_rng(devices=[device.index for device in devices]):
        yield

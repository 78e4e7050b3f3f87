"""`initialize`: fills all tensors of a module, by its own code or by rules."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Callable, Container, Iterator, Sequence

import torch
from torch import nn

from fastinit.checkpoint import Recording, Rule
from fastinit.checkpoint.planning import Manifest
from fastinit.checkpoint.recipe import checked_seed
from fastinit.init.seeds import torch_seed

from . import own
from .choosing import choices, fill_chosen, listed
from .memory import with_large_pages
from .names import Named, check_parameters, named_tensors
from .naming import Live
from .recorder import record_in_place
from .sharded import check_parts, give_memory, has_shards, place
from .standins import put

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
    manifest: Manifest | None = None,
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
        to the CPU, those of DTensors to their mesh's device, and others stay.
    manifest : path, mapping or Recording, optional
        The list of the whole model's tensors, as `fastinit.checkpoint.plan` takes it, if the module is a part
        of it, such as a pipeline's stage. Rules may depend on what only the whole model tells, such as its
        depth.

    Returns
    -------
    Module
        `module`.

    Raises
    ------
    TypeError
        A parameter is lazy, complex or an integer, or gathered by FSDP2, or a DTensor that is a partial sum.
        Nothing has been written.
    BadInput
        No rule matches a parameter, or a rule cannot make it, or the manifest does not have it. Nothing has
        been written.
    CannotRecord
        What the module's own code does to a DTensor cannot be said in rules. Nothing has been written.
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
    of the whole tensor on one device. The module's own code then sees tensors of the whole shape on the meta
    device, as under `record`.

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
    check_parts(module, tensors)
    code, wanted, whole = own.run if init is None else init, tensors, None
    if manifest is not None:
        code, whole = listed(tensors, code, manifest)
    with torch.no_grad():
        if callable(code) and has_shards(tensors):
            code, filled = record_in_place(module, code)
            _check_filled([each for each in tensors if each.tensor.numel() and each.name not in filled])
            wanted = [each for each in tensors if each.name in filled]
        if callable(code):
            meta = {each.name for each in tensors if each.tensor.is_meta}
            with _allocated(module, tensors, device, dtype), _generators_kept(tensors):
                _run(module, seed, code, meta)
        else:
            chosen = choices(wanted, code, dtype, whole)
            with _allocated(module, tensors, device, dtype):
                fill_chosen(module, seed, chosen)
    return module


def _run(module: nn.Module, seed: int, code: Callable[[nn.Module], object], meta: set[str]) -> None:
    """Run code under `by_name`, and see that it filled all."""
    with Live(module, seed) as live:
        own.without_parametrizations(module, functools.partial(code, module), live)
    _check_filled([each for each in named_tensors(module) if not _filled(each, live)], meta)


def _check_filled(unfilled: list[Named], meta: Container[str] = ()) -> None:
    """Raise RuntimeError if a tensor that was on the meta device is not filled; warn of other parameters."""
    for each in unfilled:
        if each.name in meta or each.tensor.is_meta:
            raise RuntimeError(f"{each.name} was on the meta device, and {_NOT_FILLED[each.is_parameter]}")
    if left := [each.name for each in unfilled if each.is_parameter]:
        names = ", ".join(left[:5])
        warnings.warn(
            f"{len(left)} parameters stay as they were, as the module's own code does not fill them: {names}",
            stacklevel=4,
        )


def _filled(each: Named, live: Live) -> bool:
    return not each.tensor.numel() or (live.filled(each.tensor) and not each.tensor.is_meta)


@contextlib.contextmanager
def _allocated(
    module: nn.Module,
    tensors: list[Named],
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> Iterator[None]:
    """Give tensors memory, a device and a dtype, in all modules that share them; take it back at an error.

    A module with DTensors keeps it.
    """
    if has_shards(tensors):
        give_memory(module, device, dtype)
        yield
        return
    made = []
    for each in tensors:
        old = each.tensor
        to, as_dtype = place(old, device, dtype)
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
        put(each, new)
    try:
        yield
    except BaseException:
        for each, _ in made:
            put(each, each.tensor)
        raise


@contextlib.contextmanager
def _generators_kept(tensors: list[Named]) -> Iterator[None]:
    """Context after which torch's generators are as before."""
    devices = {each.tensor.device for each in tensors if each.tensor.is_cuda}
    with torch.random.fork_rng(devices=[device.index for device in devices]):
        yield

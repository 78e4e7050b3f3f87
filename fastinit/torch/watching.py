"""What happens in a module as it runs: its layers, and the norms and activations behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from fastinit.init.recommendations import activation_of

from .names import clean
from .sizes import Size, size_of
from .undisturbed import tensors_in

__all__ = ["Follower", "Layer", "Watch"]

_ACTIVATIONS = {
    *("relu", "leaky_relu", "selu", "sigmoid", "tanh", "gelu", "silu"),
    *("celu", "elu", "hardsigmoid", "hardswish", "hardtanh", "mish", "relu6", "softplus"),
}
_NORMS = {"batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"}

# As in fastinit.propagation: shares of the steepest slope below which a value is flat, and a unit dead.
_FLAT, _DEAD = 0.05, 0.005


@dataclass
class Follower:
    """A norm or an activation.

    Attributes
    ----------
    name : str
        The activation's spec, as `fastinit.init.recommended` takes it, or the norm's name.
    is_norm : bool
    source, edge : GradientEdge or None
        Its input and output in autograd's graph.
    size : Size
        That of its output.
    saturated : float
        The share of values whose slope is flat.
    dead : (float, float)
        The share of units whose slopes are flat for all inputs, if units are the second axis, and the last.
    """

    name: str
    is_norm: bool
    source: GradientEdge | None
    edge: GradientEdge | None
    size: Size
    saturated: float = 0.0
    dead: tuple[float, float] = (0.0, 0.0)


@dataclass
class Layer:
    """A call of a module that has a weight of two axes or more.

    Attributes
    ----------
    name : str
        The module's, with the number of the call from the second on.
    module : Module
    source, edge : GradientEdge or None
        Its input and output in autograd's graph.
    input, size : Size
        Those of its input and of its output.
    activation : Follower, optional
        The first activation that its output flows into.
    end : Follower, optional
        The last norm, or else that activation, whose input comes from this layer alone.
    normed : bool
        Whether a norm of its output alone sets its scale.
    """

    name: str
    module: nn.Module
    source: GradientEdge | None
    edge: GradientEdge | None
    input: Size
    size: Size
    activation: Follower | None = None
    end: Follower | None = None
    normed: bool = False


@dataclass
class _Call:
    """A call of a module that has begun."""

    source: GradientEdge | None
    size: Size | None
    layers: int  # those that were there before


class Watch(TorchFunctionMode):
    """Context that sees what a module does.

    Attributes
    ----------
    layers : list of Layer
    followers : list of Follower
    inputs : list of (GradientEdge or None, Size)
        The module's inputs of floating point, then what it looks up by integers.
    sizes : dict of (Node, int) to Size
        Those of the results of all functions, by their place in autograd's graph.
    called : set of str
        The names of the modules that were called.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.followers: list[Follower] = []
        self.inputs: list[tuple[GradientEdge | None, Size]] = []
        self.sizes: dict[tuple[Any, int], Size] = {}
        self.called: set[str] = set()
        self._module = module
        self._open: list[_Call] = []
        self._given: list[tuple[GradientEdge | None, Any] | None] = []  # source and slopes of open followers
        self._hidden = 0  # calls of norms and activations that are written as several functions
        self._handles: list[Any] = []

    def __enter__(self) -> Watch:
        root = self._module
        self._handles.append(root.register_forward_pre_hook(self._begin, with_kwargs=True, prepend=True))
        for name, each in root.named_modules():
            if isinstance(each, parametrize.ParametrizationList):
                continue
            self._watch(each, clean(name))
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        for handle in self._handles:
            handle.remove()

    def _watch(self, module: nn.Module, name: str) -> None:
        kind = _composed(module)
        if kind is not None:
            before, after = self._enter_follower(is_norm=kind[1]), self._leave_follower(*kind)
        elif has_weight(module):
            before, after = (
                self._enter_layer,
                self._leave_layer(name or type(module).__name__.removeprefix("Parametrized")),
            )
        else:
            before, after = None, None
        if before is not None:
            self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(after, with_kwargs=True))
        self._handles.append(module.register_forward_pre_hook(lambda *_: self.called.add(name)))

    def _begin(self, _: nn.Module, args: Any, kwargs: Any) -> Any:
        """Let the module's inputs require gradients. They are copies, which the module may write to."""
        if self.inputs or self.layers:
            return None

        def traced(tensor: torch.Tensor) -> torch.Tensor:
            if not tensor.is_floating_point():
                return tensor
            copy = tensor.detach().clone().requires_grad_().clone()
            self.inputs.append((get_gradient_edge(copy), size_of(copy)))
            return copy

        with torch.enable_grad():
            return pytree.tree_map_only(torch.Tensor, traced, (args, kwargs))

    def _enter_layer(self, _: nn.Module, args: Any, kwargs: Any) -> Any:
        """Give a layer an alias of its input: the alias's gradient is what comes through this layer alone."""
        given = _floating((args, kwargs))
        if given is None:
            self._open.append(_Call(None, None, len(self.layers)))
            return None
        alias = given.view_as(given) if torch.is_grad_enabled() else given
        self._open.append(_Call(_edge(alias), size_of(given), len(self.layers)))
        return pytree.tree_map(lambda each: alias if each is given else each, (args, kwargs))

    def _leave_layer(self, name: str) -> Callable[..., Any]:
        calls = 0

        def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            nonlocal calls
            call = self._open.pop()
            if isinstance(output, torch.Tensor) and output._is_view():
                output = output.clone()  # what is written to a view takes the view's node out of the graph
            made = _floating(output)
            if made is None or call.layers < len(self.layers):
                return output
            calls += 1
            edge, size = _edge(made), size_of(made)
            self._keep(edge, size)
            if call.size is None:
                self.inputs.append((edge, size))
                return output
            title = name if calls == 1 else f"{name} ({calls})"
            self.layers.append(Layer(title, module, call.source, edge, call.size, size))
            return output

        return leave

    def _enter_follower(self, *, is_norm: bool) -> Callable[..., None]:
        """Look at the input before the call, which may write to it."""

        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            self._hidden += 1
            given = _floating((args, kwargs))
            if given is None:
                self._given.append(None)
                return
            slopes = (0.0, (0.0, 0.0)) if is_norm else _slopes(module.forward, given, (), {})
            self._given.append((_edge(given), slopes))

        return enter

    def _leave_follower(self, name: str, is_norm: bool) -> Callable[..., None]:
        def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            self._hidden -= 1
            given = self._given.pop()
            if isinstance(output, torch.Tensor) and given is not None:
                source, slopes = given
                self._follow(Follower(name, is_norm, source, _edge(output), size_of(output), *slopes))

        return leave

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._hidden:
            return function(*args, **kwargs)
        name = getattr(function, "__name__", "").partition(".")[0].rstrip("_")
        given = _floating((args[:1], kwargs)) if name in _ACTIVATIONS or name in _NORMS else None
        if given is None:
            result = function(*args, **kwargs)
            self._see(result)
            return result
        source, slopes = _edge(given), (0.0, (0.0, 0.0))
        if name in _ACTIVATIONS:
            slopes = _slopes(function, given, args[1:], kwargs)
            name = _spec(name, args[1:], kwargs)
        result = function(*args, **kwargs)
        if isinstance(result, torch.Tensor):
            edge = _edge(result)
            self._follow(Follower(name, name in _NORMS, source, edge, size_of(result), *slopes))
        return result

    def _follow(self, found: Follower) -> None:
        self.followers.append(found)
        self._keep(found.edge, found.size)

    def _see(self, result: Any) -> None:
        """Keep the size of a function's result, unless it is a part of another tensor."""
        if isinstance(result, torch.Tensor) and not result._is_view():
            edge = _edge(result) if result.is_floating_point() else None
            if edge is not None:
                self._keep(edge, size_of(result))

    def _keep(self, edge: GradientEdge | None, size: Size) -> None:
        if edge is not None:
            self.sizes[edge.node, edge.output_nr] = size


def has_weight(module: nn.Module) -> bool:
    """Whether a module has a parameter of its own of floating point, of two axes or more."""
    own = module._parameters.values()
    matrix = any(each is not None and each.is_floating_point() and each.dim() > 1 for each in own)
    return matrix or parametrize.is_parametrized(module)


def _floating(value: Any) -> torch.Tensor | None:
    """Return the first tensor of floating point."""
    return next((each for each in tensors_in(value) if each.is_floating_point()), None)


def _edge(tensor: torch.Tensor | None) -> GradientEdge | None:
    """Return a tensor's place in autograd's graph, whatever is done to the tensor in place later."""
    if tensor is None or not tensor.requires_grad or not torch.is_grad_enabled():
        return None
    return get_gradient_edge(tensor)


def _composed(module: nn.Module) -> tuple[str, bool] | None:
    """Return the name of a norm or activation that may be written as several functions, and which it is."""
    name = type(module).__name__.lower().removesuffix("activation")
    if module._modules or has_weight(module):
        return None
    if "norm" in name:
        return name, True
    for known in ("gelu", "silu", "swish"):
        if known in name and "hard" not in name and not module._parameters:
            return activation_of(known)[0], False
    return None


def _spec(name: str, args: Any, kwargs: Any) -> str:
    """Return an activation with its slope. A ReLU with a bound is one for values of usual size."""
    if name == "leaky_relu":
        slope = kwargs.get("negative_slope", args[0] if args else 0.01)
        return f"leaky_relu(negative_slope={float(slope)!r})"
    least = kwargs.get("min_val", args[0] if args else -1.0)
    if name == "relu6" or (name == "hardtanh" and least == 0.0):
        return "relu"
    return name


def _slopes(
    function: Callable[..., Any], given: torch.Tensor, args: Any, kwargs: Any
) -> tuple[float, tuple[float, float]]:
    """Return the share of flat values, and those of dead units along the second axis and the last."""
    values = given.detach().clone()
    rest = {key: each for key, each in kwargs.items() if key != "input"}

    def slope(x: torch.Tensor) -> torch.Tensor:
        # Checkpoints count what is kept for the way back: not this.
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            x.requires_grad_()
            y = function(x.clone(), *args, **rest)
            return torch.autograd.grad(y.sum(), x)[0].abs()

    steepest = slope(torch.linspace(-4.0, 4.0, 801, dtype=values.dtype, device=values.device)).max()
    slopes = slope(values)
    return float((slopes < _FLAT * steepest).float().mean()), (
        _dead(slopes, steepest, min(1, slopes.dim() - 1)),
        _dead(slopes, steepest, slopes.dim() - 1),
    )


def _dead(slopes: torch.Tensor, steepest: torch.Tensor, axis: int) -> float:
    """Return the share of the units along an axis whose slopes are all next to nothing."""
    if slopes.dim() < 2:
        return 0.0
    most = slopes.movedim(axis, 0).flatten(1).max(dim=1).values
    return float((most < _DEAD * steepest).float().mean())

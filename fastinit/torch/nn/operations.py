"""The operations ``torch.ops.fastinit``: kernels of `fastinit.nn`, for dense tensors on the CPU.

Each is a custom operation of torch with a kernel, a fake kernel, a gradient and a rule for vmap. A gradient
is such an operation itself, or made of torch's, so derivatives of every order are right in reverse mode.
Forward mode is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._functorch.autograd_function import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.autograd.forward_ad import _set_fwd_grad_enabled
from torch.autograd.function import _SingleLevelFunction

from fastinit import nn

__all__ = ["OPERATIONS"]

_ops = torch.ops.fastinit


class Operation(NamedTuple):
    """What torch has to know of a function of `fastinit.nn`."""

    schema: str
    #: What the gradient needs, from the output and the arguments.
    kept: Callable[..., Sequence[Tensor]]
    #: The gradients of the tensors, from what is kept, the slope if there is one, and the outputs' gradients.
    gradients: Callable[..., Sequence[Tensor]]


def _second_of_selu(grad: Tensor, y: Tensor, g: Tensor) -> Sequence[Tensor]:
    """Return the gradients of ``selu_backward(grad, y)``, whose factor is y + constant for y <= 0."""
    return _ops.selu_backward(g, y), torch.where(y > 0, 0, g * grad)


#: By name, as in `fastinit.nn`. A gradient keeps an output and not an input if it can: the next layer keeps
#: it, too, and an operation in place may change the input. LeakyReLU's output has the sign of its input,
#: unless the slope is negative.
OPERATIONS = {
    "leaky_relu": Operation(
        "(Tensor x, float negative_slope) -> Tensor",
        lambda y, x, slope: [y if slope >= 0 else x],
        lambda x, slope, g: [_ops.leaky_relu_backward(g, x, slope)],
    ),
    "leaky_relu_backward": Operation(
        "(Tensor grad, Tensor x, float negative_slope) -> Tensor",
        lambda _, grad, x, slope: [x],
        lambda x, slope, g: [_ops.leaky_relu_backward(g, x, slope), torch.zeros_like(x)],
    ),
    "selu": Operation(
        "(Tensor x) -> Tensor",
        lambda y, x: [y],
        lambda y, g: [_ops.selu_backward(g, y)],
    ),
    "selu_backward": Operation(
        "(Tensor grad, Tensor y) -> Tensor",
        lambda _, grad, y: [grad, y],
        _second_of_selu,
    ),
    "bias_leaky_relu": Operation(
        "(Tensor x, Tensor bias, float negative_slope) -> Tensor",
        lambda _, x, bias, slope: [x, bias],
        lambda x, bias, slope, g: _ops.bias_leaky_relu_backward(g, x, bias, slope),
    ),
    "bias_leaky_relu_backward": Operation(
        "(Tensor grad, Tensor x, Tensor bias, float negative_slope) -> (Tensor, Tensor)",
        lambda _, grad, x, bias, slope: [x, bias],
        lambda x, bias, slope, g, of_bias: [
            _ops.bias_leaky_relu_backward(g + of_bias, x, bias, slope)[0],
            torch.zeros_like(x),
            torch.zeros_like(bias),
        ],
    ),
    "bias_selu": Operation(
        "(Tensor x, Tensor bias) -> Tensor",
        lambda y, x, bias: [y],
        lambda y, g: _ops.bias_selu_backward(g, y),
    ),
    "bias_selu_backward": Operation(
        "(Tensor grad, Tensor y) -> (Tensor, Tensor)",
        lambda _, grad, y: [grad, y],
        lambda grad, y, g, of_bias: _second_of_selu(grad, y, g + of_bias),
    ),
}

_PLAIN = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU).add(torch._C.DispatchKey.AutogradCPU).raw_repr()
_library = torch.library.Library("fastinit", "FRAGMENT")


def _register(name: str, operation: Operation) -> None:
    function, place = getattr(nn, name), int(name.endswith("_backward"))
    sums = operation.schema.endswith("(Tensor, Tensor)")

    def outputs(*args: Any) -> Any:
        like = args[place]  # a gradient has the layout of the output, and not that of the output's gradient
        out = torch.empty_like(like)
        return (out, like.new_empty(like.shape[-1:])) if sums else out

    def kernel(*args: Any) -> Any:
        out = outputs(*args)
        function(*map(_memory, args), out=tuple(map(_memory, out)) if sums else _memory(out))
        return out

    made = torch.library.custom_op(f"fastinit::{name}", kernel, mutates_args=(), schema=operation.schema)
    made.register_fake(outputs)
    made.register_vmap(_columns(made, sums) if "bias" in name else _elementwise(made))
    _library.impl(name, kernel, "CPU")  # without torch's checks of every call, which take 3 us
    _library.impl(name, _differentiable(name, operation, kernel), "AutogradCPU", with_keyset=True)


def _memory(x: Any) -> Any:
    """Return the array of a tensor, which takes `fastinit.nn` less time; bfloat16 may have none."""
    if not isinstance(x, Tensor):
        return x
    return x.detach() if x.dtype is torch.bfloat16 else x.detach().numpy()


def _differentiable(name: str, operation: Operation, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return the kernel that records an operation for the backward pass.

    ``register_autograd`` makes one that raises an error under the transforms of `torch.func`, and gives zeros
    for derivatives in forward mode. A function of one level is what these transforms run at each level.
    """
    forward = getattr(_ops, name).default

    class Recorded(_SingleLevelFunction):
        @staticmethod
        def forward(keys: Any, *args: Any) -> Any:
            if keys.raw_repr() == _PLAIN:  # nothing but the kernel would follow, a few us later
                return kernel(*args)
            with torch._C._AutoDispatchBelowAutograd():
                return forward.redispatch(keys & torch._C._after_autograd_keyset, *args)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            args = inputs[1:]
            ctx.save_for_backward(*operation.kept(output, *args))
            ctx.slope = [x for x in args if not isinstance(x, Tensor)]

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
            found = operation.gradients(*ctx.saved_tensors, *ctx.slope, *grads)
            return None, *found, *[None for _ in ctx.slope]

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            raise NotImplementedError(
                f"fastinit::{name} has no derivative in forward mode, which torch.func.jvp, jacfwd and "
                "hessian need: take reverse mode, or the function of torch.nn.functional"
            )

    class Transformed(Recorded):
        """The same at one of the levels of `torch.func`, below which derivatives are taken, too."""

        @staticmethod
        def forward(*args: Any) -> Any:
            with torch.enable_grad(), _set_fwd_grad_enabled(True):
                return Recorded.forward(*args)

    def differentiable(keys: Any, *args: Any) -> Any:
        if torch._C._are_functorch_transforms_active():
            with enable_single_level_autograd_function():
                return Transformed.apply(keys, *args)
        recorded = torch.is_grad_enabled() and torch._C._any_requires_grad(*args)
        if recorded or forward_ad._current_level >= 0:  # an operand may have a tangent
            return Recorded.apply(keys, *args)
        return Recorded.forward(keys, *args)

    return differentiable


def _elementwise(operation: Any) -> Callable[..., Any]:
    """Return the rule for vmap of an operation whose tensors have one shape."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        return operation(*_in_front(info, in_dims, args)), 0

    return rule


def _columns(operation: Any, sums: bool) -> Callable[..., Any]:
    """Return the rule for vmap of an operation on rows: those of a batch are joined to longer ones.

    So each element of the batch has columns, a bias and sums of its own.
    """

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        batch = _in_front(info, in_dims, args)
        rows = (info.batch_size, batch[0].shape[-1])
        joined = [x.movedim(0, -2).flatten(-2) if isinstance(x, Tensor) else x for x in batch]
        found = operation(*joined)
        apart = [x.unflatten(-1, rows).movedim(-2, 0) for x in (found if sums else [found])]
        return (tuple(apart), (0, 0)) if sums else (apart[0], 0)

    return rule


def _in_front(info: Any, in_dims: tuple[int | None, ...], args: tuple[Any, ...]) -> list[Any]:
    """Return the arguments, with the axis of the batch as the first of each tensor."""
    return [
        x
        if not isinstance(x, Tensor)
        else x.expand(info.batch_size, *x.shape)
        if dim is None
        else x.movedim(dim, 0)
        for x, dim in zip(args, in_dims, strict=True)
    ]


for _name, _operation in OPERATIONS.items():
    _register(_name, _operation)

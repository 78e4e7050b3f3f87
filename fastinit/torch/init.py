"""`torch.nn.init` with fastinit's values: its names, signatures, defaults, errors and warnings.

``import fastinit.torch.init as init`` takes the place of ``import torch.nn.init as init``. A tensor gets the
values of `fastinit.init`'s function of that name, whatever its device, strides and placements.

generator : torch.Generator, fastinit.random.Generator, numpy.random.Generator or int, optional
    fastinit's and NumPy's move past the tensor. Of torch's, the seed is drawn, as
    ``int(torch.randint(0, 2**63 - 1, (), generator=generator))``; None draws it from torch's default
    generator, so that ``torch.manual_seed`` governs.

Left to torch are tensors without elements, on the meta device, of a class that overrides what torch does, as
FakeTensor does, and of dtypes other than float16, bfloat16, float32 and float64. `patch` has the functions of
`torch.nn.init` themselves do the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.nn.init import _calculate_correct_fan as _calculate_correct_fan
from torch.nn.init import _calculate_fan_in_and_fan_out as _calculate_fan_in_and_fan_out
from torch.nn.init import _make_deprecate
from torch.nn.init import calculate_gain as calculate_gain
from torch.nn.init import ones_ as ones_  # torch's own: they write the same bits on any device
from torch.nn.init import zeros_ as zeros_

from fastinit import init
from fastinit._arrays import is_sharded
from fastinit._tables import kept
from fastinit.init.seeds import generator_of

from . import hooks
from .filling import fill_
from .sharding import local

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "patch",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_Generator = Any


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: _Generator = None) -> Tensor:
    """Draw uniformly from ``[a, b)``.

    Examples
    --------
    >>> bool(uniform_(torch.empty(3, 5), -1, 0).max() < 0)
    True
    """
    return _filled("uniform_", tensor, generator, a=a, b=b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: _Generator = None) -> Tensor:
    """Draw normals.

    Examples
    --------
    >>> one, other = normal_(torch.empty(3, 5), generator=7), torch.empty(3, 5, dtype=torch.bfloat16)
    >>> bool((normal_(other, generator=7) == one.bfloat16()).all())
    True
    """
    return _filled("normal_", tensor, generator, mean=mean, std=std)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: _Generator = None,
) -> Tensor:
    """Draw normals that lie in ``[a, b]``.

    Examples
    --------
    >>> bool(trunc_normal_(torch.empty(3, 5), std=0.02, a=-0.04, b=0.04).abs().max() <= 0.04)
    True
    """
    return _filled("trunc_normal_", tensor, generator, mean=mean, std=std, a=a, b=b)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value, which is rounded once.

    Examples
    --------
    >>> constant_(torch.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return _filled("constant_", tensor, val=val)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity.

    Examples
    --------
    >>> eye_(torch.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    return _filled("eye_", tensor)


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight so that it passes on its input channels.

    Examples
    --------
    >>> dirac_(torch.empty(1, 1, 3))
    tensor([[[0., 1., 0.]]])
    """
    return _filled("dirac_", tensor, groups=groups)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: _Generator = None) -> Tensor:
    """Draw uniformly with a variance of ``gain**2 * 2 / (fan_in + fan_out)``.

    Examples
    --------
    >>> bool(xavier_uniform_(torch.empty(256, 784)).abs().max() < (6 / (256 + 784)) ** 0.5)
    True
    """
    return _filled("xavier_uniform_", tensor, generator, gain=gain)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: _Generator = None) -> Tensor:
    """Draw normals with a variance of ``gain**2 * 2 / (fan_in + fan_out)``.

    Examples
    --------
    >>> round(float(xavier_normal_(torch.empty(256, 784), calculate_gain("tanh")).std()), 3)
    0.073
    """
    return _filled("xavier_normal_", tensor, generator, gain=gain)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: _Generator = None,
) -> Tensor:
    """Draw uniformly with a standard deviation of ``gain / sqrt(fan)``.

    Examples
    --------
    >>> bool(kaiming_uniform_(torch.empty(256, 784), a=5**0.5).abs().max() < 784**-0.5)
    True
    """
    return _filled("kaiming_uniform_", tensor, generator, a=a, mode=mode, nonlinearity=nonlinearity)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: _Generator = None,
) -> Tensor:
    """Draw normals with a standard deviation of ``gain / sqrt(fan)``.

    Examples
    --------
    >>> round(float(kaiming_normal_(torch.empty(256, 800), nonlinearity="relu").std()), 3)
    0.05
    """
    return _filled("kaiming_normal_", tensor, generator, a=a, mode=mode, nonlinearity=nonlinearity)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: _Generator = None) -> Tensor:
    """Fill with a (semi-)orthogonal matrix, the first axis by the others. Half types are filled, too.

    Examples
    --------
    >>> w = orthogonal_(torch.empty(3, 5))
    >>> bool(torch.allclose(w @ w.T, torch.eye(3), atol=1e-6))
    True
    """
    return _filled("orthogonal_", tensor, generator, gain=gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: _Generator = None) -> Tensor:
    """Draw a matrix of normals with the same number of zeros in each column.

    Examples
    --------
    >>> (sparse_(torch.empty(10, 3), 0.25) == 0).sum(0)
    tensor([3, 3, 3])
    """
    return _filled("sparse_", tensor, generator, sparsity=sparsity, std=std)


uniform = _make_deprecate(uniform_)
normal = _make_deprecate(normal_)
constant = _make_deprecate(constant_)
eye = _make_deprecate(eye_)
dirac = _make_deprecate(dirac_)
xavier_uniform = _make_deprecate(xavier_uniform_)
xavier_normal = _make_deprecate(xavier_normal_)
kaiming_uniform = _make_deprecate(kaiming_uniform_)
kaiming_normal = _make_deprecate(kaiming_normal_)
orthogonal = _make_deprecate(orthogonal_)
sparse = _make_deprecate(sparse_)


@contextmanager
def patch(generator: _Generator = None) -> Iterator[None]:
    """Context in which the functions of `torch.nn.init` are fastinit's, for unchanged code.

    All calls in this thread, also by references that libraries have taken before, draw from one generator, in
    their order. A call that gives its own generator draws from that. Of contexts within each other, the
    innermost acts, `by_name` and `record` included. Other threads and the methods of tensors, such as
    ``tensor.normal_()``, stay torch's.

    Parameters
    ----------
    generator : torch.Generator, fastinit.random.Generator, numpy.random.Generator or int, optional
        Torch's gives one seed, on entry, and None takes it from torch's default generator.

    Examples
    --------
    >>> with patch(7):
    ...     linear = torch.nn.Linear(3, 2, bias=False)
    >>> same = kaiming_uniform_(torch.empty(2, 3), a=5**0.5, generator=7)
    >>> bool((linear.weight == same).all())
    True
    """
    tracker = _Patch(generator_of(torch.default_generator if generator is None else generator))
    hooks.install(tracker)
    try:
        yield
    finally:
        hooks.remove(tracker)


#: Those that take no generator.
_CONSTANT = ("constant_", "eye_", "dirac_")

#: Those whose errors do not depend on the number of elements, and are the same without any.
_SHAPELESS = ("uniform_", "normal_", "trunc_normal_", "constant_", "sparse_")

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class _Patch:
    """A tracker whose law is fastinit's fill."""

    laws = frozenset(name for name in __all__ if name.endswith("_")) - {"ones_", "zeros_"}

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def law(self, name: str, original: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = hooks.arguments_of(name, args, kwargs)
        tensor, generator = arguments.pop("tensor"), arguments.pop("generator", None)
        if not _is_memory(tensor):
            return _left(name, original, tensor, generator, arguments)
        return _written(name, tensor, self._generator if generator is None else generator, arguments)


def _filled(name: str, tensor: Any, generator: Any = None, **arguments: Any) -> Any:
    """Do what a function of this module does, or what the innermost context makes of torch's."""
    contexts = hooks.active()
    decided = contexts and (_is_torchs(generator) or not isinstance(contexts[-1], _Patch))
    if decided or not _is_memory(tensor):
        return _left(name, hooks.seen_by(contexts, name), tensor, generator, arguments)
    return _written(name, tensor, generator, arguments)


def _left(name: str, theirs: Any, tensor: Any, generator: Any, arguments: dict[str, Any]) -> Any:
    """Leave a tensor to torch's function, or to a context."""
    if not _is_torchs(generator):
        if getattr(tensor, "is_complex", bool)():
            raise TypeError(f"{name} of a {tensor.dtype} tensor draws from a generator of torch alone")
        generator = None
    try:
        return theirs(tensor, **arguments, **_drawing(name, generator))
    except DataDependentOutputException:  # a FakeTensor has no values outside the bounds to draw again
        return tensor


def _is_torchs(generator: Any) -> bool:
    return generator is None or isinstance(generator, torch.Generator)


def _written(name: str, tensor: Tensor, generator: Any, arguments: dict[str, Any]) -> Tensor:
    """Fill a tensor that has memory. An error is torch's, if that has one for these arguments."""
    try:
        initializer = _initializer(name, **arguments)
        if tensor.is_cpu or is_sharded(tensor):
            initializer.fill_(tensor, generator)
        else:
            fill_(tensor, initializer, generator)
    except (OverflowError, TypeError, ValueError) as error:
        raise _refusal(name, tensor, arguments) or error from None
    return tensor


@kept
def _initializer(name: str, **arguments: Any) -> init.Initializer:
    """Return the initialiser that does what a function of this module does."""
    if "nonlinearity" in arguments:  # fastinit has gains that torch lacks
        calculate_gain(arguments["nonlinearity"], arguments["a"])
    initializer: init.Initializer = getattr(init, name).initializer(**arguments)
    return initializer


def _drawing(name: str, generator: Any) -> dict[str, Any]:
    return {} if name in _CONSTANT else {"generator": generator}


def _is_memory(tensor: Any) -> bool:
    """Whether an object is a tensor with elements in memory, of a dtype that fastinit fills."""
    if not isinstance(tensor, Tensor) or tensor.dtype not in _DTYPES:
        return False
    if (part := local(tensor)) is None:
        part = tensor
    kind: Any = type(part)
    return _is_plain(kind) and part.layout is torch.strided and not part.is_meta and tensor.numel() > 0


@functools.cache
def _is_plain(kind: Any) -> bool:
    """Whether a class of tensors overrides neither functions nor operators, as FakeTensor does."""
    functions = getattr(kind.__torch_function__, "__func__", kind.__torch_function__)
    plain = (torch._C._disabled_torch_function_impl, Tensor.__torch_function__.__func__)
    return functions in plain and kind.__torch_dispatch__ is Tensor.__torch_dispatch__


def _refusal(name: str, tensor: Tensor, arguments: dict[str, Any]) -> Exception | None:
    """Return the error of torch's function for arguments that fastinit refuses, or None if it has none.

    It gets a tensor without elements or memory, or one whose elements share memory, which it does not write.
    """
    spread = any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))
    if spread and name not in _CONSTANT:
        probe, arguments = tensor, arguments | {"generator": torch.Generator(tensor.device)}
    elif name in _SHAPELESS:
        probe = torch.empty((0,) * max(tensor.dim(), 1), dtype=tensor.dtype, device="cpu")
    else:
        probe = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    try:
        hooks.original(name)(probe, **arguments)
    except Exception as error:
        return error
    return None

"""Arrays of the four dtypes, whoever made them: their memory as the kernels take it, without a copy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit import _dtypes

__all__ = ["as_input", "as_output", "say_written"]

Storage = tuple[npt.NDArray[Any], str]


def as_input(x: Any) -> Storage:
    """Return an array of the storage of x's dtype, in any byte order, and the dtype's tag.

    Its memory is x's own where x is a NumPy array, a torch tensor on the CPU, or speaks the buffer protocol,
    ``__array__`` or DLPack; anything else is what `numpy.asarray` makes of it.
    """
    tensor = _torch_memory(x)
    if tensor is not None:
        return tensor
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return _tagged(_from_dlpack(x))
    return _tagged(np.asarray(x))


def as_output(out: Any) -> Storage:
    """Return the writable memory of `out`, as `as_input` does."""
    memory = _torch_memory(out)
    if memory is None:
        memory = _tagged(_own_memory(out))
    array = memory[0]
    if not array.flags.writeable:
        raise ValueError("output array is read-only")
    if array.size and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True)):
        raise ValueError(f"output array of shape {array.shape} is expanded: its elements share memory")
    return memory


def say_written(out: Any) -> None:
    """Tell autograd that `out`, if it is a tensor, has changed: to be called once nothing more can fail."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(out, torch.Tensor) and not out.is_inference():
        torch.autograd.graph.increment_version(out)


def _own_memory(out: Any) -> npt.NDArray[Any]:
    if isinstance(out, np.ndarray):
        return out
    if hasattr(out, "__dlpack__"):
        return _from_dlpack(out)
    try:
        return np.asarray(memoryview(out))
    except TypeError:
        raise TypeError(
            f"out must be an array, a tensor or a writable buffer, not {type(out).__name__}"
        ) from None


def _from_dlpack(x: Any) -> npt.NDArray[Any]:
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError) as error:  # of bfloat16, among others
        if hasattr(x, "__array__") and not (array := np.asarray(x)).flags.writeable:
            return array  # a JAX array
        raise TypeError(f"NumPy takes no {type(x).__name__} by DLPack: {error}") from None


_NATIVE = {dtype: tag for tag, dtype in _dtypes.STORAGE.items() if tag != "bf16"}


def _tagged(array: npt.NDArray[Any]) -> Storage:
    if type(array) is not np.ndarray:
        array = array.view(np.ndarray)
    if known := _NATIVE.get(array.dtype):
        return array, known
    try:
        tag = _dtypes.tag(array.dtype.newbyteorder("="))
    except TypeError:
        raise TypeError(
            f"float16, bfloat16, float32 or float64 is wanted, not an array of dtype {array.dtype}"
        ) from None
    if tag == "bf16":
        array = array.view(np.dtype(np.uint16).newbyteorder(array.dtype.byteorder))
    return array, tag


def _torch_memory(x: Any) -> Storage | None:
    torch = sys.modules.get("torch")  # who has a tensor has imported it
    if torch is None or not isinstance(x, torch.Tensor):
        return None
    if x.device.type != "cpu" or x.layout != torch.strided:
        raise TypeError(f"the tensor must be dense and on the CPU, not {x.layout} on {x.device}")
    if x.requires_grad:
        raise RuntimeError("the tensor requires grad, which fastinit does not record: give tensor.detach()")
    if x.dtype == torch.bfloat16:
        return x.view(torch.int16).numpy().view(np.uint16), "bf16"
    return _tagged(x.numpy())

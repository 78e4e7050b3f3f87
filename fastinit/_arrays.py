"""The memory of arrays from any library, without a copy.

The operands and outputs of `fastinit.nn` and the arrays that `fastinit.init` fills in place come through
here: NumPy arrays, torch tensors on the CPU, and objects with the buffer protocol or DLPack, with any
strides, alignment and byte order. An input may be anything that `numpy.asarray` takes. A subclass of ndarray,
such as `numpy.matrix` or a masked array, counts as its memory: a mask is neither read nor changed, and masked
elements are written, too. `fastinit.nn` refuses a tensor that requires grad, as its gradient would be lost.
Initialisers fill it, as torch's do.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit import _dtypes
from fastinit._dtypes import Dtype

Array = npt.NDArray[Any]


def memory_of(x: Any, *, output: bool, fills: bool = False) -> tuple[Array, Dtype | None]:
    """Return the memory of x, as the storage of its dtype, and the dtype, or None for another dtype.

    Parameters
    ----------
    x : array, tensor or buffer
        Or any array_like, if it is not an output.
    output : bool
        x is written to, so it must not be copied.
    fills : bool
        x may be a tensor that requires grad.

    Raises
    ------
    TypeError
        x has no memory that NumPy can access.
    RuntimeError
        x is a tensor that requires grad, and `fills` is False.
    """
    torch = sys.modules.get("torch")  # a tensor exists only if torch is imported
    if type(x) is np.ndarray:
        array = x
    elif torch is not None and isinstance(x, torch.Tensor):
        if not x.is_cpu or x.layout is not torch.strided:
            hint = "; fastinit.torch.fill_ and fastinit.torch.init take others" if fills else ""
            raise TypeError(f"the tensor must be dense and on the CPU, not {x.layout} on {x.device}{hint}")
        if x.requires_grad and not fills:
            raise RuntimeError(
                "the tensor requires grad, which fastinit does not record: give tensor.detach()"
            )
        check_storage(x)
        record = _dtypes.of_torch(x.dtype)
        if record is not None:  # NumPy has no such dtype
            words = x.detach().view(getattr(torch, f"int{8 * record.storage.itemsize}"))
            return words.numpy().view(record.storage), record
        array = (x.detach() if x.requires_grad else x).numpy()
    elif isinstance(x, np.ndarray):
        array = x.view(np.ndarray)
    elif hasattr(x, "__dlpack__") and (output or not hasattr(x, "__array__")):
        array = _from_dlpack(x)
    elif output:
        try:
            array = np.asarray(memoryview(x))
        except TypeError:
            wanted = "an array, a tensor or a writable buffer is wanted"
            raise TypeError(f"{wanted}, not {type(x).__name__}") from None
    else:
        array = np.asarray(x)
        if array.dtype.kind in "iu" and not hasattr(x, "dtype"):
            array = array.astype(np.float64)  # a list or a number
    dtype, storage = _record_of(array.dtype)
    return array if storage is None else array.view(storage), dtype


def is_sharded(x: Any) -> bool:
    """Whether x is a DTensor of torch. To import its class would take half a second."""
    kind: Any = type(x)
    return _is_of_shards(kind)


@functools.lru_cache(64)
def _is_of_shards(kind: Any) -> bool:  # hasattr of a class takes 0.2 us if it is not there
    return hasattr(kind, "device_mesh") and hasattr(kind, "_local_tensor")


_TORCH_ALONE = ("complex32", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")


def needs_torch(x: Any) -> bool:
    """Whether x is a tensor on the CPU that torch fills and NumPy cannot see, or sees with other signs."""
    torch = None if type(x) is np.ndarray else sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor) or not x.is_cpu or x.layout is not torch.strided:
        return False
    alone = x.is_conj() or x.is_neg() or x.dtype in [getattr(torch, name) for name in _TORCH_ALONE]
    return alone and x.untyped_storage().nbytes() >= _end(x)


def check_storage(x: Any) -> None:
    """Refuse a dense tensor whose elements have no memory, as FSDP1 leaves it."""
    if x.untyped_storage().nbytes() < _end(x):
        raise ValueError("the tensor's storage has been freed, in whole or in part")


def _end(x: Any) -> int:
    """Return the bytes that a tensor's storage needs."""
    if not (size := x.numel()):
        return 0
    if not x.is_contiguous():
        size = 1 + sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
    return int((x.storage_offset() + size) * x.element_size())


@functools.lru_cache(64)
def _record_of(dtype: np.dtype[Any]) -> tuple[Dtype | None, np.dtype[Any] | None]:
    """Return the record of a dtype in any byte order, and its storage in that order if it is another."""
    native = dtype.newbyteorder("=")
    try:
        record = _dtypes.of(native)
    except TypeError:
        return None, None
    return record, None if record.storage == native else record.storage.newbyteorder(dtype.byteorder)


def as_input(x: Any) -> tuple[Array, Dtype]:
    """Return the memory of an operand, and its dtype. Raise TypeError for another dtype."""
    return _floating(*memory_of(x, output=False))


def as_output(out: Any) -> tuple[Array, Dtype]:
    """Return the writable memory of `out`, and its dtype.

    Raises
    ------
    ValueError
        `out` is read-only, or several of its elements share memory.
    """
    array, dtype = _floating(*memory_of(out, output=True))
    check_writable(array)
    return array, dtype


def check_writable(array: Array, *, shared: bool = False) -> None:
    """Refuse an output that is read-only, or whose elements share memory unless `shared` is True."""
    if not array.flags.writeable:
        raise ValueError("output array is read-only")
    if 0 in array.strides and array.size and not shared:
        if any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True)):
            raise ValueError(f"output array of shape {array.shape} is expanded: its elements share memory")


def say_written(out: Any) -> None:
    """Tell autograd that `out` changes, if it is a tensor. No refusal may follow."""
    torch = None if type(out) is np.ndarray else sys.modules.get("torch")
    if torch is not None and isinstance(out, torch.Tensor) and not out.is_inference():
        torch.autograd.graph.increment_version(out)


def _floating(array: Array, dtype: Dtype | None) -> tuple[Array, Dtype]:
    if dtype is None or dtype not in _dtypes.DTYPES.values():
        raise TypeError(
            f"float16, bfloat16, float32 or float64 is wanted, not an array of dtype {array.dtype}"
        )
    return array, dtype


def _from_dlpack(x: Any) -> Array:
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError) as error:  # for one, if the dtype is bfloat16
        if hasattr(x, "__array__") and not (array := np.asarray(x)).flags.writeable:
            return array  # a JAX array
        raise TypeError(f"NumPy takes no {type(x).__name__} by DLPack: {error}") from None

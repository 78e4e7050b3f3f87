"""The result of a Generator's method: a float, a new array, or the caller's `out`."""

import numpy as np

cimport numpy as cnp
from libc.float cimport FLT_MIN
from libc.math cimport fabs
from libc.string cimport memcpy

from fastinit._kernels cimport FI_F32, FI_F64, fi_dist, fi_dtype, fi_itemsize, fi_params
from fastinit._sampling cimport Source

from fastinit import _dtypes
from fastinit._dispatch import DTYPES, default_fp

cnp.import_array()

cdef object FLOAT64 = np.float64
cdef dict codes = {}  # the fi_dtype of dtype arguments seen, if these are strings, classes or dtypes
cdef Py_ssize_t MOST = 64  # of them: a class with an attribute `dtype` is one, too
cdef dict dtypes = {FI_F64: np.dtype(np.float64)}  # the NumPy dtype of each fi_dtype seen


cdef fi_dtype code_of(dtype, name) except *:
    """The fi_dtype of a `dtype` argument. Error messages name the method `name`."""
    if dtype is FLOAT64 or dtype is None:
        return FI_F64
    # Other arguments may be equal though their dtypes differ, as np.float32(1) and np.float64(1).
    cdef bint named = type(dtype) is type or type(dtype) is str or cnp.PyArray_DescrCheck(dtype)
    if named:
        try:
            return codes[dtype]
        except KeyError:
            pass
    try:
        found = _dtypes.of(dtype)
    except TypeError:
        raise TypeError(f"Unsupported dtype {np.dtype(dtype)!r} for {name}") from None
    code = DTYPES[found.tag]
    dtypes[code] = found.numpy
    if named and len(codes) < MOST:
        codes[dtype] = code
    return code


cdef object dtype_of(fi_dtype code):
    return dtypes[code]


cdef object new_array(size, fi_dtype code):
    cdef cnp.npy_intp n
    if code == FI_F64 and type(size) is int:
        try:
            n = size
        except OverflowError:
            raise ValueError("Maximum allowed dimension exceeded") from None
        return cnp.PyArray_EMPTY(1, &n, cnp.NPY_DOUBLE, 0)
    return np.empty(size, dtypes[code])


cdef int check_out(out, fi_dtype code, size, bint fortran) except -1:
    return check_array(out, dtypes[code], size, fortran)


cdef int check_array(out, expected, size, bint fortran) except -1:
    """Refuse an `out` array that NumPy refuses, with its error classes. Memory may be misaligned."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    ordered = cnp.PyArray_IS_C_CONTIGUOUS(out) or fortran and cnp.PyArray_IS_F_CONTIGUOUS(out)
    if not (ordered and cnp.PyArray_ISWRITEABLE(out) and cnp.PyArray_ISNOTSWAPPED(out)):
        kind = "" if fortran else "C-"
        raise ValueError(
            f"Supplied output array must be {kind}contiguous, writable, and in machine byte-order."
        )
    return check_fit(out, expected, size)


cdef int check_strided(out, expected, size) except -1:
    """Refuse an `out` array of another dtype or shape, or one that is read-only. It may have any layout."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    if not (out.flags.writeable and out.dtype.isnative):
        raise ValueError("Supplied output array must be writable, and in machine byte-order.")
    return check_fit(out, expected, size)


cdef int check_fit(out, expected, size) except -1:
    if out.dtype != expected:
        raise TypeError(f"Supplied output array has the wrong type. Expected {expected}, got {out.dtype}")
    if size is not None:
        wanted = (size,) if np.ndim(size) == 0 else tuple(size)
        if wanted != out.shape:
            raise ValueError(f"size must match out.shape when used together: {wanted} and {out.shape}")
    return 0


cdef object as_float(const void *value, fi_dtype dtype):
    """Return a stored value as a Python float."""
    cdef float single
    cdef double wide
    if dtype == FI_F64:
        memcpy(&wide, value, sizeof(wide))
        return wide
    memcpy(&single, value, sizeof(single))
    if dtype == FI_F32 and fabs(single) >= FLT_MIN:
        return single
    with default_fp():  # the caller's modes may flush a subnormal
        return float(np.frombuffer((<const char *>value)[:fi_itemsize(dtype)], dtypes[dtype])[0])


cdef object sample(Source source, fi_dist dist, fi_dtype code, const fi_params *params, size, out):
    """Sample one float, a new array, or `out`, with the same parameters for each element."""
    cdef double wide = 0
    if out is None:
        if size is None:
            source.fill(&wide, 1, dist, code, params)
            return as_float(&wide, code)
        out = new_array(size, code)
    else:
        check_out(out, code, size, True)
    target = out if cnp.PyArray_ISALIGNED(out) else np.empty_like(out, subok=False)
    source.fill(cnp.PyArray_DATA(target), cnp.PyArray_SIZE(target), dist, code, params)
    if target is not out:
        np.asarray(out)[...] = target
    return out

"""Array parameters: they broadcast to the shape of the result, one set for each element."""

import numpy as np

cimport numpy as cnp
from cpython.float cimport PyFloat_Check
from cpython.long cimport PyLong_Check
from libc.math cimport INFINITY, NAN, isfinite, isnan, signbit

from fastinit._kernels cimport FI_F64, FI_PARAMETERS, FI_TRUNCATED_NORMAL, fi_dist, fi_dtype, fi_params
from fastinit._output cimport check_out, dtype_of
from fastinit._sampling cimport Source, set_params

from fastinit._dispatch import default_fp

cnp.import_array()


cdef bint is_scalar(x) except -1:
    if PyFloat_Check(x) or PyLong_Check(x) or cnp.PyArray_CheckScalar(x):
        return True
    return not cnp.PyArray_Check(x) and np.ndim(x) == 0


cdef tuple broadcast(arguments, size, out, fi_dtype code):
    """Return the arguments as float64 arrays, and the shape of the result. Refuses a wrong `out`."""
    if out is not None:
        check_out(out, code, size, False)
        size = out.shape
    # As NumPy's Generator, this refuses arrays of what float64 does not hold safely.
    arrays = [cnp.PyArray_FROMANY(x, cnp.NPY_DOUBLE, 0, 0, cnp.NPY_ARRAY_ALIGNED) for x in arguments]
    shape = np.broadcast(*arrays).shape
    if size is None:
        return arrays, shape
    size = (size,) if np.ndim(size) == 0 else tuple(size)
    try:
        fits = shape == size or np.broadcast_shapes(shape, size) == size
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"Output size {size} is not compatible with broadcast dimensions of inputs {shape}.")
    return arrays, size


cdef object sample_each(Source source, fi_dist dist, fi_dtype code, arguments, shape, out):
    """Return a sample whose elements each have their own parameters."""
    cdef const double *columns[FI_PARAMETERS]
    if out is None:
        out = np.empty(shape, dtype_of(code))
    else:  # results must not become parameters
        arguments = [x.copy() if np.may_share_memory(x, out) else x for x in arguments]
    flat = [np.ascontiguousarray(np.broadcast_to(x, shape)) for x in arguments]
    for i in range(len(flat)):
        columns[i] = <const double *>cnp.PyArray_DATA(flat[i])
    source.fill_each(cnp.PyArray_DATA(out), cnp.PyArray_SIZE(out), dist, code, columns)
    return out


cdef object affine(loc, scale, values, dtype, out):
    """loc + scale * values, computed in the memory and dtype of `values` and then rounded to `dtype`."""
    with default_fp(), np.errstate(all="ignore"):
        np.multiply(values, scale.astype(values.dtype, copy=False), values)
        np.add(values, loc.astype(values.dtype, copy=False), values)
        if out is None:
            return values.astype(dtype, copy=False)
        out[...] = values
        return out


cdef int check_scale(double scale) except -1:
    if signbit(scale) and not isnan(scale):
        raise ValueError("scale < 0")
    return 0


cdef double least(array, bint single) except? -1:
    """The smallest value, or NaN if one is not finite (in float32 if `single`, else in float64)."""
    flat = np.ascontiguousarray(array)
    cdef const double *values = <const double *>cnp.PyArray_DATA(flat)
    cdef double smallest = INFINITY
    cdef cnp.npy_intp i
    for i in range(cnp.PyArray_SIZE(flat)):
        if not isfinite(<float>values[i] if single else values[i]):
            return NAN
        smallest = min(smallest, values[i])
    return smallest


cdef int check_scales(scales) except -1:
    flat = np.ascontiguousarray(scales)
    cdef const double *scale = <const double *>cnp.PyArray_DATA(flat)
    cdef cnp.npy_intp i
    for i in range(cnp.PyArray_SIZE(flat)):
        check_scale(scale[i])
    return 0


cdef int check_bounds(lows, highs) except -1:
    """Refuse the first pair of bounds that `set_params` refuses for truncated_normal."""
    cdef fi_params params
    with default_fp():
        wrong = ~(lows <= highs) | (lows == np.inf) | (highs == -np.inf)
    for low, high in zip(*(np.broadcast_to(x, wrong.shape)[wrong][:1] for x in (lows, highs))):
        set_params(&params, FI_TRUNCATED_NORMAL, FI_F64, [low, high, 0.0, 1.0])
    return 0

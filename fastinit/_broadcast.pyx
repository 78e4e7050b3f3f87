"""Array parameters: they broadcast to the shape of the result, one set for each element."""

import math

import numpy as np

cimport numpy as cnp
from cpython.float cimport PyFloat_AsDouble, PyFloat_Check
from cpython.long cimport PyLong_Check
from libc.math cimport INFINITY, fabs, isfinite, isnan, signbit

from fastinit._dispatch cimport affine_each, prepare
from fastinit._kernels cimport (
    FI_F64, FI_TRUNCATED_NORMAL, FI_UNIFORM, fi_dist, fi_dtype, fi_is_wide, fi_params,
)
from fastinit._output cimport check_out, dtype_of
from fastinit._sampling cimport Source, set_params

from fastinit import _dtypes
from fastinit._dispatch import default_fp

cnp.import_array()

cdef int PIECE = 1 << 13  # elements whose parameters are read at once: 64 KiB of each


cdef bint is_scalar(x) except -1:
    if PyFloat_Check(x) or PyLong_Check(x) or cnp.PyArray_CheckScalar(x):
        return True
    return not cnp.PyArray_Check(x) and np.ndim(x) == 0


cdef double number(x) except? -1.0:
    """Return a scalar parameter. Raise NumPy's error for what is not a number."""
    if isinstance(x, (str, bytes)):
        float(x)  # NumPy's ValueError if the text is no number; its TypeError if it is one comes below
    if cnp.PyArray_Check(x) and not np.can_cast(x.dtype, np.float64):
        raise TypeError(
            f"Cannot cast scalar from {x.dtype!r} to {np.dtype(np.float64)!r} according to the rule 'safe'"
        )
    return PyFloat_AsDouble(x)


cdef object distinct(x):
    """An array without the elements that only its strides of 0 repeat, so that they are never copied."""
    cdef int axis
    if cnp.PyArray_Check(x):
        for axis in range(cnp.PyArray_NDIM(x)):
            if cnp.PyArray_STRIDE(x, axis) == 0:
                return x[tuple([slice(None if stride else 1) for stride in x.strides])]
    return x


cdef bint fits(tuple shape, tuple size) except -1:
    """Whether arrays of a shape broadcast to a size. Refuses what is none, as NumPy does."""
    if all([type(length) is int and length >= 0 for length in size]):  # broadcast_shapes takes 1.5 us
        pairs = zip(reversed(shape), reversed(size))
        return len(shape) <= len(size) and all([mine in (1, length) for mine, length in pairs])
    try:
        return shape == size or np.broadcast_shapes(shape, size) == size
    except ValueError:
        return False


cdef tuple broadcast(arguments, size, out, fi_dtype code):
    """Return the arguments as float64 arrays, and the shape of the result. Refuses a wrong `out`."""
    if out is not None:
        check_out(out, code, size, False)
        size = out.shape
    # As NumPy's Generator, this refuses arrays of what float64 does not hold safely.
    wanted = cnp.NPY_ARRAY_ALIGNED | cnp.NPY_ARRAY_ENSUREARRAY
    arrays, shapes = [], []
    for x in arguments:
        array = cnp.PyArray_FROMANY(distinct(x), cnp.NPY_DOUBLE, 0, 0, wanted)
        arrays.append(array)
        shapes.append(x if cnp.PyArray_Check(x) else array)
    shape = np.broadcast(*shapes).shape
    if size is None:
        return arrays, shape
    size = tuple(size) if isinstance(size, tuple) or np.ndim(size) else (size,)
    if not fits(shape, size):
        raise ValueError(f"Output size {size} is not compatible with broadcast dimensions of inputs {shape}.")
    return arrays, size


cdef object spread(x, shape):
    if cnp.PyArray_IS_C_CONTIGUOUS(x) and x.shape == shape:
        return x
    out = np.empty(shape)
    out[...] = x
    return out


cdef object columns(arrays, shape):
    """Iterate over arrays that are broadcast to a shape: tuples of contiguous pieces of them, in C order."""
    if math.prod(shape) <= PIECE:  # one piece, and an iterator would take longer than it does
        return [tuple([spread(x, shape) for x in arrays])]
    return np.nditer(
        [np.broadcast_to(x, shape) for x in arrays], ["external_loop", "buffered", "zerosize_ok"],
        [["readonly", "contig"]] * len(arrays), order="C", buffersize=PIECE,
    )


cdef object sample_each(Source source, fi_dist dist, fi_dtype code, arguments, shape, out):
    """Return a sample whose elements each have their own parameters."""
    if out is None:
        out = np.empty(shape, dtype_of(code))
    else:  # results must not become parameters
        arguments = [x.copy() if np.may_share_memory(x, out) else x for x in arguments]
    source.fill_each(cnp.PyArray_DATA(out), cnp.PyArray_SIZE(out), dist, code, columns(arguments, shape))
    return out


cdef object affine(loc, scale, values, fi_dtype code, out):
    """loc + scale * values, computed in the memory and dtype of `values` and then rounded to a dtype."""
    cdef char *target = cnp.PyArray_BYTES(values)
    cdef size_t n
    for locs, scales in columns((loc, scale), values.shape):
        n = cnp.PyArray_SIZE(locs)
        affine_each(code, target, <const double *>cnp.PyArray_DATA(locs),
                    <const double *>cnp.PyArray_DATA(scales), n)
        target += n * cnp.PyArray_ITEMSIZE(values)
    if out is None and values.dtype == dtype_of(code):
        return values
    with default_fp(), np.errstate(all="ignore"):
        if out is None:
            return values.astype(dtype_of(code))
        np.asarray(out)[...] = values
        return out


cdef int check_scale(double scale) except -1:
    if signbit(scale) and not isnan(scale):
        raise ValueError("scale < 0")
    return 0


cdef object beyond(fi_dtype code):
    dtype = dtype_of(code)
    return OverflowError(f"Range exceeds valid bounds of {dtype}, which ends at {_dtypes.of(dtype).max:g}")


cdef int check_ranges(lows, highs, fi_dtype code) except -1:
    """Refuse what NumPy refuses for uniform, with its errors, and bounds beyond the dtype."""
    cdef fi_params params
    cdef const double *low
    cdef const double *high
    cdef double span, largest = 0
    cdef bint negative = False
    cdef cnp.npy_intp i
    with default_fp():
        for pieces in columns((lows, highs), np.broadcast(lows, highs).shape):
            low = <const double *>cnp.PyArray_DATA(pieces[0])
            high = <const double *>cnp.PyArray_DATA(pieces[1])
            for i in range(cnp.PyArray_SIZE(pieces[0])):
                span = high[i] - low[i]
                if not isfinite(span if fi_is_wide(code) else <float>span):
                    raise beyond(code)
                largest = max(largest, fabs(low[i]), fabs(high[i]))
                negative |= signbit(span)
        if prepare(&params, NULL, FI_UNIFORM, code, [0.0, largest]) < 0:
            raise beyond(code)
    if negative:
        raise ValueError("high - low < 0")
    return 0


cdef int check_scales(scales) except -1:
    flat = cnp.PyArray_GETCONTIGUOUS(scales)
    cdef const double *scale = <const double *>cnp.PyArray_DATA(flat)
    cdef cnp.npy_intp i
    for i in range(cnp.PyArray_SIZE(flat)):
        check_scale(scale[i])
    return 0


cdef int check_bounds(lows, highs) except -1:
    """Refuse the first pair of bounds that `set_params` refuses for truncated_normal."""
    cdef fi_params params
    cdef const double *low
    cdef const double *high
    cdef cnp.npy_intp i
    with default_fp():
        for pieces in columns((lows, highs), np.broadcast(lows, highs).shape):
            low = <const double *>cnp.PyArray_DATA(pieces[0])
            high = <const double *>cnp.PyArray_DATA(pieces[1])
            for i in range(cnp.PyArray_SIZE(pieces[0])):
                if not (low[i] <= high[i] and low[i] < INFINITY and high[i] > -INFINITY):
                    set_params(&params, FI_TRUNCATED_NORMAL, FI_F64, [low[i], high[i], 0.0, 1.0])
    return 0

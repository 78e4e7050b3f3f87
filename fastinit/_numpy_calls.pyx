"""Calls of NumPy's methods whose values come from one C function each, with `out=`."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.float cimport PyFloat_Check
from cpython.long cimport PyLong_Check
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from numpy.random cimport bitgen_t

from fastinit._output cimport check_array
from fastinit._sampling cimport Source

cnp.import_array()

cdef enum:
    FEW = 4096  # fewer values are made without releasing the GIL
    PIECE = 1 << 22  # values between two checks for Ctrl-C
    BLOCK = 1 << 13  # values that NumPy's method makes at once for `out`: 64 KiB

ctypedef double (*real_0)(bitgen_t *) noexcept nogil
ctypedef double (*real_1)(bitgen_t *, double) noexcept nogil
ctypedef double (*real_2)(bitgen_t *, double, double) noexcept nogil
ctypedef double (*real_3)(bitgen_t *, double, double, double) noexcept nogil
ctypedef int64_t (*whole_1)(bitgen_t *, double) noexcept nogil
ctypedef int64_t (*whole_2)(bitgen_t *, double, double) noexcept nogil

# Both bounds are excluded. Those beside infinity keep away from NumPy's checks of products.
cdef double[5] LEAST = [-INFINITY, 0, 0, 1e-6, 1]
cdef double[5] MOST = [INFINITY, INFINITY, 1e9, 1, INFINITY]


cdef class Method:
    """A method of NumPy's Generator, and the C function that makes one of its values from numbers."""

    cdef bint takes(self, tuple arguments, double *values) except -1:
        """Whether the arguments are numbers that NumPy surely accepts; it decides on all others itself."""
        cdef int i, kind
        for i in range(self.parameters):
            x, kind = arguments[i], self.accepted[i]
            if not (PyFloat_Check(x) or PyLong_Check(x) and -(1 << 53) < x < 1 << 53):
                return False
            values[i] = x
            if not LEAST[kind] < values[i] < MOST[kind]:
                return False
        return True

    cdef void fill(self, void *bitgen, void *out, size_t n, const double *x) noexcept nogil:
        """Write n values, each by a call of the C function."""
        cdef bitgen_t *state = <bitgen_t *>bitgen
        cdef void *function = self.function
        cdef int parameters = self.parameters
        cdef bint discrete = self.discrete
        cdef double *reals = <double *>out
        cdef int64_t *wholes = <int64_t *>out
        cdef size_t i
        # A loop for each kind: the test of the kind would take a tenth of the time of the fastest.
        if discrete and parameters == 1:
            for i in range(n):
                wholes[i] = (<whole_1>function)(state, x[0])
        elif discrete:
            for i in range(n):
                wholes[i] = (<whole_2>function)(state, x[0], x[1])
        elif parameters == 0:
            for i in range(n):
                reals[i] = (<real_0>function)(state)
        elif parameters == 1:
            for i in range(n):
                reals[i] = (<real_1>function)(state, x[0])
        elif parameters == 2:
            for i in range(n):
                reals[i] = (<real_2>function)(state, x[0], x[1])
        else:
            for i in range(n):
                reals[i] = (<real_3>function)(state, x[0], x[1], x[2])


cdef Method method_of(name, dtype, void *function, accepted):
    cdef Method method = Method()
    cdef int i
    method.numpys, method.dtype = getattr(np.random.Generator, name), np.dtype(dtype)
    method.function, method.parameters = function, len(accepted)
    method.discrete = method.dtype == np.int64
    for i in range(method.parameters):
        method.accepted[i] = accepted[i]
    return method


cdef Method real(name, void *function, accepted):
    return method_of(name, np.float64, function, accepted)


cdef Method whole(name, void *function, accepted):
    return method_of(name, np.int64, function, accepted)


cdef object draw(self, Method method, tuple arguments, size, out):
    """Return one value, a new array, or `out`, with the bits of NumPy's method."""
    cdef Source source
    cdef double[3] values
    cdef double number
    cdef int64_t count
    if not method.takes(arguments, values):
        if out is None:
            return method.numpys(self, *arguments, size)
        return draw_into(self, method.numpys, method.dtype, arguments, size, out)
    source = self._source
    if size is None and out is None:
        with source.lock:
            method.fill(source.bitgen, <void *>&count if method.discrete else <void *>&number, 1, values)
        return count if method.discrete else number
    if out is None:
        out = np.empty(size, method.dtype)
    else:
        check_array(out, method.dtype, size, True)
    target = out if cnp.PyArray_ISALIGNED(out) else np.empty_like(out, subok=False)
    fill_array(source, method, target, values)
    if target is not out:
        np.asarray(out)[...] = target
    return out


cdef int fill_array(Source source, Method method, out, const double *values) except -1:
    cdef char *data = cnp.PyArray_BYTES(out)
    cdef size_t done, n = cnp.PyArray_SIZE(out)
    with source.lock:
        if n < FEW:
            method.fill(source.bitgen, data, n, values)
            return 0
        for done in range(0, n, PIECE):
            with nogil:
                method.fill(source.bitgen, data + 8 * done, min(n - done, <size_t>PIECE), values)
            PyErr_CheckSignals()
    return 0


cdef object draw_into(self, numpys, dtype, tuple arguments, size, out):
    """Fill `out` from a method of NumPy's, block by block, so that no second array of its size is made.

    Each call takes the lock, which older NumPys can not take twice, so other threads may draw between two.
    """
    scalars = all([np.ndim(x) == 0 for x in arguments])
    check_array(out, np.dtype(dtype), size, scalars)
    wanted = np.broadcast_shapes(out.shape, *[np.shape(x) for x in arguments])
    if wanted != out.shape:
        what = f"Output size {out.shape} is not compatible"
        raise ValueError(f"{what} with broadcast dimensions of inputs {wanted}.")
    numpys(self, *arguments, (0, *out.shape))  # refuses what NumPy refuses, and draws nothing
    operands = [out] if scalars else [out, *arguments]
    blocks = np.nditer(
        operands, ["external_loop", "buffered", "zerosize_ok", "copy_if_overlap", "refs_ok"],
        [["writeonly"]] + [["readonly"]] * (len(operands) - 1), order="K" if scalars else "C",
        buffersize=BLOCK,
    )
    with blocks:
        for block in blocks:
            if scalars:
                block[...] = numpys(self, *arguments, block.size)
            else:
                block[0][...] = numpys(self, *block[1:])
            PyErr_CheckSignals()
    return out


cdef bint overlap(out, arguments) except -1:
    """Whether a block of `out` may change an argument, which the next block reads."""
    return any([isinstance(x, np.ndarray) and np.may_share_memory(x, out) for x in arguments])


cdef object draw_rows(self, numpys, dtype, tuple arguments, size, out):
    """Fill `out` with vectors from a method of NumPy's: block by block, if all have the same parameters."""
    check_array(out, np.dtype(dtype), None, False)
    rows = out.shape[:-1] if size is None else (size,) if np.ndim(size) == 0 else tuple(size)
    expected = numpys(self, *arguments, (0, *rows)).shape[1:]  # refuses what NumPy refuses, and draws nothing
    if out.shape != expected:
        raise ValueError(f"size must match out.shape when used together: {expected} and {out.shape}")
    target = np.asarray(out)
    if sorted([np.ndim(x) for x in arguments]) not in ([1], [0, 1]) or overlap(out, arguments):
        target[...] = numpys(self, *arguments, rows)
        return out
    flat = target.reshape(-1, out.shape[-1])
    step = max(1, BLOCK // max(1, out.shape[-1]))
    for start in range(0, len(flat), step):
        flat[start:start + step] = numpys(self, *arguments, min(step, len(flat) - start))
        PyErr_CheckSignals()
    return out


cdef object draw_choice(self, tuple arguments, size, out):
    """Fill `out` with what `choice` returns: block by block, if it replaces elements of the first axis."""
    a, replace, p, axis, shuffle = arguments
    array = np.asarray(a)
    numbers = array.ndim == 0
    check_array(out, np.dtype(np.int64) if numbers else array.dtype, None, False)
    if size is None:
        size = out.shape[:max(0, out.ndim - max(0, array.ndim - 1))]
    rows = (size,) if np.ndim(size) == 0 else tuple(size)
    self.choice(array, 0, replace, p, axis, shuffle)  # refuses what NumPy refuses, and draws nothing
    expected = rows if numbers else (*array.shape[:axis], *rows, *array.shape[axis:][1:])
    if out.shape != expected:
        raise ValueError(f"size must match out.shape when used together: {expected} and {out.shape}")
    target = np.asarray(out)
    if not replace or axis != 0 or overlap(out, (array, p)):
        target[...] = self.choice(array, rows, replace, p, axis, shuffle)
        return out
    flat = target.reshape(-1, *out.shape[len(rows):])
    step = max(BLOCK, 0 if p is None else len(p))  # each call reads all of p
    for start in range(0, len(flat), step):
        flat[start:start + step] = self.choice(array, min(step, len(flat) - start), replace, p)
        PyErr_CheckSignals()
    return out


cdef object draw_permutation(self, x, axis, out):
    """Fill `out` with what `permutation` returns."""
    numbers = isinstance(x, (int, np.integer))
    array = None if numbers else np.asarray(x)
    if not numbers and array.ndim == 0:
        return np.random.Generator.permutation(self, x, axis)  # an error
    check_array(out, np.dtype(np.int64) if numbers else array.dtype, (x,) if numbers else array.shape, False)
    axis = np.lib.array_utils.normalize_axis_index(axis, out.ndim)
    target = np.asarray(out)
    if out.ndim > 1:
        order = np.arange(out.shape[axis])
        self.shuffle(order)
        if np.may_share_memory(array, out):
            array = array.copy()
        np.take(array, order, axis, target, mode="clip")
        return out
    if numbers:
        target[...] = 1
        target[:1] = 0
        np.cumsum(target, out=target)
    else:
        target[...] = array
    self.shuffle(target)
    return out

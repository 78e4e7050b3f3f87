"""Fills of arrays, ranges and blocks from a Generator's bit generator."""

import math
from contextlib import nullcontext

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from numpy.random cimport bitgen_t

from fastinit._bit_generator cimport LCG128, read_state
from fastinit._dispatch cimport (
    consume as advance, draws, fill as fill_range, fill_each as fill_range_each, fill_from, prepare,
)
from fastinit._kernels cimport (
    FI_DISTS, FI_DXSM, FI_F32, FI_NORMAL, FI_PARAMETERS, FI_XSL_RR, fi_dist, fi_dist_info, fi_dtype,
    fi_dtype_info, fi_itemsize, fi_params, fi_pcg64, fi_settled, fi_source,
)

from fastinit._dispatch import DISTRIBUTIONS, DTYPES
from fastinit._distributions import named
from fastinit._dtypes import DTYPES as records
from fastinit._threads import CHUNK, MANY, share_out

cnp.import_array()

cdef size_t FEW = 4096  # fewer values are made without releasing the GIL
cdef size_t IN_TURN = 1 << 22  # values between two checks for Ctrl-C of what gives one at a time
cdef enum:
    SPAN = 4096  # values made at once by a fill that keeps some of them
    NEAR = 64  # elements at most this far apart are made with those between them

ctypedef fused item:
    uint16_t
    uint32_t
    uint64_t


cdef fi_params latest[FI_DISTS]  # reused, as most calls repeat the parameters of the last


cdef int set_params(fi_params *params, fi_dist dist, fi_dtype dtype, const double *arguments) except -1:
    """Call `fi_prepare`; raise the distribution's error if it refuses the arguments."""
    cdef fi_params *last = &latest[<int>dist]
    if prepare(last, last, dist, dtype, arguments) < 0:
        values = [arguments[i] for i in range(fi_dist_info[<int>dist].parameters)]
        record = records[fi_dtype_info[<int>dtype].tag.decode()]
        raise named(fi_dist_info[<int>dist].name.decode()).refusal(record, *values)
    params[0] = last[0]
    return 0


cdef int set_parameters(fi_params *params, fi_dist dist, fi_dtype dtype, tuple parameters) except -1:
    cdef double arguments[FI_PARAMETERS]
    cdef size_t i, n = fi_dist_info[<int>dist].parameters
    if <size_t>len(parameters) != n:
        name = fi_dist_info[<int>dist].name.decode()
        raise TypeError(f"{name} takes {n} parameters, not {len(parameters)}")
    for i in range(n):
        arguments[i] = parameters[i]
    return set_params(params, dist, dtype, arguments)


cdef class Fill:
    """One fill. A call makes elements [start, stop); many threads may call at once."""

    cdef fi_pcg64 generator
    cdef fi_params params
    cdef fi_dist dist
    cdef fi_dtype dtype
    cdef char *out

    def __call__(self, piece):
        cdef size_t start, stop
        start, stop = piece
        with nogil:
            fill_range(&self.generator, self.dist, self.dtype, &self.params,
                       self.out + start * fi_itemsize(self.dtype), start, stop - start)


cdef class Block(Fill):
    """The fill of ``full[block]``, in rows of `width` elements that are `step` apart in ``full``."""

    cdef size_t width, axes
    cdef ptrdiff_t first, step
    cdef object counts, strides  # arrays with one entry for each axis

    def __call__(self, piece):
        cdef size_t start, stop, row, n
        cdef ptrdiff_t at, axis
        cdef const size_t *counts = <const size_t *>cnp.PyArray_DATA(self.counts)
        cdef const ptrdiff_t *strides = <const ptrdiff_t *>cnp.PyArray_DATA(self.strides)
        start, stop = piece
        with nogil:
            while start < stop:
                row = start // self.width
                at = self.first + <ptrdiff_t>(start - row * self.width) * self.step
                n = min(stop, (row + 1) * self.width) - start
                for axis in range(<ptrdiff_t>self.axes - 1, -1, -1):
                    at += <ptrdiff_t>(row % counts[axis]) * strides[axis]
                    row //= counts[axis]
                self.fill_row(self.out + start * fi_itemsize(self.dtype), at, n)
                start += n

    cdef void fill_row(self, char *out, ptrdiff_t at, size_t n) noexcept nogil:
        """Write n elements of the row from element `at` of ``full``, made with those between them if near."""
        cdef uint64_t between[SPAN]
        cdef size_t itemsize = fi_itemsize(self.dtype), apart = self.step if self.step > 0 else -self.step
        cdef size_t few = 1 + (SPAN - 1) // apart if apart <= NEAR else 1
        cdef ptrdiff_t last
        if self.step == 1:
            fill_range(&self.generator, self.dist, self.dtype, &self.params, out, at, n)
            return
        while n:
            few = min(few, n)
            last = <ptrdiff_t>(few - 1) * self.step
            fill_range(&self.generator, self.dist, self.dtype, &self.params, between, at + min(last, 0),
                       (few - 1) * apart + 1)
            if itemsize == 8:
                pick(<uint64_t *>out, <uint64_t *>between - min(last, 0), self.step, few)
            elif itemsize == 4:
                pick(<uint32_t *>out, <uint32_t *>between - min(last, 0), self.step, few)
            else:
                pick(<uint16_t *>out, <uint16_t *>between - min(last, 0), self.step, few)
            out += few * itemsize
            at += <ptrdiff_t>few * self.step
            n -= few


cdef void pick(item *out, const item *values, ptrdiff_t step, size_t n) noexcept nogil:
    """Copy every step-th value."""
    cdef ptrdiff_t i
    for i in range(<ptrdiff_t>n):
        out[i] = values[i * step]


cdef int fill_all(const fi_pcg64 *generator, fi_dist dist, fi_dtype dtype, const fi_params *params, void *out,
                  size_t n) except -1:
    cdef Fill job = Fill.__new__(Fill)
    job.generator, job.params, job.out = generator[0], params[0], <char *>out
    job.dist, job.dtype = dist, dtype
    share_out(job, n)
    return 0


cdef class Source:
    """The bit generator of a Generator, and how the kernels draw from it.

    From fastinit's PCG64 and PCG64DXSM, a fill reserves its part of the stream under the lock and runs
    outside it. So does a large fill from NumPy's. Any other bit generator gives one value at a time.
    """

    def __init__(self, bit_generator):
        self.bit_generator = bit_generator
        self.lock = bit_generator.lock
        cdef bitgen_t *bitgen = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
        self.bitgen = bitgen
        self.foreign = fi_source(bitgen.state, bitgen.next_uint64, bitgen.next_uint32, bitgen.next_double)
        self.numpy_variant = -1
        if isinstance(bit_generator, LCG128):
            self.own = &(<LCG128>bit_generator).ahead
        elif type(bit_generator) is np.random.PCG64:
            self.numpy_variant = FI_XSL_RR
        elif type(bit_generator) is np.random.PCG64DXSM:
            self.numpy_variant = FI_DXSM

    cdef int peek(self, fi_pcg64 *position) except -1:
        """Read the position; the caller holds the lock."""
        if self.own != NULL:
            position[0] = fi_settled(self.own)[0]
            return 0
        if self.numpy_variant < 0:
            raise TypeError(f"{type(self.bit_generator).__name__} cannot be read at any position: "
                            "that needs a PCG64 or PCG64DXSM, of fastinit or NumPy")
        position.variant = self.numpy_variant
        return read_state(position, self.bit_generator.state)

    cdef int take(self, fi_dist dist, fi_dtype dtype, size_t n, fi_pcg64 *before) except -1:
        """Write the position to `before`, then move past n elements."""
        cdef fi_pcg64 after
        with self.lock:
            self.peek(before)
            if self.own != NULL:
                advance(&self.own.generator, dist, dtype, n)
            else:
                after = before[0]
                advance(&after, dist, dtype, n)
                set_state(self.bit_generator, &after)
        return 0

    cdef int fill(self, void *out, size_t n, fi_dist dist, fi_dtype dtype, const fi_params *params) except -1:
        cdef fi_pcg64 before
        cdef fi_pcg64 *generator
        if self.own != NULL and n < FEW:
            with self.lock:
                generator = fi_settled(self.own)
                fill_range(generator, dist, dtype, params, out, 0, n)
                advance(generator, dist, dtype, n)
        elif self.own != NULL or self.numpy_variant >= 0 and n >= FEW:
            self.take(dist, dtype, n, &before)
            fill_all(&before, dist, dtype, params, out, n)
        else:
            self.fill_in_turn(<char *>out, n, dist, dtype, params)
        return 0

    cdef int fill_in_turn(self, char *out, size_t n, fi_dist dist, fi_dtype dtype,
                          const fi_params *params) except -1:
        """Fill from a bit generator that gives one value at a time. Ctrl-C is heard between pieces."""
        cdef size_t few
        with self.lock:
            while n:
                few = min(n, IN_TURN)
                with nogil:
                    fill_from(&self.foreign, dist, dtype, params, out, few)
                out += few * fi_itemsize(dtype)
                n -= few
                PyErr_CheckSignals()
        return 0

    cdef int fill_each(self, void *out, size_t n, fi_dist dist, fi_dtype dtype, columns) except -1:
        """Fill n elements, each with its own arguments. `out` needs no alignment.

        `columns` gives tuples of contiguous float64 arrays, whose elements are the arguments of the next
        elements; `fi_prepare` must accept them.
        """
        cdef fi_pcg64 before
        cdef fi_pcg64 *generator = NULL
        cdef const double *arguments[FI_PARAMETERS]
        cdef char *target = <char *>out
        cdef size_t i, many
        if self.own != NULL or self.numpy_variant >= 0:
            self.take(dist, dtype, n, &before)
            generator = &before
        lock = nullcontext() if generator != NULL else self.lock
        for arrays in columns:
            many = arrays[0].size
            for i in range(fi_dist_info[<int>dist].parameters):
                arguments[i] = <const double *>cnp.PyArray_DATA(arrays[i])
            with lock, nogil:
                fill_range_each(generator, &self.foreign, dist, dtype, arguments, target, many)
            target += many * fi_itemsize(dtype)
            PyErr_CheckSignals()
        return 0


cdef LCG128 twin_of(Source source):
    """Return fastinit's bit generator at the position of NumPy's; the caller holds the lock."""
    cdef LCG128 ours = _OURS[type(source.bit_generator)](0)
    source.peek(&ours.ahead.generator)
    return ours


cdef object set_state(bit_generator, fi_pcg64 *position):
    """Move a bit generator of NumPy's to a position, through our generator with the same state dict."""
    cdef LCG128 ours = _OURS[type(bit_generator)](0)
    ours.ahead.generator = position[0]
    bit_generator.state = ours.state


from fastinit._bit_generator import PCG64, PCG64DXSM

_OURS = {np.random.PCG64: PCG64, np.random.PCG64DXSM: PCG64DXSM}


cdef void *data_of(out, fi_dtype dtype, size_t n) except NULL:
    """Return the address of `out`. Refuse an array that is not C-contiguous with n elements of the dtype."""
    cdef cnp.ndarray array = out
    if not cnp.PyArray_ISCARRAY(array):
        raise ValueError("out must be C-contiguous, writable, aligned, and in machine byte-order")
    if <size_t>cnp.PyArray_ITEMSIZE(array) != fi_itemsize(dtype):
        raise TypeError(f"out has dtype {array.dtype}, whose items are not of {fi_itemsize(dtype)} bytes")
    if <size_t>cnp.PyArray_SIZE(array) != n:
        raise ValueError(f"out has {array.size} elements, not {n}")
    return cnp.PyArray_DATA(array)


cdef Source source_of(rng, fi_dist dist):
    """Return the source of a generator. Refuse normals of a ziggurat, which have no place of their own."""
    cdef Source source = rng._source
    if source.ziggurat and dist == FI_NORMAL:
        raise ValueError("an initialiser's normals are made by Box-Muller, so that an element needs no "
                         "other: give a generator with normals='box-muller'")
    return source


def check(rng, str distribution):
    """Refuse a generator that cannot make a distribution."""
    source_of(rng, DISTRIBUTIONS[distribution])


cdef int read_position(Source source, fi_pcg64 *position) except -1:
    with source.lock:
        source.peek(position)
    return 0


def fill(rng, out, str distribution, str tag, *parameters):
    """Fill the C-contiguous array `out` with all threads. `rng` moves.

    `parameters` are in the order of src_c/distributions.def. bfloat16 may be stored in uint16.
    """
    cdef fi_params params
    cdef fi_dist dist = DISTRIBUTIONS[distribution]
    cdef fi_dtype dtype = DTYPES[tag]
    cdef size_t n = out.size
    cdef void *target = data_of(out, dtype, n)
    set_parameters(&params, dist, dtype, parameters)
    source_of(rng, dist).fill(target, n, dist, dtype, &params)


def fill_at(rng, out, size_t start, str distribution, str tag, *parameters):
    """Write elements [start, start + out.size) of what `fill` would write. `rng` stays.

    Only the calling thread works, without the GIL, so many calls may run at once.
    """
    cdef fi_params params
    cdef fi_pcg64 position
    cdef fi_dist dist = DISTRIBUTIONS[distribution]
    cdef fi_dtype dtype = DTYPES[tag]
    cdef size_t n = out.size
    cdef void *target = data_of(out, dtype, n)
    set_parameters(&params, dist, dtype, parameters)
    read_position(source_of(rng, dist), &position)
    with nogil:
        fill_range(&position, dist, dtype, &params, target, start, n)


def fill_block(rng, out, shape, block, str distribution, str tag, *parameters):
    """Write ``full[block]`` with all threads. ``full`` is what `fill` writes in `shape`. `rng` stays.

    Parameters
    ----------
    out : ndarray
        C-contiguous.
    shape : tuple of int
    block : sequence of (start, stop, step)
        One for each axis, as of `slice.indices`.
    """
    cdef Block job = Block.__new__(Block)
    job.dist, job.dtype = DISTRIBUTIONS[distribution], DTYPES[tag]
    ranges = [range(*axis) for axis in block]
    strides = [1] * len(ranges)
    for axis in range(len(ranges) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    # A row is the longest contiguous tail of the axes: full axes, and one of step 1 before them.
    outer, width, step = len(ranges), 1, 1
    while outer and (ranges[outer - 1].step == 1 or len(ranges[outer - 1]) == 1):
        outer -= 1
        width *= len(ranges[outer])
        if len(ranges[outer]) != shape[outer]:
            break
    if outer and width == 1:  # none: a row of strided elements
        outer -= 1
        width, step = len(ranges[outer]), ranges[outer].step * strides[outer]
    cdef size_t n = math.prod(map(len, ranges))
    job.out = <char *>data_of(out, job.dtype, n)
    set_parameters(&job.params, job.dist, job.dtype, parameters)
    read_position(source_of(rng, job.dist), &job.generator)
    if n == 0:
        return
    job.width, job.step = width, step
    job.first = sum(axis[0] * stride for axis, stride in zip(ranges, strides))
    job.axes = outer
    job.counts = np.array([len(axis) for axis in ranges], np.uintp)
    job.strides = np.array([axis.step * stride for axis, stride in zip(ranges, strides)], np.intp)
    share_out(job, n, CHUNK if step == 1 and job.width >= FEW else MANY)


def consume(rng, size_t n, str distribution, str tag):
    """Move `rng` past the draws of n elements."""
    cdef fi_pcg64 before
    (<Source>rng._source).take(DISTRIBUTIONS[distribution], DTYPES[tag], n, &before)


def words_at(rng, out, size_t start):
    """Write 32-bit words [start, start + out.size), a buffered half first. `rng` stays."""
    cdef fi_pcg64 position
    cdef size_t i, word, n = out.size, skip = 0
    cdef uint32_t *target = <uint32_t *>data_of(out, FI_F32, n)
    read_position(rng._source, &position)
    if position.has_uint32 and n:
        if start == 0:
            target[0] = position.uinteger
            skip = 1
        else:
            start -= 1
    raw = np.empty((n + 3) // 2, np.uint64)
    cdef uint64_t *d = <uint64_t *>cnp.PyArray_DATA(raw)
    cdef size_t size = raw.size
    with nogil:
        draws(&position, d, start // 2, size)
        for i in range(n - skip):
            word = start % 2 + i
            target[skip + i] = <uint32_t>(d[word // 2] >> 32 * (word % 2))

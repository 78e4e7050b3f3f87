"""Values in the bits of NumPy's ziggurats and bounded integers, made from blocks of draws."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport signbit
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy
from numpy.random cimport bitgen_t
from numpy.random.c_distributions cimport (
    random_standard_exponential, random_standard_exponential_f, random_standard_normal,
    random_standard_normal_f,
)

from fastinit._dispatch cimport affine, attempt_fill, attempt_part, skip_pieces
from fastinit._kernels cimport (
    FI_ATTEMPTS, FI_BOUNDED_16, FI_BOUNDED_32, FI_BOUNDED_32_AS_64, FI_BOUNDED_64, FI_BOUNDED_8, FI_F64,
    FI_ZIGGURAT_EXPONENTIAL_F32, FI_ZIGGURAT_EXPONENTIAL_F64, FI_ZIGGURAT_NORMAL_F32,
    FI_ZIGGURAT_NORMAL_F64, fi_ahead, fi_ahead32, fi_attempt, fi_attempt_info, fi_bounds, fi_dtype,
    fi_finish, fi_itemsize, fi_pcg64, fi_settled,
)
from fastinit._output cimport as_float, check_out, new_array
from fastinit._sampling cimport Source, twin_of

from fastinit import _threads
from fastinit._threads import get_num_threads, share_out

cnp.import_array()

cdef enum:
    SINGLE = 24  # fewer values of a ziggurat are made by NumPy's C functions: a block costs as much
    FEW = 4096  # fewer values from NumPy's own bit generators are left to NumPy
    PIECE = 1 << 24  # values between two checks for Ctrl-C
    SPAN = 4096  # values that are made in the cache and then scaled

cdef size_t MANY = _threads.MANY


# What makes a value from the next draws where a ziggurat's kernel leaves it: NumPy's own C functions.
cdef void normal_f64(void *bitgen, void *out) noexcept nogil:
    (<double *>out)[0] = random_standard_normal(<bitgen_t *>bitgen)


cdef void normal_f32(void *bitgen, void *out) noexcept nogil:
    (<float *>out)[0] = random_standard_normal_f(<bitgen_t *>bitgen)


cdef void exponential_f64(void *bitgen, void *out) noexcept nogil:
    (<double *>out)[0] = random_standard_exponential(<bitgen_t *>bitgen)


cdef void exponential_f32(void *bitgen, void *out) noexcept nogil:
    (<float *>out)[0] = random_standard_exponential_f(<bitgen_t *>bitgen)


cdef fi_finish *finishes[FI_ATTEMPTS]
finishes[<int>FI_ZIGGURAT_NORMAL_F64] = normal_f64
finishes[<int>FI_ZIGGURAT_NORMAL_F32] = normal_f32
finishes[<int>FI_ZIGGURAT_EXPONENTIAL_F64] = exponential_f64
finishes[<int>FI_ZIGGURAT_EXPONENTIAL_F32] = exponential_f32


cdef bint reads_ahead(Source source, size_t n):
    """Whether n values are made from blocks of draws."""
    return source.own != NULL or source.numpy_variant >= 0 and n >= FEW


cdef class Reading:
    """What makes the next values of a source whose lock the caller holds."""

    cdef int settle(self) except -1:
        """Leave the source behind the last value."""
        if self.twin is not None:
            self.source.bit_generator.state = self.twin.state
        return 0

    cdef int fill(self, void *out, size_t n, fi_attempt kind, const fi_bounds *bounds) except -1:
        """Write the next n values of an attempt. Bounded integers need blocks of draws."""
        cdef int result
        cdef fi_finish *finish = finishes[<int>kind]
        if n < FEW:  # without releasing the GIL, which takes as long as 100 values
            result = attempt_fill(self.ahead, kind, out, n, bounds, finish, self.bitgen)
        else:
            with nogil:
                result = attempt_fill(self.ahead, kind, out, n, bounds, finish, self.bitgen)
        if result < 0:
            raise MemoryError
        return 0


cdef Reading read(Source source, size_t n):
    """Return a reading of n values or so: from blocks of draws if they are many enough."""
    cdef Reading reading = Reading.__new__(Reading)
    reading.source, reading.bitgen = source, source.bitgen
    reading.ahead = source.own if n >= SINGLE else NULL
    if source.own == NULL and reads_ahead(source, n):
        reading.twin = twin_of(source)
        reading.ahead, reading.bitgen = &reading.twin.ahead, &reading.twin._bitgen
    return reading


cdef class Part:
    """Bounded integers as if none were rejected. A call makes [start, stop); threads may call at once."""

    cdef fi_pcg64 generator
    cdef fi_attempt kind
    cdef fi_bounds bounds
    cdef char *out
    cdef list rejected  # values whose piece was rejected, the first of each call

    def __call__(self, piece):
        cdef size_t start, stop, made, itemsize = fi_attempt_info[<int>self.kind].value
        start, stop = piece
        with nogil:
            made = attempt_part(&self.generator, self.kind, self.out + start * itemsize, start, stop - start,
                                &self.bounds)
        if made < stop - start:
            self.rejected.append(start + made)


cdef size_t make_parts(fi_ahead *ahead, void *out, size_t n, fi_attempt kind,
                       const fi_bounds *bounds) except? 0:
    """Write the next n values on all threads. Return how many come before the first that is rejected."""
    cdef Part job = Part.__new__(Part)
    cdef size_t made
    job.generator, job.kind, job.bounds, job.out = fi_settled(ahead)[0], kind, bounds[0], <char *>out
    job.rejected = []
    share_out(job, n)
    made = min(job.rejected, default=n)
    skip_pieces(&ahead.generator, kind, made + (made < n))
    return made


cdef size_t at_once(size_t n, fi_attempt kind, const fi_bounds *bounds) except? 0:
    """How many values to make as if none were rejected; 0 if they are to be made one after the other."""
    cdef double between  # values between two rejections, on average
    if bounds.threshold == 0:
        return PIECE if n >= FEW else 0
    between = 2.0 ** (8 * fi_attempt_info[<int>kind].piece) / <double>bounds.threshold
    if n < MANY or between < 4 * <double>MANY or get_num_threads() == 1:
        return 0
    return <size_t>min(between / 4, <double>PIECE) // 64 * 64


cdef int attempt(Source source, void *out, size_t n, fi_attempt kind, const fi_bounds *bounds) except -1:
    """Write the next n values of a bounded integer, from blocks of draws however few they are."""
    cdef Reading reading
    cdef size_t some, itemsize = fi_attempt_info[<int>kind].value, share = at_once(n, kind, bounds)
    cdef char *to = <char *>out
    with source.lock:
        reading = read(source, FEW)
        try:
            while n:
                some = min(n, share or <size_t>PIECE)
                if share:
                    some = make_parts(reading.ahead, to, some, kind, bounds)
                else:
                    reading.fill(to, some, kind, bounds)
                to += some * itemsize
                n -= some
                PyErr_CheckSignals()
        finally:
            reading.settle()
    return 0


cdef inline fi_attempt attempt_of(fi_attempt wide, fi_dtype dtype):
    """The ziggurat of a dtype: `wide`, which is of float64, or the next one, which is of float32."""
    return wide if dtype == FI_F64 else <fi_attempt>(<int>wide + 1)


cdef int ziggurat(Source source, fi_attempt wide, void *out, size_t n, fi_dtype dtype, double loc,
                  double scale) except -1:
    """Write loc + scale * (the next n values of a ziggurat)."""
    cdef Reading reading
    cdef size_t done, some, itemsize = fi_itemsize(dtype)
    cdef fi_attempt kind = attempt_of(wide, dtype)
    cdef bint standard = scale == 1 and loc == 0 and signbit(loc)
    cdef bint as_made = standard and fi_attempt_info[<int>kind].value == itemsize
    cdef size_t most = PIECE if as_made else SPAN
    cdef char *to = <char *>out
    cdef double buffer[SPAN]
    with source.lock:
        reading = read(source, n)
        try:
            for done in range(0, n, most):
                some = min(n - done, most)
                reading.fill(to if as_made else <char *>buffer, some, kind, NULL)
                if not as_made:
                    affine(dtype, to, buffer, some, loc, scale)
                to += some * itemsize
                if as_made or done % PIECE == 0:
                    PyErr_CheckSignals()
        finally:
            reading.settle()
    return 0


cdef object sample_ziggurat(Source source, fi_attempt wide, fi_dtype code, double loc, double scale, size,
                            out):
    """Sample one float, a new array or `out` from loc + scale * (a ziggurat's values)."""
    cdef double one = 0, standard
    cdef fi_attempt kind = attempt_of(wide, code)
    if size is None and out is None:
        with source.lock:
            attempt_fill(NULL, kind, &standard, 1, NULL, finishes[<int>kind], source.bitgen)
        affine(code, &one, &standard, 1, loc, scale)
        return as_float(&one, code)
    if out is None:
        out = new_array(size, code)
    else:
        check_out(out, code, size, True)
    target = out if cnp.PyArray_ISALIGNED(out) else np.empty_like(out, subok=False)
    ziggurat(source, wide, cnp.PyArray_DATA(target), cnp.PyArray_SIZE(target), code, loc, scale)
    if target is not out:
        np.asarray(out)[...] = target
    return out


cdef int fill_words(Source source, void *out, size_t n) except -1:
    """Write the next n 32-bit words."""
    cdef fi_bounds bounds
    bounds.span, bounds.threshold, bounds.offset = <uint64_t>1 << 32, 0, 0
    return attempt(source, out, n, FI_BOUNDED_32, &bounds)


# The NumPy dtype of a dtype argument, and its least and greatest value.
cdef dict limits = {}
limits[np.bool_] = limits[np.dtype(np.bool_)] = (np.dtype(np.bool_), 0, 1)
for each in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64):
    limits[each] = limits[np.dtype(each)] = (np.dtype(each), np.iinfo(each).min, np.iinfo(each).max)
cdef object INTEGER = np.integer


cdef tuple limits_of(dtype):
    try:
        return limits.get(dtype) or limits.get(np.dtype(dtype))
    except TypeError:  # which NumPy's method raises, too
        return None


cdef bint is_whole(x):
    return isinstance(x, int) or isinstance(x, INTEGER)


cdef object sample_integers(Source source, low, high, size, dtype, bint endpoint, out):
    """Return what NumPy's `integers` returns, or None if a call is for NumPy: of other arguments, or a few
    integers from its own bit generators. It is `out` if that is contiguous.
    """
    first, last = (0, low) if high is None else (low, high)
    cdef tuple known = limits_of(dtype)
    if known is None or not (is_whole(first) and is_whole(last) and reads_ahead(source, FEW)):
        return None
    kind, least, most = known
    first, last = int(first), int(last) - (not endpoint)
    if not least <= first <= last <= most:
        return None
    if out is not None and cnp.PyArray_ISCARRAY(out):
        made = out
    else:
        made = np.empty(() if size is None else size, kind)
    if not reads_ahead(source, cnp.PyArray_SIZE(made)):
        return None
    fill_integers(source, made, first, last - first)
    if size is not None:
        return made
    return dtype(made[()]) if dtype is int or dtype is bool else made[()]


cdef int fill_bools(Source source, out) except -1:
    """Fill a C-contiguous array with the bits of the next words, the lowest first."""
    cdef uint32_t words[32]
    cdef char *values = cnp.PyArray_BYTES(out)
    cdef size_t i, n = cnp.PyArray_SIZE(out)
    if n <= 32 * 32:
        fill_words(source, words, (n + 31) // 32)
        for i in range(n):
            values[i] = words[i // 32] >> i % 32 & 1
        return 0
    many = np.empty((n + 31) // 32, np.uint32)
    fill_words(source, cnp.PyArray_DATA(many), many.size)
    out.reshape(-1)[...] = np.unpackbits(many.view(np.uint8), count=n, bitorder="little").view(np.bool_)
    return 0


cdef int fill_integers(Source source, out, first, span) except -1:
    """Fill a C-contiguous array with first + (integers from 0 to `span`)."""
    cdef fi_bounds bounds
    cdef fi_attempt kind
    cdef int bits = 8 * cnp.PyArray_ITEMSIZE(out)
    if span == 0:
        out[...] = first
        return 0
    if cnp.PyArray_TYPE(out) == cnp.NPY_BOOL:
        return fill_bools(source, out)
    bounds.span = <uint64_t>span + 1  # 0 for all of 64 bits
    if bits == 64 and 0 < bounds.span <= <uint64_t>1 << 32:
        kind, bits = FI_BOUNDED_32_AS_64, 32
    elif bits == 64:
        kind = FI_BOUNDED_64
    else:
        kind = FI_BOUNDED_8 if bits == 8 else FI_BOUNDED_16 if bits == 16 else FI_BOUNDED_32
    # 2^bits modulo the span
    bounds.threshold = ((<uint64_t>1 << bits if bits < 64 else 0) - bounds.span) % (bounds.span or 1)
    bounds.offset = first & 0xFFFFFFFFFFFFFFFF
    return attempt(source, cnp.PyArray_DATA(out), cnp.PyArray_SIZE(out), kind, &bounds)


cdef int shuffle_lanes(Source source, x, size_t lanes) except -1:
    """Shuffle each of `lanes` equal parts of a 1-D array, by Fisher and Yates's method from the end."""
    cdef Reading reading
    cdef size_t i, n = x.size // lanes, itemsize = x.dtype.itemsize
    cdef ptrdiff_t stride = x.strides[0]
    cdef char *data = cnp.PyArray_BYTES(x)
    cdef bytearray memory = bytearray(itemsize)
    cdef char *spare = memory
    cdef uint32_t indices[SPAN]
    with source.lock:
        reading = read(source, FEW)
        try:
            for _ in range(lanes):
                i = n - 1
                while i:
                    if x.dtype.hasobject:
                        i = swap_some(reading.ahead, data, stride, itemsize, i, indices, spare)
                    else:
                        with nogil:
                            i = swap_some(reading.ahead, data, stride, itemsize, i, indices, spare)
                    PyErr_CheckSignals()
                data += <ptrdiff_t>n * stride
        finally:
            reading.settle()
    return 0


cdef size_t swap_some(fi_ahead *ahead, char *data, ptrdiff_t stride, size_t itemsize, size_t i,
                      uint32_t *indices, char *spare) noexcept nogil:
    """Swap element i and those below with earlier ones, SPAN at most. Return the next element to swap."""
    cdef size_t k, many = min(i, <size_t>SPAN)
    draw_indices(ahead, i, indices, many)
    for k in range(many):
        swap(data + <ptrdiff_t>(i - k) * stride, data + <ptrdiff_t>indices[k] * stride, itemsize,
             spare)
    return i - many


cdef void draw_indices(fi_ahead *ahead, size_t i, uint32_t *indices, size_t many) noexcept nogil:
    """Draw integers up to i, up to i - 1 and so on as NumPy does: the low bits of words, if in range."""
    cdef size_t made = 0, mask = i
    cdef int shift
    cdef uint32_t index
    for shift in range(5):
        mask |= mask >> (1 << shift)
    while made < many:
        while i - made <= mask >> 1:
            mask >>= 1
        index = fi_ahead32(ahead) & <uint32_t>mask
        indices[made] = index
        made += index <= i - made


cdef inline void swap(char *a, char *b, size_t itemsize, char *spare) noexcept nogil:
    cdef uint64_t wide
    cdef uint32_t narrow
    if itemsize == 8:
        memcpy(&wide, a, 8)
        memcpy(a, b, 8)
        memcpy(b, &wide, 8)
    elif itemsize == 4:
        memcpy(&narrow, a, 4)
        memcpy(a, b, 4)
        memcpy(b, &narrow, 4)
    else:
        memcpy(spare, a, itemsize)
        memcpy(a, b, itemsize)  # a and b may be one element
        memcpy(b, spare, itemsize)

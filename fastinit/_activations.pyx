"""Elementwise operations on arrays. `fastinit.nn` says what they compute."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.float cimport FLT_MAX
from libc.math cimport INFINITY, fabs

from fastinit._dispatch cimport activate, consume, set_alpha_dropout
from fastinit._kernels cimport (
    FI_DTYPES, FI_F32, FI_NOTHING, FI_UNIFORM, FI_WORDS, fi_activation_info, fi_activation_op,
    fi_dtype, fi_is_wide, fi_itemsize,
)
from fastinit._sampling cimport Source

from fastinit import _dtypes
from fastinit._arrays import as_input, as_output, check_writable, say_written
from fastinit._dispatch import ACTIVATIONS, DTYPES
from fastinit._threads import get_num_threads, run

cnp.import_array()

globals().update({name.upper(): op for name, (op, *_) in ACTIVATIONS.items()})  # RELU and so on

cdef list RECORDS = [_dtypes.DTYPES[tag] for tag in DTYPES]  # indexed by fi_dtype
cdef int numbers[FI_DTYPES]  # NumPy's type numbers, indexed by fi_dtype; -1: no bfloat16 of ml_dtypes seen
for record, code in zip(RECORDS, DTYPES.values()):
    numbers[code] = record.storage.num if record.storage.name == record.name else -1

cdef size_t FEW = 4096  # fewer values are computed without releasing the GIL
cdef size_t MANY = 1 << 18  # as many values or more are shared between threads: fewer do not repay waking one
cdef size_t PIECE = 1 << 20  # the most values that a thread takes at once
cdef size_t PART = 1 << 18  # values between two checks for Ctrl-C
# Outputs of this size or more bypass the cache. On a Zen 4 with the input in its cache, ReLU takes 1.3 times
# as long so at 4 MiB, as long at 8, and 0.8 times at 16.
cdef size_t NONTEMPORAL_BYTES = 8 << 20
cdef int BUFFER = 1 << 14  # values in a block of non-contiguous arrays


cdef int code_of(cnp.ndarray array) noexcept:
    """The fi_dtype of an array in native byte order, or -1."""
    cdef int i, number = cnp.PyArray_TYPE(array)
    for i in range(<int>FI_DTYPES):
        if numbers[i] == number:
            return i
    return -1


cdef int expect(int op, int operands, int extra, int sums) except -1:
    """Refuse an operation of another kind: it would read operands that the caller does not pass."""
    if (fi_activation_info[op].operands != operands or fi_activation_info[op].extra != extra
            or fi_activation_info[op].sums != sums):
        name = fi_activation_info[op].name.decode()
        raise SystemError(f"{name} is another kind of operation in src_c/activations.def")
    return 0


cdef class Job:
    """One operation on arrays that share an order, C or Fortran. A call computes elements [start, stop).

    Many threads may call at once.
    """

    cdef int set_slope(self, double slope) except -1:
        """Refuse a finite slope that float32 can't hold, as torch does: infinity would turn 0 into NaN."""
        if not fi_is_wide(self.dtype) and FLT_MAX < fabs(slope) < INFINITY:
            raise OverflowError(f"negative_slope {slope} overflows float32")
        self.params.slope = slope
        return 0

    cdef int compute(self, size_t start, size_t n) except -1 nogil:
        activate(self.op, self.dtype, &self.params, &self.generator if self.draws else NULL, self.out,
                 self.operands, start, n, self.nontemporal)
        return 0

    def __call__(self, piece):
        cdef size_t start, stop, n
        start, stop = piece
        while start < stop:
            n = min(PART, stop - start)
            with nogil:
                self.compute(start, n)
            start += n
            PyErr_CheckSignals()

    cdef int set_nontemporal(self, size_t n) except -1:
        """Bypass the cache if the output is large, unless it is an operand, which is in the cache."""
        self.nontemporal = n * fi_itemsize(self.dtype) >= NONTEMPORAL_BYTES
        for i in range(self.count):
            self.nontemporal &= self.operands[i] != self.out
        return 0

    cdef int share(self, size_t n, size_t row) except -1:
        """Compute n elements, shared between threads if they are many. No piece crosses the end of a row."""
        cdef size_t share, i, j
        self.set_nontemporal(n)
        if n < FEW and row == n:
            self.compute(0, n)
        elif n < MANY and row == n:
            with nogil:
                self.compute(0, n)
        else:
            # A multiple of 64 elements is one of a cache line.
            share = min(PIECE, n // <size_t>get_num_threads() // 64 * 64 + 64)
            run(self, [(i + j, i + min(j + share, row))
                       for i in range(0, n, row) for j in range(0, row, share)])
        return 0

    cdef int bind(self, cnp.ndarray out, tuple operands) except -1:
        self.out = <char *>cnp.PyArray_DATA(out)
        self.count = len(operands)
        for i in range(self.count):
            self.operands[i] = cnp.PyArray_DATA(operands[i])
        return 0


cdef bint disjoint(cnp.ndarray out, cnp.ndarray x) noexcept:
    """Whether contiguous arrays share no memory."""
    cdef char *a = <char *>cnp.PyArray_DATA(out)
    cdef char *b = <char *>cnp.PyArray_DATA(x)
    return a + cnp.PyArray_NBYTES(out) <= b or b + cnp.PyArray_NBYTES(x) <= a


cdef bint same_or_disjoint(cnp.ndarray out, cnp.ndarray x) noexcept:
    """Whether contiguous arrays of one size are the same memory or share none."""
    return cnp.PyArray_DATA(out) == cnp.PyArray_DATA(x) or disjoint(out, x)


cdef object fast(fi_activation_op op, x, y, out, double slope):
    """The result for C-contiguous arrays of one dtype and shape, the common case; None for others."""
    cdef int code
    cdef Job job
    if type(x) is not cnp.ndarray or not cnp.PyArray_ISCARRAY_RO(x) or (code := code_of(x)) < 0:
        return None
    if y is not None and (type(y) is not cnp.ndarray or not cnp.PyArray_ISCARRAY_RO(y) or code_of(y) != code
                          or not cnp.PyArray_SAMESHAPE(x, y)):
        return None
    job = Job.__new__(Job)
    job.op, job.dtype = op, <fi_dtype>code
    job.set_slope(slope)
    if out is None:
        out = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
    elif (type(out) is not cnp.ndarray or not cnp.PyArray_ISCARRAY(out) or code_of(out) != code
          or not cnp.PyArray_SAMESHAPE(x, out) or not same_or_disjoint(out, x)
          or y is not None and not same_or_disjoint(out, y)):
        return None
    job.out = <char *>cnp.PyArray_DATA(out)
    job.operands[0], job.count = cnp.PyArray_DATA(x), 1
    if y is not None:
        job.operands[1], job.count = cnp.PyArray_DATA(y), 2
    job.share(cnp.PyArray_SIZE(x), cnp.PyArray_SIZE(x))
    return out


def elementwise(int op, x, y=None, out=None, double slope=0.0):
    """Run an operation without words and without a bias."""
    expect(op, 1 + (y is not None), FI_NOTHING, 0)
    result = fast(<fi_activation_op>op, x, y, out, slope)
    if result is not None:
        return result
    return general(Job.__new__(Job), op, (x,) if y is None else (x, y), out, slope)


def dropout(int op, x, y, out, double p, generator, bint moves):
    """Run an operation with alpha dropout. Element i, in C order, takes word i of the stream."""
    cdef Job job = Job.__new__(Job)
    expect(op, 1 + (y is not None), FI_WORDS, 0)
    set_alpha_dropout(&job.params, p)
    job.draws = True
    return general(job, op, (x,) if y is None else (x, y), out, 0, generator._source, moves)


cdef tuple storage_of(x):
    """What `as_input` returns, found faster for most arrays."""
    cdef int code
    if type(x) is not cnp.ndarray or not cnp.PyArray_ISNOTSWAPPED(x) or (code := code_of(x)) < 0:
        memory, dtype = as_input(x)
        if type(x) is cnp.ndarray and numbers[<int>DTYPES[dtype.tag]] < 0:
            numbers[<int>DTYPES[dtype.tag]] = cnp.PyArray_TYPE(x)
        return memory, dtype
    storage = RECORDS[code].storage
    return (x if x.dtype is storage else x.view(storage)), RECORDS[code]


cdef tuple checked(operands):
    """The storage of the operands, and their dtype. Refuses different dtypes or shapes."""
    found = [storage_of(x) for x in operands]
    array, dtype = found[0]
    for other, its in found[1:]:
        if its is not dtype:
            raise TypeError(f"operands have different dtypes: {dtype.name} and {its.name}")
        if other.shape != array.shape:
            raise ValueError(f"operands have different shapes: {array.shape} and {other.shape}")
    return [memory for memory, _ in found], dtype


cdef object output(out, like, dtype):
    """`out`, or a new array in the memory order of `like`; and the storage of either."""
    if out is None:
        out = np.empty_like(like, dtype=dtype.numpy, subok=False)
        return out, dtype.view(out)
    usual = type(out) is cnp.ndarray and cnp.PyArray_ISWRITEABLE(out)
    memory, its = storage_of(out) if usual else as_output(out)
    if its is not dtype:
        raise TypeError(f"output array has dtype {its.name}, but the operands have {dtype.name}")
    if memory.shape != like.shape:
        raise ValueError(f"output array has shape {memory.shape}, but the operands have {like.shape}")
    check_writable(memory)
    return out, memory


cdef int announce(out) except -1:
    """Tell autograd that `out` changes. No refusal may follow."""
    if type(out) is not cnp.ndarray:
        say_written(out)
    return 0


cdef bint is_contiguous(array):
    return cnp.PyArray_ISCARRAY_RO(array)


cdef object general(Job job, int op, tuple given, out, double slope, Source source=None, bint moves=False):
    operands, dtype = checked(given)
    job.op, job.dtype = <fi_activation_op>op, <fi_dtype><int>DTYPES[dtype.tag]
    job.set_slope(slope)
    result, memory = output(out, operands[0], dtype)
    if moves:
        source.take(FI_UNIFORM, FI_F32, memory.size, &job.generator)
    elif job.draws:
        with source.lock:
            source.peek(&job.generator)
    announce(result)
    arrays = [memory, *operands]
    if not job.draws and not is_contiguous(memory):
        axes = np.argsort([-abs(stride) for stride in memory.strides], kind="stable").tolist()
        arrays = [x.transpose(axes) for x in arrays]  # such as channels last
    if all([is_contiguous(x) for x in arrays]) and all([same_or_disjoint(arrays[0], x) for x in arrays[1:]]):
        job.bind(arrays[0], tuple(arrays[1:]))
        job.share(memory.size, memory.size)
    else:
        blocks(job, arrays, dtype)
    return result


cdef int blocks(Job job, list arrays, dtype) except -1:
    """Compute on arrays in any layout, block by block, through NumPy's buffered iterator.

    The iterator copies an operand that partly overlaps the output, as NumPy's ufuncs do.
    """
    cdef size_t done = 0, n
    cdef fi_pcg64 before = job.generator
    flags = ["contig", "aligned", "overlap_assume_elementwise"]
    iterator = np.nditer(
        arrays, ["external_loop", "buffered", "zerosize_ok", "copy_if_overlap"],
        [["writeonly", *flags]] + [["readonly", *flags]] * (len(arrays) - 1), [dtype.storage] * len(arrays),
        order="C" if job.draws else "K", casting="equiv", buffersize=BUFFER)
    with iterator:
        for block in iterator:
            job.bind(block[0], block[1:])
            n = block[0].size
            with nogil:
                job.compute(0, n)
            done += n
            if job.draws:
                job.generator = before
                consume(&job.generator, FI_UNIFORM, FI_F32, done)
            PyErr_CheckSignals()
    return 0

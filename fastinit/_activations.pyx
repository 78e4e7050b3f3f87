"""Activations: check, release the GIL, call. `fastinit.nn` has what they mean."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.float cimport FLT_MAX
from libc.math cimport INFINITY, fabs
from libc.string cimport memcmp, memcpy

from fastinit._dispatch cimport activate, activate_rows, consume, set_alpha_dropout, sum_rows
from fastinit._kernels cimport (
    FI_BF16, FI_F16, FI_F32, FI_F64, FI_UNIFORM, fi_activation, fi_activation_op, fi_dtype, fi_itemsize,
    fi_pcg64,
)
from fastinit._sampling cimport Source

from fastinit import _dtypes
from fastinit._dispatch import ACTIVATIONS, DTYPES
from fastinit._arrays import as_input, as_output, say_written
from fastinit._threads import get_num_threads, run

cnp.import_array()

cdef object UINT16 = np.uint16
cdef dict TAGS = {known: tag for tag, known in DTYPES.items()}

globals().update({name.upper(): op for name, op in ACTIVATIONS.items()})  # RELU and so on

cdef size_t FEW = 4096  # fewer values are made without letting go of the GIL
cdef size_t MANY = 1 << 18  # from here on another thread gains more than it costs to wake
cdef size_t PIECE = 1 << 20  # of which threads take one at a time
cdef size_t PART = 1 << 18  # Ctrl-C is looked for after so many
cdef size_t STREAM_BYTES = 8 << 20  # outputs from this size on are written past the cache
cdef size_t WIDE = 1 << 13  # shorter rows are summed as parts of one of this length, if there are enough
cdef size_t ROW_BLOCK = 64  # of as many rows, the sums are made apart
cdef size_t ROW_GROUP = 16  # and of these in the working precision (activate.c)
cdef size_t LONG_BIAS = 1 << 15  # a shorter one is copied, with its beginning after its end
cdef size_t NEXT_PERIOD = 64  # elements of it (fastinit.h)
cdef int BUFFER = 1 << 14  # elements of a block of arrays that are not contiguous

cdef int bfloat16 = -1  # its type number, once ml_dtypes has been seen


cdef int dtype_of(cnp.ndarray array) noexcept:
    """The fi_dtype of an array in native byte order, or -1."""
    cdef int number = cnp.PyArray_TYPE(array)
    if number == cnp.NPY_FLOAT:
        return FI_F32
    if number == cnp.NPY_DOUBLE:
        return FI_F64
    if number == cnp.NPY_FLOAT16:
        return FI_F16
    return FI_BF16 if number == bfloat16 else -1


cdef class Job:
    """One operation on whole arrays, contiguous in one order, in any pieces and from any threads."""

    cdef fi_activation params
    cdef fi_pcg64 generator
    cdef bint draws, streamed
    cdef fi_activation_op op
    cdef fi_dtype dtype
    cdef char *out
    cdef const void *operands[3]
    cdef int count

    cdef int set_slope(self, double slope) except -1:
        """What float32 can't hold is refused, as by torch: it would be infinite, and of zeros make NaN."""
        if self.dtype != FI_F64 and FLT_MAX < fabs(slope) < INFINITY:
            raise OverflowError(f"negative_slope {slope} overflows float32")
        self.params.slope = slope
        return 0

    cdef int part(self, size_t start, size_t n) except -1 nogil:
        activate(self.op, self.dtype, &self.params, &self.generator if self.draws else NULL, self.out,
                 self.operands, start, n, self.streamed)
        return 0

    def __call__(self, piece):
        cdef size_t start, stop, n
        start, stop = piece
        while start < stop:
            n = min(PART, stop - start)
            with nogil:
                self.part(start, n)
            start += n
            PyErr_CheckSignals()

    cdef int set_streamed(self, size_t n) except -1:
        """Past the cache where there is much, but not over an operand, which the cache has just read."""
        self.streamed = n * fi_itemsize(self.dtype) >= STREAM_BYTES
        for i in range(self.count):
            self.streamed &= self.operands[i] != self.out
        return 0

    cdef int whole(self, size_t n, size_t row) except -1:
        """All n elements; no piece goes past the end of a row."""
        cdef size_t share, i, j
        self.set_streamed(n)
        if n < FEW and row == n:
            self.part(0, n)
        elif n < MANY and row == n:
            with nogil:
                self.part(0, n)
        else:
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


cdef class RowsJob(Job):
    """A gradient of rows, with the sum of each column."""

    cdef size_t stride, itemsize
    cdef double *sums  # one row for each block of rows

    def __call__(self, piece):
        cdef size_t row, rows, column, columns, some
        row, rows, column, columns = piece
        while rows:
            some = min(rows, PART // columns // ROW_GROUP * ROW_GROUP + ROW_GROUP)
            with nogil:
                self.part_of_rows(row, some, column, columns)
            row += some
            rows -= some
            PyErr_CheckSignals()

    cdef int part_of_rows(self, size_t row, size_t rows, size_t column, size_t columns) except -1 nogil:
        cdef size_t offset = (row * self.stride + column) * self.itemsize, moved
        cdef const void *operands[3]
        cdef double *sums = self.sums + row // ROW_BLOCK * self.stride + column
        for i in range(3):
            moved = offset if i < 2 else column * self.itemsize  # a bias stands last
            operands[i] = <const char *>self.operands[i] + moved if i < self.count else NULL
        activate_rows(self.op, self.dtype, &self.params, self.out + offset, operands, sums, rows, columns,
                      self.stride, self.streamed)
        return 0

    cdef int rows(self, size_t rows, size_t columns) except -1:
        """Share the rows, and long ones, between the threads; where a piece ends changes no sum."""
        cdef size_t width = max(WIDE, PIECE // min(ROW_BLOCK, rows) // WIDE * WIDE) if rows else 0
        cdef size_t i, j
        self.stride, self.itemsize = columns, fi_itemsize(self.dtype)
        pieces = [(i, min(ROW_BLOCK, rows - i), j, min(width, columns - j))
                  for i in range(0, rows, ROW_BLOCK) for j in range(0, columns, width)]
        if rows * columns < MANY:
            for piece in pieces:
                self(piece)
        else:
            run(self, pieces)
        return 0


cdef bint apart(cnp.ndarray out, cnp.ndarray x) noexcept:
    """Whether contiguous arrays share no memory."""
    cdef char *a = <char *>cnp.PyArray_DATA(out)
    cdef char *b = <char *>cnp.PyArray_DATA(x)
    return a + cnp.PyArray_NBYTES(out) <= b or b + cnp.PyArray_NBYTES(x) <= a


cdef bint same_or_apart(cnp.ndarray out, cnp.ndarray x) noexcept:
    """Whether contiguous arrays of one size are the same memory or share none."""
    return cnp.PyArray_DATA(out) == cnp.PyArray_DATA(x) or apart(out, x)


cdef bint alike(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int ndim = cnp.PyArray_NDIM(a)
    return ndim == cnp.PyArray_NDIM(b) and memcmp(
        cnp.PyArray_DIMS(a), cnp.PyArray_DIMS(b), ndim * sizeof(cnp.npy_intp)) == 0


cdef object plain(fi_activation_op op, x, y, out, double slope):
    """The common case, or None: C-contiguous arrays of one dtype and shape."""
    cdef int known
    cdef Job job
    if type(x) is not cnp.ndarray or not cnp.PyArray_ISCARRAY_RO(x) or (known := dtype_of(x)) < 0:
        return None
    if y is not None and (type(y) is not cnp.ndarray or not cnp.PyArray_ISCARRAY_RO(y) or dtype_of(y) != known
                          or not alike(x, y)):
        return None
    job = Job.__new__(Job)
    job.op, job.dtype = op, <fi_dtype>known
    job.set_slope(slope)
    if out is None:
        out = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
    elif (type(out) is not cnp.ndarray or not cnp.PyArray_ISCARRAY(out) or dtype_of(out) != known
          or not alike(x, out) or not same_or_apart(out, x)
          or y is not None and not same_or_apart(out, y)):
        return None
    job.out = <char *>cnp.PyArray_DATA(out)
    job.operands[0], job.count = cnp.PyArray_DATA(x), 1
    if y is not None:
        job.operands[1], job.count = cnp.PyArray_DATA(y), 2
    job.whole(cnp.PyArray_SIZE(x), cnp.PyArray_SIZE(x))
    return out


def elementwise(int op, x, y=None, out=None, double slope=0.0):
    """An operation that draws nothing and has no bias."""
    result = plain(<fi_activation_op>op, x, y, out, slope)
    if result is not None:
        return result
    return anything(Job.__new__(Job), op, (x,) if y is None else (x, y), out, slope)


def dropout(int op, x, y, out, double p, generator, bint moves):
    """An operation with alpha dropout; element i's word is word i of the stream, in C order."""
    cdef Job job = Job.__new__(Job)
    set_alpha_dropout(&job.params, p)
    job.draws = True
    return anything(job, op, (x,) if y is None else (x, y), out, 0, generator._source, moves)


cdef tuple storage_of(x):
    """As `as_input`, at once for most arrays."""
    global bfloat16
    cdef int known
    if type(x) is not cnp.ndarray or not cnp.PyArray_ISNOTSWAPPED(x) or (known := dtype_of(x)) < 0:
        memory, tag = as_input(x)
        if tag == "bf16" and type(x) is cnp.ndarray:
            bfloat16 = cnp.PyArray_TYPE(x)  # of this type from now on
        return memory, tag
    return (x.view(UINT16) if known == FI_BF16 else x), TAGS[known]


cdef tuple checked(operands):
    """The operands' storage and tag; they have one dtype and shape."""
    found = [storage_of(x) for x in operands]
    array, tag = found[0]
    for other, its in found[1:]:
        if its != tag:
            raise TypeError(f"operands have different dtypes: {_dtypes.name(tag)} and {_dtypes.name(its)}")
        if other.shape != array.shape:
            raise ValueError(f"operands have different shapes: {array.shape} and {other.shape}")
    return [memory for memory, _ in found], tag


cdef object output(out, like, str tag):
    """`out`, or a new array in the order of `like`, and the storage of either. The last check there is."""
    if out is None:
        out = np.empty_like(like, dtype=_dtypes.dtype(tag), subok=False)
        return out, _dtypes.storage(out, tag)
    usual = type(out) is cnp.ndarray and cnp.PyArray_ISWRITEABLE(out)
    memory, its = storage_of(out) if usual else as_output(out)
    if its != tag:
        raise TypeError(
            f"output array has dtype {_dtypes.name(its)}, but the operands have {_dtypes.name(tag)}")
    if memory.shape != like.shape:
        raise ValueError(f"output array has shape {memory.shape}, but the operands have {like.shape}")
    if not usual:
        say_written(out)
    return out, memory


cdef bint is_plain(array, bint fortran):
    return cnp.PyArray_ISFARRAY_RO(array) if fortran else cnp.PyArray_ISCARRAY_RO(array)


cdef object anything(Job job, int op, tuple given, out, double slope, Source source=None, bint moves=False):
    operands, tag = checked(given)
    job.op, job.dtype = <fi_activation_op>op, <fi_dtype><int>DTYPES[tag]
    job.set_slope(slope)
    result, memory = output(out, operands[0], tag)
    if moves:
        source.take(FI_UNIFORM, FI_F32, memory.size, &job.generator)
    elif job.draws:
        with source.lock:
            source.peek(&job.generator)
    arrays = [memory, *operands]
    for fortran in range(1 if job.draws else 2):
        if all([is_plain(x, fortran) for x in arrays]) and all([same_or_apart(memory, x) for x in operands]):
            job.bind(memory, tuple(operands))
            job.whole(memory.size, memory.size)
            return result
    blocks(job, arrays, tag)
    return result


cdef int blocks(Job job, list arrays, str tag) except -1:
    """Arrays in any layout, block by block, through NumPy's iterator and its buffers.

    As NumPy's ufuncs do, it first copies what an operand shares with the output.
    """
    cdef size_t done = 0, n
    cdef fi_pcg64 before = job.generator
    flags = ["contig", "aligned", "overlap_assume_elementwise"]
    iterator = np.nditer(
        arrays,
        flags=["external_loop", "buffered", "zerosize_ok", "copy_if_overlap"],
        op_flags=[["writeonly", *flags]] + [["readonly", *flags]] * (len(arrays) - 1),
        op_dtypes=[_dtypes.STORAGE[tag]] * len(arrays),
        order="C" if job.draws else "K",
        casting="equiv",
        buffersize=BUFFER,
    )
    with iterator:
        for block in iterator:
            job.bind(block[0], block[1:])
            n = block[0].size
            with nogil:
                job.part(0, n)
            done += n
            if job.draws:
                job.generator = before
                consume(&job.generator, FI_UNIFORM, FI_F32, done)
            PyErr_CheckSignals()
    return 0


cdef object repeated(bias, cnp.npy_intp length):
    """The bias over and over, in an array of that length and its own dtype in native byte order."""
    cdef cnp.ndarray once = np.ascontiguousarray(bias, bias.dtype.newbyteorder("="))
    cdef cnp.ndarray filled = cnp.PyArray_EMPTY(1, &length, cnp.PyArray_TYPE(once), 0)
    cdef char *memory = <char *>cnp.PyArray_DATA(filled)
    cdef size_t size = cnp.PyArray_NBYTES(filled), done = min(<size_t>cnp.PyArray_NBYTES(once), size), some
    memcpy(memory, cnp.PyArray_DATA(once), done)
    while done < size:
        some = min(done, size - done)
        memcpy(memory + done, memory, some)
        done += some
    return filled


cdef object check_bias(x, bias, str tag):
    memory, its = storage_of(bias)
    if its != tag:
        raise TypeError(f"operands have different dtypes: {_dtypes.name(tag)} and {_dtypes.name(its)}")
    if memory.ndim != 1 or x.ndim < 1 or x.shape[-1] != memory.size:
        raise ValueError(f"a bias of shape {memory.shape} does not fit operands of shape {x.shape}: (..., n) "
                         "takes (n,)")
    return memory


def with_bias(int op, x, bias, out, double slope=0.0):
    """An operation on x + bias, for x of shape (..., n) and a bias of shape (n,)."""
    cdef Job job = Job.__new__(Job)
    cdef size_t n, size
    [array], tag = checked((x,))
    row = check_bias(array, bias, tag)
    job.op, job.dtype = <fi_activation_op>op, <fi_dtype><int>DTYPES[tag]
    job.set_slope(slope)
    result, memory = output(out, array, tag)
    size, n = memory.size, row.size
    if not size:
        return result
    if not (is_plain(array, False) and is_plain(memory, False) and same_or_apart(memory, array)):
        job.params.period = size
        blocks(job, [memory, array, np.broadcast_to(row, array.shape)], tag)
    elif n >= LONG_BIAS and is_plain(row, False) and apart(memory, row):
        job.params.period = n
        job.bind(memory, (array, row))
        job.whole(size, n)
    else:
        job.params.period = (NEXT_PERIOD + n - 1) // n * n
        row = repeated(row, job.params.period + NEXT_PERIOD)
        job.bind(memory, (array, row))
        job.whole(size, size)
    return result


cdef size_t rows_together(size_t size, size_t columns) noexcept:
    """How many short rows are taken as one, of whose columns there are then as many more."""
    cdef size_t wide = min(WIDE, size // (16 * ROW_GROUP))
    return 1 if size < FEW or columns >= wide else wide // columns


cdef bint in_step(cnp.ndarray out, cnp.ndarray x):
    """Whether each element of x shares memory with its own of the output at most."""
    return (cnp.PyArray_DATA(out) == cnp.PyArray_DATA(x) and out.strides == x.strides and out.dtype == x.dtype
            or not np.may_share_memory(x, out, max_work=1))


cdef tuple rows_at(tuple shape, size_t start, size_t stop):
    """The index of rows start to stop of an array, where these are counted through all axes but the last."""
    if len(shape) == 2:
        return slice(start, stop),
    return np.unravel_index(np.arange(start, stop), shape[:-1])


cdef int rows_in_tiles(RowsJob job, memory, list operands, tuple bias, str tag, size_t together) except -1:
    """Arrays in any layout, so many rows and columns at a time; the sums are those of contiguous ones."""
    cdef size_t n = memory.shape[-1], rows = memory.size // n, group = ROW_GROUP * together
    cdef size_t width = n if together > 1 else BUFFER // min(rows, ROW_GROUP)
    cdef size_t row, column, some, whole, rest
    cdef double *sums = job.sums
    operands = [x if in_step(memory, x) else x.copy() for x in operands]
    out, *arrays = [np.atleast_2d(x) for x in (memory, *operands)]
    job.itemsize = fi_itemsize(job.dtype)
    for row in range(0, rows, group):
        some = min(group, rows - row)
        whole, rest = some // together, some % together * n
        index = rows_at(out.shape, row, row + some)
        for column in range(0, n, width):
            where = (*index, slice(column, min(column + width, n)))
            parts = [x[where].astype(_dtypes.STORAGE[tag], order="C") for x in arrays]
            part = np.empty_like(parts[0])
            job.bind(part, (*parts, *[each[column:] for each in bias]))
            job.stride = part.shape[1] * together
            job.sums = sums + row // group * ROW_GROUP // ROW_BLOCK * n * together + column
            with nogil:
                job.part_of_rows(0, whole, 0, job.stride)
                if rest:  # a last row, short of some
                    job.part_of_rows(whole, 1, 0, rest)
            out[where] = part
            PyErr_CheckSignals()
    return 0


cdef int sum_up(fi_dtype dtype, cnp.ndarray out, cnp.ndarray sums) except -1:
    cdef void *memory = cnp.PyArray_DATA(out)
    cdef double *rows = <double *>cnp.PyArray_DATA(sums)
    cdef size_t count = cnp.PyArray_DIM(sums, 0), columns = cnp.PyArray_DIM(sums, 1)
    with nogil:
        sum_rows(dtype, memory, rows, count, columns)
    return 0


def with_bias_backward(int op, grad, y, bias, out, double slope=0.0):
    """The gradients of x and of the bias, where y is the input or the output; bias is None with an output.

    A column's sum is made in one order, whatever the threads: see docs/activations.md.
    """
    cdef RowsJob job = RowsJob.__new__(RowsJob)
    cdef size_t columns, size, together
    operands, tag = checked((grad, y))
    array = operands[0]
    if array.ndim < 1:
        raise ValueError("operands of shape (): (..., n) is wanted")
    row = None if bias is None else check_bias(array, bias, tag)
    n = array.shape[-1]
    grad_bias = np.empty(n, _dtypes.dtype(tag))  # first: bfloat16 may not be installed
    job.op, job.dtype = <fi_activation_op>op, <fi_dtype><int>DTYPES[tag]
    job.set_slope(slope)
    result, memory = output(out, array, tag)
    size = memory.size
    together = rows_together(size, n)
    columns = n * together
    sums = np.zeros(((size // columns // ROW_BLOCK + 1) * together if n else 1, n))
    job.sums = <double *>cnp.PyArray_DATA(sums)
    wide = () if row is None else (repeated(row, columns),)
    if size == 0:
        pass
    elif (all([is_plain(x, False) for x in (memory, *operands)])
          and all([same_or_apart(memory, x) for x in operands])):
        job.bind(memory, (*operands, *wide))
        job.set_streamed(size)
        job.rows(size // columns, columns)
        if size % columns:  # a last row, short of some
            job((size // columns, 1, 0, size % columns))
    else:
        rows_in_tiles(job, memory, operands, wide, tag, together)
    sum_up(job.dtype, grad_bias, sums)
    return result, grad_bias

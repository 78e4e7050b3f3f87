"""Operations on x + bias, and the gradients of x and of the bias."""

import numpy as np

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memcpy

from fastinit._activations cimport (
    BUFFER, FEW, MANY, PART, PIECE, Job, announce, blocks, checked, disjoint, expect, is_contiguous, output,
    same_or_disjoint, storage_of,
)
from fastinit._dispatch cimport activate_rows, sum_rows
from fastinit._kernels cimport FI_BIAS, FI_BIAS_OVERLAP, FI_NOTHING, fi_activation_op, fi_dtype, fi_itemsize

from fastinit._dispatch import DTYPES
from fastinit._threads import run

cnp.import_array()

cdef size_t WIDE = 1 << 13  # if there are enough of them, shorter rows are joined up to this length
cdef size_t ROW_BLOCK = 64  # each block of rows has its own sums
cdef size_t ROW_GROUP = 16  # rows that are summed in the working precision (ROWS in activate.c)
cdef size_t LONG_BIAS = 1 << 15  # a shorter bias is copied and repeated


cdef class RowsJob(Job):
    """An operation that also sums each column of its result.

    A call takes (row, rows, column, columns): the first of each, and how many.
    """

    cdef size_t stride, itemsize
    cdef double *sums  # one row for each block of rows

    def __call__(self, piece):
        cdef size_t row, rows, column, columns, some
        row, rows, column, columns = piece
        while rows:
            some = min(rows, PART // columns // ROW_GROUP * ROW_GROUP + ROW_GROUP)
            with nogil:
                self.compute_rows(row, some, column, columns)
            row += some
            rows -= some
            PyErr_CheckSignals()

    cdef int compute_rows(self, size_t row, size_t rows, size_t column, size_t columns) except -1 nogil:
        cdef size_t offset = (row * self.stride + column) * self.itemsize, moved
        cdef const void *operands[3]
        cdef double *sums = self.sums + row // ROW_BLOCK * self.stride + column
        for i in range(3):
            moved = offset if i < 2 else column * self.itemsize  # the third is the bias
            operands[i] = <const char *>self.operands[i] + moved if i < self.count else NULL
        activate_rows(self.op, self.dtype, &self.params, self.out + offset, operands, sums, rows, columns,
                      self.stride, self.nontemporal)
        return 0

    cdef int share_rows(self, size_t rows, size_t columns) except -1:
        """Share rows, and parts of long rows, between threads. The sums do not depend on the pieces."""
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


cdef object repeated(bias, cnp.npy_intp length):
    """Return the bias repeated to `length` elements, in native byte order."""
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


cdef object check_bias(x, bias, dtype):
    memory, its = storage_of(bias)
    if its is not dtype:
        raise TypeError(f"operands have different dtypes: {dtype.name} and {its.name}")
    if memory.ndim != 1 or x.ndim < 1 or x.shape[-1] != memory.size:
        raise ValueError(f"a bias of shape {memory.shape} does not fit operands of shape {x.shape}: (..., n) "
                         "takes (n,)")
    return memory


def with_bias(int op, x, bias, out, double slope=0.0):
    """Run an operation on x + bias, for x of shape (..., n) and a bias of shape (n,)."""
    cdef Job job = Job.__new__(Job)
    cdef size_t n, size
    expect(op, 2, FI_BIAS, 0)
    [array], dtype = checked((x,))
    row = check_bias(array, bias, dtype)
    job.op, job.dtype = <fi_activation_op>op, <fi_dtype><int>DTYPES[dtype.tag]
    job.set_slope(slope)
    result, memory = output(out, array, dtype)
    size, n = memory.size, row.size
    announce(result)
    if not size:
        return result
    if not (is_contiguous(array) and is_contiguous(memory) and same_or_disjoint(memory, array)):
        job.params.period = size
        blocks(job, [memory, array, np.broadcast_to(row, array.shape)], dtype)
    elif n >= LONG_BIAS and is_contiguous(row) and disjoint(memory, row):
        job.params.period = n
        job.bind(memory, (array, row))
        job.share(size, n)
    else:
        job.params.period = (FI_BIAS_OVERLAP + n - 1) // n * n
        row = repeated(row, job.params.period + FI_BIAS_OVERLAP)
        job.bind(memory, (array, row))
        job.share(size, size)
    return result


cdef size_t rows_together(size_t size, size_t columns) noexcept:
    """How many short rows are computed as one long row. Its sums are added up later."""
    cdef size_t wide = min(WIDE, size // (16 * ROW_GROUP))
    return 1 if size < FEW or columns >= wide else wide // columns


cdef bint in_step(cnp.ndarray out, cnp.ndarray x):
    """Whether each element of x shares memory with at most its own element of the output."""
    return (cnp.PyArray_DATA(out) == cnp.PyArray_DATA(x) and out.strides == x.strides and out.dtype == x.dtype
            or not np.may_share_memory(x, out, max_work=1))


cdef tuple rows_at(tuple shape, size_t start, size_t stop):
    """The index of rows [start, stop), counted in C order through all axes but the last."""
    if len(shape) == 2:
        return slice(start, stop),
    return np.unravel_index(np.arange(start, stop), shape[:-1])


cdef int rows_in_tiles(RowsJob job, memory, list operands, tuple bias, dtype, size_t together) except -1:
    """Compute on arrays in any layout, tile by tile. The sums equal those of contiguous arrays."""
    cdef size_t n = memory.shape[-1], rows = memory.size // n, group = ROW_GROUP * together
    cdef size_t width = n if together > 1 else BUFFER // min(rows, ROW_GROUP)
    cdef size_t row, column, some, full, rest
    cdef double *sums = job.sums
    operands = [x if in_step(memory, x) else x.copy() for x in operands]
    out, *arrays = [np.atleast_2d(x) for x in (memory, *operands)]
    job.itemsize = fi_itemsize(job.dtype)
    for row in range(0, rows, group):
        some = min(group, rows - row)
        full, rest = some // together, some % together * n
        index = rows_at(out.shape, row, row + some)
        for column in range(0, n, width):
            where = (*index, slice(column, min(column + width, n)))
            parts = [x[where].astype(dtype.storage, order="C") for x in arrays]
            part = np.empty_like(parts[0])
            job.bind(part, (*parts, *[each[column:] for each in bias]))
            job.stride = part.shape[1] * together
            job.sums = sums + row // group * ROW_GROUP // ROW_BLOCK * n * together + column
            with nogil:
                job.compute_rows(0, full, 0, job.stride)
                if rest:  # a shorter last row
                    job.compute_rows(full, 1, 0, rest)
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
    """Return the gradients of x and of the bias. y is the output if bias is None, else the input x.

    `out` is for the gradient of x, or a pair for both. The order of each column's sum does not depend on the
    threads (docs/activations.md).
    """
    cdef RowsJob job = RowsJob.__new__(RowsJob)
    cdef size_t columns, size, together
    expect(op, 2 + (bias is not None), FI_NOTHING, 1)
    operands, dtype = checked((grad, y))
    array = operands[0]
    if array.ndim < 1:
        raise ValueError("operands of shape (): (..., n) is wanted")
    row = None if bias is None else check_bias(array, bias, dtype)
    n = array.shape[-1]
    total = np.empty(n, dtype.storage)
    out, bias_out = out if type(out) is tuple and len(out) == 2 else (out, None)
    grad_bias, bias_memory = output(bias_out, total, dtype)  # before any write: ml_dtypes may be missing
    job.op, job.dtype = <fi_activation_op>op, <fi_dtype><int>DTYPES[dtype.tag]
    job.set_slope(slope)
    result, memory = output(out, array, dtype)
    size = memory.size
    together = rows_together(size, n)
    columns = n * together
    sums = np.zeros(((size // columns // ROW_BLOCK + 1) * together if n else 1, n))
    job.sums = <double *>cnp.PyArray_DATA(sums)
    wide = () if row is None else (repeated(row, columns),)
    announce(result)
    announce(grad_bias)
    if size == 0:
        pass
    elif (all([is_contiguous(x) for x in (memory, *operands)])
          and all([same_or_disjoint(memory, x) for x in operands])):
        job.bind(memory, (*operands, *wide))
        job.set_nontemporal(size)
        job.share_rows(size // columns, columns)
        if size % columns:  # a shorter last row
            job((size // columns, 1, 0, size % columns))
    else:
        rows_in_tiles(job, memory, operands, wide, dtype, together)
    sum_up(job.dtype, total, sums)
    bias_memory[...] = total
    return result, grad_bias

cimport numpy as cnp

from fastinit._kernels cimport fi_activation, fi_activation_op, fi_dtype, fi_pcg64

cdef size_t FEW, MANY, PIECE, PART
cdef int BUFFER


cdef class Job:
    cdef fi_activation params
    cdef fi_pcg64 generator
    cdef bint draws, nontemporal
    cdef fi_activation_op op
    cdef fi_dtype dtype
    cdef char *out
    cdef const void *operands[3]
    cdef int count
    cdef int set_slope(self, double slope) except -1
    cdef int compute(self, size_t start, size_t n) except -1 nogil
    cdef int set_nontemporal(self, size_t n) except -1
    cdef int share(self, size_t n, size_t row) except -1
    cdef int bind(self, cnp.ndarray out, tuple operands) except -1


cdef int expect(int op, int operands, int extra, int sums) except -1
cdef bint disjoint(cnp.ndarray out, cnp.ndarray x) noexcept
cdef bint same_or_disjoint(cnp.ndarray out, cnp.ndarray x) noexcept
cdef bint is_contiguous(array)
cdef tuple storage_of(x)
cdef tuple checked(operands)
cdef object output(out, like, dtype)
cdef int announce(out) except -1
cdef int blocks(Job job, list arrays, dtype) except -1

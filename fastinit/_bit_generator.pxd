from numpy.random cimport BitGenerator

from fastinit._kernels cimport fi_pcg64


cdef class LCG128(BitGenerator):
    cdef fi_pcg64 generator


cdef int read_state(fi_pcg64 *generator, dict state) except -1

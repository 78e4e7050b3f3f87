from numpy.random cimport BitGenerator

from fastinit._kernels cimport fi_ahead, fi_pcg64


cdef class LCG128(BitGenerator):
    cdef fi_ahead ahead
    cdef int read_position(self, fi_pcg64 *position) except -1


cdef int read_state(fi_pcg64 *generator, dict state) except -1

from numpy.random cimport bitgen_t

from fastinit._bit_generator cimport LCG128
from fastinit._kernels cimport (
    fi_ahead, fi_dist, fi_dtype, fi_params, fi_pcg64, fi_source,
)


cdef class Source:
    cdef readonly object bit_generator
    cdef object lock
    cdef bitgen_t *bitgen
    cdef fi_source foreign
    cdef fi_ahead *own
    cdef int numpy_variant
    cdef bint ziggurat
    cdef int peek(self, fi_pcg64 *position) except -1
    cdef int take(self, fi_dist dist, fi_dtype dtype, size_t n, fi_pcg64 *before) except -1
    cdef int fill(self, void *out, size_t n, fi_dist dist, fi_dtype dtype, const fi_params *params) except -1
    cdef int fill_in_turn(self, char *out, size_t n, fi_dist dist, fi_dtype dtype,
                          const fi_params *params) except -1
    cdef int fill_each(self, void *out, size_t n, fi_dist dist, fi_dtype dtype, columns) except -1


cdef LCG128 twin_of(Source source)
cdef int set_params(fi_params *params, fi_dist dist, fi_dtype dtype, const double *arguments) except -1

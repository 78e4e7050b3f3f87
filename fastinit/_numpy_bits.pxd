from numpy.random cimport bitgen_t

from fastinit._bit_generator cimport LCG128
from fastinit._kernels cimport fi_ahead, fi_attempt, fi_bounds, fi_dtype
from fastinit._sampling cimport Source


cdef class Reading:
    cdef Source source
    cdef LCG128 twin
    cdef fi_ahead *ahead
    cdef bitgen_t *bitgen
    cdef int settle(self) except -1
    cdef int fill(self, void *out, size_t n, fi_attempt kind, const fi_bounds *bounds) except -1


cdef bint reads_ahead(Source source, size_t n)
cdef object sample_ziggurat(Source source, fi_attempt wide, fi_dtype code, double loc, double scale, size,
                            out)
cdef int fill_words(Source source, void *out, size_t n) except -1
cdef object sample_integers(Source source, low, high, size, dtype, bint endpoint, out)
cdef int shuffle_lanes(Source source, x, size_t lanes) except -1

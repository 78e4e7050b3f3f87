from fastinit._kernels cimport fi_dist, fi_dtype
from fastinit._sampling cimport Source

cdef bint is_scalar(x) except -1
cdef double number(x) except? -1.0
cdef tuple broadcast(arguments, size, out, fi_dtype code)
cdef object sample_each(Source source, fi_dist dist, fi_dtype code, arguments, shape, out)
cdef object affine(loc, scale, values, fi_dtype code, out)
cdef int check_ranges(lows, highs, fi_dtype code) except -1
cdef int check_scale(double scale) except -1
cdef int check_scales(scales) except -1
cdef int check_bounds(lows, highs) except -1

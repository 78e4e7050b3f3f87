from fastinit._kernels cimport fi_dist, fi_dtype, fi_params
from fastinit._sampling cimport Source

cdef fi_dtype code_of(dtype, name) except *
cdef object dtype_of(fi_dtype code)
cdef object new_array(size, fi_dtype code)
cdef object as_float(const void *value, fi_dtype dtype)
cdef int check_out(out, fi_dtype code, size, bint fortran) except -1
cdef int check_array(out, expected, size, bint fortran) except -1
cdef int check_strided(out, expected, size) except -1
cdef object sample(Source source, fi_dist dist, fi_dtype code, const fi_params *params, size, out)

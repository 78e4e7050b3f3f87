cdef enum:  # numbers that NumPy surely accepts for a parameter; for others it decides
    ANY = 0
    POSITIVE = 1
    MODERATE = 2  # below 1e9
    SHARE = 3  # from 1e-6 to 1
    ABOVE_ONE = 4


cdef class Method:
    cdef object numpys, dtype
    cdef void *function
    cdef int parameters
    cdef int[3] accepted
    cdef bint discrete
    cdef bint takes(self, tuple arguments, double *values) except -1
    cdef void fill(self, void *bitgen, void *out, size_t n, const double *x) noexcept nogil


cdef Method real(name, void *function, accepted)
cdef Method whole(name, void *function, accepted)
cdef object draw(self, Method method, tuple arguments, size, out)
cdef object draw_into(self, numpys, dtype, tuple arguments, size, out)
cdef object draw_rows(self, numpys, dtype, tuple arguments, size, out)
cdef object draw_choice(self, tuple arguments, size, out)
cdef object draw_permutation(self, x, axis, out)

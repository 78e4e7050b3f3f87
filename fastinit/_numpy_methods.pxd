from fastinit._numpy_calls cimport Method

cdef Method EXPONENTIAL, NORMAL, STANDARD_EXPONENTIAL, STANDARD_NORMAL

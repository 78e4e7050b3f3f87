"""Tables of what pure functions returned, by their arguments."""

import functools
from types import MethodType

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastinit._dtypes import Dtype

SIZE = 512  # results that one table keeps: those last used
cdef frozenset PLAIN = frozenset((bool, int, str, type(None), Dtype, MethodType))


cdef class kept:
    """Keep the latest results of a pure function. Nobody may change a result, so none goes to a user.

    A call with an argument that isn't plain, such as an array, a list or an object of a subclass, runs the
    function, and so does one that fails. A method stands for its object itself, not for an equal one.
    """

    cdef object function, table

    def __init__(self, function):
        def run(exact, /, *arguments, **keywords):
            return function(*arguments, **keywords)

        self.function, self.table = function, functools.lru_cache(SIZE)(run)

    def __call__(self, *arguments, **keywords):
        exact = told_apart(arguments)
        more = told_apart(tuple(keywords.values())) if keywords else ()
        if exact is None or more is None:
            return self.function(*arguments, **keywords)
        return self.table((exact, more), *arguments, **keywords)


cdef tuple told_apart(tuple values):
    """Return what differs between equal values, such as 1, 1.0 and True, or 0.0 and -0.0.

    It is None if a value isn't plain.
    """
    cdef list exact = []
    cdef double number
    cdef int64_t bits
    for value in values:
        kind = type(value)
        if kind is float:  # by its bits, as a caller's modes may take a subnormal for 0
            number = value
            memcpy(&bits, &number, sizeof(bits))
            exact.append(bits)
        elif kind is tuple:
            inner = told_apart(value)
            if inner is None:
                return None
            exact.append(inner)
        elif kind in PLAIN:
            exact.append(kind)
        else:
            return None
    return tuple(exact)

"""NumPy's methods in NumPy's bits, with its draws made in blocks."""

import numpy as np

cimport numpy as cnp
from cpython.bytes cimport PyBytes_FromStringAndSize

from fastinit._broadcast cimport affine, broadcast, check_scale, check_scales, is_scalar, number
from fastinit._kernels cimport FI_ZIGGURAT_EXPONENTIAL_F64, fi_dtype, fi_is_wide
from fastinit._numpy_bits cimport (
    fill_words, reads_ahead, sample_integers, sample_ziggurat, shuffle_lanes,
)
from fastinit._numpy_calls cimport draw_choice
from fastinit._output cimport check_strided, code_of
from fastinit._sampling cimport Source

from fastinit._copies import Copyable

cnp.import_array()

cdef enum:
    LONG = 32  # shorter lanes are left to NumPy: to begin one costs more
    TABLED = 2048  # fewer values, or fewer than probabilities, are left to NumPy: a table costs more

# NumPy's methods. A call of `super` would take as long as some of them.
cdef object numpys_bytes = np.random.Generator.bytes
cdef object numpys_choice = np.random.Generator.choice
cdef object numpys_integers = np.random.Generator.integers
cdef object numpys_permuted = np.random.Generator.permuted
cdef object numpys_shuffle = np.random.Generator.shuffle
cdef object numpys_standard_exponential = np.random.Generator.standard_exponential

# Refuses what NumPy refuses, and draws nothing.
cdef object refusing = np.random.Generator(np.random.PCG64(0))


cdef object positions(cdf, values):
    """Return what ``cdf.searchsorted(values, "right")`` returns. Values in [0, 1) take the fast way."""
    if not (type(values) is np.ndarray and values.dtype == np.float64 and values.flags.carray):
        return cdf.searchsorted(values, "right")  # a subclass's `random` may return anything
    cdef size_t many = len(cdf), i, at, n = np.size(values)
    starts = np.searchsorted(cdf, np.arange(many) / many, "right").astype(np.int64)
    made = np.empty(np.shape(values), np.int64)
    cdef const double *edges = <const double *>cnp.PyArray_DATA(cdf)
    cdef const double *value = <const double *>cnp.PyArray_DATA(values)
    cdef const cnp.int64_t *start = <const cnp.int64_t *>cnp.PyArray_DATA(starts)
    cdef cnp.int64_t *out = <cnp.int64_t *>cnp.PyArray_DATA(made)
    with nogil:
        for i in range(n):
            if not 0 <= value[i] < 1:
                out[i] = 0 if value[i] < 0 else many
                continue
            at = start[<size_t>(value[i] * <double>many)]
            while at and edges[at - 1] > value[i]:  # the product was rounded up
                at -= 1
            while at < many and edges[at] <= value[i]:
                at += 1
            out[i] = at
    return made


class Inherited(Copyable):
    """NumPy's Generator with methods that make NumPy's values from blocks of draws."""

    def standard_exponential(self, size=None, dtype=np.float64, method="zig", out=None):
        """Exponential values of mean 1, with the bits of `numpy.random.Generator.standard_exponential`.

        Parameters
        ----------
        size, dtype, out
            As for `random`. The half types are float32 values, rounded once.
        method : {"zig", "inv"}, optional
            NumPy's ziggurat, or minus the logarithm of a uniform value (float64 and float32 only).

        Returns
        -------
        float or ndarray

        Raises
        ------
        TypeError, ValueError
            As for `random`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastinit.random import default_rng
        >>> mine, theirs = default_rng(7), np.random.default_rng(7)
        >>> bool((mine.standard_exponential(100) == theirs.standard_exponential(100)).all())
        True
        """
        cdef Source source = self._source
        if method != "zig":
            return numpys_standard_exponential(self, size, dtype, method, out)
        cdef fi_dtype code = code_of(dtype, "standard_exponential")
        return sample_ziggurat(source, FI_ZIGGURAT_EXPONENTIAL_F64, code, -0.0, 1.0, size, out)

    def exponential(self, scale=1.0, size=None, dtype=np.float64, out=None):
        """Exponential values of mean `scale`, with the bits of `numpy.random.Generator.exponential`.

        Parameters
        ----------
        scale : float or array_like of float
            0 or more.
        size, dtype, out
            As for `standard_exponential`. NumPy's method has only `size`.

        Returns
        -------
        float or ndarray

        Raises
        ------
        ValueError
            A negative scale, and as for `standard_exponential`.
        TypeError
            As for `standard_exponential`.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> bool(default_rng(7).exponential(3.0, 10**5).mean().round(1) == 3.0)
        True
        """
        cdef Source source = self._source
        cdef fi_dtype code = code_of(dtype, "exponential")
        cdef double mean
        if is_scalar(scale):
            mean = number(scale)
            check_scale(mean)
            return sample_ziggurat(source, FI_ZIGGURAT_EXPONENTIAL_F64, code, -0.0, mean, size, out)
        (scales,), shape = broadcast((scale,), size, out, code)
        check_scales(scales)
        # NumPy's method would not call that of a subclass either.
        units = Inherited.standard_exponential(self, shape, np.float64 if fi_is_wide(code) else np.float32)
        return affine(np.zeros(()), scales, units, code, out)

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False, out=None):
        """Integers from `low` to `high`, with the bits of `numpy.random.Generator.integers`.

        Parameters
        ----------
        low, high : int or array_like of int
            The bounds; 0 and `low` if `high` is left out.
        size : int or tuple of int, optional
            Shape of the result; one integer by default.
        dtype : dtype, optional
            Any integer dtype, or bool.
        endpoint : bool, optional
            Whether `high` is a value, too.
        out : ndarray, optional
            Array of `dtype` to fill, in C order. NumPy's method has none.

        Returns
        -------
        int or ndarray

        Raises
        ------
        TypeError
            Another dtype, or `out` of another dtype.
        ValueError
            No integer lies between the bounds, a bound is none of the dtype's, or `out` is of another shape
            than the result or read-only.

        Examples
        --------
        >>> import numpy as np
        >>> from fastinit.random import default_rng
        >>> mine, theirs = default_rng(7), np.random.default_rng(7)
        >>> bool((mine.integers(1000, size=100) == theirs.integers(1000, size=100)).all())
        True
        """
        if out is not None:
            check_strided(out, np.dtype(dtype), size)
            size = out.shape
        made = sample_integers(self._source, low, high, size, dtype, endpoint, out)
        if made is None:
            made = numpys_integers(self, low, high, size, dtype, endpoint)
        if out is None or made is out:
            return made
        np.asarray(out)[...] = made  # masked elements are written, too
        return out

    def bytes(self, length):
        """Random bytes, with those of `numpy.random.Generator.bytes`.

        Parameters
        ----------
        length : int
            The number of bytes.

        Returns
        -------
        bytes

        Examples
        --------
        >>> import numpy as np
        >>> from fastinit.random import default_rng
        >>> default_rng(7).bytes(300) == np.random.default_rng(7).bytes(300)
        True
        """
        cdef Source source = self._source
        own = type(self).integers is Inherited.integers  # else NumPy calls the subclass's
        if not (own and type(length) is int and length > 0 and reads_ahead(source, length // 4)):
            return numpys_bytes(self, length)
        cdef bytes made = PyBytes_FromStringAndSize(NULL, (length + 3) // 4 * 4)
        fill_words(source, <char *>made, len(made) // 4)
        return made if length % 4 == 0 else made[:length]

    def shuffle(self, x, axis=0):
        """Shuffle a sequence in place, as `numpy.random.Generator.shuffle` does, with its bits.

        Parameters
        ----------
        x : ndarray or mutable sequence
        axis : int, optional
            The axis of an array along which slices change places.

        Raises
        ------
        TypeError
            `x` has no length.
        ValueError
            An array is read-only.

        Examples
        --------
        >>> import numpy as np
        >>> from fastinit.random import default_rng
        >>> mine, theirs = np.arange(100), np.arange(100)
        >>> default_rng(7).shuffle(mine)
        >>> np.random.default_rng(7).shuffle(theirs)
        >>> bool((mine == theirs).all())
        True
        """
        cdef Source source = self._source
        one_axis = type(x) is np.ndarray and x.ndim == 1 and type(axis) is int and axis in (0, -1)
        if one_axis and 0 < x.size <= 1 << 32 and x.flags.writeable and reads_ahead(source, x.size):
            shuffle_lanes(source, x, 1)
        else:
            numpys_shuffle(self, x, axis)

    def permuted(self, x, *, axis=None, out=None):
        """Return a copy of an array whose elements along an axis are shuffled, each lane by itself.

        Parameters
        ----------
        x : array_like
        axis : int, optional
            The axis along which elements change places; all elements are one lane by default.
        out : ndarray, optional
            Where the result goes. `x` itself is shuffled in place.

        Returns
        -------
        ndarray
            With the bits of `numpy.random.Generator.permuted`.

        Raises
        ------
        TypeError, ValueError
            As in NumPy.

        Examples
        --------
        >>> import numpy as np
        >>> from fastinit.random import default_rng
        >>> x = np.arange(200).reshape(2, 100)
        >>> mine, theirs = default_rng(7), np.random.default_rng(7)
        >>> bool((mine.permuted(x, axis=1) == theirs.permuted(x, axis=1)).all())
        True
        """
        cdef Source source = self._source
        array = np.asarray(x)
        one_lane = axis is None or array.ndim == 1
        lanes_last = axis is None or type(axis) is int and axis in (-1, array.ndim - 1)
        ordered = array.ndim == 1 or array.flags.c_contiguous and array.ndim  # NumPy keeps another order
        lane = array.size if one_lane else array.shape[-1] if ordered else 0
        fast = (1 if one_lane else LONG) <= lane <= 1 << 32 and reads_ahead(source, array.size)
        own = type(self).shuffle is Inherited.shuffle  # else NumPy calls the subclass's
        if out is not None or not (lanes_last and ordered and array.size and fast and own):
            return numpys_permuted(self, x, axis=axis, out=out)
        made = array.copy()
        shuffle_lanes(source, made.reshape(-1), array.size // lane)
        return made

    def choice(self, a, size=None, replace=True, p=None, axis=0, shuffle=True, *, out=None):
        """Elements of an array or numbers below an integer, with those of `numpy.random.Generator.choice`.

        Parameters
        ----------
        a : int or array_like
            The elements, or their number.
        size : int or tuple of int, optional
            Shape of the result; one element by default.
        replace : bool, optional
            Whether an element may be drawn more than once.
        p : array_like of float, optional
            The probability of each element; all are the same by default.
        axis : int, optional
            The axis of `a` along which elements lie.
        shuffle : bool, optional
            Whether the order of elements that are drawn once is random, too.
        out : ndarray, optional
            Array of the elements' dtype to fill: in C order, writable, in machine byte order. NumPy's method
            has none.

        Returns
        -------
        element or ndarray

        Raises
        ------
        ValueError
            As in NumPy: probabilities that are negative or don't add up to 1, or too few elements.

        Examples
        --------
        >>> import numpy as np
        >>> from fastinit.random import default_rng
        >>> mine, theirs, p = default_rng(7), np.random.default_rng(7), [0.1, 0.2, 0.7]
        >>> bool((mine.choice(3, 100, p=p) == theirs.choice(3, 100, p=p)).all())
        True
        """
        if out is not None:
            return draw_choice(self, (a, replace, p, axis, shuffle), size, out)
        if p is None or not replace or size is None or np.ndim(p) != 1 or not len(p):
            return numpys_choice(self, a, size, replace, p, axis, shuffle)
        if (size if type(size) is int else np.prod(size, dtype=np.intp)) < max(len(p), TABLED):
            return numpys_choice(self, a, size, replace, p, axis, shuffle)
        numpys_choice(refusing, a, 0, replace, p, axis, shuffle)
        cdf = np.cumsum(np.asarray(p, np.float64))
        cdf /= cdf[-1]
        index = positions(cdf, self.random(size))
        array = np.asarray(a)
        return index if array.ndim == 0 else array.take(index, axis=axis)

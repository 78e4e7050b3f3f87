"""NumPy's methods in NumPy's bits, with its draws made in blocks."""

import numpy as np

from cpython.bytes cimport PyBytes_FromStringAndSize

from fastinit._broadcast cimport affine, broadcast, check_scale, check_scales, is_scalar, number
from fastinit._kernels cimport FI_ZIGGURAT_EXPONENTIAL_F64, fi_dtype, fi_is_wide
from fastinit._numpy_bits cimport (
    fill_words, positions, reads_ahead, sample_integers, sample_ziggurat, shuffle_lanes,
)
from fastinit._output cimport code_of
from fastinit._sampling cimport Source

cdef enum:
    FEW = 2048  # fewer elements by probability cost more here than NumPy's own call

# NumPy's own methods: super() takes 0.1 us.
cdef object numpys_bytes = np.random.Generator.bytes
cdef object numpys_choice = np.random.Generator.choice
cdef object numpys_integers = np.random.Generator.integers
cdef object numpys_permuted = np.random.Generator.permuted
cdef object numpys_shuffle = np.random.Generator.shuffle
cdef object numpys_standard_exponential = np.random.Generator.standard_exponential


class Inherited(np.random.Generator):
    """NumPy's Generator with methods that make NumPy's values from blocks of draws."""

    def __init__(self, bit_generator, normals="box-muller"):
        super().__init__(bit_generator)
        self._source = Source(self.bit_generator)
        if normals not in ("box-muller", "ziggurat"):
            raise ValueError(f"normals must be 'box-muller' or 'ziggurat', not {normals!r}")
        self._normals = normals
        (<Source>self._source).ziggurat = normals == "ziggurat"

    @property
    def normals(self):
        """The method that makes normals: "box-muller" or "ziggurat"."""
        return self._normals

    def __str__(self):
        more = "" if self._normals == "box-muller" else f", normals={self._normals!r}"
        return f"{type(self).__name__}({type(self.bit_generator).__name__}{more})"

    def __repr__(self):
        return f"{self} at 0x{id(self):X}"

    def __reduce__(self):
        return _over, (type(self), self.bit_generator), self.__getstate__()

    def __getstate__(self):
        """Return the attributes, as `object.__getstate__` does, without what the bit generator makes."""
        state = object.__getstate__(self)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        attributes = {name: value for name, value in attributes.items() if name != "_source"}
        return (attributes, slots) if slots else attributes

    def __setstate__(self, state):
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        self.__dict__.update(attributes)
        (<Source>self._source).ziggurat = self._normals == "ziggurat"
        for name, value in (slots or {}).items():
            setattr(self, name, value)

    def _twin(self, bit_generator):
        """Return a generator over another bit generator, with the class and attributes of this one."""
        twin = _over(type(self), bit_generator)
        twin.__setstate__(self.__getstate__())
        return twin

    def spawn(self, n_children):
        """Return new generators with independent streams, as `numpy.random.Generator.spawn` does.

        Parameters
        ----------
        n_children : int

        Returns
        -------
        list of Generator
            With the class and attributes of this one, whose constructor is not called.

        Raises
        ------
        TypeError
            The bit generator has no SeedSequence.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> len(default_rng(7).spawn(3))
        3
        """
        return [self._twin(each) for each in self.bit_generator.spawn(n_children)]

    def standard_exponential(self, size=None, dtype=np.float64, method="zig", out=None):
        """Exponential values of mean 1, with the bits of `numpy.random.Generator.standard_exponential`.

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape of the result; one float by default.
        dtype : dtype, optional
            float64 (default), float32, float16 or bfloat16. The half types are float32 values, rounded once.
        method : {"zig", "inv"}, optional
            NumPy's ziggurat, or minus the logarithm of a uniform value (float64 and float32 only).
        out : ndarray, optional
            Contiguous array of `dtype` to fill, in memory order.

        Returns
        -------
        float or ndarray

        Raises
        ------
        TypeError
            Another dtype, or `out` of another dtype.
        ValueError
            `out` of another shape than `size`, not contiguous, read-only or byte-swapped.

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
            As for `standard_exponential`; NumPy's method has only float64.

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
        units = self.standard_exponential(shape, np.float64 if fi_is_wide(code) else np.float32)
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
            return self._integers_into(out, low, high, size, dtype, endpoint)
        made = sample_integers(self._source, low, high, size, dtype, endpoint)
        return numpys_integers(self, low, high, size, dtype, endpoint) if made is None else made

    def _integers_into(self, out, low, high, size, dtype, endpoint):
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
        if out.dtype != np.dtype(dtype):
            expected = np.dtype(dtype)
            raise TypeError(f"Supplied output array has the wrong type. Expected {expected}, got {out.dtype}")
        if not out.flags.writeable:
            raise ValueError("Supplied output array must be writable")
        shape = out.shape if size is None else (size,) if np.ndim(size) == 0 else tuple(size)
        if shape != out.shape:
            raise ValueError(f"size must match out.shape when used together: {shape} and {out.shape}")
        out[...] = self.integers(low, high, shape, dtype, endpoint)
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
        lanes_last = axis is None or array.ndim and axis in (-1, array.ndim - 1)
        lane = array.size if axis is None else array.shape[-1] if array.ndim else 0
        if out is not None or not lanes_last or not (0 < lane <= 1 << 32 and reads_ahead(source, array.size)):
            return numpys_permuted(self, x, axis=axis, out=out)
        made = array.copy()
        shuffle_lanes(source, made.reshape(-1), array.size // lane)
        return made

    def choice(self, a, size=None, replace=True, p=None, axis=0, shuffle=True):
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
        few = size is None or (size if type(size) is int else np.prod(size, dtype=np.intp)) < FEW
        if few or p is None or not replace or not len(p):
            return numpys_choice(self, a, size, replace, p, axis, shuffle)
        numpys_choice(self, a, 0, replace, p, axis, shuffle)  # refuses what NumPy refuses, and draws nothing
        cdf = np.cumsum(np.asarray(p, np.float64))
        cdf /= cdf[-1]
        index = positions(cdf, self.random(size))
        array = np.asarray(a)
        return index if array.ndim == 0 else array.take(index, axis=axis)


def _over(cls, bit_generator):
    """Return a generator of a class without a call of the class's own constructor."""
    rng = np.random.Generator.__new__(cls)
    Inherited.__init__(rng, bit_generator)
    return rng

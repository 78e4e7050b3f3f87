"""NumPy's Generator with fastinit's own uniform and normal distributions."""

from hashlib import blake2b
from struct import Struct

import numpy as np

from libc.math cimport isfinite, signbit

from fastinit._broadcast cimport (
    affine, broadcast, check_bounds, check_ranges, check_scale, check_scales, is_scalar, number, sample_each,
)
from fastinit._kernels cimport (
    FI_NORMAL, FI_TRUNCATED_NORMAL, FI_UNIFORM, FI_ZIGGURAT_NORMAL_F64, fi_dtype, fi_is_wide, fi_params,
)
from fastinit._numpy_bits cimport sample_ziggurat
from fastinit._output cimport code_of, sample
from fastinit._sampling cimport Source, set_params
from fastinit._seeding cimport sequence

from fastinit._bit_generator import PCG64
from fastinit._inherited import Inherited

__all__ = ["Generator", "default_rng"]

cdef object FLOAT64 = np.float64
cdef object four_words = Struct("<4I").unpack


class Generator(Inherited):
    """Generator(bit_generator, normals="box-muller")

    `numpy.random.Generator`, made faster, with `truncated_normal`, `fold_in`, float16 and bfloat16.

    Every method has the arguments, the bits and the states of NumPy's, except `standard_normal`, `normal` and
    `multivariate_normal`, which calls the first: an element of NumPy's ziggurat can't be computed without all
    elements before it. Methods that make arrays take `out=`. Results depend on neither the instruction set
    nor the number of threads.

    Parameters
    ----------
    bit_generator : BitGenerator
        One of fastinit or NumPy. PCG64 and PCG64DXSM of either fill at full speed.
    normals : {"box-muller", "ziggurat"}, optional
        How `standard_normal`, `normal` and `multivariate_normal` are made: by the Box-Muller transform, for
        which an element needs no other, or by NumPy's ziggurat, with NumPy's bits.

    See Also
    --------
    default_rng : The recommended constructor.

    Examples
    --------
    >>> from fastinit.random import Generator, PCG64
    >>> rng = Generator(PCG64(7))
    >>> rng.standard_normal(3, dtype="float32").shape
    (3,)
    """

    def random(self, size=None, dtype=np.float64, out=None):
        """Uniform values in [0, 1).

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape of the result; one float by default.
        dtype : dtype, optional
            float64 (default), float32, float16 or bfloat16 (from ml_dtypes, or by name).
        out : ndarray, optional
            Contiguous array of `dtype` to fill, in memory order as in NumPy. It may be misaligned.

        Returns
        -------
        float or ndarray
            float64 and float32 have the bits of `numpy.random.Generator.random`. float16 and bfloat16 are
            never 1.0.

        Raises
        ------
        TypeError
            Another dtype, or `out` of another dtype.
        ValueError
            `out` of another shape than `size`, not contiguous, read-only or byte-swapped.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> default_rng(7).random()
        0.625095466604667
        """
        cdef Source source = self._source
        cdef fi_params params
        cdef fi_dtype code
        if size is None and out is None and dtype is FLOAT64:
            with source.lock:
                return source.foreign.next_double(source.foreign.state)
        code = code_of(dtype, "random")
        set_params(&params, FI_UNIFORM, code, [0.0, 1.0])
        return sample(source, FI_UNIFORM, code, &params, size, out)

    def uniform(self, low=0.0, high=1.0, size=None, dtype=np.float64, out=None):
        """Uniform values in [low, high).

        Parameters
        ----------
        low, high : float or array_like of float
            Arrays broadcast.
        size, dtype, out
            As for `random`.

        Returns
        -------
        float or ndarray
            float64: ``low + (high - low) * random()``, with NumPy's bits; rounding may give `high`. Other
            dtypes: computed in float32, rounded once, and in [low, high) if the dtype has a value there.

        Raises
        ------
        OverflowError
            ``high - low`` is not finite (in float32, except for float64).
        ValueError
            ``high < low``, and as for `random`.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> bool((default_rng(7).uniform(-1, 1, 1000) < 1).all())
        True
        """
        cdef fi_params params
        cdef fi_dtype code = code_of(dtype, "uniform")
        cdef double a = 0.0, b = 0.0
        if is_scalar(low) and is_scalar(high):
            a, b = number(low), number(high)
            if not isfinite(b - a):
                raise OverflowError("high - low range exceeds valid bounds")
            if b < a or a == b == 0 and signbit(b) and not signbit(a):  # as in NumPy, 0.0 to -0.0, too
                raise ValueError("high - low < 0")
            set_params(&params, FI_UNIFORM, code, [a, b])
            return sample(self._source, FI_UNIFORM, code, &params, size, out)
        (lows, highs), shape = broadcast((low, high), size, out, code)
        check_ranges(lows, highs, code)
        return sample_each(self._source, FI_UNIFORM, code, (lows, highs), shape, out)

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        """Normal values of mean 0 and standard deviation 1, by the Box-Muller transform [1]_.

        Parameters
        ----------
        size, dtype, out
            As for `random`.

        Returns
        -------
        float or ndarray
            Elements 2p and 2p + 1 come from draw p of the stream (float64: from two draws). An odd size drops
            the second value of the last pair. No value is 0. Magnitudes are at most 6.76 in float32 and 8.57
            in float64.

        Raises
        ------
        TypeError, ValueError
            As for `random`.

        References
        ----------
        .. [1] Box and Muller, "A note on the generation of random normal deviates", 1958.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> float(default_rng(7).standard_normal(10**6).std().round(2))
        1.0
        """
        cdef fi_params params
        cdef fi_dtype code = code_of(dtype, "standard_normal")
        if (<Source>self._source).ziggurat:
            return sample_ziggurat(self._source, FI_ZIGGURAT_NORMAL_F64, code, -0.0, 1.0, size, out)
        set_params(&params, FI_NORMAL, code, [0.0, 1.0])
        return sample(self._source, FI_NORMAL, code, &params, size, out)

    def normal(self, loc=0.0, scale=1.0, size=None, dtype=np.float64, out=None):
        """Normal values: ``loc + scale * standard_normal()``.

        Parameters
        ----------
        loc, scale : float or array_like of float
            Mean and standard deviation. Arrays broadcast.
        size, dtype, out
            As for `random`.

        Returns
        -------
        float or ndarray
            float16 and bfloat16 are computed in float32 and rounded once.

        Raises
        ------
        ValueError
            A negative scale, and as for `random`.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> default_rng(7).normal([0, 100], 0.1).round(-1)
        array([  0., 100.])
        """
        cdef fi_params params
        cdef fi_dtype code = code_of(dtype, "normal")
        cdef double a, b
        if is_scalar(loc) and is_scalar(scale):
            a, b = number(loc), number(scale)
            check_scale(b)
            if (<Source>self._source).ziggurat:
                return sample_ziggurat(self._source, FI_ZIGGURAT_NORMAL_F64, code, a, b, size, out)
            set_params(&params, FI_NORMAL, code, [a, b])
            return sample(self._source, FI_NORMAL, code, &params, size, out)
        (locs, scales), shape = broadcast((loc, scale), size, out, code)
        check_scales(scales)
        # NumPy's method would not call that of a subclass either.
        units = Generator.standard_normal(self, shape, np.float64 if fi_is_wide(code) else np.float32)
        return affine(locs, scales, units, code, out)

    def truncated_normal(self, low, high, loc=0.0, scale=1.0, size=None, dtype=np.float64, out=None):
        """Normal values that lie between two bounds: ``loc + scale * t`` with t in [low, high].

        Each value is the inverse of the distribution function at one draw (float64) or 32-bit word.

        Parameters
        ----------
        low, high : float or array_like of float
            Bounds in standard deviations from `loc`. -inf and inf mean no bound.
        loc, scale : float or array_like of float
            Mean and standard deviation before truncation. All four broadcast.
        size, dtype, out
            As for `random`.

        Returns
        -------
        float or ndarray
            In [loc + scale * low, loc + scale * high] if the dtype has a value there. Values beyond its range
            end at its largest finite value, or are infinite if the whole interval is beyond.

        Raises
        ------
        ValueError
            ``low > high``, two equal infinities, a NaN bound, a negative scale, and as for `random`.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> bool(abs(default_rng(7).truncated_normal(-2, 2, size=1000)).max() <= 2)
        True
        """
        cdef fi_params params
        cdef fi_dtype code = code_of(dtype, "truncated_normal")
        cdef double a, b
        if is_scalar(low) and is_scalar(high) and is_scalar(loc) and is_scalar(scale):
            a, b = number(loc), number(scale)
            check_scale(b)
            set_params(&params, FI_TRUNCATED_NORMAL, code, [number(low), number(high), a, b])
            return sample(self._source, FI_TRUNCATED_NORMAL, code, &params, size, out)
        arrays, shape = broadcast((low, high, loc, scale), size, out, code)
        check_scales(arrays[3])
        check_bounds(arrays[0], arrays[1])
        return sample_each(self._source, FI_TRUNCATED_NORMAL, code, arrays, shape, out)

    def fold_in(self, key):
        """Return the generator of a named thing: a tensor, a layer, a worker.

        It depends on this generator's seed and the key alone, never on earlier draws. No two keys share a
        stream, and none shares one with `spawn`.

        Parameters
        ----------
        key : str or int

        Returns
        -------
        Generator
            With the class and attributes of this generator, and the class of its bit generator. Its seed
            sequence is this one's with ``spawn_key`` extended by the four little-endian words of
            ``BLAKE2b(digest_size=16, person=b"fastinit-v1")``. The hashed bytes are ``b"s"`` and the UTF-8 of
            a str, or ``b"i"`` and the fewest signed little-endian bytes of an int.

        Raises
        ------
        TypeError
            The key has another type, such as bool, or the bit generator has no SeedSequence.
        UnicodeEncodeError
            The key has a lone surrogate.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> rng = default_rng(7)
        >>> layer = rng.fold_in("encoder.0.weight")
        >>> layer.random() == default_rng(7).fold_in("encoder.0.weight").random()
        True
        """
        if isinstance(key, bool) or not isinstance(key, (str, int, np.integer)):
            raise TypeError(f"key must be a str or an int, not {type(key).__name__}")
        if isinstance(key, str):
            data = b"s" + key.encode()
        else:
            key = int(key)
            bits = (key if key >= 0 else ~key).bit_length()
            data = b"i" + key.to_bytes(bits // 8 + 1, "little", signed=True)
        seed = self.bit_generator.seed_seq
        if not isinstance(seed, np.random.SeedSequence):
            raise TypeError(
                f"fold_in needs a bit generator made from a SeedSequence, not from {type(seed).__name__}"
            )
        words = four_words(blake2b(data, digest_size=16, person=b"fastinit-v1").digest())
        child = sequence(seed.entropy, (*seed.spawn_key, *words), seed.pool_size)
        return self._twin(type(self.bit_generator)(child))


def default_rng(seed=None, normals=None):
    """Return a Generator over fastinit's PCG64.

    Parameters
    ----------
    seed : {None, int, array_like of int, SeedSequence, BitGenerator, Generator, RandomState}, optional
        As for `numpy.random.default_rng`; None takes entropy from the system. A BitGenerator, or that of a
        NumPy Generator, is wrapped. A fastinit Generator is returned itself, unless it has other normals.
    normals : {"box-muller", "ziggurat"}, optional
        As for `Generator`; by default, a new one has Box-Muller.

    Examples
    --------
    >>> from fastinit.random import default_rng
    >>> default_rng(7)
    Generator(PCG64) at 0x...
    >>> default_rng(7).random() == default_rng(7).random()
    True
    """
    if isinstance(seed, Generator) and (normals is None or normals == seed.normals):
        return seed
    if normals is None:
        normals = "box-muller"
    if isinstance(seed, np.random.BitGenerator):
        return Generator(seed, normals)
    if isinstance(seed, np.random.Generator):
        return Generator(seed.bit_generator, normals)
    if isinstance(seed, np.random.RandomState):
        return Generator(seed._bit_generator, normals)
    return Generator(PCG64(seed), normals)

"""The Generator: NumPy's, with the distributions that fastinit makes its own."""

import numpy as np

cimport numpy as cnp
from cpython.float cimport PyFloat_Check
from cpython.long cimport PyLong_Check
from libc.math cimport INFINITY, NAN, isfinite, isnan, signbit
from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy

from fastinit._kernels cimport (
    FI_BF16, FI_F16, FI_F32, FI_F64, FI_NORMAL, FI_TRUNCATED_NORMAL, FI_UNIFORM, fi_dist, fi_dtype, fi_params,
)
from fastinit._sampling cimport Source, set_params

from fastinit import _dtypes
from fastinit._bit_generator import PCG64
from fastinit._dispatch import default_fp

cnp.import_array()

__all__ = ["Generator", "default_rng"]

cdef object FLOAT64 = np.float64
_TAGS = {"f16": FI_F16, "bf16": FI_BF16, "f32": FI_F32, "f64": FI_F64}
_WORKING = {FI_F16: np.float32, FI_BF16: np.float32, FI_F32: np.float32, FI_F64: np.float64}
cdef dict asked_for = {}  # fi_dtype of each dtype, as it was written
cdef dict dtypes = {}  # the dtype of each fi_dtype


cdef fi_dtype dtype_of(dtype, name) except *:
    if dtype is FLOAT64 or dtype is None:
        return FI_F64
    try:
        return asked_for[dtype]
    except (KeyError, TypeError):
        pass
    try:
        tag = _dtypes.tag(dtype)
    except TypeError:
        raise TypeError(f"Unsupported dtype {np.dtype(dtype)!r} for {name}") from None
    dtypes[_TAGS[tag]] = _dtypes.dtype(tag)
    asked_for[dtype] = _TAGS[tag]
    return _TAGS[tag]


dtypes[FI_F64] = np.dtype(np.float64)


cdef bint is_scalar(x) except -1:
    if PyFloat_Check(x) or PyLong_Check(x) or cnp.PyArray_CheckScalar(x):
        return True
    return not cnp.PyArray_Check(x) and np.ndim(x) == 0


cdef object new_array(size, fi_dtype known):
    cdef cnp.npy_intp n
    if known == FI_F64 and type(size) is int:
        try:
            n = size
        except OverflowError:
            raise ValueError("Maximum allowed dimension exceeded") from None
        return cnp.PyArray_EMPTY(1, &n, cnp.NPY_DOUBLE, 0)
    return np.empty(size, dtypes[known])


cdef int check_out(out, fi_dtype known, size, bint fortran) except -1:
    """NumPy's conditions and error classes for an `out` array."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    if not (cnp.PyArray_ISCARRAY(out) or fortran and cnp.PyArray_ISFARRAY(out)):
        kind = "" if fortran else "C-"
        raise ValueError(
            f"Supplied output array must be {kind}contiguous, writable, aligned, and in machine byte-order."
        )
    expected = dtypes[known]
    if out.dtype != expected:
        raise TypeError(f"Supplied output array has the wrong type. Expected {expected}, got {out.dtype}")
    if size is not None:
        wanted = (size,) if np.ndim(size) == 0 else tuple(size)
        if wanted != out.shape:
            raise ValueError(f"size must match out.shape when used together: {wanted} and {out.shape}")
    return 0


cdef object as_float(const void *value, fi_dtype dtype):
    """A Python float of one value as the kernels store it."""
    cdef uint16_t half
    cdef uint32_t bits
    cdef float single
    cdef double wide
    if dtype == FI_F64:
        memcpy(&wide, value, sizeof(wide))
        return wide
    if dtype == FI_F32:
        memcpy(&bits, value, sizeof(bits))
    else:
        memcpy(&half, value, sizeof(half))
        if dtype == FI_F16:
            return float(np.uint16(half).view(np.float16))
        bits = <uint32_t>half << 16
    if bits & 0x7fffffff < 0x800000:  # subnormal: a conversion would flush it in some modes of the caller
        wide = (bits & 0x7fffffff) * 1.401298464324817e-45  # 2^-149
        return -wide if bits >> 31 else wide
    memcpy(&single, &bits, sizeof(single))
    return single


cdef object sample(Source source, fi_dist dist, fi_dtype known, const fi_params *params, size, out):
    """One value, a new array, or `out`: the same parameters for each element."""
    cdef double wide = 0
    if out is None:
        if size is None:
            source.fill(&wide, 1, dist, known, params)
            return as_float(&wide, known)
        out = new_array(size, known)
    else:
        check_out(out, known, size, True)
    source.fill(cnp.PyArray_DATA(out), cnp.PyArray_SIZE(out), dist, known, params)
    return out


cdef tuple broadcast(arguments, size, out):
    """The arguments as float64 arrays, and the shape of the result."""
    arrays = [np.asarray(x, np.float64) for x in arguments]
    shape = np.broadcast(*arrays).shape
    if out is not None:
        size = out.shape
    if size is None:
        return arrays, shape
    size = (size,) if np.ndim(size) == 0 else tuple(size)
    try:
        fits = shape == size or np.broadcast_shapes(shape, size) == size
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"Output size {size} is not compatible with broadcast dimensions of inputs {shape}.")
    return arrays, size


cdef object sample_each(Source source, fi_dist dist, fi_dtype known, arguments, shape, out):
    """Each element with its own parameters."""
    cdef const double *columns[4]
    if out is None:
        out = np.empty(shape, dtypes[known])
    flat = [np.ascontiguousarray(np.broadcast_to(x, shape)) for x in arguments]
    for i in range(4):
        columns[i] = <const double *>cnp.PyArray_DATA(flat[min(i, len(flat) - 1)])
    source.fill_each(cnp.PyArray_DATA(out), cnp.PyArray_SIZE(out), dist, known, columns)
    return out


cdef object affine(loc, scale, units, dtype, out):
    """loc + scale * units in the dtype of `units`, each operation rounded once, then rounded to `dtype`."""
    with default_fp(), np.errstate(all="ignore"):
        values = units
        np.multiply(values, scale.astype(values.dtype, copy=False), values)
        np.add(values, loc.astype(values.dtype, copy=False), values)
        if out is None:
            return values.astype(dtype, copy=False)
        out[...] = values
        return out


cdef int check_scale(double scale) except -1:
    if signbit(scale) and not isnan(scale):
        raise ValueError("scale < 0")
    return 0


cdef double least(array, bint single) except? -1:
    """The smallest of float64 values; NaN where one is not finite, as a float32 if `single`."""
    flat = np.ascontiguousarray(array)
    cdef const double *values = <const double *>cnp.PyArray_DATA(flat)
    cdef double smallest = INFINITY
    cdef cnp.npy_intp i
    for i in range(cnp.PyArray_SIZE(flat)):
        if not isfinite(<float>values[i] if single else values[i]):
            return NAN
        smallest = min(smallest, values[i])
    return smallest


cdef int check_scales(scales) except -1:
    flat = np.ascontiguousarray(scales)
    cdef const double *scale = <const double *>cnp.PyArray_DATA(flat)
    cdef cnp.npy_intp i
    for i in range(cnp.PyArray_SIZE(flat)):
        check_scale(scale[i])
    return 0


cdef int check_bounds(lows, highs) except -1:
    """truncated_normal's, as `set_params` does."""
    cdef fi_params params
    with default_fp():
        wrong = ~(lows <= highs) | (lows == np.inf) | (highs == -np.inf)
    for low, high in zip(*(np.broadcast_to(x, wrong.shape)[wrong][:1] for x in (lows, highs))):
        set_params(&params, FI_TRUNCATED_NORMAL, FI_F64, [low, high, 0.0, 1.0])
    return 0


class Generator(np.random.Generator):
    """Generator(bit_generator)

    NumPy's `numpy.random.Generator` with the distributions of neural-network weights at the speed of memory.

    `random`, `uniform`, `standard_normal`, `normal` and `truncated_normal` are fastinit's own; every other
    method is NumPy's and draws from the same stream. The bits of `random` and `uniform` in float32 and
    float64 are NumPy's; those of the normals are not, for NumPy's ziggurat has no element that could be found
    without those before it. Results depend on neither the instruction set nor the number of threads.

    Parameters
    ----------
    bit_generator : BitGenerator
        Any of fastinit or NumPy. Fills from PCG64 and PCG64DXSM, of either, run at full speed.

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

    def __init__(self, bit_generator):
        super().__init__(bit_generator)
        self._source = Source(self.bit_generator)

    def __reduce__(self):
        return type(self), (self.bit_generator,)

    def random(self, size=None, dtype=np.float64, out=None):
        """Uniform values in [0, 1).

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape of the result; one float by default.
        dtype : dtype, optional
            float64 (default), float32, float16 or bfloat16 (from ml_dtypes, or by name).
        out : ndarray, optional
            Contiguous array of that dtype to fill; one in Fortran order in memory order, as NumPy does.

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
            `out` of another shape than `size`, not contiguous, read-only, misaligned or byte-swapped.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> default_rng(7).random()
        0.625095466604667
        """
        cdef Source source = self._source
        cdef fi_params params
        cdef fi_dtype known
        if size is None and out is None and dtype is FLOAT64:
            with source.lock:
                return source.bitgen.next_double(source.bitgen.state)
        known = dtype_of(dtype, "random")
        set_params(&params, FI_UNIFORM, known, [0.0, 1.0])
        return sample(source, FI_UNIFORM, known, &params, size, out)

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
            float64: ``low + (high - low) * random()``, NumPy's own bits, which rounding may bring to `high`.
            Other dtypes: in float32, rounded once, and in [low, high) wherever the dtype has a value there.

        Raises
        ------
        OverflowError
            ``high - low`` is not finite (for all but float64, in float32).
        ValueError
            ``high < low``, and as for `random`.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> bool((default_rng(7).uniform(-1, 1, 1000) < 1).all())
        True
        """
        cdef fi_params params
        cdef fi_dtype known = dtype_of(dtype, "uniform")
        cdef double a = 0.0, b = 0.0
        if is_scalar(low) and is_scalar(high):
            a, b = float(low), float(high)
            if not isfinite(b - a):
                raise OverflowError("high - low range exceeds valid bounds")
            if b < a:
                raise ValueError("high - low < 0")
            set_params(&params, FI_UNIFORM, known, [a, b])
            return sample(self._source, FI_UNIFORM, known, &params, size, out)
        if out is not None:
            check_out(out, known, size, False)
        (lows, highs), shape = broadcast((low, high), size, out)
        with default_fp(), np.errstate(all="ignore"):
            spans = highs - lows
            a, b = least(lows, known != FI_F64), least(spans, known != FI_F64)
        if isnan(a) or isnan(b):
            raise OverflowError("Range exceeds valid bounds")
        if b < 0:
            raise ValueError("high - low < 0")
        if known == FI_F64:
            return affine(lows, spans, self.random(shape), dtypes[FI_F64], out)
        return sample_each(self._source, FI_UNIFORM, known, (lows, highs), shape, out)

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        """Normal values of mean 0 and standard deviation 1, by the Box-Muller transform [1]_.

        Parameters
        ----------
        size, dtype, out
            As for `random`.

        Returns
        -------
        float or ndarray
            Elements 2p and 2p + 1 are the pair p of the stream: its draw p (two draws for float64). An odd
            number of values drops the last of them, and one value takes a whole pair. Never exactly 0; at
            most 6.76 standard deviations in float32, 8.57 in float64.

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
        cdef fi_dtype known = dtype_of(dtype, "standard_normal")
        set_params(&params, FI_NORMAL, known, [0.0, 1.0])
        return sample(self._source, FI_NORMAL, known, &params, size, out)

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
        cdef fi_dtype known = dtype_of(dtype, "normal")
        cdef double a, b
        if is_scalar(loc) and is_scalar(scale):
            a, b = float(loc), float(scale)
            check_scale(b)
            set_params(&params, FI_NORMAL, known, [a, b])
            return sample(self._source, FI_NORMAL, known, &params, size, out)
        if out is not None:
            check_out(out, known, size, False)
        (locs, scales), shape = broadcast((loc, scale), size, out)
        check_scales(scales)
        units = self.standard_normal(shape, _WORKING[known])
        return affine(locs, scales, units, dtypes[known], out)

    def truncated_normal(self, low, high, loc=0.0, scale=1.0, size=None, dtype=np.float64, out=None):
        """Normal values that lie between two bounds: ``loc + scale * t`` with t in [low, high].

        By the inverse of the distribution function, one draw (float64) or 32-bit word (other dtypes) a value.

        Parameters
        ----------
        low, high : float or array_like of float
            Bounds in standard deviations from `loc`; -inf and inf are none.
        loc, scale : float or array_like of float
            Mean and standard deviation before truncation. All four broadcast.
        size, dtype, out
            As for `random`.

        Returns
        -------
        float or ndarray
            In [loc + scale * low, loc + scale * high] where the dtype has a value there.

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
        cdef fi_dtype known = dtype_of(dtype, "truncated_normal")
        cdef double a, b
        arguments = (low, high, loc, scale)
        if is_scalar(low) and is_scalar(high) and is_scalar(loc) and is_scalar(scale):
            a, b = float(loc), float(scale)
            check_scale(b)
            set_params(&params, FI_TRUNCATED_NORMAL, known, [float(low), float(high), a, b])
            return sample(self._source, FI_TRUNCATED_NORMAL, known, &params, size, out)
        if out is not None:
            check_out(out, known, size, False)
        arrays, shape = broadcast(arguments, size, out)
        check_scales(arrays[3])
        check_bounds(arrays[0], arrays[1])
        return sample_each(self._source, FI_TRUNCATED_NORMAL, known, arrays, shape, out)

    def fold_in(self, key):
        """The generator of a named thing: a tensor, a layer, a worker.

        It depends on this generator's seed and the key alone, never on what has been drawn, and no two keys
        share a stream. Nor does any stream that `spawn` gives.

        Parameters
        ----------
        key : str or int

        Returns
        -------
        Generator
            Of the same class, over a bit generator of the same class. Its seed sequence is this one's with
            ``spawn_key`` extended by the four little-endian words of
            ``BLAKE2b(digest_size=16, person=b"fastinit-v1")`` of ``b"s"`` and the UTF-8 bytes of a str, or
            ``b"i"`` and the fewest signed little-endian bytes of an int.

        Raises
        ------
        TypeError
            Another type of key (bool included), or a bit generator that was not made from a SeedSequence.
        UnicodeEncodeError
            A str with a lone surrogate.

        Examples
        --------
        >>> from fastinit.random import default_rng
        >>> rng = default_rng(7)
        >>> layer = rng.fold_in("encoder.0.weight")
        >>> layer.random() == default_rng(7).fold_in("encoder.0.weight").random()
        True
        """
        from hashlib import blake2b

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
        words = np.frombuffer(blake2b(data, digest_size=16, person=b"fastinit-v1").digest(), "<u4").tolist()
        child = np.random.SeedSequence(
            seed.entropy, spawn_key=(*seed.spawn_key, *words), pool_size=seed.pool_size
        )
        return type(self)(type(self.bit_generator)(child))


def default_rng(seed=None):
    """A new Generator with fastinit's PCG64.

    Parameters
    ----------
    seed : {None, int, array_like of int, SeedSequence, BitGenerator, Generator, RandomState}, optional
        As for `numpy.random.default_rng`: entropy from the system by default. A BitGenerator, and that of
        NumPy's Generator, is wrapped; a fastinit Generator is returned as it is.

    Returns
    -------
    Generator

    Examples
    --------
    >>> from fastinit.random import default_rng
    >>> default_rng(7)
    Generator(PCG64) at 0x...
    >>> default_rng(7).random() == default_rng(7).random()
    True
    """
    if isinstance(seed, Generator):
        return seed
    if isinstance(seed, np.random.BitGenerator):
        return Generator(seed)
    if isinstance(seed, np.random.Generator):
        return Generator(seed.bit_generator)
    if isinstance(seed, np.random.RandomState):
        return Generator(seed._bit_generator)
    return Generator(PCG64(seed))

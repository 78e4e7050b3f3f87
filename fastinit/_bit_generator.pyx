"""PCG64 and PCG64DXSM with NumPy's seeding, state and interface."""

from operator import index

import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from numpy.random cimport BitGenerator

from fastinit._dispatch cimport draws, init_ahead
from fastinit._kernels cimport (
    FI_DXSM, FI_XSL_RR, fi_advance_by, fi_ahead, fi_ahead32, fi_ahead64, fi_ahead_double, fi_high, fi_inc,
    fi_low, fi_pcg64, fi_seed, fi_set_u128, fi_settled, fi_state, fi_u128,
)
from fastinit._seeding cimport seed_words, sequence

from fastinit._threads import share_out

cnp.import_array()

cdef enum:
    FEW = 4096

_MASK_64 = (1 << 64) - 1
# The draws that one jump of NumPy's skips: 2^128 over the golden ratio.
_JUMP = 0x9E3779B97F4A7C15F39CC0605CEDC835


cdef uint64_t next_uint64(void *state) noexcept nogil:
    return fi_ahead64(<fi_ahead *>state)


cdef uint32_t next_uint32(void *state) noexcept nogil:
    return fi_ahead32(<fi_ahead *>state)


cdef double next_double(void *state) noexcept nogil:
    return fi_ahead_double(<fi_ahead *>state)


cdef object as_int(fi_u128 x):
    return <object>fi_high(x) << 64 | fi_low(x)


cdef int advance(fi_pcg64 *generator, delta) except -1:
    delta = index(delta) & ((1 << 128) - 1)
    fi_advance_by(generator, delta >> 64, delta & _MASK_64)
    return 0


cdef int read_state(fi_pcg64 *generator, dict state) except -1:
    """Set a generator to a state dict. A bad value leaves it unchanged."""
    number, increment = state["state"]["state"], state["state"]["inc"]
    cdef uint64_t high = number >> 64, low = number & _MASK_64
    cdef uint64_t inc_high = increment >> 64, inc_low = increment & _MASK_64
    cdef int has_uint32 = state["has_uint32"]
    generator.uinteger = state["uinteger"]
    generator.has_uint32 = has_uint32 != 0
    fi_set_u128(fi_state(generator), high, low)
    fi_set_u128(fi_inc(generator), inc_high, inc_low)
    return 0


cdef class Draws:
    """Draws from a position. A call makes [start, stop); many threads may call at once."""

    cdef fi_pcg64 generator
    cdef uint64_t *out

    def __call__(self, piece):
        cdef size_t start, stop
        start, stop = piece
        with nogil:
            draws(&self.generator, self.out + start, start, stop - start)


cdef object new_draws(size):
    cdef cnp.npy_intp n
    if type(size) is not int or not 0 <= size < 1 << 60:  # NumPy has the errors
        return np.empty(size, np.uint64)
    n = size
    return cnp.PyArray_EMPTY(1, &n, cnp.NPY_UINT64, 0)


cdef int fill_draws(const fi_pcg64 *position, out) except -1:
    """Write the next draws from a position, on all threads if they are many."""
    cdef Draws job
    cdef uint64_t *target = <uint64_t *>cnp.PyArray_DATA(out)
    cdef size_t n = cnp.PyArray_SIZE(out)
    if n < FEW:  # without releasing the GIL, which takes as long as 100 draws
        draws(position, target, 0, n)
        return 0
    job = Draws.__new__(Draws)
    job.generator, job.out = position[0], target
    share_out(job, n)
    return 0


cdef class LCG128(BitGenerator):
    """The base of PCG64 and PCG64DXSM. `_variant` selects the multiplier and the output function."""

    def __init__(self, seed=None):
        cdef uint64_t words[4]
        BitGenerator.__init__(self, sequence(seed, (), 4) if type(seed) is int else seed)
        init_ahead(&self.ahead)
        self.ahead.generator.variant = self._variant
        self._bitgen.state = <void *>&self.ahead
        self._bitgen.next_uint64 = next_uint64
        self._bitgen.next_uint32 = next_uint32
        self._bitgen.next_double = next_double
        self._bitgen.next_raw = next_uint64
        seed_words(self._seed_seq, words)
        fi_seed(fi_settled(&self.ahead), words)

    def __dealloc__(self):
        free(self.ahead.block)

    cdef int read_position(self, fi_pcg64 *position) except -1:
        """Write the position. Nothing is read ahead afterwards."""
        with self.lock:
            position[0] = fi_settled(&self.ahead)[0]
        return 0

    @property
    def state(self):
        """The state as the dict of NumPy's class of the same name."""
        cdef fi_pcg64 position
        self.read_position(&position)
        return {
            "bit_generator": type(self).__name__,
            "state": {"state": as_int(fi_state(&position)), "inc": as_int(fi_inc(&position))},
            "has_uint32": position.has_uint32,
            "uinteger": position.uinteger,
        }

    @state.setter
    def state(self, value):
        if not isinstance(value, dict):
            raise TypeError("state must be a dict")
        name = type(self).__name__
        if value.get("bit_generator", "") != name:
            raise ValueError(f"state must be for a {name} RNG, not {value.get('bit_generator')!r}")
        with self.lock:
            read_state(fi_settled(&self.ahead), value)

    def advance(self, delta):
        """Move `delta` draws forward in O(log delta), or backward if it is negative; drop a buffered half.

        Parameters
        ----------
        delta : int
            Modulo 2**128.

        Returns
        -------
        bit generator
            This one.
        """
        cdef fi_pcg64 *generator
        with self.lock:
            generator = fi_settled(&self.ahead)
            advance(generator, delta)
            generator.has_uint32 = 0
            generator.uinteger = 0
        return self

    def jumped(self, jumps=1):
        """Return a copy that is 0x9e37...c835 * `jumps` draws further (the jump of NumPy).

        Unlike NumPy's, the copy keeps the seed sequence, so it can `spawn`.

        Parameters
        ----------
        jumps : int
            A positive number, so that streams do not overlap.
        """
        cdef LCG128 other = type(self)(0)
        other._seed_seq = self._seed_seq
        self.read_position(&other.ahead.generator)
        return other.advance(_JUMP * int(jumps))

    def random_raw(self, size=None, output=True):
        """Return the next draws as uint64, as `numpy.random.BitGenerator.random_raw` does.

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape of the result; one int by default.
        output : bool, optional
            False returns None, for benchmarks.

        Examples
        --------
        >>> import numpy as np
        >>> from fastinit.random import PCG64
        >>> bool((PCG64(7).random_raw(5) == np.random.PCG64(7).random_raw(5)).all())
        True
        """
        if size is None and output:
            with self.lock:
                return fi_ahead64(&self.ahead)
        if not output:
            return BitGenerator.random_raw(self, size, output)
        cdef fi_pcg64 before
        out = new_draws(size)
        with self.lock:
            before = fi_settled(&self.ahead)[0]
            fi_advance_by(&self.ahead.generator, 0, cnp.PyArray_SIZE(out))
        fill_draws(&before, out)
        return out

    def draws(self, size, start=0):
        """Return draws [start, start + size) as uint64, from the current position, which stays.

        Parameters
        ----------
        size : int
        start : int
            Modulo 2**128; any position is reached in O(log start).

        Examples
        --------
        >>> from fastinit.random import PCG64
        >>> bits = PCG64(7)
        >>> bool((bits.draws(5, start=2) == bits.random_raw(7)[2:]).all())
        True
        """
        cdef fi_pcg64 position
        self.read_position(&position)
        out = np.empty(size, np.uint64)
        if out.ndim != 1:
            raise TypeError(f"size must be an integer, not {size!r}")
        advance(&position, start)
        fill_draws(&position, out)
        return out


cdef class PCG64(LCG128):
    """PCG64(seed=None)

    The PCG64 bit generator (XSL-RR 128/64, O'Neill 2014), with the seeding, draws and `state` of
    `numpy.random.PCG64`. A `fastinit.random.Generator` over it fills arrays fast.

    Parameters
    ----------
    seed : {None, int, array_like of int, SeedSequence}, optional
        As for `numpy.random.PCG64`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastinit.random import PCG64
    >>> bool(np.random.Generator(PCG64(7)).random() == np.random.default_rng(7).random())
    True
    """

    _variant = FI_XSL_RR


cdef class PCG64DXSM(LCG128):
    """PCG64DXSM(seed=None)

    The PCG64 bit generator with the DXSM output function and a 64-bit multiplier, the same as
    `numpy.random.PCG64DXSM`.

    Parameters
    ----------
    seed : {None, int, array_like of int, SeedSequence}, optional
        As for `numpy.random.PCG64DXSM`.
    """

    _variant = FI_DXSM

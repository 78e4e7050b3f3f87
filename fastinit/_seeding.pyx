"""NumPy's SeedSequence with its hash in C, for generators of many small tensors."""

import numpy as np

cimport numpy as cnp
from cpython.long cimport PyLong_AsUnsignedLongLongMask
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy
from numpy.random.bit_generator cimport SeedSequence

from fastinit._kernels cimport FI_POOL, fi_generate_state, fi_hash_entropy

cnp.import_array()

cdef enum:
    MOST = 256  # words of entropy; more are left to NumPy


cdef int add_words(uint32_t *words, int n, values) except -2:
    """Write the words of ints behind n others. Return how many there are then, or -1 if NumPy is needed."""
    for value in values:
        if type(value) is not int or value < 0:
            return -1
        while True:
            if n == MOST:
                return -1
            words[n] = <uint32_t>PyLong_AsUnsignedLongLongMask(value)
            n += 1
            if value <= 0xffffffff:
                break
            value >>= 32
    return n


cdef object sequence(entropy, tuple spawn_key, pool_size):
    """Return ``SeedSequence(entropy, spawn_key=spawn_key, pool_size=pool_size)``."""
    cdef SeedSequence made
    cdef uint32_t words[MOST]
    cdef cnp.npy_intp size = FI_POOL
    cdef int n = -1
    if pool_size == FI_POOL and type(entropy) in (int, list, tuple):
        n = add_words(words, 0, (entropy,) if type(entropy) is int else entropy)
    while 0 <= n < FI_POOL:  # as NumPy does, so that a spawn key differs from more entropy
        words[n] = 0
        n += 1
    if n >= 0:
        n = add_words(words, n, spawn_key)
    if n < 0:
        return SeedSequence(entropy, spawn_key=spawn_key, pool_size=pool_size)
    made = SeedSequence.__new__(SeedSequence)
    made.entropy, made.spawn_key, made.pool_size, made.n_children_spawned = entropy, spawn_key, FI_POOL, 0
    made.pool = cnp.PyArray_EMPTY(1, &size, cnp.NPY_UINT32, 0)
    fi_hash_entropy(<uint32_t *>cnp.PyArray_DATA(made.pool), words, n)
    return made


cdef int seed_words(seed, uint64_t words[4]) except -1:
    """Write ``seed.generate_state(4, np.uint64)``."""
    if type(seed) is not SeedSequence or (<SeedSequence>seed).pool_size != FI_POOL:
        made = seed.generate_state(4, np.uint64)
        memcpy(words, cnp.PyArray_DATA(made), 4 * sizeof(uint64_t))
        return 0
    fi_generate_state(words, <const uint32_t *>cnp.PyArray_DATA((<SeedSequence>seed).pool))
    return 0

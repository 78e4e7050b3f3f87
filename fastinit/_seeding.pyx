"""NumPy's SeedSequence with its hash in C, for generators of many small tensors."""

import numpy as np

cimport numpy as cnp
from cpython.long cimport PyLong_AsUnsignedLongLongMask
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy
from numpy.random.bit_generator cimport SeedSequence

cnp.import_array()

cdef enum:
    POOL = 4  # words of a pool, by default
    MOST = 256  # words of entropy; more are left to NumPy
    MULTIPLIER = 0x931e8875  # of the hash's constants


cdef inline uint32_t scrambled(uint32_t word, uint32_t *constant, uint32_t multiplier) noexcept:
    word ^= constant[0]
    constant[0] *= multiplier
    word *= constant[0]
    return word ^ word >> 16


cdef inline uint32_t mixed(uint32_t x, uint32_t y) noexcept:
    cdef uint32_t both = <uint32_t>0xca01f9dd * x - <uint32_t>0x4973f715 * y
    return both ^ both >> 16


cdef void hash_entropy(uint32_t *pool, const uint32_t *words, int n) noexcept:
    """Fill a pool from n words: as many as it has, or more."""
    cdef uint32_t constant = 0x43b0d7e5
    cdef int i, to
    for to in range(POOL):
        pool[to] = scrambled(words[to], &constant, MULTIPLIER)
    for i in range(POOL):
        for to in range(POOL):
            if i != to:
                pool[to] = mixed(pool[to], scrambled(pool[i], &constant, MULTIPLIER))
    for i in range(POOL, n):
        for to in range(POOL):
            pool[to] = mixed(pool[to], scrambled(words[i], &constant, MULTIPLIER))


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
    cdef cnp.npy_intp size = POOL
    cdef int n = -1
    if pool_size == POOL and type(entropy) in (int, list, tuple):
        n = add_words(words, 0, (entropy,) if type(entropy) is int else entropy)
    while 0 <= n < POOL:  # as NumPy does, so that a spawn key differs from more entropy
        words[n] = 0
        n += 1
    if n >= 0:
        n = add_words(words, n, spawn_key)
    if n < 0:
        return SeedSequence(entropy, spawn_key=spawn_key, pool_size=pool_size)
    made = SeedSequence.__new__(SeedSequence)
    made.entropy, made.spawn_key, made.pool_size, made.n_children_spawned = entropy, spawn_key, POOL, 0
    made.pool = cnp.PyArray_EMPTY(1, &size, cnp.NPY_UINT32, 0)
    hash_entropy(<uint32_t *>cnp.PyArray_DATA(made.pool), words, n)
    return made


cdef int seed_words(seed, uint64_t words[4]) except -1:
    """Write ``seed.generate_state(4, np.uint64)``."""
    cdef uint32_t constant = 0x8b51f9dd, low, high
    cdef const uint32_t *pool
    cdef int i
    if type(seed) is not SeedSequence or (<SeedSequence>seed).pool_size != POOL:
        made = seed.generate_state(4, np.uint64)
        memcpy(words, cnp.PyArray_DATA(made), 4 * sizeof(uint64_t))
        return 0
    pool = <const uint32_t *>cnp.PyArray_DATA((<SeedSequence>seed).pool)
    for i in range(4):
        low = scrambled(pool[2 * i % POOL], &constant, 0x58f38ded)
        high = scrambled(pool[(2 * i + 1) % POOL], &constant, 0x58f38ded)
        words[i] = low | <uint64_t>high << 32
    return 0

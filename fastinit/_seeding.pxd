from libc.stdint cimport uint64_t


cdef object sequence(entropy, tuple spawn_key, pool_size)
cdef int seed_words(seed, uint64_t words[4]) except -1

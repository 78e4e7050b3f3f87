/* The hash of NumPy's SeedSequence with its default pool, after O'Neill's seed_seq_fe. */
#ifndef FI_SEED_SEQUENCE_H
#define FI_SEED_SEQUENCE_H
#include <stddef.h>
#include <stdint.h>

enum { FI_POOL = 4 }; /* words */

static inline uint32_t fi_scrambled(uint32_t word, uint32_t *constant, uint32_t multiplier) {
    word ^= *constant;
    *constant *= multiplier;
    word *= *constant;
    return word ^ word >> 16;
}

static inline uint32_t fi_mixed(uint32_t x, uint32_t y) {
    uint32_t both = 0xca01f9ddu * x - 0x4973f715u * y;
    return both ^ both >> 16;
}

/* Fills a pool from n words of entropy. Fewer than it has are followed by zeros. */
static inline void fi_hash_entropy(uint32_t pool[FI_POOL], const uint32_t *words, size_t n) {
    const uint32_t multiplier = 0x931e8875u;
    uint32_t constant = 0x43b0d7e5u;
    for (size_t to = 0; to < FI_POOL; to++)
        pool[to] = fi_scrambled(to < n ? words[to] : 0, &constant, multiplier);
    for (size_t i = 0; i < FI_POOL; i++)
        for (size_t to = 0; to < FI_POOL; to++)
            if (i != to) pool[to] = fi_mixed(pool[to], fi_scrambled(pool[i], &constant, multiplier));
    for (size_t i = FI_POOL; i < n; i++)
        for (size_t to = 0; to < FI_POOL; to++)
            pool[to] = fi_mixed(pool[to], fi_scrambled(words[i], &constant, multiplier));
}

/* Writes SeedSequence.generate_state(4, uint64). */
static inline void fi_generate_state(uint64_t words[4], const uint32_t pool[FI_POOL]) {
    const uint32_t multiplier = 0x58f38dedu;
    uint32_t constant = 0x8b51f9ddu;
    for (size_t i = 0; i < 4; i++) {
        uint64_t low = fi_scrambled(pool[2 * i % FI_POOL], &constant, multiplier);
        uint64_t high = fi_scrambled(pool[(2 * i + 1) % FI_POOL], &constant, multiplier);
        words[i] = low | high << 32;
    }
}
#endif

/* PCG64: O'Neill's 128-bit LCG with NumPy's two output functions, XSL-RR and DXSM. */
#ifndef FI_PCG64_H
#define FI_PCG64_H
#include "fastinit.h"

#define FI_U128(hi, lo) (((fi_u128)(hi) << 64) | (lo))
/* PCG_DEFAULT_MULTIPLIER_128 and PCG_CHEAP_MULTIPLIER_128 of the PCG C library. */
#define FI_MULTIPLIER FI_U128(2549297995355413924u, 4865540595714422341u)
#define FI_CHEAP_MULTIPLIER ((fi_u128)0xda942042e4dd58b5u)

static inline fi_u128 fi_multiplier(const fi_pcg64 *g) {
    return g->variant == FI_DXSM ? FI_CHEAP_MULTIPLIER : FI_MULTIPLIER;
}

/* DXSM or XSL-RR of the halves of a state. */
static inline uint64_t fi_output(uint64_t hi, uint64_t lo, int dxsm) {
    if (dxsm) {
        hi = (hi ^ hi >> 32) * (uint64_t)FI_CHEAP_MULTIPLIER;
        return (hi ^ hi >> 48) * (lo | 1);
    }
    uint64_t x = hi ^ lo, r = hi >> 58;
    return (x >> r) | (x << (-r & 63));
}

/* XSL-RR steps, then outputs; DXSM outputs, then steps. */
static inline uint64_t fi_next64(fi_pcg64 *g) {
    const int dxsm = g->variant == FI_DXSM;
    fi_u128 before = g->state, after = before * fi_multiplier(g) + g->inc, s = dxsm ? before : after;
    g->state = after;
    return fi_output((uint64_t)(s >> 64), (uint64_t)s, dxsm);
}

static inline uint32_t fi_next32(fi_pcg64 *g) {
    if (g->has_uint32) {
        g->has_uint32 = 0;
        return g->uinteger;
    }
    uint64_t d = fi_next64(g);
    g->has_uint32 = 1;
    g->uinteger = (uint32_t)(d >> 32);
    return (uint32_t)d;
}

/* The same of a generator that reads ahead. */
static inline uint64_t fi_ahead64(fi_ahead *a) {
    return a->at < a->end ? a->block->draws[a->at++] : a->more(a);
}
static inline uint32_t fi_ahead32(fi_ahead *a) {
    fi_pcg64 *g = &a->generator;
    if (g->has_uint32) {
        g->has_uint32 = 0;
        return g->uinteger;
    }
    uint64_t d = fi_ahead64(a);
    g->has_uint32 = 1;
    g->uinteger = (uint32_t)(d >> 32);
    return (uint32_t)d;
}
static inline double fi_ahead_double(fi_ahead *a) { return (double)(fi_ahead64(a) >> 11) * 0x1p-53; }

static inline double fi_next_double(fi_pcg64 *g) { return (double)(fi_next64(g) >> 11) * 0x1p-53; }

/* Makes n steps in O(log n) (Brown 1994): state -> a state + c is 1, 2, 4, ... steps, which commute. */
static inline void fi_advance(fi_pcg64 *g, fi_u128 n) {
    for (fi_u128 a = fi_multiplier(g), c = g->inc; n; n >>= 1) {
        if (n & 1) g->state = g->state * a + c;
        c *= a + 1;
        a *= a;
    }
}

/* Moves past n words as if they were drawn: to an equal uinteger, too, if no half of it is left. */
static inline void fi_skip32(fi_pcg64 *g, size_t n) {
    if (n && g->has_uint32) {
        g->has_uint32 = 0;
        n--;
    }
    if (!n) return;
    fi_advance(g, (n - 1) / 2);
    fi_next32(g);
    g->has_uint32 = n % 2;
}

/* Drops what was read ahead, so that the position is that of the generator. */
static inline fi_pcg64 *fi_settled(fi_ahead *a) {
    if (a->at) fi_advance(&a->generator, a->at);
    a->at = a->end = a->single = 0;
    return &a->generator;
}

/* NumPy's seeding from SeedSequence.generate_state(4, uint64). DXSM, too, uses the large multiplier here. */
static inline void fi_seed(fi_pcg64 *g, const uint64_t words[4]) {
    g->inc = FI_U128(words[2], words[3]) << 1 | 1;
    g->state = (g->inc + FI_U128(words[0], words[1])) * FI_MULTIPLIER + g->inc;
    g->has_uint32 = 0;
    g->uinteger = 0;
}
#endif

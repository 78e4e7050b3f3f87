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

static inline uint64_t fi_xsl_rr_halves(uint64_t hi, uint64_t lo) {
    uint64_t x = hi ^ lo, r = hi >> 58;
    return (x >> r) | (x << (-r & 63));
}

static inline uint64_t fi_dxsm_halves(uint64_t hi, uint64_t lo) {
    hi ^= hi >> 32;
    hi *= (uint64_t)FI_CHEAP_MULTIPLIER;
    hi ^= hi >> 48;
    return hi * (lo | 1);
}

static inline uint64_t fi_xsl_rr(fi_u128 state) {
    return fi_xsl_rr_halves((uint64_t)(state >> 64), (uint64_t)state);
}
static inline uint64_t fi_dxsm(fi_u128 state) {
    return fi_dxsm_halves((uint64_t)(state >> 64), (uint64_t)state);
}

/* XSL-RR steps, then outputs; DXSM outputs, then steps. */
static inline uint64_t fi_next64(fi_pcg64 *g) {
    fi_u128 before = g->state;
    g->state = before * fi_multiplier(g) + g->inc;
    return g->variant == FI_DXSM ? fi_dxsm(before) : fi_xsl_rr(g->state);
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

static inline double fi_next_double(fi_pcg64 *g) { return (double)(fi_next64(g) >> 11) * 0x1p-53; }

/* Makes one step of n steps state -> multiplier * state + increment, in O(log n) (Brown 1994). */
static inline void fi_power(fi_u128 n, fi_u128 *multiplier, fi_u128 *increment) {
    fi_u128 a = *multiplier, c = *increment, A = 1, C = 0;
    for (; n; n >>= 1) {
        if (n & 1) {
            A *= a;
            C = C * a + c;
        }
        c *= a + 1;
        a *= a;
    }
    *multiplier = A;
    *increment = C;
}

static inline void fi_advance(fi_pcg64 *g, fi_u128 n) {
    fi_u128 a = fi_multiplier(g), c = g->inc;
    fi_power(n, &a, &c);
    g->state = g->state * a + c;
}

/* NumPy's seeding from SeedSequence.generate_state(4, uint64). DXSM, too, uses the large multiplier here. */
static inline void fi_seed(fi_pcg64 *g, const uint64_t words[4]) {
    g->inc = FI_U128(words[2], words[3]) << 1 | 1;
    g->state = (g->inc + FI_U128(words[0], words[1])) * FI_MULTIPLIER + g->inc;
    g->has_uint32 = 0;
    g->uinteger = 0;
}
#endif

/* Transforms: a block of raw draws becomes a block of values. n counts draws, so that a float64 normal pair
 * takes two. One loop each, without a branch in it; docs/stream.md has the formulas. */
#include "vmath.inc.h"

/* The i-th 32-bit word of a block: low halves first. Where memory has them in that order, vectors load them
 * as they lie. */
static inline uint32_t word(const uint64_t *d, size_t i) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t w;
    memcpy(&w, (const char *)d + i * sizeof w, sizeof w);
    return w;
#else
    return (uint32_t)(d[i / 2] >> (i % 2 * 32));
#endif
}

static inline float clamp_f32(float v, float least, float most) {
    v = v > most ? most : v;
    return v < least ? least : v;
}

static inline float unit_f32(uint32_t w) { return (float)(w >> 8) * 0x1p-24f; }

/* Rounding is monotonic and the bounds are values of the dtype: clamping before it is clamping after it. */
#define FI_UNIFORM_KERNEL(name, type, round)                                                                 \
    static void name(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {         \
        type *restrict v = out;                                                                              \
        const float low = (float)p->loc, range = (float)p->scale;                                            \
        const float least = (float)p->least, most = (float)p->most;                                          \
        for (size_t i = 0; i < 2 * n; i++)                                                                   \
            v[i] = round(clamp_f32(low + range * unit_f32(word(d, i)), least, most));                        \
    }
#define AS_IS(x) (x)
FI_UNIFORM_KERNEL(uniform_f16, uint16_t, round_f16)
FI_UNIFORM_KERNEL(uniform_bf16, uint16_t, round_bf16)
FI_UNIFORM_KERNEL(uniform_range_f32, float, AS_IS)

static void uniform_f32(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {
    if (p->loc != 0 || p->scale != 1) {
        uniform_range_f32(out, d, n, p);
        return;
    }
    float *restrict v = out;
    for (size_t i = 0; i < 2 * n; i++)
        v[i] = unit_f32(word(d, i)); /* the same bits, at the speed of memory */
}

static void uniform_f64(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {
    double *restrict v = out;
    const double low = p->loc, range = p->scale;
    for (size_t i = 0; i < n; i++) v[i] = low + range * ((double)(int64_t)(d[i] >> 11) * 0x1p-53);
}

/* Pairs: each draw's (float32) or two draws' (float64) radius word and angle word to two arrays, and two
 * arrays of values back to where the pairs stood. The order within the arrays is free, as long as join undoes
 * split. In-lane swaps, where there are any, cost half of the general permutations that gcc makes of a
 * stride. */
#ifdef __AVX512F__
#include <immintrin.h>
enum {
    PAIRS_32 = 16,
    PAIRS_64 = 8
}; /* a step of the vector form; what is left of a block goes by the plain one */
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, x) _mm512_storeu_si512(p, x)
/* The odd 32-bit lanes of a and the even ones of b change places. */
#define ODD_FROM(a, b) _mm512_mask_shuffle_epi32(a, 0xAAAA, b, _MM_PERM_CDAB)
#define EVEN_FROM(a, b) _mm512_mask_shuffle_epi32(a, 0x5555, b, _MM_PERM_CDAB)
static inline void swap_32(void *x, void *y, const void *a, const void *b) {
    __m512i p = LOAD(a), q = LOAD(b);
    STORE(x, ODD_FROM(p, q));
    STORE(y, EVEN_FROM(q, p));
}
static inline void swap_64(void *x, void *y, const void *a, const void *b) {
    __m512i p = LOAD(a), q = LOAD(b);
    STORE(x, _mm512_unpacklo_epi64(p, q));
    STORE(y, _mm512_unpackhi_epi64(p, q));
}
#endif

static inline void split_32(uint32_t *restrict radius, uint32_t *restrict angle, const uint64_t *restrict d,
                            size_t n) {
    size_t i = 0;
#ifdef __AVX512F__
    for (; i + PAIRS_32 <= n; i += PAIRS_32) swap_32(radius + i, angle + i, d + i, d + i + PAIRS_32 / 2);
#endif
    for (; i < n; i++) radius[i] = (uint32_t)d[i], angle[i] = (uint32_t)(d[i] >> 32);
}

static inline void join_32(float *restrict v, const float *restrict first, const float *restrict second,
                           size_t n) {
    size_t i = 0;
#ifdef __AVX512F__
    for (; i + PAIRS_32 <= n; i += PAIRS_32) swap_32(v + 2 * i, v + 2 * i + PAIRS_32, first + i, second + i);
#endif
    for (; i < n; i++) v[2 * i] = first[i], v[2 * i + 1] = second[i];
}

static inline void split_64(uint64_t *restrict radius, uint64_t *restrict angle, const uint64_t *restrict d,
                            size_t n) {
    size_t i = 0;
#ifdef __AVX512F__
    for (; i + PAIRS_64 <= n; i += PAIRS_64) swap_64(radius + i, angle + i, d + 2 * i, d + 2 * i + PAIRS_64);
#endif
    for (; i < n; i++) radius[i] = d[2 * i], angle[i] = d[2 * i + 1];
}

static inline void join_64(double *restrict v, const double *restrict first, const double *restrict second,
                           size_t n) {
    size_t i = 0;
#ifdef __AVX512F__
    for (; i + PAIRS_64 <= n; i += PAIRS_64) swap_64(v + 2 * i, v + 2 * i + PAIRS_64, first + i, second + i);
#endif
    for (; i < n; i++) v[2 * i] = first[i], v[2 * i + 1] = second[i];
}

/* Hides a constant from the compiler: for `~word` gcc writes a vpternlog that waits for its target's old
 * value, and with it for the whole of the last iteration. */
static inline uint32_t opaque(uint32_t x) {
    __asm__("" : "+r"(x));
    return x;
}

/* z[2p] = r cos, z[2p + 1] = r sin: radius from the low half, angle from the high half. Short loops over
 * arrays in L1 let more elements be in flight than one long one. */
static void normal_f32(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {
    const float loc = (float)p->loc, scale = (float)p->scale;
    const uint32_t ones = opaque(0xffffffffu);
    uint32_t radius[FI_BLOCK], angle[FI_BLOCK];
    float r[FI_BLOCK], first[FI_BLOCK], second[FI_BLOCK];
    split_32(radius, angle, d, n);
    for (size_t i = 0; i < n; i++) r[i] = __builtin_sqrtf(minus_two_ln_u32(radius[i], radius[i] ^ ones));
    for (size_t i = 0; i < n; i++) {
        float r_cos, r_sin;
        polar_f32(r[i], angle[i], &r_cos, &r_sin);
        first[i] = loc + scale * r_cos;
        second[i] = loc + scale * r_sin;
    }
    join_32(out, first, second, n);
}

static void normal_f64(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {
    const double loc = p->loc, scale = p->scale;
    uint64_t radius[FI_BLOCK / 2], angle[FI_BLOCK / 2];
    double r[FI_BLOCK / 2], first[FI_BLOCK / 2], second[FI_BLOCK / 2];
    const size_t pairs = n / 2;
    split_64(radius, angle, d, pairs);
    for (size_t i = 0; i < pairs; i++)
        r[i] = __builtin_sqrt(-2.0 * ln_f64((double_of_u52(radius[i] >> 12) + 0.5) * 0x1p-52));
    for (size_t i = 0; i < pairs; i++) {
        double r_cos, r_sin;
        polar_f64(r[i], angle[i], &r_cos, &r_sin);
        first[i] = loc + scale * r_cos;
        second[i] = loc + scale * r_sin;
    }
    join_64(out, first, second, pairs);
}

#define FI_NORMAL_HALF(name, round)                                                                          \
    static void name(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {         \
        uint16_t *restrict v = out;                                                                          \
        float whole[2 * FI_BLOCK];                                                                           \
        normal_f32(whole, d, n, p);                                                                          \
        for (size_t i = 0; i < 2 * n; i++) v[i] = round(whole[i]);                                           \
    }
FI_NORMAL_HALF(normal_f16, round_f16)
FI_NORMAL_HALF(normal_bf16, round_bf16)

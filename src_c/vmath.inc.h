/* Elementary functions of the stream contract, each with one fixed order of operations.
 *
 * fma, `*`, `+` and sqrt each round once (-ffp-contract=off): all compilers and instruction sets give the
 * same bits. No function branches, so that loops around it vectorise. Errors are relative, of the polynomial
 * before rounding. tools/coefficients/vmath.py prints the coefficients. */
#ifndef FI_VMATH_INC_H
#define FI_VMATH_INC_H
#include "dtypes.inc.h"

#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMAF)
INLINE float fma_f32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
/* Valid range: finite a, b and c. The product is exact in double and the sum is rounded to odd, so the
 * rounding to float is correct (Boldo and Melquiond 2008). libm's fmaf takes 20 ns or more. */
INLINE float fma_f32(float a, float b, float c) {
    double p = (double)a * b, q = c, s = p + q, back = s - p;
    double error = (p - (s - back)) + (q - back);
    double outward = s < 0 ? -error : error; /* positive if the exact sum is larger in magnitude */
    uint64_t bits = bits_f64(s), even = ~bits & 1;
    return (float)of_bits_f64(bits + (outward > 0 ? even : 0) - (outward < 0 ? even : 0));
}
#endif

INLINE double fma_f64(double a, double b, double c) { return __builtin_fma(a, b, c); }

INLINE float horner3_f32(float q, float x, float a, float b, float c) {
    return fma_f32(fma_f32(fma_f32(q, x, a), x, b), x, c);
}
INLINE double horner3_f64(double q, double x, double a, double b, double c) {
    return fma_f64(fma_f64(fma_f64(q, x, a), x, b), x, c);
}

/* k as a double, exact. Valid range: k < 2^52. Below AVX-512 no instruction converts 64-bit integers. */
INLINE double double_of_u52(uint64_t k) { return of_bits_f64(k | 0x4330000000000000u) - 0x1p52; }

/* -2 ln(2^k (1 + f)), of k 2^23: the integer as masked off, its power of two being part of k's constant.
 * Valid range: 1 + f in [sqrt(1/2), sqrt(2)). Max error: 3.0e-8. Even and odd powers are summed separately,
 * for half the latency. */
INLINE float minus_two_ln_split(int32_t k23, float f) {
    float w = f * f;
    float even = horner3_f32(0x1.250e9ap-2f, w, 0x1.535b58p-2f, 0x1.0004aap-1f, 0x1.fffffap-1f);
    float odd = horner3_f32(-0x1.65d000p-3f, w, -0x1.318692p-2f, -0x1.98d28cp-2f, -0x1.5556f4p-1f);
    return fma_f32((float)k23, -0x1.62e430p-23f, fma_f32(fma_f32(odd, f, even), w, f * -2.0f));
}

/* k 2^23 and f of u = 2^k (1 + f). Valid range: positive normal u. */
INLINE int32_t exponent_f32(float u) { return (int32_t)((bits_f32(u) - 0x3f3504f3u) & 0xff800000u); }
INLINE float fraction_f32(float u, int32_t k23) { return of_bits_f32(bits_f32(u) - (uint32_t)k23) - 1.0f; }

INLINE float minus_two_ln_f32(float u) {
    int32_t k23 = exponent_f32(u);
    return minus_two_ln_split(k23, fraction_f32(u, k23));
}

/* -2 ln u, u = (w + 1/2) 2^-32. Valid range: all w, with complement = ~w. Max error: 3.0e-8. Near 1 a float u
 * has lost the low bits of w, so 1 - u is made from the complement. */
INLINE float minus_two_ln_u32(uint32_t w, uint32_t complement) {
    float u = fma_f32((float)w, 0x1p-32f, 0x1p-33f);
    float from_complement = -fma_f32((float)complement, 0x1p-32f, 0x1p-33f);
    int32_t k23 = exponent_f32(u);
    return minus_two_ln_split(k23, k23 == 0 ? from_complement : fraction_f32(u, k23));
}

/* r cos and r sin of (a + 1/2) 2^-32 turns. Valid range: all a. Max error: sine 2.8e-8, cosine 4.0e-8. r
 * takes the sign of both at first. */
INLINE void polar_f32(float r, uint32_t a, float *restrict r_cos, float *restrict r_sin) {
    uint32_t quadrant = a + 0x20000000u; /* in the two high bits */
    r = of_bits_f32(bits_f32(r) ^ (quadrant & 0x80000000u));
    float y = fma_f32((float)(int32_t)(a << 2), 0x1p-32f, 0x1p-31f), z = y * y;
    float s = horner3_f32(-0x1.31fb24p-8f, z, 0x1.467a54p-4f, -0x1.4abc14p-1f, 0x1.921fb6p+0f) * (y * r);
    float c = horner3_f32(-0x1.4e7d44p-6f, z, 0x1.03b066p-2f, -0x1.3bd39cp+0f, 1.0f) * r;
    int32_t swap = (int32_t)(quadrant << 1);
    *r_cos = swap < 0 ? of_bits_f32(bits_f32(s) ^ 0x80000000u) : c;
    *r_sin = swap < 0 ? c : s;
}

/* ln u. Valid range: positive normal u. Max error: 1.2e-18. With u = 2^k (1 + f) and s = f / (2 + f), ln(1 +
 * f) is 2 s + s R(s^2), arranged as in fdlibm's e_log.c to keep all digits of f. */
INLINE double ln_f64(double u) {
    uint64_t b = bits_f64(u);
    uint64_t k52 = (b - 0x3fe6a09e667f3bcdu) & 0xfff0000000000000u; /* k 2^52 */
    double f = of_bits_f64(b - k52) - 1.0;
#ifdef __AVX512DQ__
    const double one = 0x1p-52, dk = (double)(int64_t)k52; /* k, in units of `one` */
#else /* k + 2^11 becomes the last bits of a number in [2^52, 2^53) */
    const uint64_t biased = (k52 + 0x8000000000000000u) >> 52;
    const double one = 1, dk = of_bits_f64(biased | 0x4330000000000000u) - (0x1p52 + 0x1p11);
#endif
    double s = f / (2.0 + f), z = s * s, half = 0.5 * (f * f);
    double z2 = z * z;
    double even = fma_f64(0x1.2f031072f8dcfp-3, z2, 0x1.74663c328b453p-3);
    even = fma_f64(fma_f64(even, z2, 0x1.24924941dd504p-2), z2, 0x1.5555555555592p-1);
    double odd = fma_f64(fma_f64(0x1.39a1fad84b423p-3, z2, 0x1.c71c5217df2cep-3), z2, 0x1.999999997ff4ep-2);
    double p = fma_f64(odd, z, even);
    /* the high part of ln 2 ends in 21 zero bits, so its product with k is exact */
    double low = fma_f64(dk, one * 0x1.a39ef35793c76p-33, s * fma_f64(p, z, half));
    return fma_f64(dk, one * 0x1.62e42fee00000p-1, f - (half - low));
}

/* r cos and r sin of about a 2^-64 turns: the 11 lowest bits of the quarter-turn fraction are cut off, and
 * half a unit is added. Valid range: all a. Max error: sine 3.9e-17, cosine 3.1e-19. */
INLINE void polar_f64(double r, uint64_t a, double *restrict r_cos, double *restrict r_sin) {
    uint64_t quadrant = a + 0x2000000000000000u;
    /* the fraction, plus 1/2, becomes the upper 51 fraction bits of a number in [1, 2) */
    double turned = of_bits_f64((quadrant >> 10 & 0x000ffffffffffffeu) | 0x3ff0000000000000u);
    double y = turned - (1.5 - 0x1p-52), z = y * y;
    r = of_bits_f64(bits_f64(r) ^ (quadrant & 0x8000000000000000u));
    double z2 = z * z;
    double even = fma_f64(0x1.e08d5e37dba49p-25, z2, 0x1.50782454d2929p-13);
    even = fma_f64(fma_f64(even, z2, 0x1.466bc6774d1e7p-4), z2, 0x1.921fb54442d18p+0);
    double odd =
        fma_f64(fma_f64(-0x1.e2f63b4379386p-19, z2, -0x1.32d2ccd6e3774p-8), z2, -0x1.4abbce625bdc1p-1);
    double s = fma_f64(odd, z, even) * (y * r);
    even = fma_f64(0x1.f9c4e594f5570p-22, z2, 0x1.e1f5067600e5bp-11);
    even = fma_f64(fma_f64(even, z2, 0x1.03c1f081b5a53p-2), z2, 1.0);
    odd = fma_f64(-0x1.b045b96db34f8p-28, z2, -0x1.a6d1e27d59df2p-16);
    odd = fma_f64(fma_f64(odd, z2, -0x1.55d3c7e3c00f5p-6), z2, -0x1.3bd3cc9be45dep+0);
    double c = fma_f64(odd, z, even) * r;
    int64_t swap = (int64_t)(quadrant << 1);
    *r_cos = swap < 0 ? of_bits_f64(bits_f64(s) ^ 0x8000000000000000u) : c;
    *r_sin = swap < 0 ? c : s;
}
#endif

/* Conversions of one value, in the default floating-point modes: narrow_tag rounds a number in the working
 * precision to nearest even, once; widen_tag is exact. Valid range: all values. No function branches, so that
 * loops around it vectorise. */
#ifndef FI_DTYPES_INC_H
#define FI_DTYPES_INC_H
#include <stdint.h>
#include <string.h>

/* gcc alone leaves calls in long loops, which then do not vectorise. */
#define INLINE static inline __attribute__((always_inline))

#define FI_BITS(F, U, tag)                                                                                   \
    INLINE U bits_##tag(F x) {                                                                               \
        U b;                                                                                                 \
        memcpy(&b, &x, sizeof b);                                                                            \
        return b;                                                                                            \
    }                                                                                                        \
    INLINE F of_bits_##tag(U b) {                                                                            \
        F x;                                                                                                 \
        memcpy(&x, &b, sizeof x);                                                                            \
        return x;                                                                                            \
    }
FI_BITS(float, uint32_t, f32)
FI_BITS(double, uint64_t, f64)

INLINE float narrow_f32(float x) { return x; }
INLINE float widen_f32(float x) { return x; }
INLINE double narrow_f64(double x) { return x; }
INLINE double widen_f64(double x) { return x; }

/* The bfloat16 is the upper half of the result; ignore the lower half. Integer operations, as vcvtneps2bf16
 * flushes subnormals. A NaN becomes the canonical one. */
INLINE uint32_t narrow_upper_bf16(float x) {
    uint32_t b = bits_f32(x), nan = -(uint32_t)((b & 0x7fffffffu) > 0x7f800000u);
    return ((b + 0x7fffu + (b >> 16 & 1)) & ~nan) | (0x7fc00000u & nan);
}
INLINE uint16_t narrow_bf16(float x) { return (uint16_t)(narrow_upper_bf16(x) >> 16); }
INLINE float widen_bf16(uint16_t h) { return of_bits_f32((uint32_t)h << 16); }

INLINE uint16_t narrow_f16(float x) {
    uint32_t b = bits_f32(x), a = b & 0x7fffffffu;
    uint32_t normal = (a + 0xfffu + (a >> 13 & 1) - (112u << 23)) >> 13;
    /* The ulp of a number in [0.5, 1) is float16's smallest subnormal, so the sum is rounded to it. */
    uint32_t small = bits_f32(of_bits_f32(a) + 0.5f) - 0x3f000000u;
    uint32_t h = a < 0x38800000u ? small : normal;
    h = a >= 0x47800000u ? 0x7c00u : h;
    h = a > 0x7f800000u ? 0x7e00u : h;
    return (uint16_t)(h | (b >> 16 & 0x8000u));
}
/* Multiplying by 2^112 corrects the exponent's bias, of subnormals too. */
INLINE float widen_f16(uint16_t h) {
    uint32_t a = (uint32_t)(h & 0x7fffu) << 13;
    float x = of_bits_f32(a) * 0x1p112f;
    x = a >= 0x0f800000u ? of_bits_f32(a | 0x7f800000u) : x;
    return of_bits_f32(bits_f32(x) | (uint32_t)(h & 0x8000u) << 16);
}
#endif

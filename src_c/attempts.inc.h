/* Template: the attempts, in NumPy's bits: its ziggurats and its bounded integers (Lemire 2019). A piece of
 * the stream (a draw, a word or a part of one) makes one value or is rejected. */
#include "ziggurat.inc.h"

/* A number below 2^52, exact. */
INLINE double double_of_r52(uint64_t r) { return of_bits_f64(r | 0x4330000000000000u) - 0x1p52; }

INLINE int ziggurat_normal_f64(uint64_t d, double *x) {
    uint64_t r = d >> 9 & 0xfffffffffffffu;
    *x = of_bits_f64(bits_f64(double_of_r52(r) * w_normal_f64[d & 0xff]) ^ (d & 0x100) << 55);
    return r < k_normal_f64[d & 0xff];
}
INLINE int ziggurat_normal_f32(uint32_t w, float *x) {
    uint32_t r = w >> 9;
    *x = of_bits_f32(bits_f32((float)(int32_t)r * w_normal_f32[w & 0xff]) ^ (w & 0x100) << 23);
    return r < k_normal_f32[w & 0xff];
}
INLINE int ziggurat_exponential_f64(uint64_t d, double *x) {
    uint64_t r = d >> 11;
    double high = double_of_r52(r >> 32) * 0x1p32, low = double_of_r52(r & 0xffffffffu);
    *x = (high + low) * w_exponential_f64[d >> 3 & 0xff];
    return r < k_exponential_f64[d >> 3 & 0xff];
}
INLINE int ziggurat_exponential_f32(uint32_t w, float *x) {
    uint32_t r = w >> 9;
    *x = (float)(int32_t)r * w_exponential_f32[w >> 1 & 0xff];
    return r < k_exponential_f32[w >> 1 & 0xff];
}
/* An attempt that ends at the first piece that is not accepted at once. Eight values side by side keep the
 * loads of both tables in flight. On Zen 4 that is as fast as gathers (0.83 and 1.01 ns a float64 normal). */
enum { SIDE_BY_SIDE = 8 };

#define FI_ZIGGURAT(kernel, value, P, F)                                                                     \
    static size_t kernel(void *restrict out, size_t *room, const void *restrict pieces, size_t n,            \
                         const fi_bounds *bounds) {                                                          \
        F *restrict v = out;                                                                                 \
        const P *restrict p = pieces;                                                                        \
        size_t i = 0;                                                                                        \
        (void)bounds;                                                                                        \
        n = n < *room ? n : *room;                                                                           \
        for (; i + SIDE_BY_SIDE <= n; i += SIDE_BY_SIDE) {                                                   \
            unsigned rejected = 0;                                                                           \
            for (unsigned k = 0; k < SIDE_BY_SIDE; k++) rejected |= !value(p[i + k], v + i + k) << k;        \
            if (rejected) return *room = i + (size_t)__builtin_ctz(rejected);                                \
        }                                                                                                    \
        while (i < n && value(p[i], v + i)) i++;                                                             \
        return *room = i;                                                                                    \
    }
FI_ZIGGURAT(attempt_normal_f64, ziggurat_normal_f64, uint64_t, double)
FI_ZIGGURAT(attempt_normal_f32, ziggurat_normal_f32, uint32_t, float)
FI_ZIGGURAT(attempt_exponential_f64, ziggurat_exponential_f64, uint64_t, double)
FI_ZIGGURAT(attempt_exponential_f32, ziggurat_exponential_f32, uint32_t, float)

/* Bounded integers: the upper half of piece * span, rejected if the lower half is below the threshold. P is
 * the type of a piece, Q one of twice its size, T that of a value. A rejected piece is skipped. */
#define FI_BOUNDED(kernel, P, Q, T)                                                                          \
    static size_t kernel(void *restrict out, size_t *room, const void *restrict pieces, size_t n,            \
                         const fi_bounds *bounds) {                                                          \
        enum { BITS = 8 * sizeof(P), MANY = 64 };                                                            \
        T *restrict v = out;                                                                                 \
        const P *restrict p = pieces, threshold = (P)bounds->threshold;                                      \
        const Q span = bounds->span ? bounds->span : (Q)1 << BITS;                                           \
        const T offset = (T)bounds->offset;                                                                  \
        size_t i = 0, made = 0;                                                                              \
        if (sizeof(P) == 8 && !bounds->span) { /* every draw is a value */                                   \
            *room = n = n < *room ? n : *room;                                                               \
            for (; i < n; i++) v[i] = (T)(offset + p[i]);                                                    \
            return n;                                                                                        \
        }                                                                                                    \
        while (i < n && made < *room) {                                                                      \
            if (i + MANY <= n && made + MANY <= *room) {                                                     \
                P rejected = 0;                                                                              \
                for (int k = 0; k < MANY; k++) {                                                             \
                    Q m = p[i + k] * span;                                                                   \
                    v[made + k] = (T)(offset + (T)(m >> BITS));                                              \
                    rejected |= (P)m < threshold;                                                            \
                }                                                                                            \
                if (!rejected) {                                                                             \
                    i += MANY, made += MANY;                                                                 \
                    continue;                                                                                \
                }                                                                                            \
            }                                                                                                \
            for (size_t end = i + MANY < n ? i + MANY : n; i < end && made < *room; i++) {                   \
                Q m = p[i] * span;                                                                           \
                v[made] = (T)(offset + (T)(m >> BITS));                                                      \
                made += (P)m >= threshold;                                                                   \
            }                                                                                                \
        }                                                                                                    \
        *room = made;                                                                                        \
        return i;                                                                                            \
    }
FI_BOUNDED(attempt_bounded_8, uint8_t, uint16_t, uint8_t)
FI_BOUNDED(attempt_bounded_16, uint16_t, uint32_t, uint16_t)
FI_BOUNDED(attempt_bounded_32, uint32_t, uint64_t, uint32_t)
FI_BOUNDED(attempt_bounded_32_as_64, uint32_t, uint64_t, uint64_t)
FI_BOUNDED(attempt_bounded_64, uint64_t, fi_u128, uint64_t)

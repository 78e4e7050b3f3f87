/* Transforms: a block of raw draws becomes a block of values. n counts draws, so that a float64 normal pair
 * takes two. One loop each, without a branch in it; docs/stream.md has the formulas. */
#include "vmath.inc.h"
#ifdef __AVX__
#include <immintrin.h>
#endif

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

/* (d >> 11) 2^-53. Only AVX-512 converts 64-bit integers; elsewhere 52 bits and the last one, both exact. */
static inline double unit_f64(uint64_t d) {
#ifdef __AVX512DQ__
    return (double)(d >> 11) * 0x1p-53;
#else
    return double_of_u52(d >> 12) * 0x1p-52 + double_of(-(d >> 11 & 1) & 0x3ca0000000000000u);
#endif
}

static void uniform_f64(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {
    double *restrict v = out;
    const double low = p->loc, range = p->scale;
    for (size_t i = 0; i < n; i++) v[i] = low + range * unit_f64(d[i]);
}

/* Floats in a vector. A loop over so many is straight code, and its arrays live in registers. */
#if defined(__AVX512F__)
enum { WIDTH = 16 };
#define EVEN_64 0, 8, 2, 10, 4, 12, 6, 14
#define ODD_64 1, 9, 3, 11, 5, 13, 7, 15
#elif defined(__AVX2__)
enum { WIDTH = 8 };
#define EVEN_64 0, 4, 2, 6
#define ODD_64 1, 5, 3, 7
#else
enum { WIDTH = 4 };
#define EVEN_64 0, 2
#define ODD_64 1, 3
#endif
typedef uint64_t vector __attribute__((vector_size(4 * WIDTH)));

static inline vector load(const void *from) {
    vector x;
    memcpy(&x, from, sizeof x);
    return x;
}
static inline void store(void *to, vector x) { memcpy(to, &x, sizeof x); }

/* WIDTH draws to their low halves and their high halves, and WIDTH values of each kind back to where those
 * stood: the second half of each draw in a changes places with the first half of its fellow in b. So nothing
 * crosses a lane; the permutations that gcc makes of a stride of two do, and cost twice as much. */
static inline void swap_32(void *x, void *y, const void *a, const void *b) {
    vector p = load(a), q = load(b);
#ifdef __AVX512F__ /* half the instructions, and 8% of a normal float32's time */
    store(x, (vector)_mm512_mask_shuffle_epi32((__m512i)p, 0xAAAA, (__m512i)q, _MM_PERM_CDAB));
    store(y, (vector)_mm512_mask_shuffle_epi32((__m512i)q, 0x5555, (__m512i)p, _MM_PERM_CDAB));
#else
    const uint64_t low = 0xffffffffu;
    store(x, (p & low) | q << 32);
    store(y, (q & ~low) | p >> 32);
#endif
}

#if !defined(__clang__) && __GNUC__ < 12 /* which know it by another name, that clang does not know */
#define SHUFFLE(p, q, ...) __builtin_shuffle(p, q, (vector){__VA_ARGS__})
#else
#define SHUFFLE(p, q, ...) __builtin_shufflevector(p, q, __VA_ARGS__)
#endif

/* The same for pairs of draws and pairs of doubles. */
static inline void swap_64(void *x, void *y, const void *a, const void *b) {
    vector p = load(a), q = load(b);
    store(x, SHUFFLE(p, q, EVEN_64));
    store(y, SHUFFLE(p, q, ODD_64));
}

/* Hides a constant from the compiler: for `~word` gcc writes a vpternlog that waits for its target's old
 * value, and with it for the whole of the last iteration. */
static inline uint32_t opaque(uint32_t x) {
    __asm__("" : "+r"(x));
    return x;
}

/* Finished values: past the cache where so many are wanted, to a 64-byte line. */
enum { CACHED, STREAMED };

static inline void put(void *to, vector x, int where) {
#ifdef __AVX512F__
    if (where == STREAMED) {
        _mm512_stream_si512(to, (__m512i)x);
        return;
    }
#elif defined(__AVX__)
    if (where == STREAMED) {
        _mm256_stream_si256(to, (__m256i)x);
        return;
    }
#endif
    (void)where;
    store(to, x);
}

/* v = loc + scale z, with z[2p] = r cos, z[2p + 1] = r sin: radius from the low half, angle from the high
 * half. Squared radii first: of two short loops more elements are in flight than of one long one, and the
 * roots hide behind the angles. n is a multiple of WIDTH. Weights are centred: adding a loc of 0 to what
 * cannot be -0 changes no bit, and costs 4%. */
static inline __attribute__((always_inline)) void normal_f32_loop(float *restrict v,
                                                                  const uint64_t *restrict d, size_t n,
                                                                  float loc, float scale, int centred,
                                                                  int where) {
    const uint32_t ones = opaque(0xffffffffu);
    uint32_t radius[WIDTH], angle[WIDTH];
    float r2[FI_BLOCK], first[WIDTH], second[WIDTH];
    for (size_t i = 0; i < n; i += WIDTH) {
        swap_32(radius, angle, d + i, d + i + WIDTH / 2);
        for (int k = 0; k < WIDTH; k++) r2[i + k] = minus_two_ln_u32(radius[k], radius[k] ^ ones);
    }
    for (size_t i = 0; i < n; i += WIDTH) {
        swap_32(radius, angle, d + i, d + i + WIDTH / 2);
        for (int k = 0; k < WIDTH; k++) {
            float r_cos, r_sin;
            polar_f32(__builtin_sqrtf(r2[i + k]), angle[k], &r_cos, &r_sin);
            first[k] = centred ? scale * r_cos : loc + scale * r_cos;
            second[k] = centred ? scale * r_sin : loc + scale * r_sin;
        }
        swap_32(first, second, first, second);
        put(v + 2 * i, load(first), where);
        put(v + 2 * i + WIDTH, load(second), where);
    }
}

/* n pairs of draws, a multiple of WIDTH / 2. */
static inline __attribute__((always_inline)) void normal_f64_loop(double *restrict v,
                                                                  const uint64_t *restrict d, size_t n,
                                                                  double loc, double scale, int centred,
                                                                  int where) {
    enum { HALF = WIDTH / 2 };
    uint64_t radius[HALF], angle[HALF];
    double r2[FI_BLOCK / 2], first[HALF], second[HALF];
    for (size_t i = 0; i < n; i += HALF) {
        swap_64(radius, angle, d + 2 * i, d + 2 * i + HALF);
        for (int k = 0; k < HALF; k++)
            r2[i + k] = -2.0 * ln_f64((double_of_u52(radius[k] >> 12) + 0.5) * 0x1p-52);
    }
    for (size_t i = 0; i < n; i += HALF) {
        swap_64(radius, angle, d + 2 * i, d + 2 * i + HALF);
        for (int k = 0; k < HALF; k++) {
            double r_cos, r_sin;
            polar_f64(__builtin_sqrt(r2[i + k]), angle[k], &r_cos, &r_sin);
            first[k] = centred ? scale * r_cos : loc + scale * r_cos;
            second[k] = centred ? scale * r_sin : loc + scale * r_sin;
        }
        swap_64(first, second, first, second);
        put(v + 2 * i, load(first), where);
        put(v + 2 * i + HALF, load(second), where);
    }
}

/* Draws that do not fill a vector become one of their own. */
#define FI_NORMAL_KERNEL(name, type, loop, draws_per_value, where)                                           \
    static __attribute__((noinline)) void name##_steps(type *restrict v, const uint64_t *restrict d,         \
                                                       size_t n, const fi_params *p) {                       \
        const type loc = (type)p->loc, scale = (type)p->scale;                                               \
        if (loc == 0 && scale >= (type)0x1p-64)                                                              \
            loop(v, d, n, loc, scale, 1, where);                                                             \
        else                                                                                                 \
            loop(v, d, n, loc, scale, 0, where);                                                             \
    }                                                                                                        \
    static void name(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {         \
        const size_t whole = n / WIDTH * WIDTH, rest = n - whole;                                            \
        name##_steps(out, d, whole / draws_per_value, p);                                                    \
        if (rest) {                                                                                          \
            uint64_t draws[WIDTH] = {0};                                                                     \
            _Alignas(64) type values[WIDTH * sizeof(double) / sizeof(type)];                                 \
            memcpy(draws, d + whole, rest * sizeof *draws);                                                  \
            name##_steps(values, draws, WIDTH / draws_per_value, p);                                         \
            memcpy((char *)out + whole * sizeof *draws, values, rest * sizeof *draws);                       \
        }                                                                                                    \
    }
FI_NORMAL_KERNEL(normal_f32, float, normal_f32_loop, 1, CACHED)
FI_NORMAL_KERNEL(normal_f64, double, normal_f64_loop, 2, CACHED)
#ifdef __AVX512F__
FI_NORMAL_KERNEL(stream_normal_f32, float, normal_f32_loop, 1, STREAMED)
FI_NORMAL_KERNEL(stream_normal_f64, double, normal_f64_loop, 2, STREAMED)
#endif

#define FI_NORMAL_HALF(name, round)                                                                          \
    static void name(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {         \
        uint16_t *restrict v = out;                                                                          \
        float whole[2 * FI_BLOCK];                                                                           \
        normal_f32(whole, d, n, p);                                                                          \
        for (size_t i = 0; i < 2 * n; i++) v[i] = round(whole[i]);                                           \
    }
FI_NORMAL_HALF(normal_f16, round_f16)
FI_NORMAL_HALF(normal_bf16, round_bf16)

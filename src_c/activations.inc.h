/* Activations and their gradients: one scalar function each, in the working precision F of a dtype (float for
 * the half types, which are rounded once, at the end), and one loop around all of them. Coefficients:
 * tools/coefficients/activations.py. */

/* 2^(k + more) of t = 1.5 * 2^23 + k (1.5 * 2^52 for doubles), a normal number. Integers that came about by
 * that addition stand in t's low bits, which the shift leaves alone. */
static inline float power_f32(uint32_t k) { return float_of((k + 127) << 23); }
static inline double power_f64(uint64_t k) { return double_of((k + 1023) << 52); }

/* x = k ln 2 + r with |r| <= 0.3467: returns exp(r) - 1, relative error 1.4e-8 before rounding; *k is to be
 * given to power_f32. */
static inline float reduce_f32(float x, uint32_t *k) {
    float t = fma_f32(x, 0x1.715476p+0f, 0x1.8p23f), whole = t - 0x1.8p23f;
    float r = fma_f32(whole, -0x1.62e430p-1f, x);
    r = fma_f32(whole, 0x1.05c610p-29f, r);
    float z = r * r;
    float even = fma_f32(fma_f32(0x1.6b78f0p-10f, z, 0x1.555712p-5f), z, 0x1.fffffep-2f);
    float odd = fma_f32(0x1.1227bep-7f, z, 0x1.5554b0p-3f);
    *k = bits_f32(t);
    return fma_f32(z, fma_f32(odd, r, even), r);
}

/* Likewise, relative error 1.9e-17. The high part of ln 2 has 11 zero bits, so that k times it is exact. */
static inline double reduce_f64(double x, uint64_t *k) {
    double t = fma_f64(x, 0x1.71547652b82fep+0, 0x1.8p52), whole = t - 0x1.8p52;
    double r = fma_f64(whole, -0x1.62e42fefa3800p-1, x);
    r = fma_f64(whole, -0x1.ef35793c76730p-45, r);
    double z = r * r;
    double even = fma_f64(0x1.28a2a3c85c281p-22, z, 0x1.a019a690cba58p-16);
    even = fma_f64(fma_f64(even, z, 0x1.6c16c17f330b5p-10), z, 0x1.5555555552104p-5);
    even = fma_f64(even, z, 0x1.0000000000005p-1);
    double odd = fma_f64(0x1.ae8b000042b53p-26, z, 0x1.71de74bef1081p-19);
    odd = fma_f64(fma_f64(odd, z, 0x1.a01a017d6e280p-13), z, 0x1.111111111780ep-7);
    odd = fma_f64(odd, z, 0x1.555555555553fp-3);
    *k = bits_f64(t);
    return fma_f64(z, fma_f64(odd, r, even), r);
}

static inline float extra_f32(float x, uint32_t mask) { return float_of(bits_f32(x) & mask); }
static inline double extra_f64(double x, uint64_t mask) { return double_of(bits_f64(x) & mask); }
static inline float selected_f32(uint32_t mask, float x, float y) {
    return float_of((bits_f32(x) & mask) | (bits_f32(y) & ~mask));
}
static inline double selected_f64(uint64_t mask, double x, double y) {
    return double_of((bits_f64(x) & mask) | (bits_f64(y) & ~mask));
}
static inline float magnitude_f32(float x) { return extra_f32(x, 0x7fffffffu); }
static inline double magnitude_f64(double x) { return extra_f64(x, 0x7fffffffffffffffu); }
static inline float with_sign_f32(float x, float of) {
    return float_of(bits_f32(magnitude_f32(x)) | (bits_f32(of) & 0x80000000u));
}
static inline double with_sign_f64(double x, double of) {
    return double_of(bits_f64(magnitude_f64(x)) | (bits_f64(of) & 0x8000000000000000u));
}

/* What an operation is given: up to three operands, a word of the stream, and the call's parameters. */
#define FI_OPERATION(name, F, tag)                                                                           \
    static inline                                                                                            \
        __attribute__((always_inline)) F name##_##tag(F x, F y, F z, uint32_t w, const fi_activation *p)

/* alpha' = -lambda alpha is what a unit far below zero gives: dropout sets units to it, and moves and scales
 * all of them so that mean 0 and variance 1 stay (Klambauer et al. 2017). */
#define FI_OPERATIONS(F, tag, bits, lambda, lambda_alpha, up, exp_end, selu_end, tanh_end)                   \
    /* of x in [-exp_end, 0]; 2^k by way of 2^(k + up), for the last results are subnormal */                \
    static inline F exp_negative_##tag(F x) {                                                                \
        uint##bits##_t k;                                                                                    \
        F p = reduce_##tag(x < -(exp_end) ? -(exp_end) : x, &k), s = power_##tag(k + (up));                  \
        return fma_##tag(s, p, s) * power_##tag(-(uint##bits##_t)(up));                                      \
    }                                                                                                        \
    /* (exp(x) - 1) / 2^halves */                                                                            \
    static inline F expm1_##tag(F x, int halves) {                                                           \
        uint##bits##_t k;                                                                                    \
        F p = reduce_##tag(x, &k), s = power_##tag(k - (uint##bits##_t)halves);                              \
        return fma_##tag(s, p, s - power_##tag(-(uint##bits##_t)halves));                                    \
    }                                                                                                        \
    /* b / (1 + b) of b >= 0, with what rounding takes from the sum given back, and from the quotient if so  \
     * asked (1 / sum is 1 - q): the rest is exact for b below 2^24 or 2^53, and nothing for large ones */   \
    static inline F share_##tag(F b, int of_quotient) {                                                      \
        F sum = 1 + b, rest = b - (sum - 1), q = b / sum;                                                    \
        F left = of_quotient ? fma_##tag(-q, sum, b) : 0;                                                    \
        return fma_##tag(fma_##tag(-q, rest, left), 1 - q, q);                                               \
    }                                                                                                        \
    /* by a mask: of a conditional gcc makes exponentials of -exp_end above zero, and those are subnormal */ \
    static inline F slope_of_selu_##tag(F x) {                                                               \
        return selected_##tag(-(uint##bits##_t)(x > 0), lambda, (F)(lambda_alpha) * exp_negative_##tag(x));  \
    }                                                                                                        \
    /* from y = selu(x) */                                                                                   \
    static inline F slope_at_selu_##tag(F y) { return y > 0 ? (F)(lambda) : y + (F)(lambda_alpha); }         \
    /* NaN is never dropped: of either operand it stays what it is */                                        \
    static inline int drops_##tag(F x, F y, uint32_t w, const fi_activation *p) {                            \
        return ((uint##bits##_t)w <= p->last_dropped) & !__builtin_isunordered(x, y);                        \
    }                                                                                                        \
    static inline F dropped_##tag(F x, uint32_t w, const fi_activation *p) {                                 \
        F kept = fma_##tag((F)p->scale, x, (F)p->shift);                                                     \
        return drops_##tag(x, x, w, p) ? (F)p->dropped : kept;                                               \
    }                                                                                                        \
    FI_OPERATION(relu, F, tag) { return x < 0 ? 0 : x; }                                                     \
    FI_OPERATION(leaky_relu, F, tag) { return x > 0 ? x : x * (F)p->slope; }                                 \
    FI_OPERATION(selu, F, tag) {                                                                             \
        F low = (F)(lambda_alpha) * with_sign_##tag(expm1_##tag(x < -(selu_end) ? -(selu_end) : x, 0), x);   \
        return x > 0 ? (F)(lambda) * x : low;                                                                \
    }                                                                                                        \
    /* e / (1 + e) below zero and what that leaves of 1 above, with e = exp(-|x|) */                         \
    FI_OPERATION(sigmoid, F, tag) {                                                                          \
        F below = share_##tag(exp_negative_##tag(with_sign_##tag(x, -1)), 0);                                \
        return x < 0 ? below : 1 - below;                                                                    \
    }                                                                                                        \
    /* m / (1 + m) with m = (exp(2 |x|) - 1) / 2: towards 1, where the result is as fine as its own unit,    \
     * the errors of m cancel; past tanh_end it is 1 but for a unit */                                       \
    FI_OPERATION(tanh, F, tag) {                                                                             \
        F a = magnitude_##tag(x);                                                                            \
        return with_sign_##tag(share_##tag(expm1_##tag(a > (tanh_end) ? 40 : 2 * a, 1), 1), x);              \
    }                                                                                                        \
    FI_OPERATION(alpha_dropout, F, tag) { return dropped_##tag(x, w, p); }                                   \
    FI_OPERATION(selu_dropout, F, tag) { return dropped_##tag(selu_##tag(x, y, z, w, p), w, p); }            \
    FI_OPERATION(bias_leaky_relu, F, tag) { return leaky_relu_##tag(x + y, y, z, w, p); }                    \
    FI_OPERATION(bias_selu, F, tag) { return selu_##tag(x + y, y, z, w, p); }                                \
    /* gradients: x is that of the output, y the input or the output as each is named in the header */       \
    /* by a mask: of `y <= 0 ? 0 : x` gcc makes a extra load, which takes 1.5 times as long from memory */   \
    FI_OPERATION(relu_backward, F, tag) { return extra_##tag(x, -(uint##bits##_t) !(y <= 0)); }              \
    FI_OPERATION(leaky_relu_backward, F, tag) { return y > 0 ? x : x * (F)p->slope; }                        \
    FI_OPERATION(selu_backward, F, tag) { return x * slope_at_selu_##tag(y); }                               \
    FI_OPERATION(selu_backward_x, F, tag) { return x * slope_of_selu_##tag(y); }                             \
    FI_OPERATION(sigmoid_backward, F, tag) { return x * (1 - y) * y; }                                       \
    FI_OPERATION(tanh_backward, F, tag) { return x * fma_##tag(-y, y, 1); }                                  \
    FI_OPERATION(alpha_dropout_backward, F, tag) { return drops_##tag(x, x, w, p) ? 0 : x * (F)p->scale; }   \
    /* from scale selu(x) + shift */                                                                         \
    FI_OPERATION(selu_dropout_backward, F, tag) {                                                            \
        F above = y - (F)p->shift, low = fma_##tag((F)p->scale, (F)(lambda_alpha), above);                   \
        F slope = above > 0 ? (F)p->scale * (F)(lambda) : low;                                               \
        return drops_##tag(x, y, w, p) ? 0 : x * slope;                                                      \
    }                                                                                                        \
    FI_OPERATION(selu_dropout_backward_x, F, tag) {                                                          \
        F kept = x * slope_of_selu_##tag(y) * (F)p->scale;                                                   \
        return drops_##tag(x, y, w, p) ? 0 : kept;                                                           \
    }                                                                                                        \
    FI_OPERATION(bias_leaky_relu_backward, F, tag) { return leaky_relu_backward_##tag(x, y + z, z, w, p); }  \
    FI_OPERATION(bias_selu_backward, F, tag) { return selu_backward_##tag(x, y, z, w, p); }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
FI_OPERATIONS(float, f32, 32, 0x1.0cfabep+0f, 0x1.c212ccp+0f, 64, 104, 20, 8.6f)
FI_OPERATIONS(double, f64, 64, 0x1.0cfabd6a91132p+0, 0x1.c212cc640f031p+0, 512, 746, 40, 18.6)
#pragma GCC diagnostic pop

/* Short loops of short bodies are unrolled by gcc before it looks for vectors in them, and then it sees none:
 * leaky ReLU took 10 times as long. */
#define VECTORISE _Pragma("GCC unroll 1")

/* A vector of a dtype to the working precision and back. Where nothing asks for elements in their order
 * (words and sums do), those of bfloat16 stay in the lanes of their pairs: half the time of leaky ReLU. */
#define FI_CONVERSIONS(tag, T, F, widen_one, round_one)                                                      \
    static inline __attribute__((always_inline)) void widen_##tag(F *restrict to, const T *restrict from) {  \
        VECTORISE                                                                                            \
        for (size_t k = 0; k < sizeof(vector) / sizeof(T); k++) to[k] = widen_one(from[k]);                  \
    }                                                                                                        \
    static inline __attribute__((always_inline)) void narrow_##tag(T *restrict to, const F *restrict from) { \
        VECTORISE                                                                                            \
        for (size_t k = 0; k < sizeof(vector) / sizeof(T); k++) to[k] = (T)round_one(from[k]);               \
    }
static inline float widen_one_bf16(uint16_t h) { return float_of((uint32_t)h << 16); }
FI_CONVERSIONS(bf16, uint16_t, float, widen_one_bf16, round_bf16)
/* Of nothing to convert gcc makes a copy in halves, which under AVX2 the load after it waits for. */
static inline void widen_f32(float *restrict to, const float *restrict from) { store(to, load(from)); }
static inline void narrow_f32(float *restrict to, const float *restrict from) { store(to, load(from)); }
static inline void widen_f64(double *restrict to, const double *restrict from) { store(to, load(from)); }
static inline void narrow_f64(double *restrict to, const double *restrict from) { store(to, load(from)); }

static inline __attribute__((always_inline)) void widen_pairs_bf16(float *restrict to,
                                                                   const uint16_t *restrict from) {
    uint32_t pairs[WIDTH];
    store(pairs, load(from));
    VECTORISE
    for (size_t k = 0; k < WIDTH; k++) {
        to[k] = float_of(pairs[k] << 16);
        to[WIDTH + k] = float_of(pairs[k] & 0xffff0000u);
    }
}
static inline __attribute__((always_inline)) void narrow_pairs_bf16(uint16_t *restrict to,
                                                                    const float *restrict from) {
    uint32_t pairs[WIDTH];
    VECTORISE
    for (size_t k = 0; k < WIDTH; k++)
        pairs[k] = round_upper_bf16(from[k]) >> 16 | (round_upper_bf16(from[WIDTH + k]) & 0xffff0000u);
    store(to, load(pairs));
}

#ifdef __F16C__
#include <immintrin.h>
/* In one store, which the load that follows can be given; it waits for two. */
static inline void widen_f16(float *restrict to, const uint16_t *restrict from) {
    for (int k = 0; k < 2 * WIDTH; k += WIDTH)
#ifdef __AVX512F__
        _mm512_storeu_ps(to + k, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(from + k))));
#else
        _mm256_storeu_ps(to + k, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(from + k))));
#endif
}
static inline void narrow_f16(uint16_t *restrict to, const float *restrict from) {
#ifdef __AVX512F__
    __m256i low = _mm512_cvtps_ph(_mm512_loadu_ps(from), 0);
    __m256i high = _mm512_cvtps_ph(_mm512_loadu_ps(from + WIDTH), 0);
    _mm512_storeu_si512(to, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
#else
    __m128i low = _mm256_cvtps_ph(_mm256_loadu_ps(from), 0);
    __m128i high = _mm256_cvtps_ph(_mm256_loadu_ps(from + WIDTH), 0);
    _mm256_storeu_si256((void *)to, _mm256_set_m128i(high, low));
#endif
}
#else
/* Exact: the product's exponent takes up the difference of the two biases, subnormals included. */
static inline float widen_one_f16(uint16_t h) {
    uint32_t a = (uint32_t)(h & 0x7fffu) << 13;
    float x = float_of(a) * 0x1p112f;
    x = a >= 0x0f800000u ? float_of(a | 0x7f800000u) : x;
    return float_of(bits_f32(x) | (uint32_t)(h & 0x8000u) << 16);
}
FI_CONVERSIONS(f16, uint16_t, float, widen_one_f16, round_f16)
#endif

#define widen_pairs_f16 widen_f16
#define widen_pairs_f32 widen_f32
#define widen_pairs_f64 widen_f64
#define narrow_pairs_f16 narrow_f16
#define narrow_pairs_f32 narrow_f32
#define narrow_pairs_f64 narrow_f64

/* Sums of what a gradient's columns are before they are rounded to a half type; of a vector's elements from
 * first to end. */
#define NO_SUM(sums, values, first, end)
#define SUM(sums, values, first, end)                                                                        \
    VECTORISE                                                                                                \
    for (size_t k = 0; k < PER; k++) (sums)[k] += k - (first) < (end) - (first) ? (values)[k] : 0

enum { PLAIN, WORDS, BIAS };

/* One vector of the dtype at a time. What fills none at the end, or before the output's first whole vector of
 * memory, is part of one that laps over its neighbour: made before anything is written, for operands may be
 * the output itself. Fewer elements than a vector has go through a copy. */
#define FI_ACTIVATION(name, tag, T, F, arity, extra, order, sum)                                             \
    static inline __attribute__((always_inline)) void name##_vector_##tag(                                   \
        T *restrict to, F *restrict r, const fi_operands *o, size_t i, size_t j, const fi_activation *p) {   \
        enum { PER = sizeof(vector) / sizeof(T) };                                                           \
        const T *a = o->in[0], *b = o->in[1], *c = o->in[2];                                                 \
        F x[PER], y[PER], z[PER];                                                                            \
        widen##order##_##tag(x, a + i);                                                                      \
        if (arity > 1) widen##order##_##tag(y, b + (extra == BIAS ? j : i));                                 \
        if (arity > 2) widen##order##_##tag(z, c + i);                                                       \
        const uint32_t *w = extra == WORDS ? o->words + i : NULL;                                            \
        VECTORISE                                                                                            \
        for (int k = 0; k < PER; k++)                                                                        \
            r[k] = name##_##tag(x[k], arity > 1 ? y[k] : 0, arity > 2 ? z[k] : 0, extra == WORDS ? w[k] : 0, \
                                p);                                                                          \
        narrow##order##_##tag(to, r);                                                                        \
    }                                                                                                        \
    static __attribute__((noinline)) void name##_few_##tag(const fi_operands *o, size_t n,                   \
                                                           const fi_activation *p) {                         \
        enum { PER = sizeof(vector) / sizeof(T) };                                                           \
        T in[3][PER] = {{0}}, to[PER];                                                                       \
        F r[PER], *sums = o->sums;                                                                           \
        uint32_t w[PER] = {0};                                                                               \
        for (int i = 0; i < arity; i++)                                                                      \
            memcpy(in[i], (const T *)o->in[i] + (extra == BIAS && i ? o->phase : 0), n * sizeof(T));         \
        if (extra == WORDS) memcpy(w, o->words, n * sizeof *w);                                              \
        const fi_operands copies = {.in = {in[0], in[1], in[2]}, .words = w};                                \
        name##_vector_##tag(to, r, &copies, 0, 0, p);                                                        \
        for (size_t k = 0; sums && k < n; k++) sums[k] += r[k];                                              \
        memcpy(o->out, to, n * sizeof(T));                                                                   \
    }                                                                                                        \
    static void name##_kernel_##tag(const fi_operands *given_o, size_t n, const fi_activation *given,        \
                                    int where) {                                                             \
        enum { PER = sizeof(vector) / sizeof(T) };                                                           \
        const fi_activation p = *given;                                                                      \
        const fi_operands operands = *given_o, *o = &operands;                                               \
        T *out = o->out, to[PER], last[PER];                                                                 \
        F *sums = o->sums, r[PER], last_r[PER];                                                              \
        (void)sums;                                                                                          \
        if (n < PER) {                                                                                       \
            name##_few_##tag(o, n, &p);                                                                      \
            return;                                                                                          \
        }                                                                                                    \
        size_t i = where == STREAMED ? -(uintptr_t)out % sizeof(vector) / sizeof(T) : 0, j = o->phase;       \
        const size_t left = (n - i) % PER, period = extra == BIAS ? p.period : 1;                            \
        if (left) name##_vector_##tag(last, last_r, o, n - PER, (j + n - PER) % period, &p);                 \
        if (i) {                                                                                             \
            name##_vector_##tag(to, r, o, 0, j, &p);                                                         \
            sum(sums, r, (size_t)0, i);                                                                      \
            store(out, load(to));                                                                            \
            j = (j + i) % period;                                                                            \
        }                                                                                                    \
        for (; i + PER <= n; i += PER) {                                                                     \
            name##_vector_##tag(to, r, o, i, j, &p);                                                         \
            sum(sums + i, r, (size_t)0, PER);                                                                \
            put(out + i, load(to), where);                                                                   \
            j = j + PER < period ? j + PER : j + PER - period;                                               \
        }                                                                                                    \
        if (left) {                                                                                          \
            sum(sums + n - PER, last_r, PER - left, PER);                                                    \
            store(out + n - PER, load(last));                                                                \
        }                                                                                                    \
    }

#define FI_ACTIVATION_DTYPES(name, arity, extra, order, sum)                                                 \
    FI_ACTIVATION(name, f16, uint16_t, float, arity, extra, order, sum)                                      \
    FI_ACTIVATION(name, bf16, uint16_t, float, arity, extra, order, sum)                                     \
    FI_ACTIVATION(name, f32, float, float, arity, extra, order, sum)                                         \
    FI_ACTIVATION(name, f64, double, double, arity, extra, order, sum)

/* Half types have no operations of their own. */
#define FI_AS_F32(name, arity, extra, order, sum)                                                            \
    static inline __attribute__((always_inline)) float name##_f16(float x, float y, float z, uint32_t w,     \
                                                                  const fi_activation *p) {                  \
        return name##_f32(x, y, z, w, p);                                                                    \
    }                                                                                                        \
    static inline __attribute__((always_inline)) float name##_bf16(float x, float y, float z, uint32_t w,    \
                                                                   const fi_activation *p) {                 \
        return name##_f32(x, y, z, w, p);                                                                    \
    }

/* Each operation, how many operands it has, whether it takes words or a bias, in which order vectors may hold
 * elements, and what is summed; in the order of enum fi_activation_op. */
#define FI_EACH_ACTIVATION(X)                                                                                \
    X(relu, 1, PLAIN, _pairs, NO_SUM)                                                                        \
    X(leaky_relu, 1, PLAIN, _pairs, NO_SUM)                                                                  \
    X(selu, 1, PLAIN, _pairs, NO_SUM)                                                                        \
    X(sigmoid, 1, PLAIN, _pairs, NO_SUM)                                                                     \
    X(tanh, 1, PLAIN, _pairs, NO_SUM)                                                                        \
    X(alpha_dropout, 1, WORDS, , NO_SUM)                                                                     \
    X(selu_dropout, 1, WORDS, , NO_SUM)                                                                      \
    X(bias_leaky_relu, 2, BIAS, _pairs, NO_SUM)                                                              \
    X(bias_selu, 2, BIAS, _pairs, NO_SUM)                                                                    \
    X(relu_backward, 2, PLAIN, _pairs, NO_SUM)                                                               \
    X(leaky_relu_backward, 2, PLAIN, _pairs, NO_SUM)                                                         \
    X(selu_backward, 2, PLAIN, _pairs, NO_SUM)                                                               \
    X(selu_backward_x, 2, PLAIN, _pairs, NO_SUM)                                                             \
    X(sigmoid_backward, 2, PLAIN, _pairs, NO_SUM)                                                            \
    X(tanh_backward, 2, PLAIN, _pairs, NO_SUM)                                                               \
    X(alpha_dropout_backward, 1, WORDS, , NO_SUM)                                                            \
    X(selu_dropout_backward, 2, WORDS, , NO_SUM)                                                             \
    X(selu_dropout_backward_x, 2, WORDS, , NO_SUM)                                                           \
    X(bias_leaky_relu_backward, 3, PLAIN, , SUM)                                                             \
    X(bias_selu_backward, 2, PLAIN, , SUM)

FI_EACH_ACTIVATION(FI_AS_F32)
FI_EACH_ACTIVATION(FI_ACTIVATION_DTYPES)

#define FI_ACTIVATION_ROW(name, arity, extra, order, sum)                                                    \
    {name##_kernel_f16, name##_kernel_bf16, name##_kernel_f32, name##_kernel_f64},

/* Template: the attempts, in NumPy's bits: its ziggurats and its bounded integers (Lemire 2019). A piece of
 * the stream (a draw, a word or a part of one) makes one value or is rejected. */
typedef struct layer_f64 {
    uint64_t k;
    double w;
} layer_f64;
typedef struct layer_f32 {
    uint32_t k;
    float w;
} layer_f32;
#include "ziggurat_exponential.inc.h"
#include "ziggurat_normal.inc.h"

typedef double doubles __attribute__((vector_size(4 * FI_WIDTH)));
typedef float floats __attribute__((vector_size(4 * FI_WIDTH)));
typedef uint32_t words __attribute__((vector_size(4 * FI_WIDTH)));
typedef int32_t signed_words __attribute__((vector_size(4 * FI_WIDTH)));

/* Doubles of numbers below 2^53, exact. */
INLINE doubles doubles_of(vector r) {
#ifdef FI_CONVERT_U64
    typedef int64_t integers __attribute__((vector_size(4 * FI_WIDTH)));
    return __builtin_convertvector((integers)r, doubles);
#else
    const uint64_t shift_52 = 0x4330000000000000u, shift_84 = 0x4530000000000000u;
    doubles high = (doubles)(r >> 32 | shift_84) - (0x1p84 + 0x1p52);
    return high + (doubles)((r & 0xffffffffu) | shift_52);
#endif
}

/* k and w of the layers of WIDTH / 2 draws. Each layer is loaded whole, by one instruction. */
INLINE void layers_f64(vector *k, vector *w, const layer_f64 *layers, const uint64_t *d, int shift) {
    lane even[WIDTH / 4], odd[WIDTH / 4];
    for (int j = 0; j < WIDTH / 4; j++) {
        memcpy(&even[j], &layers[d[2 * j] >> shift & 0xff], sizeof(lane));
        memcpy(&odd[j], &layers[d[2 * j + 1] >> shift & 0xff], sizeof(lane));
    }
    vector a = join(even), b = join(odd);
    swap_64(k, w, &a, &b);
}

/* The same of WIDTH words. */
INLINE uint64_t layer_f32_of(const layer_f32 *layers, uint32_t word, int shift) {
    uint64_t layer;
    memcpy(&layer, &layers[word >> shift & 0xff], sizeof layer);
    return layer;
}
INLINE void layers_f32(vector *k, vector *w, const layer_f32 *layers, const uint32_t *p, int shift) {
    lane even[WIDTH / 4], odd[WIDTH / 4];
    for (int j = 0; j < WIDTH / 4; j++, p += 4) {
        even[j] = (lane){layer_f32_of(layers, p[0], shift), layer_f32_of(layers, p[2], shift)};
        odd[j] = (lane){layer_f32_of(layers, p[1], shift), layer_f32_of(layers, p[3], shift)};
    }
    vector a = join(even), b = join(odd);
    swap_32(k, w, &a, &b);
}

/* Each writes values of a vector of pieces and returns a mask of those that are accepted. */
INLINE unsigned values_normal_f64(double *v, const uint64_t *d) {
    vector k, w, x = load(d), r = x >> 9 & 0xfffffffffffffu;
    layers_f64(&k, &w, normal_f64_layers, d, 0);
    doubles value = ((doubles)(r | 0x4330000000000000u) - 0x1p52) * (doubles)w;
    store(v, (vector)value ^ (x & 0x100) << 55);
    return signs_64(r - k);
}
INLINE unsigned values_exponential_f64(double *v, const uint64_t *d) {
    vector k, w, r = load(d) >> 11;
    layers_f64(&k, &w, exponential_f64_layers, d, 3);
    store(v, (vector)(doubles_of(r) * (doubles)w));
    return signs_64(r - k);
}
INLINE unsigned values_normal_f32(float *v, const uint32_t *p) {
    vector k, w;
    words x = (words)load(p), r = x >> 9;
    layers_f32(&k, &w, normal_f32_layers, p, 0);
    floats value = __builtin_convertvector((signed_words)r, floats) * (floats)w;
    store(v, (vector)((words)value ^ (x & 0x100) << 23));
    return signs_32((vector)(r - (words)k));
}
INLINE unsigned values_exponential_f32(float *v, const uint32_t *p) {
    vector k, w;
    words r = (words)load(p) >> 9;
    layers_f32(&k, &w, exponential_f32_layers, p, 1);
    store(v, (vector)(__builtin_convertvector((signed_words)r, floats) * (floats)w));
    return signs_32((vector)(r - (words)k));
}

/* How far f(x) of a piece that is not accepted at once is above the height that the next piece sets: ln f(x)
 * is `rise` above that of the layer's edge, and `u` is the next piece in [0, 1). NumPy accepts x if that is
 * positive, as computed in its own precision with its own libm. The errors there and here are below UNSURE:
 * 3e-7 in float32, and 3e-7 of the series where the rise is 0.73. Layer 0, the tail, is unsure. */
static const double UNSURE = 4e-6;

INLINE double above(const double *heights, unsigned layer, double rise, double u) {
    const double t = rise, t2 = t * t, edge = heights[layer], next = heights[layer - (layer > 0)];
    double growth = 1.0 + t + t2 * (1.0 / 2 + t * (1.0 / 6) + t2 * (1.0 / 24 + t * (1.0 / 120)));
    return layer ? edge * growth - (edge + (next - edge) * u) : 0.0;
}
INLINE double above_normal(double x, double edge, unsigned layer, double u) {
    return above(normal_heights, layer, (edge - x) * (edge + x) * 0.5, u);
}
INLINE double above_normal_f64(double x, uint64_t d, uint64_t next) {
    const double edge = normal_f64_layers[d & 0xff].w * 0x1p52;
    return above_normal(x, edge, d & 0xff, (double)(int64_t)(next >> 11) * 0x1p-53);
}
INLINE double above_normal_f32(float x, uint32_t w, uint32_t next) {
    const double edge = (double)normal_f32_layers[w & 0xff].w * 0x1p23;
    return above_normal((double)x, edge, w & 0xff, (double)next * 0x1p-32);
}
INLINE double above_exponential_f64(double x, uint64_t d, uint64_t next) {
    const unsigned layer = d >> 3 & 0xff;
    const double edge = exponential_f64_layers[layer].w * 0x1p53;
    return above(exponential_heights, layer, edge - x, (double)(int64_t)(next >> 11) * 0x1p-53);
}
INLINE double above_exponential_f32(float x, uint32_t w, uint32_t next) {
    const unsigned layer = w >> 1 & 0xff;
    const double edge = (double)exponential_f32_layers[layer].w * 0x1p23;
    return above(exponential_heights, layer, edge - (double)x, (double)next * 0x1p-32);
}

/* The same of fewer pieces than a vector has. */
#define FI_FEW(kind, P, F)                                                                                   \
    INLINE unsigned few_##kind(F *v, const P *p, size_t n) {                                                 \
        P pieces[sizeof(vector) / sizeof(P)] = {0};                                                          \
        F values[sizeof(vector) / sizeof(F)];                                                                \
        memcpy(pieces, p, n * sizeof(P));                                                                    \
        const unsigned accepted = values_##kind(values, pieces);                                             \
        memcpy(v, values, n * sizeof(F));                                                                    \
        return accepted & ((1u << n) - 1);                                                                   \
    }

/* Vectors of pieces, up to one that it leaves to NumPy's function. The branch on whether all of a vector are
 * accepted is predicted, so that the next one begins before it is known. Whether a piece is accepted after
 * all is a coin toss, on which nothing branches. */
#define FI_ZIGGURAT(kind, P, F)                                                                              \
    static size_t attempt_##kind(void *restrict out, size_t *room, const void *restrict pieces, size_t n,    \
                                 const fi_bounds *bounds) {                                                  \
        enum { SOME = sizeof(vector) / sizeof(F), ALL = (1 << SOME) - 1 };                                   \
        const P *restrict p = pieces;                                                                        \
        F *restrict v = out;                                                                                 \
        size_t i = 0, made = 0;                                                                              \
        for ((void)bounds; i < n && made < *room; i += SOME, made += SOME) {                                 \
            const size_t left = n - i < *room - made ? n - i : *room - made;                                 \
            const unsigned accepted =                                                                        \
                left < SOME ? few_##kind(v + made, p + i, left) : values_##kind(v + made, p + i);            \
            if (accepted == ALL) continue;                                                                   \
            const size_t good = (size_t)__builtin_ctz(~accepted);                                            \
            i += good, made += good;                                                                         \
            const double up = good < left && i + 1 < n ? above_##kind(v[made], p[i], p[i + 1]) : 0.0;        \
            if (up <= UNSURE && up >= -UNSURE) break;                                                        \
            i += 2 - SOME, made += (up > 0) - (size_t)SOME;                                                  \
        }                                                                                                    \
        return *room = made, i;                                                                              \
    }
#define FI_EACH_ZIGGURAT(X)                                                                                  \
    X(normal_f64, uint64_t, double)                                                                          \
    X(normal_f32, uint32_t, float)                                                                           \
    X(exponential_f64, uint64_t, double)                                                                     \
    X(exponential_f32, uint32_t, float)
FI_EACH_ZIGGURAT(FI_FEW)
FI_EACH_ZIGGURAT(FI_ZIGGURAT)

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

#define FI_AFFINE(arg, NAME, tag, T, F)                                                                      \
    static void affine_##tag(void *restrict out, const void *restrict standard, size_t n, double loc,        \
                             double scale) {                                                                 \
        T *restrict v = out;                                                                                 \
        const F *restrict x = standard;                                                                      \
        for (size_t i = 0; i < n; i++) v[i] = narrow_##tag((F)loc + (F)scale * x[i]);                        \
    }
FI_EACH_DTYPE(FI_AFFINE, )

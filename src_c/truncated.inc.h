/* Truncated normal transforms. One word or draw becomes one value t by the inverse of the normal distribution
 * function between two bounds. t comes from x = P(|Z| < |t|), with t's sign, if |t| is below about 3 (Giles
 * 2012), else from q = P(|Z| > |t|): neither loses digits there. docs/truncated_normal.md has the formulas,
 * tools/coefficients/truncated_normal.py the coefficients. Errors are relative, of the fit before rounding.
 * Largest error of t found: 2.72 ulp in float32, 2.95 ulp in float64; with bounds of different sign and
 * magnitude, near t = 0, 2^-52 absolute. */
#include "truncated.h"

/* t from x and v = -2 ln(1 - x^2). Valid range: v in [0, 10.5]; in a centre it is at most 10.46. Max error:
 * 2^-26.9. t is 2 x at y = 0, which is |t| = 1.73; the difference from 2 x is added last, so that few
 * roundings are of the size of t. */
INLINE float centre_f32(float x, float v) {
    float y = v - 0x1.12fc58p+2f, twice = x + x, r = 0x1.017010p-41f;
    r = horner3_f32(r, y, -0x1.04b9aep-36f, 0x1.0487e4p-33f, 0x1.237c10p-29f);
    r = horner3_f32(r, y, -0x1.a746e0p-25f, 0x1.424550p-24f, 0x1.4613dcp-17f);
    r = horner3_f32(r, y, -0x1.21a8dap-13f, -0x1.f30ed6p-12f, 0x1.68b31cp-4f);
    return fma_f32(twice * y, r, twice);
}

/* |t| from v = -2 ln q. Valid range: v in [11.8, 77]; in a tail it is at least 11.82. Max error: 2^-28.0. */
INLINE float tail_f32(float v) {
    float s = __builtin_sqrtf(v), y = 1.0f / s, r = 0x1.0b0502p+5f;
    r = horner3_f32(r, y, -0x1.d00562p+5f, 0x1.6af4aap+5f, -0x1.62d3d2p+4f);
    r = horner3_f32(r, y, 0x1.0f962ep+3f, -0x1.558f16p+1f, -0x1.005fb0p-4f);
    return s * fma_f32(r, y, 0x1.0035eap+0f);
}

/* t from x and v = -ln(1 - x^2). Valid range: v in [0, 5.25]. Max error: 2^-57.5. */
INLINE double centre_f64(double x, double v) {
    double y = v - 0x1.12fc57a4d97b4p+1, twice = x + x, r = -0x1.72345dd5c14dep-65;
    r = horner3_f64(r, y, 0x1.f625643f4b885p-62, 0x1.4a831e681d128p-60, -0x1.45f12462db4e4p-55);
    r = horner3_f64(r, y, 0x1.c39913608b714p-54, 0x1.8e06852395b96p-50, -0x1.85e980fdede54p-47);
    r = horner3_f64(r, y, -0x1.3e994f03ba848p-46, 0x1.4be2b98dd5289p-41, -0x1.ffa74695ebefbp-40);
    r = horner3_f64(r, y, -0x1.5ad60f175b814p-36, 0x1.844643a5c2501p-33, 0x1.2581b434e3b04p-33);
    r = horner3_f64(r, y, -0x1.3a52a349332b4p-27, 0x1.3a4dde1c3b2d9p-25, 0x1.27100ef0dd635p-22);
    r = horner3_f64(r, y, -0x1.abaf95df7a97fp-19, 0x1.42d8f9539bac3p-19, 0x1.4639d460162dfp-13);
    r = horner3_f64(r, y, -0x1.21a9e205e46d5p-10, -0x1.f3129001d37c4p-10, 0x1.68b31cd5b0400p-3);
    return fma_f64(twice * y, r, twice);
}

/* hazard(t) - t, with hazard(t) = phi(t) / Phi(-t). Valid range: t in [2.9, 2^30]. Max error: 2^-55.9. */
INLINE double hazard_excess(double t) {
    double z = t * t, excess = 0x1.ffffffffffc25p-1, below = z + 0x1.e46a0b51f6023p+5;
    excess = horner3_f64(excess, z, 0x1.d46a0b51fa81dp+5, 0x1.2df397807f995p+10, 0x1.53103c430a2afp+13);
    excess = horner3_f64(excess, z, 0x1.4b7e8c4252935p+15, 0x1.e8dda662996f8p+15, 0x1.6223b4953b1dfp+14);
    below = horner3_f64(below, z, 0x1.49ba3835e1224p+10, 0x1.94e2a5d74015fp+13, 0x1.cc6358a69b9ffp+15);
    below = horner3_f64(below, z, 0x1.bcda5e1563dbdp+16, 0x1.1b88fd3f7592fp+16, 0x1.97376fbb77e98p+12);
    return t * excess / below;
}

/* |t| from c = -ln(q sqrt(pi / 2)) = t^2 / 2 + ln(hazard(t)). Valid range: |t| in [2.95, 2^30]. A guess with
 * error 2^-16 takes one third-order step of Newton's method, as hazard' = hazard (hazard - t). */
INLINE double tail_f64(double c) {
    double s = __builtin_sqrt(c + c) + 3.0, y = 1.0 / s, r = 0x1.0ca2fe45a5983p+8;
    r = horner3_f64(r, y, -0x1.7e9077673114fp+6, 0x1.1c4a8d7d6899dp+4, -0x1.e1c5f0c021680p+1);
    r = fma_f64(r, y, -0x1.81b5d7948f14ap+1);
    double t = s * fma_f64(r, y, 0x1.0000d28e2228fp+0);
    double excess = hazard_excess(t), hazard = t + excess;
    double step = (fma_f64(0.5 * t, t, -c) + ln_f64(hazard)) / hazard, bend = 0.5 * step * excess;
    return t - step * fma_f64(bend, fma_f64(bend, 2.0, 1.0), 1.0);
}

enum part { LOW_WORD, HIGH_WORD, DRAW };

/* u = (k + 1/2) 2^-b in (0, 1), exact. k becomes the fraction bits of a number in [1, 2). The inverted draw
 * gives 1 - u. */
INLINE double unit(uint64_t draw, enum part part) {
    uint64_t k = part == LOW_WORD ? draw << 20 : draw >> 12;
    if (part != DRAW) k &= 0x000ffffffff00000u;
    return of_bits_f64(k | 0x3ff0000000000000u) - (part == DRAW ? 1 - 0x1p-53 : 1 - 0x1p-33);
}

/* The lines of one interval, whose columns are one double long, or of FI_BOUNDS. */
INLINE double inside(double u, const double *mass, const int columns) {
    return fma_f64(u, mass[0], mass[X_LOW * columns]);
}

/* Each side counts from its own bound, so that no digits cancel. */
INLINE double outside(double u, const double *mass, const int columns) {
    double below = fma_f64(u, mass[0], mass[BELOW * columns]);
    double above = fma_f64(1 - u, mass[0], mass[ABOVE * columns]);
    return below < above ? below : above;
}

/* t of any branch. */
INLINE double quantile_f64(double u, const double *mass, const int columns) {
    double x = inside(u, mass, columns), q = outside(u, mass, columns);
    const int ends = q < mass[ENDS * columns];
    double ln = ln_f64(ends ? q : q * (2.0 - q)), beyond = tail_f64(mass[NEAR * columns] - ln);
    return ends ? (x < 0 ? -beyond : beyond) : centre_f64(x, -ln);
}

static void quantiles_f64(double *restrict t, const uint64_t *restrict draws, size_t n, enum part part,
                          const fi_params *p) {
    const double *line = p->tail;
    const uint64_t inverted = -(uint64_t)p->mirrored; /* all bits, or none */
    if (p->branch == TRUNCATED_CENTRE)
        for (size_t i = 0; i < n; i++) {
            double u = unit(draws[i] ^ inverted, part), q = outside(u, line, 1);
            t[i] = centre_f64(inside(u, line, 1), -ln_f64(q * (2.0 - q)));
        }
    else if (p->branch == TRUNCATED_WIDE)
        for (size_t i = 0; i < n; i++) t[i] = quantile_f64(unit(draws[i] ^ inverted, part), line, 1);
    else
        for (size_t i = 0; i < n; i++) {
            double u = unit(draws[i] ^ inverted, part);
            t[i] = tail_f64(line[NEAR] - ln_f64(fma_f64(1 - u, line[MASS], line[ABOVE])));
        }
}

#define TRUNCATED_BLOCK 128

/* t from x and y, which is q at the ends, else 1 - x^2. v > 11 tells the ends. */
INLINE float wide_f32(float x, float y) {
    float v = minus_two_ln_f32(y), beyond = tail_f32(v);
    return v > 11.0f ? (x < 0 ? -beyond : beyond) : centre_f32(x, v);
}

/* Doubles and floats have separate loops: if fma is a call in one, the other still vectorises. */
static void quantiles_f32(float *restrict t, const uint64_t *restrict draws, size_t n, enum part part,
                          const fi_params *p) {
    const double *line = p->tail;
    const uint64_t inverted = -(uint64_t)p->mirrored; /* all bits, or none */
    float x[TRUNCATED_BLOCK], y[TRUNCATED_BLOCK];
    double wide[TRUNCATED_BLOCK];
    if (p->branch == TRUNCATED_CENTRE) {
        for (size_t i = 0; i < n; i++) {
            double x_64 = inside(unit(draws[i] ^ inverted, part), line, 1);
            x[i] = (float)x_64;
            y[i] = (float)fma_f64(-x_64, x_64, 1.0);
        }
        for (size_t i = 0; i < n; i++) t[i] = centre_f32(x[i], minus_two_ln_f32(y[i]));
    } else if (p->branch == TRUNCATED_WIDE) {
        for (size_t i = 0; i < n; i++) {
            double u = unit(draws[i] ^ inverted, part), q = outside(u, line, 1);
            x[i] = (float)inside(u, line, 1);
            y[i] = (float)(q < TAIL_Q ? q : q * (2.0 - q));
        }
        for (size_t i = 0; i < n; i++) t[i] = wide_f32(x[i], y[i]);
    } else {
        quantiles_f64(wide, draws, n, part, p);
        for (size_t i = 0; i < n; i++) t[i] = (float)wide[i];
    }
}

static void standard_truncated_normal(fi_params *p, const double *low, const double *high) {
    set_tails(p, low, high, FI_BOUNDS);
}

/* The lines of FI_BOUNDS intervals side by side, which vectors read. */
typedef struct abreast_lines {
    double line[LINE][FI_BOUNDS];
    uint64_t pieces[FI_BOUNDS]; /* inverted where the interval is mirrored */
    double sign[FI_BOUNDS];     /* -1 there */
    int centre[FI_BOUNDS], far[FI_BOUNDS];
} abreast_lines;

INLINE void stand_abreast(abreast_lines *a, const uint64_t *pieces, const fi_params *p) {
    for (int k = 0; k < FI_BOUNDS; k++) {
        for (int j = 0; j < LINE; j++) a->line[j][k] = p[k].tail[j];
        a->pieces[k] = pieces[k] ^ -(uint64_t)p[k].mirrored;
        a->sign[k] = p[k].scale;
        a->centre[k] = p[k].branch == TRUNCATED_CENTRE;
        a->far[k] = p[k].branch == TRUNCATED_FAR;
    }
}

INLINE double abreast(const abreast_lines *a, int k, enum part part) {
    return a->sign[k] * quantile_f64(unit(a->pieces[k], part), &a->line[0][k], FI_BOUNDS);
}

static void abreast_f64(double *restrict t, const uint64_t *restrict draws, const fi_params *p) {
    abreast_lines a;
    stand_abreast(&a, draws, p);
    for (int k = 0; k < FI_BOUNDS; k++) t[k] = abreast(&a, k, DRAW);
}

static void abreast_f32(float *restrict t, const uint64_t *restrict words, const fi_params *p) {
    abreast_lines a;
    int far = 0;
    float x[FI_BOUNDS], y[FI_BOUNDS];
    stand_abreast(&a, words, p);
    for (int k = 0; k < FI_BOUNDS; k++) {
        double u = unit(a.pieces[k], LOW_WORD), x_64 = inside(u, &a.line[0][k], FI_BOUNDS);
        double q = outside(u, &a.line[0][k], FI_BOUNDS);
        double both = a.centre[k] ? fma_f64(-x_64, x_64, 1.0) : q * (2.0 - q);
        x[k] = (float)x_64;
        y[k] = (float)(q < a.line[ENDS][k] ? q : both);
        far |= a.far[k];
    }
    for (int k = 0; k < FI_BOUNDS; k++) t[k] = (float)a.sign[k] * wide_f32(x[k], y[k]);
    for (int k = 0; k < FI_BOUNDS && far; k++)
        if (a.far[k]) t[k] = (float)abreast(&a, k, LOW_WORD);
}

#define FI_TRUNCATED_KERNEL(tag, T)                                                                          \
    static void truncated_normal_##tag(void *restrict out, const uint64_t *restrict d, size_t n,             \
                                       const fi_params *p) {                                                 \
        float low[TRUNCATED_BLOCK], high[TRUNCATED_BLOCK];                                                   \
        const float loc = (float)p->loc, scale = (float)p->scale;                                            \
        const float least = (float)p->least, most = (float)p->most;                                          \
        for (size_t start = 0, m; start < n; start += m) {                                                   \
            T *restrict v = (T *)out + 2 * start;                                                            \
            m = n - start < TRUNCATED_BLOCK ? n - start : TRUNCATED_BLOCK;                                   \
            quantiles_f32(low, d + start, m, LOW_WORD, p);                                                   \
            quantiles_f32(high, d + start, m, HIGH_WORD, p);                                                 \
            for (size_t i = 0; i < m; i++) {                                                                 \
                v[2 * i] = narrow_##tag(clamp_f32(loc + scale * low[i], least, most));                       \
                v[2 * i + 1] = narrow_##tag(clamp_f32(loc + scale * high[i], least, most));                  \
            }                                                                                                \
        }                                                                                                    \
    }
FI_TRUNCATED_KERNEL(f16, uint16_t)
FI_TRUNCATED_KERNEL(bf16, uint16_t)
FI_TRUNCATED_KERNEL(f32, float)

static void truncated_normal_f64(void *restrict out, const uint64_t *restrict draws, size_t n,
                                 const fi_params *p) {
    double *restrict v = out;
    const double loc = p->loc, scale = p->scale, least = p->least, most = p->most;
    quantiles_f64(v, draws, n, DRAW, p);
    for (size_t i = 0; i < n; i++) {
        double value = loc + scale * v[i];
        value = value > most ? most : value;
        v[i] = value < least ? least : value;
    }
}

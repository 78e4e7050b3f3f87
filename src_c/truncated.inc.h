/* Template: the transforms of truncated normals. Uses values.inc.h and bounds.inc.h. */
#include "truncated.h"

static void quantiles_f64(double *restrict t, const uint64_t *restrict draws, size_t n, enum part part,
                          const fi_params *p) {
    const double *line = p->tail;
    const uint64_t inverted = -(uint64_t)p->mirrored; /* all bits, or none */
    if (p->branch == TRUNCATED_CENTRE) {
        _Alignas(64) double x[FI_BLOCK], v[FI_BLOCK];
        size_t i;
        for (i = 0; i < n; i++) {
            double u = unit(draws[i] ^ inverted, part), q = outside(u, line, 1);
            x[i] = inside(u, line, 1);
            v[i] = q * (2.0 - q);
        }
        for (i = 0; i < n; i++) v[i] = -ln_f64(v[i]);
        i = 0;
        if (WIDTH > 4) /* the baseline calls fma, and NEON has too few registers */
            for (; i + ABREAST_F64 <= n; i += ABREAST_F64) centres_f64(t + i, x + i, v + i, ABREAST_F64);
        for (; i < n; i++) t[i] = centre_f64(x[i], v[i]);
    } else if (p->branch == TRUNCATED_WIDE)
        for (size_t i = 0; i < n; i++) t[i] = quantile_f64(unit(draws[i] ^ inverted, part), line, 1);
    else
        for (size_t i = 0; i < n; i++) {
            double u = unit(draws[i] ^ inverted, part);
            t[i] = tail_f64(line[NEAR] - ln_f64(fma_f64(1 - u, line[MASS], line[ABOVE])));
        }
}

#define TRUNCATED_BLOCK 128

/* Doubles and floats have separate loops: if fma is a call in one, the other still vectorises. */
static void quantiles_f32(float *restrict t, const uint64_t *restrict draws, size_t n, enum part part,
                          const fi_params *p) {
    const double *line = p->tail;
    const uint64_t inverted = -(uint64_t)p->mirrored; /* all bits, or none */
    _Alignas(64) float x[TRUNCATED_BLOCK], y[TRUNCATED_BLOCK];
    double wide[TRUNCATED_BLOCK];
    if (p->branch == TRUNCATED_CENTRE) {
        for (size_t i = 0; i < n; i++) {
            double x_64 = inside(unit(draws[i] ^ inverted, part), line, 1);
            x[i] = (float)x_64;
            y[i] = (float)fma_f64(-x_64, x_64, 1.0);
        }
        for (size_t i = 0; i < n; i++) y[i] = minus_two_ln_f32(y[i]);
        for (size_t i = 0; i < n; i++) t[i] = centre_f32(x[i], y[i]);
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

static void truncated_normal_f32(void *restrict out, const uint64_t *restrict draws, size_t n,
                                 const fi_params *p) {
    _Alignas(64) float low[TRUNCATED_BLOCK], high[TRUNCATED_BLOCK];
    const float loc = (float)p->loc, scale = (float)p->scale;
    const float least = (float)p->least, most = (float)p->most;
    for (size_t start = 0, m; start < n; start += m) {
        float *restrict v = (float *)out + 2 * start;
        m = n - start < TRUNCATED_BLOCK ? n - start : TRUNCATED_BLOCK;
        quantiles_f32(low, draws + start, m, LOW_WORD, p);
        quantiles_f32(high, draws + start, m, HIGH_WORD, p);
        for (size_t i = 0; i < m; i++) {
            v[2 * i] = clamp_f32(loc + scale * low[i], least, most);
            v[2 * i + 1] = clamp_f32(loc + scale * high[i], least, most);
        }
    }
}
FI_HALF_KERNEL(truncated_normal_f16, f16, truncated_normal_f32)
FI_HALF_KERNEL(truncated_normal_bf16, bf16, truncated_normal_f32)

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

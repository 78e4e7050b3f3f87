/* One value of a distribution from its word or draw (docs/stream.md has the formulas). Uses vmath.inc.h and
 * FI_CONVERT_U64. */
#ifndef FI_VALUES_INC_H
#define FI_VALUES_INC_H
#include "fastinit.h"
#include "truncated.h"
#include "vmath.inc.h"

INLINE float clamp_f32(float v, float least, float most) {
    v = v > most ? most : v;
    return v < least ? least : v;
}

INLINE float unit_f32(uint32_t w) { return (float)(w >> 8) * 0x1p-24f; }

/* (d >> 11) 2^-53, exact. Without the instruction, its upper 52 bits and the last bit are converted apart. */
INLINE double unit_f64(uint64_t d) {
#ifdef FI_CONVERT_U64
    return (double)(d >> 11) * 0x1p-53;
#else
    return double_of_u52(d >> 12) * 0x1p-52 + of_bits_f64(-(d >> 11 & 1) & 0x3ca0000000000000u);
#endif
}

/* Clamping before rounding equals clamping after it, as the bounds are values of the dtype. */
INLINE float uniform_value_f32(uint32_t w, const fi_params *p) {
    return clamp_f32((float)p->loc + (float)p->scale * unit_f32(w), (float)p->least, (float)p->most);
}
INLINE double uniform_value_f64(uint64_t d, const fi_params *p) { return p->loc + p->scale * unit_f64(d); }

/* Truncated normals. One word or draw becomes one value t by the inverse of the normal distribution
 * function between two bounds. t comes from x = P(|Z| < |t|), with t's sign, if |t| is below about 3 (Giles
 * 2012), else from q = P(|Z| > |t|): neither loses digits there. docs/truncated_normal.md has the formulas,
 * tools/coefficients/truncated_normal.py the coefficients. Errors are relative, of the fit before rounding.
 * Largest error of t found: 2.72 ulp in float32, 2.95 ulp in float64; with bounds of different sign and
 * magnitude, near t = 0, 2^-52 absolute. */
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

/* t from n values of x and of v = -ln(1 - x^2). Valid range: v in [0, 5.25]. Max error: 2^-57.5. n is a
 * constant up to ABREAST_F64: the chain of one polynomial is longer than what a CPU looks ahead, so that many
 * take their steps side by side. */
enum { ABREAST_F64 = 32 };
INLINE void centres_f64(double *restrict t, const double *restrict x, const double *restrict v, const int n) {
    double y[ABREAST_F64], r[ABREAST_F64];
    for (int k = 0; k < n; k++) y[k] = v[k] - 0x1.12fc57a4d97b4p+1;
    for (int k = 0; k < n; k++) r[k] = -0x1.72345dd5c14dep-65;
#define STEP(a, b, c)                                                                                        \
    for (int k = 0; k < n; k++) r[k] = fma_f64(r[k], y[k], a);                                               \
    for (int k = 0; k < n; k++) r[k] = fma_f64(r[k], y[k], b);                                               \
    for (int k = 0; k < n; k++) r[k] = fma_f64(r[k], y[k], c);
    STEP(0x1.f625643f4b885p-62, 0x1.4a831e681d128p-60, -0x1.45f12462db4e4p-55)
    STEP(0x1.c39913608b714p-54, 0x1.8e06852395b96p-50, -0x1.85e980fdede54p-47)
    STEP(-0x1.3e994f03ba848p-46, 0x1.4be2b98dd5289p-41, -0x1.ffa74695ebefbp-40)
    STEP(-0x1.5ad60f175b814p-36, 0x1.844643a5c2501p-33, 0x1.2581b434e3b04p-33)
    STEP(-0x1.3a52a349332b4p-27, 0x1.3a4dde1c3b2d9p-25, 0x1.27100ef0dd635p-22)
    STEP(-0x1.abaf95df7a97fp-19, 0x1.42d8f9539bac3p-19, 0x1.4639d460162dfp-13)
    STEP(-0x1.21a9e205e46d5p-10, -0x1.f3129001d37c4p-10, 0x1.68b31cd5b0400p-3)
#undef STEP
    for (int k = 0; k < n; k++) t[k] = fma_f64((x[k] + x[k]) * y[k], r[k], x[k] + x[k]);
}
INLINE double centre_f64(double x, double v) {
    double t;
    centres_f64(&t, &x, &v, 1);
    return t;
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

/* t from x and y, which is q at the ends, else 1 - x^2. v > 11 tells the ends. */
INLINE float wide_f32(float x, float y) {
    float v = minus_two_ln_f32(y), beyond = tail_f32(v);
    return v > 11.0f ? (x < 0 ? -beyond : beyond) : centre_f32(x, v);
}
#endif

/* Template: the constants of truncated.h for bounds (docs/truncated_normal.md has the formulas). Phi comes
 * from a series and a continued fraction. Uses vmath.inc.h. */
#include "truncated.h"

/* a / b, correctly rounded, for an integer b up to 61. a times the inverse is within 2 ulp, so its remainder
 * is exact, and corrects it to 2^-51 ulp. The quotient is 1/122 ulp or more from a tie. */
INLINE double quotient(double a, int b) {
#ifdef __FP_FAST_FMA
    const double inverse = 1.0 / b, q = a * inverse;
    return fma_f64(fma_f64(-q, b, a), inverse, q);
#else
    return a / b;
#endif
}

/* e^-x of each x >= 0: 2^-k times a Taylor series. n is a constant here and below: a step is made for several
 * x at once, which hides the latency of divisions. */
INLINE void exp_minus(double *restrict y, const double *restrict x, const int n) {
    double r[2 * FI_BOUNDS], power[2 * FI_BOUNDS];
    for (int j = 0; j < n; j++) {
        double x_j = x[j] < 700 ? x[j] : 700, k = (double)(int)(x_j * 0x1.71547652b82fep+0 + 0.5);
        r[j] = fma_f64(k, 0x1.62e42fefa39efp-1, -x_j) + k * 0x1.abc9e3b39803fp-56;
        power[j] = x[j] < 700 ? of_bits_f64((uint64_t)(1023 - (int)k) << 52) : 0;
        y[j] = 1;
    }
    for (int i = 18; i > 0; i--)
        for (int j = 0; j < n; j++) y[j] = fma_f64(quotient(r[j], i), y[j], 1);
    for (int j = 0; j < n; j++) y[j] *= power[j];
}

/* phi(t). t^2 in two parts keeps all digits for large t. */
INLINE void densities(double *restrict y, const double *restrict t, const int n) {
    double half[2 * FI_BOUNDS];
    for (int j = 0; j < n; j++) half[j] = 0.5 * (t[j] * t[j]);
    exp_minus(y, half, n);
    for (int j = 0; j < n; j++) {
        double rest = fma_f64(t[j], t[j], -(t[j] * t[j]));
        y[j] = y[j] * fma_f64(-0.5, rest, 1) * 0x1.9884533d43651p-2;
    }
}

/* The rate by all 500 levels: takes 2 us. */
static double hazard_of(double t) {
    double rate = t;
    for (int i = 500; i > 0; i--) rate = t + i / rate;
    return rate;
}

/* Two rates that the one of 500 levels lies between. What levels 500 to `last` + 1 make is t + w over 2, w =
 * sqrt(t^2 + 4 last), times a polynomial in t / w less 1, for t >= 1. Its error with the levels' own rounding
 * is within `margin`. A level rounds a larger number to no larger a rate, so the others keep the true rate
 * between two that begin on either side of it. */
INLINE void between(double *restrict rate, double *restrict other, const double *restrict t, const int n,
                    const int last, const double *c, const int terms, const double margin) {
    for (int j = 0; j < n; j++) {
        double w = __builtin_sqrt(t[j] * t[j] + 4 * last), y = t[j] / w, r = c[0];
        for (int k = 1; k < terms; k++) r = r * y + c[k];
        rate[j] = 0.5 * (t[j] + w) * (1 + r) * (1 - margin);
        other[j] = 0.5 * (t[j] + w) * (1 + r) * (1 + margin);
    }
    for (int i = last; i > 0; i--)
        for (int j = 0; j < n; j++) {
            rate[j] = t[j] + i / rate[j];
            other[j] = t[j] + i / other[j];
        }
}

/* hazard(t) = t + 1/(t + 2/(t + 3/...)) for t >= 1 (Laplace 1805), as 500 levels make it, which are enough
 * there. It is known where two rates on its sides are equal, after 12 levels but for one t in 20 near 1, and
 * after 28 but for one in 300. The errors found are 2^-50.0 and 2^-48.8.
 * tools/coefficients/truncated_normal.py has the coefficients. */
INLINE void hazards(double *restrict rate, const double *restrict t, const int n) {
    static const double after_12[] = {-0x1.901e1d9931c97p-14, 0x1.b01bc0fa26ab8p-11,  -0x1.b4c8be4b819c3p-9,
                                      0x1.1104b673a6712p-7,   -0x1.d785a474a19d5p-7,  0x1.29b3ee8dc9a77p-6,
                                      -0x1.1c08ca5394602p-6,  0x1.a0d2cabdc3ae7p-7,   -0x1.db7a78090e157p-8,
                                      0x1.a674a055b6afap-9,   -0x1.53fdf757e2f2dp-10, 0x1.6f30b3bfd2313p-11,
                                      -0x1.17b2e57001282p-10, -0x1.f436403de29c1p-13, 0x1.1d150083870e6p-9,
                                      -0x1.59186e2a2d314p-6,  -0x1.1ff6b402c4a7bp-10, 0x1.58837d470f6b5p-6};
    static const double after_28[] = {
        -0x1.dd41ce1ef3501p-22, 0x1.844a43701520fp-19, -0x1.2debb6f4685d8p-17, 0x1.1cb3b5269b124p-16,
        -0x1.6c1b264026bf3p-16, 0x1.31b74de19d95ep-16, -0x1.353e331efaf06p-17, -0x1.d2b70186a9a9fp-19,
        -0x1.ca61d5a8a2b2cp-18, 0x1.1e2a0d0ca8097p-15, -0x1.a2204815d33cdp-13, 0x1.38372d470fc50p-19,
        0x1.a5549897e50f6p-12,  -0x1.26a7b5758f70dp-7, -0x1.a509ee66bf092p-13, 0x1.25d19c2135058p-7};
    double other[2 * FI_BOUNDS];
    double last;
    between(rate, other, t, n, 12, after_12, 18, 0x1p-49);
    for (int j = 0; j < n; j++)
        if (rate[j] != other[j] && t[j] >= 1 && t[j] <= POINT_START) {
            between(rate + j, &last, t + j, 1, 28, after_28, 16, 0x1p-48);
            if (rate[j] != last) rate[j] = hazard_of(t[j]);
        }
}

/* 1 + t^2/3 + t^4/(3 5) + ... for 0 <= t <= 1: P(|Z| < t) is 2 phi(t) t times it. */
INLINE void series(double *restrict y, const double *restrict t, const int n) {
    for (int j = 0; j < n; j++) y[j] = 1;
    for (int i = 30; i > 0; i--)
        for (int j = 0; j < n; j++) y[j] = fma_f64(y[j], quotient(t[j] * t[j], 2 * i + 1), 1);
}

/* Whether P(|Z| > t) is made from the hazard rate. Past 37 it counts as 0. */
static int has_tail(double t) { return t > 1 && t < 37; }

/* P(|Z| < t) and P(|Z| > t), from the hazard rate where there is a tail. */
INLINE void sides(double *restrict inside, double *restrict outside, const double *restrict t,
                  const double *restrict rate, const int n) {
    double density[2 * FI_BOUNDS], sum[2 * FI_BOUNDS] = {0};
    int some_near = 0;
    densities(density, t, n);
    for (int j = 0; j < n; j++) some_near |= t[j] <= 1;
    if (some_near) series(sum, t, n);
    for (int j = 0; j < n; j++) {
        double near = 2 * density[j] * t[j] * sum[j], tail = has_tail(t[j]) ? 2 * density[j] / rate[j] : 0;
        inside[j] = t[j] <= 1 ? near : 1 - tail;
        outside[j] = t[j] <= 1 ? 1 - near : tail;
    }
}

/* Sets the constants of [t[0], t[1]], FAR_START <= t[0], from the hazard rates there. */
INLINE void set_far_tail(double *line, const double *t, const double *rate) {
    double fall, square = 0.5 * (t[1] - t[0]) * (t[1] + t[0]);
    exp_minus(&fall, &square, 1);
    line[ABOVE] = fall * (rate[0] / rate[1]);
    line[MASS] = 1 - line[ABOVE];
    line[X_LOW] = 0;
    line[BELOW] = __builtin_inf();
    line[NEAR] = fma_f64(0.5 * t[0], t[0], ln_f64(rate[0]));
    line[ENDS] = 2;
}

/* Sets the constants of [low, high], low < FAR_START and high >= 0, from what lies on the sides of both. */
static void set_tail(double *line, double low, const double *inside, const double *outside) {
    line[X_LOW] = low < 0 ? -inside[0] : inside[0];
    line[MASS] = low < 1 ? inside[1] - line[X_LOW] : outside[0] - outside[1];
    line[BELOW] = low < 0 ? outside[0] : 2 - outside[0];
    line[ABOVE] = outside[1];
    line[NEAR] = -LN_SQRT_HALF_PI;
}

/* Makes n parameters, a constant up to FI_BOUNDS, whose values are t itself. */
INLINE void set_tails(fi_params *p, const double *low, const double *high, const int n) {
    double from[FI_BOUNDS], t[2 * FI_BOUNDS], rate[2 * FI_BOUNDS], inside[2 * FI_BOUNDS],
        outside[2 * FI_BOUNDS];
    int rated = 0, sided = 0;
    for (int i = 0; i < n; i++) {
        const int mirrored = high[i] <= 0;
        double near = mirrored ? -high[i] : low[i], far = mirrored ? -low[i] : high[i];
        p[i] = (fi_params){.loc = -0.0, .scale = mirrored ? -1 : 1, .mirrored = mirrored};
        p[i].least = -__builtin_inf(), p[i].most = __builtin_inf();
        p[i].tail[FROM] = low[i], p[i].tail[TO] = high[i];
        from[i] = near;
        if (near >= FAR_START)
            near = near < POINT_START ? near : POINT_START, far = far < POINT_START ? far : POINT_START;
        t[2 * i] = near < 0 ? -near : near;
        t[2 * i + 1] = far;
        rate[2 * i] = rate[2 * i + 1] = 1;
        rated |= near >= FAR_START || has_tail(t[2 * i]) || has_tail(far);
        sided |= near < FAR_START;
    }
    if (rated) hazards(rate, t, 2 * n);
    if (sided) sides(inside, outside, t, rate, 2 * n);
    for (int i = 0; i < n; i++) {
        const int first = 2 * i;
        if (from[i] >= FAR_START) {
            p[i].branch = TRUNCATED_FAR;
            set_far_tail(p[i].tail, t + first, rate + first);
        } else {
            const int centre = t[first] <= CENTRE_END && t[first + 1] <= CENTRE_END;
            p[i].branch = centre ? TRUNCATED_CENTRE : TRUNCATED_WIDE;
            p[i].tail[ENDS] = centre ? 0 : TAIL_Q;
            set_tail(p[i].tail, from[i], inside + first, outside + first);
        }
    }
}

/* Template: the constants of truncated.h for bounds (docs/truncated_normal.md has the formulas). Phi comes
 * from a series and a continued fraction. Uses vmath.inc.h. */
#include "truncated.h"

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
        for (int j = 0; j < n; j++) y[j] = fma_f64(r[j] / i, y[j], 1);
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

/* The rate made by one level after another. */
static double hazard_of(double t) {
    double rate = t;
    for (int i = 500; i > 0; i--) rate = t + i / rate;
    return rate;
}

/* What levels 500 to 21 make, for t >= 1. Max error, with their own rounding: 2^-49.4, found against 500
 * levels. tools/coefficients/truncated_normal.py has the coefficients. */
INLINE double far_levels(double t) {
    static const double c[] = {
        -0x1.0b070410c94f2p-18, 0x1.d18219e1f6db4p-16, -0x1.7eb4596885edfp-14, 0x1.809d819fcacdbp-13,
        -0x1.0756d121c1f7ep-12, 0x1.fc242155cf8fep-13, -0x1.61c8cb6f7af50p-13, 0x1.3efd2336ff240p-14,
        -0x1.fa84d4c6ac8b2p-15, 0x1.b0e4f48b89cf9p-14, -0x1.96bbf1fdbf63cp-12, -0x1.92af0f8057e0ap-16,
        0x1.9cfbe463863dcp-11,  -0x1.9d44c551133e2p-7, -0x1.9d779951032f2p-12, 0x1.9bff9743aa7cbp-7};
    double root = __builtin_sqrt(t * t + 80), y = t / root, r = c[0];
    for (int j = 1; j < 16; j++) r = r * y + c[j];
    return 0.5 * (t + root) * (1 + r);
}

/* hazard(t) = t + 1/(t + 2/(t + 3/...)) for t >= 1 (Laplace 1805), as 500 levels make it, which are enough
 * there. A level rounds a larger number to no larger a rate. So levels 20 to 1 keep the true rate between two
 * that begin on either side of it. They are equal at the end, but for one in some hundred t near 1. */
INLINE void hazards(double *restrict rate, const double *restrict t, const int n) {
    double other[2 * FI_BOUNDS];
    for (int j = 0; j < n; j++) {
        double about = far_levels(t[j]);
        rate[j] = about * (1 - 0x1p-48);
        other[j] = about * (1 + 0x1p-48);
    }
    for (int i = 20; i > 0; i--)
        for (int j = 0; j < n; j++) {
            rate[j] = t[j] + i / rate[j];
            other[j] = t[j] + i / other[j];
        }
    for (int j = 0; j < n; j++)
        if (rate[j] != other[j] && t[j] >= 1 && t[j] <= POINT_START) rate[j] = hazard_of(t[j]);
}

/* 1 + t^2/3 + t^4/(3 5) + ... for 0 <= t <= 1: P(|Z| < t) is 2 phi(t) t times it. */
INLINE void series(double *restrict y, const double *restrict t, const int n) {
    for (int j = 0; j < n; j++) y[j] = 1;
    for (int i = 30; i > 0; i--)
        for (int j = 0; j < n; j++) y[j] = fma_f64(y[j], t[j] * t[j] / (2 * i + 1), 1);
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

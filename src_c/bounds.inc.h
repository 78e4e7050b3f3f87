/* Template: the constants of truncated.h for bounds (docs/truncated_normal.md has the formulas). Phi comes
 * from a series and a continued fraction. Uses vmath.inc.h. */
#include "truncated.h"

/* e^-x for x >= 0: 2^-k times a Taylor series. */
static double exp_minus(double x) {
    if (!(x < 700)) return 0;
    double k = (double)(int)(x * 0x1.71547652b82fep+0 + 0.5), sum = 1;
    double r = fma_f64(k, 0x1.62e42fefa39efp-1, -x) + k * 0x1.abc9e3b39803fp-56;
    for (int i = 18; i > 0; i--) sum = fma_f64(r / i, sum, 1);
    return sum * of_bits_f64((uint64_t)(1023 - (int)k) << 52);
}

/* phi(t). t^2 in two parts keeps all digits for large t. */
static double density(double t) {
    double square = t * t, rest = fma_f64(t, t, -square);
    return exp_minus(0.5 * square) * fma_f64(-0.5, rest, 1) * 0x1.9884533d43651p-2;
}

/* The rate made by one level after another. */
static double hazard_of(double t) {
    double rate = t;
    for (int i = 500; i > 0; i--) rate = t + i / rate;
    return rate;
}

/* What levels 500 to 41 make, for t >= 1. Max error: 2^-45.3, found against 500 levels; their rounding adds
 * at most 2^-48. tools/coefficients/truncated_normal.py has the coefficients. */
INLINE double far_levels(double t) {
    static const double c[] = {-0x1.6326c3af82732p-23, 0x1.c8019f4df4b2ap-21,  -0x1.2516c290be41bp-19,
                               0x1.92b4df7da8321p-19,  -0x1.48630b1ce8f21p-19, -0x1.2052e95432722p-20,
                               -0x1.2bd720090ab0ep-19, 0x1.95ca277e1b8c3p-17,  -0x1.9c6aad8876c85p-14,
                               0x1.bf8f79f2bd91bp-18,  0x1.9c5d291bc3958p-13,  -0x1.9bcc401ea7e76p-8,
                               -0x1.9bd8e3282646fp-14, 0x1.9ad6fb1739e9ep-8};
    double root = __builtin_sqrt(t * t + 160), y = t / root, r = c[0];
    for (int j = 1; j < 14; j++) r = r * y + c[j];
    return 0.5 * (t + root) * (1 + r);
}

/* hazard(t) = t + 1/(t + 2/(t + 3/...)) for t >= 1 (Laplace 1805), as 500 levels make it, which are enough
 * there. A level rounds a larger number to no larger a rate. So levels 40 to 1 keep the true rate between two
 * that begin on either side of it. They are equal at the end, but for one in some hundred t near 1. Several t
 * at once hide the latency of the divisions. n is a constant. */
INLINE void hazards(double *restrict rate, const double *restrict t, const int n) {
    double other[2 * FI_BOUNDS];
    for (int k = 0; k < n; k++) {
        double about = far_levels(t[k]);
        rate[k] = about * (1 - 0x1p-44);
        other[k] = about * (1 + 0x1p-44);
    }
    for (int i = 40; i > 0; i--)
        for (int k = 0; k < n; k++) {
            rate[k] = t[k] + i / rate[k];
            other[k] = t[k] + i / other[k];
        }
    for (int k = 0; k < n; k++)
        if (rate[k] != other[k] && t[k] >= 1 && t[k] <= POINT_START) rate[k] = hazard_of(t[k]);
}

/* P(|Z| < t) = 2 phi(t) (t + t^3/3 + t^5/(3 5) + ...) for 0 <= t <= 1. */
static double inside_near(double t) {
    double sum = 1;
    for (int i = 30; i > 0; i--) sum = fma_f64(sum, t * t / (2 * i + 1), 1);
    return 2 * density(t) * t * sum;
}

/* Whether P(|Z| > t) is made from the hazard rate. Past 37 it counts as 0. */
static int has_tail(double t) { return t > 1 && t < 37; }

static void set_far_tail(double *line, const double t[2], const double rate[2]) {
    double share = exp_minus(0.5 * (t[1] - t[0]) * (t[1] + t[0])) * (rate[0] / rate[1]);
    line[MASS] = 1 - share;
    line[ABOVE] = share;
    line[NEAR] = fma_f64(0.5 * t[0], t[0], ln_f64(rate[0]));
}

/* Sets the constants of [low, high], high >= 0, from the bounds' magnitudes t and the hazard rates there. */
static void set_tail(fi_params *p, double low, const double t[2], const double rate[2]) {
    double *line = p->tail, inside[2], outside[2];
    if (low >= FAR_START) {
        p->branch = TRUNCATED_FAR;
        set_far_tail(line, t, rate);
        return;
    }
    p->branch = t[0] <= CENTRE_END && t[1] <= CENTRE_END ? TRUNCATED_CENTRE : TRUNCATED_WIDE;
    for (int i = 0; i < 2; i++) {
        outside[i] = t[i] <= 1 ? 1 - inside_near(t[i]) : has_tail(t[i]) ? 2 * density(t[i]) / rate[i] : 0;
        inside[i] = t[i] <= 1 ? inside_near(t[i]) : 1 - outside[i];
    }
    line[X_LOW] = low < 0 ? -inside[0] : inside[0];
    line[MASS] = low < 1 ? inside[1] - line[X_LOW] : outside[0] - outside[1];
    line[BELOW] = low < 0 ? outside[0] : 2 - outside[0];
    line[ABOVE] = outside[1];
}

/* Makes n parameters, a constant up to FI_BOUNDS, whose values are t itself. */
INLINE void set_tails(fi_params *p, const double *low, const double *high, const int n) {
    double from[FI_BOUNDS], t[2 * FI_BOUNDS], rate[2 * FI_BOUNDS];
    int rated = 0;
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
        rated |= near >= FAR_START || has_tail(t[2 * i]) || has_tail(far);
    }
    if (rated) hazards(rate, t, 2 * n);
    for (int i = 0; i < n; i++) set_tail(p + i, from[i], t + 2 * i, rate + 2 * i);
}

/* Makes the constants of truncated.h for two bounds. Phi comes from a series and a continued fraction. */
#include "truncated.h"

#include "params.h"
#include "vmath.inc.h"

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

/* hazard(t) = t + 1/(t + 2/(t + 3/...)) for two t >= 1 (Laplace 1805); 500 levels are enough there. Two at
 * once hide the latency of the divisions. */
static void hazards(double rate[restrict 2], const double t[restrict 2]) {
    rate[0] = t[0], rate[1] = t[1];
    for (int i = 500; i > 0; i--)
        for (int k = 0; k < 2; k++) rate[k] = t[k] + i / rate[k];
}

/* P(|Z| < t) = 2 phi(t) (t + t^3/3 + t^5/(3 5) + ...) for 0 <= t <= 1. */
static double inside_near(double t) {
    double sum = 1;
    for (int i = 30; i > 0; i--) sum = fma_f64(sum, t * t / (2 * i + 1), 1);
    return 2 * density(t) * t * sum;
}

/* Whether P(|Z| > t) is made from the hazard rate. Past 37 it counts as 0. */
static int has_tail(double t) { return t > 1 && t < 37; }

/* P(|Z| < t) and P(|Z| > t) at two t >= 0. */
static void probabilities(double inside[2], double outside[2], const double t[2]) {
    double rate[2] = {1, 1};
    if (has_tail(t[0]) || has_tail(t[1])) hazards(rate, t);
    for (int i = 0; i < 2; i++) {
        outside[i] = t[i] <= 1 ? 1 - inside_near(t[i]) : has_tail(t[i]) ? 2 * density(t[i]) / rate[i] : 0;
        inside[i] = t[i] <= 1 ? inside_near(t[i]) : 1 - outside[i];
    }
}

/* An infinite bound stays infinite, even if the scale is 0. */
static double value_at(double t, double loc, double scale) { return t - t == 0 ? loc + scale * t : t; }

static void set_far_tail(double *line, double low, double high) {
    double rate[2];
    const double end[2] = {low < POINT_START ? low : POINT_START, high < POINT_START ? high : POINT_START};
    hazards(rate, end);
    double share = exp_minus(0.5 * (end[1] - end[0]) * (end[1] + end[0])) * (rate[0] / rate[1]);
    line[MASS] = 1 - share;
    line[ABOVE] = share;
    line[NEAR] = fma_f64(0.5 * end[0], end[0], ln_f64(rate[0]));
}

/* Sets the constants for bounds with high >= 0. */
static void set_tail(fi_params *p, double low, double high) {
    double *line = p->tail, inside[2], outside[2];
    const double t[2] = {low < 0 ? -low : low, high};
    if (low >= FAR_START) {
        p->branch = TRUNCATED_FAR;
        set_far_tail(line, low, high);
        return;
    }
    p->branch = t[0] <= CENTRE_END && t[1] <= CENTRE_END ? TRUNCATED_CENTRE : TRUNCATED_WIDE;
    probabilities(inside, outside, t);
    line[X_LOW] = low < 0 ? -inside[0] : inside[0];
    line[MASS] = low < 1 ? inside[1] - line[X_LOW] : outside[0] - outside[1];
    line[BELOW] = low < 0 ? outside[0] : 2 - outside[0];
    line[ABOVE] = outside[1];
}

int fi_prepare_truncated_normal(fi_params *p, const fi_params *like, enum fi_dtype dtype,
                                const double *arguments) {
    const double low = arguments[0], high = arguments[1], loc = arguments[2], scale = arguments[3];
    if (!(low <= high) || (low == high && low - low != 0)) return -1; /* equal infinities */
    if (like && like->branch && memcmp(&like->tail[FROM], arguments, 2 * sizeof *arguments) == 0) {
        *p = *like;
    } else {
        *p = (fi_params){.mirrored = high <= 0, .tail = {[FROM] = low, [TO] = high}};
        if (p->mirrored)
            set_tail(p, -high, -low);
        else
            set_tail(p, low, high);
    }
    p->loc = loc;
    p->scale = p->mirrored ? -scale : scale;
    double least = value_at(low, loc, scale), most = value_at(high, loc, scale);
    fi_clamp_between(p, dtype, fi_not_below(dtype, least), -fi_not_below(dtype, -most), least);
    return 0;
}

/* Once a call: the normal distribution at the two bounds, and which formulas of truncated.inc.h apply between
 * them. Speed is nothing here, so Phi is by its two textbook expansions, without a coefficient. */
#include "truncated.h"

#include "params.h"
#include "vmath.inc.h"

/* e^-x of x >= 0: 2^-k times the Taylor series. */
static double exp_minus(double x) {
    if (!(x < 700)) return 0;
    double k = (double)(int)(x * 0x1.71547652b82fep+0 + 0.5), sum = 1;
    double r = fma_f64(k, 0x1.62e42fefa39efp-1, -x) + k * 0x1.abc9e3b39803fp-56;
    for (int i = 18; i > 0; i--) sum = fma_f64(r / i, sum, 1);
    return sum * double_of((uint64_t)(1023 - (int)k) << 52);
}

/* phi(t), to its last digits far out too: t^2 in two parts. */
static double density(double t) {
    double square = t * t, rest = fma_f64(t, t, -square);
    return exp_minus(0.5 * square) * fma_f64(-0.5, rest, 1) * 0x1.9884533d43651p-2;
}

/* hazard(t) = t + 1/(t + 2/(t + 3/...)) for t >= 1 (Laplace 1805); 500 levels are enough there. */
static double hazard(double t) {
    double rate = t;
    for (int i = 500; i > 0; i--) rate = t + i / rate;
    return rate;
}

/* P(|Z| < t) = 2 phi(t) (t + t^3/3 + t^5/(3 5) + ...) of |t| <= 1, odd in t. */
static double inside_near(double t) {
    double sum = 1;
    for (int i = 30; i > 0; i--) sum = fma_f64(sum, t * t / (2 * i + 1), 1);
    return 2 * density(t) * t * sum;
}

/* P(|Z| > t), t >= 0; nothing tells it from 0 past 37. */
static double outside(double t) {
    if (t <= 1) return 1 - inside_near(t);
    return t < 37 ? 2 * density(t) / hazard(t) : 0;
}

/* P(|Z| < t), odd in t */
static double inside(double t) {
    if (-1 <= t && t <= 1) return inside_near(t);
    return t < 0 ? outside(-t) - 1 : 1 - outside(t);
}

/* 2 Phi(t) */
static double twice_below(double t) { return t < 0 ? outside(-t) : 2 - outside(t); }

static double magnitude(double x) { return x < 0 ? -x : x; }

/* An infinite bound clamps nothing, a scale of 0 included. */
static double value_at(double t, double loc, double scale) { return t - t == 0 ? loc + scale * t : t; }

static int truncated_normal(fi_params *p, enum fi_dtype dtype, double low, double high, double loc,
                            double scale) {
    if (!(low <= high)) return -1;
    *p = (fi_params){.loc = loc, .scale = scale};
    double least = value_at(low, loc, scale), most = value_at(high, loc, scale);
    fi_clamp_between(p, dtype, fi_not_below(dtype, least), fi_not_above(dtype, most), least);

    double *line = p->tail;
    double near = magnitude(low), far = magnitude(high);
    if (far < near) near = magnitude(high), far = magnitude(low);
    int straddles = low < 0 && high > 0;
    if (!straddles && near >= FAR_START) {
        near = near < POINT_START ? near : POINT_START;
        far = far < POINT_START ? far : POINT_START;
        double share = exp_minus(0.5 * (far - near) * (far + near)) * (hazard(near) / hazard(far));
        p->branch = TRUNCATED_FAR;
        line[MASS] = 1 - share;
        line[BELOW] = share;
        line[NEAR] = fma_f64(0.5 * near, near, ln_f64(hazard(near)));
        line[SIGN] = low < 0 ? -1 : 1;
        line[END] = low < 0 ? 0 : 1;
    } else {
        p->branch = far <= CENTRE_END ? TRUNCATED_CENTRE : TRUNCATED_WIDE;
        line[MASS] = straddles || near < 1 ? inside(high) - inside(low) : outside(near) - outside(far);
        line[X_LOW] = inside(low);
        line[BELOW] = twice_below(low);
        line[ABOVE] = twice_below(-high);
    }
    return 0;
}

int fi_truncated_normal(fi_params *params, enum fi_dtype dtype, double low, double high, double loc,
                        double scale) {
    uint64_t saved = fi_enter_default_fp();
    int status = truncated_normal(params, dtype, low, high, loc, scale);
    fi_leave_default_fp(saved);
    return status;
}

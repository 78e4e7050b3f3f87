/* The constants that truncated.c prepares for truncated.inc.h (docs/truncated_normal.md has the formulas). */
#ifndef FI_TRUNCATED_H
#define FI_TRUNCATED_H

/* An interval that ends at 0 or below has the constants of its mirror image (fi_params.mirrored).
 * fi_params.branch: CENTRE if both bounds are within CENTRE_END of 0, else FAR if both are FAR_START or more,
 * else WIDE. Other distributions have 0. */
enum { TRUNCATED_CENTRE = 1, TRUNCATED_WIDE, TRUNCATED_FAR };
#define CENTRE_END 3.0
#define FAR_START 5.0
#define TAIL_Q 0x1.61dep-9 /* q at about t = 3 */
#define LN_SQRT_HALF_PI 0x1.ce6bb25aa1316p-3
#define POINT_START 0x1p30 /* for a >= this, a value in [a, b] differs from a by less than an ulp */

/* Indices of fi_params.tail. Three quantities are linear in u: x = P(|Z| < |t|) with the sign of t, 2 P(Z <
 * t) and 2 P(Z > t); the smaller of the last two is q = P(|Z| > |t|). FAR: q alone, as a share of the lower
 * bound's; X_LOW is 0 and BELOW infinite, so that the smaller one is q. */
enum {
    MASS,  /* the slope: twice the probability between the bounds; FAR: 1 - ABOVE */
    X_LOW, /* x at the lower bound */
    BELOW, /* twice the probability below the lower bound */
    ABOVE, /* twice the probability above the upper bound; FAR: q there */
    NEAR,  /* -ln sqrt(pi / 2); FAR: t^2 / 2 + ln(hazard(t)) at the lower bound */
    ENDS,  /* t comes from q where q is less than this; CENTRE: 0, FAR: 2 */
    LINE,  /* the number of those */
    FROM,  /* the bounds as they were given */
    TO,
};
#endif

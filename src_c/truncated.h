/* The constants that truncated.c prepares for truncated.inc.h (docs/truncated_normal.md has the formulas). */
#ifndef FI_TRUNCATED_H
#define FI_TRUNCATED_H

/* fi_params.branch: CENTRE if both bounds are within CENTRE_END of 0, else FAR if both are FAR_START or more
 * to one side, else WIDE. Other distributions have 0. */
enum { TRUNCATED_CENTRE = 1, TRUNCATED_WIDE, TRUNCATED_FAR };
#define CENTRE_END 3.0
#define FAR_START 5.0
#define POINT_START 0x1p30 /* for a >= this, a value in [a, b] differs from a by less than an ulp */

/* Indices of fi_params.tail. Three quantities are linear in u: x = P(|Z| < |t|) with the sign of t, 2 P(Z <
 * t) and 2 P(Z > t); the smaller of the last two is q = P(|Z| > |t|). FAR: q alone, over the near bound's. */
enum {
    MASS,  /* the slope: twice the probability between the bounds; FAR: 1 - BELOW */
    X_LOW, /* x at the lower bound */
    BELOW, /* twice the probability below the lower bound; FAR: q at the far bound */
    ABOVE, /* twice the probability above the upper bound */
    END,   /* FAR: u at the far bound, 0 or 1 */
    NEAR,  /* FAR: t^2 / 2 + ln(hazard(t)) at the near bound */
    SIGN,  /* FAR: -1 if the interval is below 0, else 1 */
    FROM,  /* the bounds that the others were made for */
    TO,
};
#endif

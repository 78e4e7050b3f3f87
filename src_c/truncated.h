/* The inverse normal distribution function between two bounds, as truncated.c prepares it for
 * truncated.inc.h. docs/truncated_normal.md has the formulas. */
#ifndef FI_TRUNCATED_H
#define FI_TRUNCATED_H

/* fi_params.branch, by how far from 0 the bounds are: all within CENTRE_END; one nearer than FAR_START; none.
 * Parameters of other distributions have 0 there. */
enum { TRUNCATED_CENTRE = 1, TRUNCATED_WIDE, TRUNCATED_FAR };
#define CENTRE_END 3.0
#define FAR_START 5.0
#define POINT_START 0x1p30 /* from here on the values of [a, b] differ from a by less than their last bit */

/* fi_params.tail. Three probabilities are lines in u: x = P(|Z| < t) with the sign of t, and twice those
 * below and above t, of which the smaller is q = P(|Z| > |t|). FAR: only q, as a share of the near bound's.
 */
enum {
    MASS,  /* their slope: twice the probability between the bounds; FAR: 1 - BELOW */
    X_LOW, /* x at the lower bound */
    BELOW, /* twice the probability below the lower bound; FAR: q at the far bound */
    ABOVE, /* twice the probability above the upper bound */
    END,   /* FAR: u at the far bound, 0 or 1 */
    NEAR,  /* FAR: t^2 / 2 + ln(hazard(t)) at the near bound */
    SIGN,  /* FAR: -1 if the interval is below 0, else 1 */
    FROM,  /* the bounds that all of these were made for */
    TO,
};
#endif

/* The parameters of one truncated normal. */
#include "params.h"
#include "vmath.inc.h"

#include "bounds.inc.h"

/* An infinite bound stays infinite, even if the scale is 0. */
double fi_value_at(double t, double loc, double scale) { return t - t == 0 ? loc + scale * t : t; }

void fi_limit_truncated_normal(fi_params *p, enum fi_dtype dtype, const double *arguments) {
    const double low = arguments[0], high = arguments[1], loc = arguments[2], scale = arguments[3];
    double least = fi_value_at(low, loc, scale), most = fi_value_at(high, loc, scale);
    fi_clamp_between(p, dtype, fi_not_below(dtype, least), -fi_not_below(dtype, -most), least);
}

int fi_prepare_truncated_normal(fi_params *p, const fi_params *like, enum fi_dtype dtype,
                                const double *arguments) {
    const double low = arguments[0], high = arguments[1];
    if (!(low <= high) || (low == high && low - low != 0)) return -1; /* equal infinities */
    if (like && like->branch && memcmp(&like->tail[FROM], arguments, 2 * sizeof *arguments) == 0)
        *p = *like;
    else
        set_tails(p, &low, &high, 1);
    p->loc = arguments[2];
    p->scale = p->mirrored ? -arguments[3] : arguments[3];
    fi_limit_truncated_normal(p, dtype, arguments);
    return 0;
}

void fi_standard_truncated_normal(const fi_kernels *kernels, fi_params *p, const double *low,
                                  const double *high, size_t n) {
    if (n > 1)
        kernels->standard_truncated_normal(p, low, high);
    else if (!p->branch || memcmp(&p->tail[FROM], low, sizeof *low) ||
             memcmp(&p->tail[TO], high, sizeof *high))
        set_tails(p, low, high, 1);
}

/* The functions that fi_prepare calls, in the default floating-point modes. */
#ifndef FI_PARAMS_H
#define FI_PARAMS_H
#include "fastinit.h"

typedef int fi_prepare_one(fi_params *params, const fi_params *like, enum fi_dtype dtype,
                           const double *arguments);
#define X(NAME, name, parameters, draws) fi_prepare_one fi_prepare_##name;
#include "distributions.def"

double fi_not_below(enum fi_dtype dtype, double x); /* the dtype's smallest value >= x */
double fi_above(enum fi_dtype dtype, double x);     /* its smallest value > x */
/* Sets the clamp of a distribution. */
void fi_limit_uniform(fi_params *params, enum fi_dtype dtype, const double *arguments);
void fi_limit_truncated_normal(fi_params *params, enum fi_dtype dtype, const double *arguments);
/* The value at a bound of a truncated normal. */
double fi_value_at(double t, double loc, double scale);
/* Makes the parameters of truncated normals whose values are t itself, from n pairs of bounds. If n is more
 * than 1, the arrays have FI_BOUNDS elements. params[0] is earlier ones, or its `branch` is 0. */
void fi_standard_truncated_normal(const fi_kernels *kernels, fi_params *params, const double *low,
                                  const double *high, size_t n);
/* Sets the clamp to [least, most], or if that is empty to the dtype's value nearest to `otherwise`. */
void fi_clamp_between(fi_params *params, enum fi_dtype dtype, double least, double most, double otherwise);
#endif

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
/* Sets the clamp to [least, most], or if that is empty to the dtype's value nearest to `otherwise`. */
void fi_clamp_between(fi_params *params, enum fi_dtype dtype, double least, double most, double otherwise);
#endif

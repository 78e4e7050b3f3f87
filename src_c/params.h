/* What params.c and truncated.c share. */
#ifndef FI_PARAMS_H
#define FI_PARAMS_H
#include "fastinit.h"

double fi_not_below(enum fi_dtype dtype, double x); /* the smallest value of the dtype >= x */
double fi_not_above(enum fi_dtype dtype, double x); /* the largest <= x */
double fi_above(enum fi_dtype dtype, double x);     /* the smallest > x */
/* Sets the clamp, to `otherwise` in the dtype where no value lies between. */
void fi_clamp_between(fi_params *params, enum fi_dtype dtype, double least, double most, double otherwise);
#endif

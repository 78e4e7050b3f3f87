/* Fills as an operation of XLA, which JAX compiles. */
#ifndef FI_XLA_H
#define FI_XLA_H
#include "fastinit.h"

/* fi_fill with the kernels in use. */
typedef void fi_filler(const fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype,
                       const fi_params *params, void *out, size_t start, size_t n);

/* Returns the handler, of type XLA_FFI_Handler, which fills by this function. It knows nothing of Python and
 * may run in any thread.
 *
 * Operands: the 32-bit words of seeds, (*batch, words); then, for each axis of an array, the indices along it
 * of the elements to make, which follow each other. None stand for all elements.
 * Attributes: distribution, one int64; parameters, float64; shape, int64, that of an array.
 * Result: (*batch, *counts), a part of an array for each seed. */
void *fi_xla_handler(fi_filler *fill);
#endif

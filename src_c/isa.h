/* One table for each isa_*.c, NULL where the target or the compiler's flags cannot do it. */
#ifndef FASTINIT_ISA_H
#define FASTINIT_ISA_H
#include "fastinit.h"

extern const fi_kernels *const fi_table_baseline;
extern const fi_kernels *const fi_table_avx2;
extern const fi_kernels *const fi_table_avx512;
extern const fi_kernels *const fi_table_avx512ifma;
extern const fi_kernels *const fi_table_neon;
#endif

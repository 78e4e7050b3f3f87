#include "isa.h"
#if defined __AVX2__ && defined __FMA__ && defined __BMI2__ && defined __LZCNT__
#define FI_NAME "avx2"
#include "kernels.inc.h"
const fi_kernels *const fi_table_avx2 = &kernels;
#else
const fi_kernels *const fi_table_avx2 = NULL;
#endif

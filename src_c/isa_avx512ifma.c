#include "isa.h"
#if defined __AVX512IFMA__ && defined __AVX512BW__ && defined __AVX512DQ__ && defined __AVX512VL__
#define FI_NAME "avx512ifma"
#define FI_IFMA 1
#include "kernels.inc.h"
const fi_kernels *const fi_table_avx512ifma = &kernels;
#else
const fi_kernels *const fi_table_avx512ifma = NULL;
#endif

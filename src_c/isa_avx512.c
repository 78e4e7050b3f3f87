#include "isa.h"
#if defined __AVX512F__ && defined __AVX512BW__ && defined __AVX512DQ__ && defined __AVX512VL__
#define FI_NAME "avx512"
#include "kernels.inc.h"
const fi_kernels *const fi_table_avx512 = &kernels;
#else
const fi_kernels *const fi_table_avx512 = NULL;
#endif

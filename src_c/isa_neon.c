#include "isa.h"
#if defined __aarch64__ && defined __ARM_NEON
#define FI_NAME "neon"
#include "kernels.inc.h"
const fi_kernels *const fi_table_neon = &kernels;
#else
const fi_kernels *const fi_table_neon = NULL;
#endif

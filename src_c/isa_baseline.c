#include "isa.h"
#define FI_NAME "baseline"
#include "kernels.inc.h"
const fi_kernels *const fi_table_baseline = &kernels;

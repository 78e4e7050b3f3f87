#define FI_NAME neon
#if defined __aarch64__ && defined __ARM_NEON
#define FI_WIDTH 4
#endif
#include "kernels.inc.h"

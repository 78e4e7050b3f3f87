#define FI_NAME avx2
#if defined __AVX2__ && defined __FMA__ && defined __F16C__ && defined __BMI2__ && defined __LZCNT__
#include <immintrin.h>
#define FI_WIDTH 8
#define FI_CONVERT_F16 1
#define FI_NT_STORE(to, x) _mm256_stream_si256((void *)(to), (__m256i)(x))
#endif
#include "kernels.inc.h"

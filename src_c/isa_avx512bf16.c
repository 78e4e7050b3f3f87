#define FI_NAME avx512bf16
#if defined __AVX512BF16__ && defined __AVX512IFMA__ && defined __AVX512BW__ && defined __AVX512DQ__ &&      \
    defined __AVX512VL__
#include <immintrin.h>
#define FI_WIDTH 16
#define FI_CONVERT_F16 1
#define FI_CONVERT_BF16 1
#define FI_CONVERT_U64 1
#define FI_NT_STORE(to, x) _mm512_stream_si512((void *)(to), (__m512i)(x))
#define FI_RAW FI_RAW_IFMA
#endif
#include "kernels.inc.h"

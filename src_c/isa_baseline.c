#define FI_NAME baseline
#define FI_WIDTH 4
#ifdef __SSE2__
#include <emmintrin.h>
#define FI_NT_STORE(to, x) _mm_stream_si128((void *)(to), (__m128i)(x))
#endif
#include "kernels.inc.h"

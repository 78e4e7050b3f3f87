/* The template of one instruction set: included by each isa_*.c, whose compile flags are its parameters, and
 * which defines FI_NAME (and FI_IFMA) first. Ends in `kernels`, the table. */
#include "raw.inc.h"
#include "sampling.inc.h"
#include "truncated.inc.h"
#include "activations.inc.h"

#ifdef __SSE2__
#include <emmintrin.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif
static void stream(void *restrict dst, const void *restrict src, size_t bytes) {
    char *out = dst;
    const char *in = src;
#ifdef __AVX512F__
    for (size_t i = 0; i < bytes; i += 64) _mm512_stream_si512((void *)(out + i), _mm512_loadu_si512(in + i));
#else
    for (size_t i = 0; i < bytes; i += 16)
        _mm_stream_si128((__m128i *)(out + i), _mm_loadu_si128((const __m128i *)(in + i)));
#endif
}
static void fence(void) { _mm_sfence(); }
#else
static void stream(void *restrict dst, const void *restrict src, size_t bytes) { memcpy(dst, src, bytes); }
static void fence(void) {}
#endif

static const fi_kernels kernels = {
    .name = FI_NAME,
    .seat = seat,
    .raw = {raw_xsl_rr, raw_dxsm},
    .transform = {{uniform_f16, uniform_bf16, uniform_f32, uniform_f64},
                  {normal_f16, normal_bf16, normal_f32, normal_f64},
                  {truncated_f16, truncated_bf16, truncated_f32, truncated_f64}},
#ifdef __AVX512F__
    .streamed[FI_NORMAL] = {NULL, NULL, stream_normal_f32, stream_normal_f64},
#endif
#ifdef FI_IFMA
    .random = {{{0}, {0}, {random_f32_xsl_rr, stream_f32_xsl_rr}, {random_f64_xsl_rr, stream_f64_xsl_rr}},
               {{0}, {0}, {random_f32_dxsm, stream_f32_dxsm}, {random_f64_dxsm, stream_f64_dxsm}}},
#endif
    .activation = {FI_EACH_ACTIVATION(FI_ACTIVATION_ROW)},
    .stream = stream,
    .fence = fence,
};

/* Template: converts a vector of each dtype to its working precision and back. Uses vector.inc.h,
 * FI_CONVERT_F16 and FI_CONVERT_BF16.
 *
 * widen_vector_tag and narrow_vector_tag keep the elements in order. widen_pairs_tag and narrow_pairs_tag
 * undo each other but put bfloat16's even elements before the odd ones: leaky ReLU takes half the time. */
#ifndef FI_CONVERT_F16
#define FI_CONVERT_F16 0
#endif
#ifndef FI_CONVERT_BF16
#define FI_CONVERT_BF16 0
#endif

#define CONVERT_EACH(tag, T, F)                                                                              \
    INLINE void widen_vector_##tag(F *restrict to, const T *restrict from) {                                 \
        VECTORISE                                                                                            \
        for (size_t k = 0; k < sizeof(vector) / sizeof(T); k++) to[k] = widen_##tag(from[k]);                \
    }                                                                                                        \
    INLINE void narrow_vector_##tag(T *restrict to, const F *restrict from) {                                \
        VECTORISE                                                                                            \
        for (size_t k = 0; k < sizeof(vector) / sizeof(T); k++) to[k] = narrow_##tag(from[k]);               \
    }
/* T is F. A loop in place of one store would become two half copies, which stall the next load on AVX2. */
#define CONVERT_NOTHING(tag, T)                                                                              \
    INLINE void widen_vector_##tag(T *restrict to, const T *restrict from) { store(to, load(from)); }        \
    INLINE void narrow_vector_##tag(T *restrict to, const T *restrict from) { store(to, load(from)); }
CONVERT_NOTHING(f32, float)
CONVERT_NOTHING(f64, double)

#if FI_CONVERT_BF16
#define narrow_vector_bf16 narrow_each_bf16
CONVERT_EACH(bf16, uint16_t, float)
#undef narrow_vector_bf16
/* The instruction takes subnormals for 0, and gives NaNs of other bits. */
INLINE void narrow_vector_bf16(uint16_t *restrict to, const float *restrict from) {
    enum { QUIET_NAN = 0x01, SUBNORMAL = 0x20, SIGNALLING_NAN = 0x80 };
    enum { OTHERS = QUIET_NAN | SUBNORMAL | SIGNALLING_NAN };
    __m512 low = _mm512_loadu_ps(from), high = _mm512_loadu_ps(from + WIDTH);
    if (_mm512_fpclass_ps_mask(low, OTHERS) | _mm512_fpclass_ps_mask(high, OTHERS))
        narrow_each_bf16(to, from);
    else
        _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}
#else
CONVERT_EACH(bf16, uint16_t, float)
#endif
INLINE void widen_pairs_bf16(float *restrict to, const uint16_t *restrict from) {
    uint32_t pairs[WIDTH];
    store(pairs, load(from));
    VECTORISE
    for (size_t k = 0; k < WIDTH; k++) {
        to[k] = of_bits_f32(pairs[k] << 16);
        to[WIDTH + k] = of_bits_f32(pairs[k] & 0xffff0000u);
    }
}
INLINE void narrow_pairs_bf16(uint16_t *restrict to, const float *restrict from) {
    uint32_t pairs[WIDTH];
    VECTORISE
    for (size_t k = 0; k < WIDTH; k++)
        pairs[k] = narrow_upper_bf16(from[k]) >> 16 | (narrow_upper_bf16(from[WIDTH + k]) & 0xffff0000u);
    store(to, load(pairs));
}

#if FI_CONVERT_F16
/* One store, as two would stall the load that follows. */
#if FI_WIDTH == 16
INLINE void widen_vector_f16(float *restrict to, const uint16_t *restrict from) {
    for (int k = 0; k < 2 * WIDTH; k += WIDTH)
        _mm512_storeu_ps(to + k, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(from + k))));
}
INLINE void narrow_vector_f16(uint16_t *restrict to, const float *restrict from) {
    __m256i low = _mm512_cvtps_ph(_mm512_loadu_ps(from), 0);
    __m256i high = _mm512_cvtps_ph(_mm512_loadu_ps(from + WIDTH), 0);
    _mm512_storeu_si512(to, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}
#else
INLINE void widen_vector_f16(float *restrict to, const uint16_t *restrict from) {
    for (int k = 0; k < 2 * WIDTH; k += WIDTH)
        _mm256_storeu_ps(to + k, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(from + k))));
}
INLINE void narrow_vector_f16(uint16_t *restrict to, const float *restrict from) {
    __m128i low = _mm256_cvtps_ph(_mm256_loadu_ps(from), 0);
    __m128i high = _mm256_cvtps_ph(_mm256_loadu_ps(from + WIDTH), 0);
    _mm256_storeu_si256((void *)to, _mm256_set_m128i(high, low));
}
#endif
#else
CONVERT_EACH(f16, uint16_t, float)
#endif

#define widen_pairs_f16 widen_vector_f16
#define widen_pairs_f32 widen_vector_f32
#define widen_pairs_f64 widen_vector_f64
#define narrow_pairs_f16 narrow_vector_f16
#define narrow_pairs_f32 narrow_vector_f32
#define narrow_pairs_f64 narrow_vector_f64

/* Converts n elements in order. Without an instruction, one long loop is faster than one for each vector. */
#define NARROW_ALL(tag, by_instruction)                                                                      \
    INLINE void narrow_all_##tag(uint16_t *restrict to, const float *restrict from, size_t n) {              \
        size_t i = 0;                                                                                        \
        if (by_instruction)                                                                                  \
            for (; i + 2 * WIDTH <= n; i += 2 * WIDTH) narrow_vector_##tag(to + i, from + i);                \
        for (; i < n; i++) to[i] = narrow_##tag(from[i]);                                                    \
    }
NARROW_ALL(f16, FI_CONVERT_F16)
NARROW_ALL(bf16, FI_CONVERT_BF16)

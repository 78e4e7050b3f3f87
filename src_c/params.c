/* Parameters of a fill: checked, rounded to the working precision, and the dtype's values that results are
 * clamped to. */
#include "params.h"

#include "vmath.inc.h"

static double value_of_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, a = h & 0x7fffu;
    float magnitude = a < 0x400u    ? (float)a * 0x1p-24f
                      : a < 0x7c00u ? float_of((a << 13) + (112u << 23))
                                    : float_of(0x7f800000u | (a & 0x3ffu) << 13);
    return float_of(bits_f32(magnitude) | sign);
}

/* The dtype's value nearest to x. */
static double round_to(enum fi_dtype dtype, double x) {
    if (dtype == FI_F64) return x;
    if (dtype == FI_F32) return (float)x;
    if (dtype == FI_F16) return value_of_f16(round_f16((float)x));
    return float_of((uint32_t)round_bf16((float)x) << 16);
}

/* The dtype's next value above x, one of its finite values. */
static double next_above(enum fi_dtype dtype, double x) {
    static const double smallest[FI_DTYPES] = {0x1p-24, 0x1p-133, 0x1p-149, 0x1p-1074};
    if (x == 0) return smallest[dtype];
    if (dtype == FI_F64) return double_of(bits_f64(x) + (x > 0 ? 1u : -(uint64_t)1));
    if (dtype == FI_F16) {
        uint16_t h = round_f16((float)x);
        return value_of_f16((uint16_t)(x > 0 ? h + 1 : h - 1));
    }
    uint32_t unit = dtype == FI_BF16 ? 0x10000u : 1u;
    return float_of(bits_f32((float)x) + (x > 0 ? unit : -unit));
}

double fi_not_below(enum fi_dtype dtype, double x) {
    double v = round_to(dtype, x);
    while (v < x) v = next_above(dtype, v); /* twice at most: rounding went through float */
    return v;
}

double fi_not_above(enum fi_dtype dtype, double x) { return -fi_not_below(dtype, -x); }

double fi_above(enum fi_dtype dtype, double x) {
    double v = fi_not_below(dtype, x);
    return v == x ? next_above(dtype, v) : v;
}

void fi_clamp_between(fi_params *params, enum fi_dtype dtype, double least, double most, double otherwise) {
    const int some = least <= most;
    params->least = some ? least : round_to(dtype, otherwise);
    params->most = some ? most : params->least;
}

static __attribute__((noinline)) int uniform(fi_params *params, enum fi_dtype dtype, double low,
                                             double high) {
    const double range = high - low;
    const double finite =
        dtype == FI_F64 ? range - range : (float)range - (float)range + ((float)low - (float)low);
    if (!(finite == 0)) return -1;
    *params = (fi_params){.loc = low, .scale = range};
    fi_clamp_between(params, dtype, fi_not_below(dtype, low), -fi_above(dtype, -high), low);
    return 0;
}

int fi_uniform(fi_params *params, enum fi_dtype dtype, double low, double high) {
    uint64_t saved = fi_enter_default_fp();
    int status = uniform(params, dtype, low, high);
    fi_leave_default_fp(saved);
    return status;
}

void fi_normal(fi_params *params, double loc, double scale) {
    *params = (fi_params){.loc = loc, .scale = scale};
}

#if defined(__SSE2__)
#include <xmmintrin.h>
uint64_t fi_enter_default_fp(void) {
    uint32_t saved = _mm_getcsr();
    _mm_setcsr(0x1f80); /* every exception masked, nearest, neither flush to zero nor denormals as zero */
    return saved;
}
void fi_leave_default_fp(uint64_t saved) { _mm_setcsr((uint32_t)saved); }
#elif defined(__aarch64__)
uint64_t fi_enter_default_fp(void) {
    uint64_t saved, plain = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" ::"r"(plain));
    return saved;
}
void fi_leave_default_fp(uint64_t saved) { __asm__ volatile("msr fpcr, %0" ::"r"(saved)); }
#else
#include <fenv.h>
uint64_t fi_enter_default_fp(void) {
    uint64_t saved = (uint64_t)fegetround();
    fesetround(FE_TONEAREST);
    return saved;
}
void fi_leave_default_fp(uint64_t saved) { fesetround((int)saved); }
#endif

/* The parameters of a fill: checks and clamps. And the floating-point modes of all computation. */
#include "params.h"

#include "dtypes.inc.h"

/* x rounded to odd: if inexact, to the float on either side whose last bit is 1. To round this to a half type
 * is to round x once (Boldo and Melquiond 2008). */
static float to_odd(double x) {
    float v = (float)x;
    uint32_t bits = bits_f32(v), outwards = (x > v) == (x > 0);
    return x == v || bits & 1 ? v : of_bits_f32(outwards ? bits + 1 : bits - 1);
}

/* The dtype's value nearest to x, moved `steps` values away from 0: for a finite value, the bits as an
 * integer increase with its magnitude. */
static double near(enum fi_dtype dtype, double x, int steps) {
#define NEAR(x, NAME, tag, T, F)                                                                             \
    case FI_##NAME: {                                                                                        \
        T v = narrow_##tag(sizeof(T) < sizeof(F) ? to_odd(x) : (F)(x));                                      \
        memcpy(&bits, &v, sizeof v);                                                                         \
        bits += (uint64_t)(int64_t)steps;                                                                    \
        memcpy(&v, &bits, sizeof v);                                                                         \
        return (double)widen_##tag(v);                                                                       \
    }
    uint64_t bits = 0;
    switch (dtype) {
        FI_EACH_DTYPE(NEAR, x)
    default: return x;
    }
}

/* The dtype's next value above x, which is one of its finite values. */
static double next_above(enum fi_dtype dtype, double x) {
    return near(dtype, x == 0 ? 0 : x /* not -0 */, x < 0 ? -1 : 1);
}

double fi_not_below(enum fi_dtype dtype, double x) {
    double v = near(dtype, x, 0);
    return v < x ? next_above(dtype, v) : v;
}

double fi_above(enum fi_dtype dtype, double x) {
    double v = fi_not_below(dtype, x);
    return v == x ? next_above(dtype, v) : v;
}

void fi_clamp_between(fi_params *params, enum fi_dtype dtype, double least, double most, double otherwise) {
    const int some = least <= most;
    params->least = some ? least : near(dtype, otherwise, 0);
    params->most = some ? most : params->least;
}

/* x rounded to the working precision. */
static double working(enum fi_dtype dtype, double x) { return fi_is_wide(dtype) ? x : (double)(float)x; }

int fi_prepare_uniform(fi_params *params, const fi_params *like, enum fi_dtype dtype,
                       const double *arguments) {
    const double low = arguments[0], high = arguments[1], range = high - low;
    const double from = working(dtype, low), step = working(dtype, range);
    const double least = near(dtype, from, 0), most = near(dtype, working(dtype, high), 0);
    const double finite = (step - step) + (least - least) + (most - most);
    (void)like;
    if (!(finite == 0)) return -1; /* an infinity less itself is NaN */
    *params = (fi_params){.loc = low, .scale = range};
    fi_clamp_between(params, dtype, fi_not_below(dtype, low), -fi_above(dtype, -high), from);
    return 0;
}

int fi_prepare_normal(fi_params *params, const fi_params *like, enum fi_dtype dtype,
                      const double *arguments) {
    (void)like, (void)dtype;
    *params = (fi_params){.loc = arguments[0], .scale = arguments[1]};
    return 0;
}

int fi_prepare(fi_params *params, const fi_params *like, enum fi_dist dist, enum fi_dtype dtype,
               const double *arguments) {
    static fi_prepare_one *const prepare[] = {
#define X(NAME, name, parameters, draws) [FI_##NAME] = fi_prepare_##name,
#include "distributions.def"
    };
    int status;
    FI_UNDER_DEFAULT_FP(status = prepare[dist](params, like, dtype, arguments));
    return status;
}

#if defined(__SSE2__)
#include <xmmintrin.h>
uint64_t fi_enter_default_fp(void) {
    uint32_t saved = _mm_getcsr();
    _mm_setcsr(0x1f80); /* exceptions masked, to nearest, neither flush to zero nor denormals as zero */
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

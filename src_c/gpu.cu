/* Fills on an NVIDIA GPU, with the bits of fi_fill: the formulas are the C core's own. fastinit/torch/gpu.py
 * compiles this by NVRTC, without multiplications and additions that fuse. Compiled as C++, its kernels run on
 * the CPU, thread after thread (fi_gpu_on_cpu).
 *
 * A group of a distribution takes one draw, or two in a row (FI_PAIRS of float64). Thread i makes groups i, i +
 * T, ... of T threads: it jumps to its first draw by powers of the generator's step, then by T groups. */
#ifdef __CUDACC_RTC__
#define __FMA__ 1
#define __builtin_fmaf __fmaf_rn
#define __builtin_fma __fma_rn
#define __builtin_sqrtf __fsqrt_rn
#define __builtin_sqrt __dsqrt_rn
#define KERNEL extern "C" __global__ void __launch_bounds__(256)
#define ARGUMENTS const __grid_constant__ fi_gpu_fill fill
#define THREAD ((uint64_t)blockIdx.x * blockDim.x + threadIdx.x)
#define THREADS ((uint64_t)gridDim.x * blockDim.x)
#else
#define KERNEL static void
#define ARGUMENTS const fi_gpu_fill &fill, uint64_t THREAD, uint64_t THREADS
#endif
#define restrict __restrict__
#define _Static_assert static_assert
#define _Alignas alignas
#define FI_CONVERT_U64
#include "pcg64.h"
#include "values.inc.h"

/* state -> multiplier state + increment: some steps of the generator. Halves: low, high. */
typedef struct fi_gpu_steps {
    uint64_t multiplier[2], increment[2];
} fi_gpu_steps;

enum { FI_GPU_POWERS = 40 };

/* A fill of elements [0, n) of `out`. Value k of group g is element `values` g + k - skip. */
typedef struct fi_gpu_fill {
    void *out;
    uint64_t n, groups, skip;
    uint64_t state[2];  /* at group 0: the draw's own for XSL-RR, as for DXSM, which steps afterwards */
    fi_gpu_steps draw;  /* by one draw */
    fi_gpu_steps sweep; /* by T groups */
    fi_gpu_steps power[FI_GPU_POWERS]; /* by 2^k groups */
    uint64_t buffered;                 /* the draw of group 0, if has_buffered is 1 */
    int has_buffered, dxsm;
    fi_params params;
} fi_gpu_fill;

INLINE fi_u128 joined(const uint64_t *halves) { return FI_U128(halves[1], halves[0]); }

INLINE fi_u128 stepped(fi_u128 state, const fi_gpu_steps *by) {
    return state * joined(by->multiplier) + joined(by->increment);
}

INLINE fi_u128 state_at(const fi_gpu_fill *fill, uint64_t group) {
    fi_u128 state = joined(fill->state);
    for (int k = 0; group; k++, group >>= 1)
        if (group & 1) state = stepped(state, &fill->power[k]);
    return state;
}

INLINE uint64_t output(fi_u128 state, int dxsm) {
    return fi_output((uint64_t)(state >> 64), (uint64_t)state, dxsm);
}

template <typename T> struct alignas(2 * sizeof(T)) two { T first, second; };

/* Writes the two values of a group: as one store if both are in the fill and their place is aligned. */
template <typename T> INLINE void put(const fi_gpu_fill *fill, uint64_t group, two<T> values) {
    T *out = (T *)fill->out;
    const uint64_t at = 2 * group - fill->skip; /* 2^64 - 1 if the first value is skipped */
    if (at + 1 < fill->n && at + 1 > at && (uintptr_t)(out + at) % sizeof values == 0) {
        *(two<T> *)(out + at) = values;
        return;
    }
    if (at < fill->n) out[at] = values.first;
    if (at + 1 < fill->n) out[at + 1] = values.second;
}

/* t of any branch from a word, as quantiles_f32 makes it. */
INLINE float quantile_f32(uint32_t word, const fi_params *p) {
    double u = unit(word ^ -(uint64_t)p->mirrored, LOW_WORD);
    if (p->branch == TRUNCATED_FAR) return (float)quantile_f64(u, p->tail, 1);
    double x = inside(u, p->tail, 1), q = outside(u, p->tail, 1);
    double both = p->branch == TRUNCATED_CENTRE ? fma_f64(-x, x, 1.0) : q * (2.0 - q);
    return wide_f32((float)x, (float)(q < p->tail[ENDS] ? q : both));
}

INLINE float truncated_normal_value_f32(uint32_t word, const fi_params *p) {
    return clamp_f32((float)p->loc + (float)p->scale * quantile_f32(word, p), (float)p->least,
                     (float)p->most);
}
INLINE double truncated_normal_value_f64(uint64_t draw, const fi_params *p) {
    double v = p->loc + p->scale * quantile_f64(unit(draw ^ -(uint64_t)p->mirrored, DRAW), p->tail, 1);
    v = v > p->most ? p->most : v;
    return v < p->least ? p->least : v;
}

INLINE two<float> normal_pair_f32(uint64_t draw, const fi_params *p) {
    const uint32_t word = (uint32_t)draw;
    float r_cos, r_sin;
    polar_f32(__builtin_sqrtf(minus_two_ln_u32(word, ~word)), (uint32_t)(draw >> 32), &r_cos, &r_sin);
    return {(float)p->loc + (float)p->scale * r_cos, (float)p->loc + (float)p->scale * r_sin};
}
INLINE two<double> normal_pair_f64(uint64_t radius, uint64_t angle, const fi_params *p) {
    double r_cos, r_sin;
    double r2 = -2.0 * ln_f64(unit(radius, DRAW));
    polar_f64(__builtin_sqrt(r2), angle, &r_cos, &r_sin);
    return {p->loc + p->scale * r_cos, p->loc + p->scale * r_sin};
}

#define FOR_EACH_GROUP(g, s)                                                                                 \
    fi_u128 s = state_at(&fill, THREAD);                                                                     \
    for (uint64_t g = THREAD; g < fill.groups; g += THREADS, s = stepped(s, &fill.sweep))

#define DRAW_OF(g, s) (g == 0 && fill.has_buffered ? fill.buffered : output(s, fill.dxsm))

#define NARROW(tag, T)                                                                                       \
    KERNEL normal_##tag(ARGUMENTS) {                                                                         \
        FOR_EACH_GROUP(g, s) {                                                                               \
            two<float> v = normal_pair_f32(output(s, fill.dxsm), &fill.params);                              \
            put<T>(&fill, g, {narrow_##tag(v.first), narrow_##tag(v.second)});                               \
        }                                                                                                    \
    }                                                                                                        \
    SINGLES(uniform, tag, T)                                                                                 \
    SINGLES(truncated_normal, tag, T)
#define SINGLES(name, tag, T)                                                                                \
    KERNEL name##_##tag(ARGUMENTS) {                                                                         \
        FOR_EACH_GROUP(g, s) {                                                                               \
            uint64_t d = DRAW_OF(g, s);                                                                      \
            float first = name##_value_f32((uint32_t)d, &fill.params);                                       \
            float second = name##_value_f32((uint32_t)(d >> 32), &fill.params);                              \
            put<T>(&fill, g, {narrow_##tag(first), narrow_##tag(second)});                                   \
        }                                                                                                    \
    }
NARROW(f16, uint16_t)
NARROW(bf16, uint16_t)
NARROW(f32, float)

#define WIDE(name)                                                                                           \
    KERNEL name##_f64(ARGUMENTS) {                                                                           \
        FOR_EACH_GROUP(g, s)                                                                                 \
        ((double *)fill.out)[g] = name##_value_f64(output(s, fill.dxsm), &fill.params);                      \
    }
WIDE(uniform)
WIDE(truncated_normal)

KERNEL normal_f64(ARGUMENTS) {
    FOR_EACH_GROUP(g, s) {
        uint64_t radius = output(s, fill.dxsm), angle = output(stepped(s, &fill.draw), fill.dxsm);
        put<double>(&fill, g, normal_pair_f64(radius, angle, &fill.params));
    }
}

#ifndef __CUDACC_RTC__
/* Runs a kernel on the CPU, thread after thread. */
extern "C" __attribute__((visibility("default"))) void fi_gpu_on_cpu(int dist, int dtype, const fi_gpu_fill *fill,
                                                                     uint64_t threads) {
    typedef void kernel(ARGUMENTS);
    static kernel *const kernels[FI_DISTS][FI_DTYPES] = {
#define BY_DTYPE(name) {name##_f16, name##_bf16, name##_f32, name##_f64},
#define X(NAME, name, parameters, draws) BY_DTYPE(name)
#include "distributions.def"
    };
    for (uint64_t i = 0; i < threads; i++) kernels[dist][dtype](*fill, i, threads);
}
#endif

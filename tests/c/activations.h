/* The activations' part of checkkernels.c: every kernel against the baseline's, on operands of all bit
 * patterns, before and in the output itself, past the cache and not. Which NaN comes out is not promised. */
#ifndef FASTINIT_CHECK_ACTIVATIONS_H
#define FASTINIT_CHECK_ACTIVATIONS_H
#include "harness.h"

enum { MOST_ELEMENTS = 3000, MOST_PERIOD = 300 };

/* A value in [-8, 8), or any bits. */
static void any_value(unsigned char *to, enum fi_dtype dtype) {
    const uint64_t any = rnd();
    const double value = 16 * unit() - 8;
    const float narrow = (float)value;
    if (!timing && below(4) == 0)
        memcpy(to, &any, fi_itemsize(dtype));
    else if (dtype == FI_F64)
        memcpy(to, &value, 8);
    else if (dtype == FI_F32)
        memcpy(to, &narrow, 4);
    else /* of either half type, some normal number of either sign */
        memcpy(to, (uint16_t[]){(uint16_t)((any & 0x8fffu) | 0x3000u)}, 2);
}

static void one_nan(unsigned char *values, size_t n, enum fi_dtype dtype) {
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = 0, size = fi_itemsize(dtype),
                 infinity[] = {0x7c00, 0x7f80, 0x7f800000, 0x7ff0000000000000};
        memcpy(&bits, values + i * size, size);
        if ((bits & ~((uint64_t)1 << (8 * size - 1))) > infinity[dtype])
            memset(values + i * size, 0x7f, size);
    }
}

static void check_activation(const fi_kernels *k, enum fi_activation_op op, enum fi_dtype dtype,
                             bool nontemporal, guarded in, guarded out) {
    static unsigned char more[2][MOST_ELEMENTS * 8], wanted[MOST_ELEMENTS * 8];
    static uint32_t words[MOST_ELEMENTS];
    static union {
        float f32[MOST_ELEMENTS];
        double f64[MOST_ELEMENTS];
    } sums, wanted_sums;
    const int extra = fi_activation_info[op].extra, sums_up = fi_activation_info[op].sums;
    const char *name = fi_activation_info[op].name;
    const size_t size = fi_itemsize(dtype), n = timing ? MOST_ELEMENTS : any_size(MOST_ELEMENTS);
    const size_t working = fi_dtype_info[dtype].working_size;
    const enum fi_dtype sums_dtype = working == 8 ? FI_F64 : FI_F32;
    fi_activation p = {.slope = timing ? 0.01 : any_real(1e30),
                       .period = FI_BIAS_OVERLAP + below(MOST_PERIOD)};
    fi_alpha_dropout(&p, timing ? 0.1 : unit());
    if (!checking(k, name, nontemporal ? "nontemporal" : "", fi_dtype_info[dtype].tag, n)) return;
    unsigned char *first = place(in, n * size, size);
    for (size_t i = 0; i < n; i++) {
        any_value(first + i * size, dtype);
        any_value(more[0] + i * size, dtype);
        any_value(more[1] + i * size, dtype);
        words[i] = (uint32_t)rnd();
        sums.f64[i] = wanted_sums.f64[i] = 0;
    }
    if (extra == FI_BIAS) memcpy(more[0] + p.period * size, more[0], FI_BIAS_OVERLAP * size);
    fi_operands o = {
        wanted, {first, more[0], more[1]}, words, below(p.period), sums_up ? &wanted_sums : NULL};
    baseline->activation[op][dtype](&o, n, &p, false);
    one_nan(wanted, n, dtype);

    unsigned char *result = place(out, n * size, size);
    now.offset = (uintptr_t)result % 64;
    if (!nontemporal && below(2)) { /* in place */
        memcpy(result, first, n * size);
        o.in[0] = result;
    }
    o.out = result;
    o.sums = sums_up ? &sums : NULL;
    k->activation[op][dtype](&o, n, &p, nontemporal);
    k->fence();
    untouched(out, result, n * size);
    one_nan(result, n, dtype);
    same("differs from the baseline", result, wanted, n, size);
    if (sums_up) {
        one_nan((unsigned char *)&sums, n, sums_dtype);
        one_nan((unsigned char *)&wanted_sums, n, sums_dtype);
        same("sums differ from the baseline", &sums, &wanted_sums, n, working);
    }
    o.in[0] = first;
    if (timing) BENCH(n, k->activation[op][dtype](&o, n, &p, nontemporal));
}
#endif

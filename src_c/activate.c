/* Activations over arrays: positions, words of the stream, and the sums of columns. */
#include "fastinit.h"
#include "dtypes.inc.h"

/* Words are made from DRAWS draws at once, as setting up lanes costs as much as a hundred draws. MOST_WORDS
 * of them are used: a multiple of a cache line in every dtype, with room for half a draw at each end. TILE
 * columns are summed at once; ROWS rows are summed in the working precision. */
enum { DRAWS = 4096, MOST_WORDS = 2 * DRAWS - 64, TILE = 8192, ROWS = 16 };

FI_NOT_INLINED void alpha_dropout(fi_activation *params, double p) {
    const double alpha = -0x1.c212cc640f031p+0; /* -lambda alpha of SELU */
    const double a = p < 1 ? 1 / __builtin_sqrt((1 - p) * (1 + p * (alpha * alpha))) : 0;
    const double words = p * 0x1p32 + 0x1p52 - 0x1p52; /* the nearest integer, ties to even */
    params->scale = a;
    params->shift = -a * p * alpha;
    params->dropped = a * alpha + params->shift;
    params->last_dropped = words < 1 ? 0 : (uint32_t)(words - 1); /* drops at least one word */
}

void fi_alpha_dropout(fi_activation *params, double p) { FI_UNDER_DEFAULT_FP(alpha_dropout(params, p)); }

static inline const void *at(const void *array, size_t bytes) {
    return array ? (const char *)array + bytes : NULL;
}

static fi_operands operands_at(void *out, const void *const in[3], size_t bytes) {
    return (fi_operands){.out = (char *)out + bytes,
                         .in = {at(in[0], bytes), at(in[1], bytes), at(in[2], bytes)}};
}

FI_NOT_INLINED void with_words(const fi_kernels *kernels, fi_elementwise *kernel, const fi_activation *params,
                               const fi_pcg64 *generator, void *out, const void *const in[3], size_t itemsize,
                               size_t start, size_t n, int nontemporal) {
    union {
        uint64_t draws[1 + DRAWS];
        uint32_t words[2 + 2 * DRAWS]; /* [1] may be a buffered half */
    } made;
    for (size_t some; n; n -= some, start += some) {
        some = n < MOST_WORDS ? n : MOST_WORDS;
        /* Word i is a half of draw i / 2; a buffered half comes before all. */
        const size_t buffered = generator->has_uint32 != 0, from = start - (start && buffered);
        const size_t skip = from % 2, first = start == 0 && buffered;
        fi_draws(kernels, generator, made.draws + 1, from / 2, (skip + some - first + 1) / 2);
        made.words[1] = generator->uinteger;
        fi_operands o = operands_at(out, in, start * itemsize);
        o.words = made.words + 2 + skip - first;
        kernel(&o, some, params, nontemporal);
    }
}

void fi_activate(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                 const fi_activation *params, const fi_pcg64 *generator, void *out, const void *const in[3],
                 size_t start, size_t n, int nontemporal) {
    fi_elementwise *kernel = kernels->activation[op][dtype];
    uint64_t saved = fi_enter_default_fp();
    if (generator) {
        with_words(kernels, kernel, params, generator, out, in, fi_itemsize(dtype), start, n, nontemporal);
    } else {
        fi_operands o = operands_at(out, in, start * fi_itemsize(dtype));
        if (fi_activation_info[op].extra == FI_BIAS) {
            o.in[1] = in[1];
            o.phase = start % params->period;
        }
        kernel(&o, n, params, nontemporal);
    }
    if (nontemporal) kernels->fence();
    fi_leave_default_fp(saved);
}

/* Computes at most TILE columns. Strides are in bytes. */
FI_NOT_INLINED void tile(fi_elementwise *kernel, enum fi_dtype dtype, const fi_activation *params,
                         fi_operands o, const size_t stride[3], double *total, size_t rows, size_t columns,
                         int nontemporal) {
    union {
        float f32[TILE];
        double f64[TILE];
    } sums;
    const int wide = fi_is_wide(dtype);
    o.sums = &sums;
    for (size_t row = 0; row < rows; row += ROWS) {
        const size_t last = rows - row < ROWS ? rows : row + ROWS;
        memset(&sums, 0, columns * fi_dtype_info[dtype].working_size);
        for (size_t r = row; r < last; r++) {
            kernel(&o, columns, params, nontemporal);
            o.out = (char *)o.out + stride[0];
            for (int i = 0; i < 3; i++) o.in[i] = at(o.in[i], stride[i]);
        }
        for (size_t i = 0; i < columns; i++) total[i] += wide ? sums.f64[i] : (double)sums.f32[i];
    }
}

void fi_activate_rows(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                      const fi_activation *params, void *out, const void *const in[3], double *sums,
                      size_t rows, size_t columns, size_t stride, int nontemporal) {
    const size_t itemsize = fi_itemsize(dtype), bytes = stride * itemsize;
    const size_t strides[3] = {bytes, bytes, 0}; /* the third operand is a bias, one row */
    uint64_t saved = fi_enter_default_fp();
    for (size_t n, first = 0; first < columns; first += n) {
        n = columns - first < TILE ? columns - first : TILE;
        tile(kernels->activation[op][dtype], dtype, params, operands_at(out, in, first * itemsize), strides,
             sums + first, rows, n, nontemporal);
    }
    if (nontemporal) kernels->fence();
    fi_leave_default_fp(saved);
}

/* Rounds to float, setting the last bit if that is inexact: rounding again to fewer bits is then correct. */
static float round_to_odd(double x) {
    const float nearest = (float)x;
    if (nearest == x || x != x) return nearest;
    const uint32_t outward = __builtin_fabsf(nearest) > __builtin_fabs(x);
    return of_bits_f32((bits_f32(nearest) - outward) | 1);
}

FI_NOT_INLINED void sum_rows(enum fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns) {
#define ROUND_SUM(i, NAME, tag, T, F)                                                                        \
    case FI_##NAME:                                                                                          \
        ((T *)out)[i] = narrow_##tag(sizeof(T) < sizeof(F) ? (F)round_to_odd(sums[i]) : (F)sums[i]);         \
        break;
    for (size_t row = 1; row < rows; row++)
        for (size_t i = 0; i < columns; i++) sums[i] += sums[row * columns + i];
    for (size_t i = 0; i < columns; i++) switch (dtype) {
            FI_EACH_DTYPE(ROUND_SUM, i)
        default: break;
        }
}

void fi_sum_rows(enum fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns) {
    FI_UNDER_DEFAULT_FP(sum_rows(dtype, out, sums, rows, columns));
}

/* Activations over whole arrays: positions, words of the stream, and the sums of columns. */
#include "fastinit.h"
#include "vmath.inc.h"

/* Words are made so many at once: seating the lanes costs as much as some hundred draws. A whole number of
 * lines in every dtype, with room for a half draw at each end. */
enum { DRAWS = 4096, MOST_WORDS = 2 * DRAWS - 64, TILE = 8192, ROWS = 16 };

static __attribute__((noinline)) void alpha_dropout(fi_activation *params, double p) {
    const double alpha = -0x1.c212cc640f031p+0; /* -lambda alpha of SELU */
    const double a = p < 1 ? 1 / __builtin_sqrt((1 - p) * (1 + p * (alpha * alpha))) : 0;
    const double words = p * 0x1p32 + 0x1p52 - 0x1p52; /* to the nearest integer, or of two to the even one */
    params->scale = a;
    params->shift = -a * p * alpha;
    params->dropped = a * alpha + params->shift;
    params->last_dropped = words < 1 ? 0 : (uint32_t)(words - 1); /* at least one word */
}

void fi_alpha_dropout(fi_activation *params, double p) {
    uint64_t saved = fi_enter_default_fp();
    alpha_dropout(params, p);
    fi_leave_default_fp(saved);
}

static inline const void *at(const void *array, size_t bytes) {
    return array ? (const char *)array + bytes : NULL;
}

static fi_operands operands_at(void *out, const void *const in[3], size_t bytes) {
    return (fi_operands){.out = (char *)out + bytes,
                         .in = {at(in[0], bytes), at(in[1], bytes), at(in[2], bytes)}};
}

/* Not inlined: nothing here may move past the change of floating-point modes around it. */
static __attribute__((noinline)) void with_words(const fi_kernels *kernels, fi_elementwise *kernel,
                                                 const fi_activation *params, const fi_pcg64 *generator,
                                                 void *out, const void *const in[3], size_t itemsize,
                                                 size_t start, size_t n, int streamed) {
    uint64_t draws[DRAWS];
    uint32_t words[2 * DRAWS + 1], *halves = words + 1;
    for (size_t some; n; n -= some, start += some) {
        some = n < MOST_WORDS ? n : MOST_WORDS;
        /* word i is half of draw i / 2; the first is a buffered half where there is one */
        const size_t buffered = generator->has_uint32 != 0, from = start - (start && buffered);
        const size_t skip = from % 2, first = start == 0 && buffered;
        const size_t number = (skip + some - first + 1) / 2;
        fi_draws(kernels, generator, draws, from / 2, number);
        for (size_t i = 0; i < number; i++) {
            halves[2 * i] = (uint32_t)draws[i];
            halves[2 * i + 1] = (uint32_t)(draws[i] >> 32);
        }
        words[0] = generator->uinteger;
        fi_operands o = operands_at(out, in, start * itemsize);
        o.words = first ? words : halves + skip;
        kernel(&o, some, params, streamed);
    }
}

void fi_activate(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                 const fi_activation *params, const fi_pcg64 *generator, void *out, const void *const in[3],
                 size_t start, size_t n, int streamed) {
    fi_elementwise *kernel = kernels->activation[op][dtype];
    uint64_t saved = fi_enter_default_fp();
    if (generator) {
        with_words(kernels, kernel, params, generator, out, in, fi_itemsize(dtype), start, n, streamed);
    } else {
        fi_operands o = operands_at(out, in, start * fi_itemsize(dtype));
        if (op == FI_BIAS_LEAKY_RELU || op == FI_BIAS_SELU) {
            o.in[1] = in[1];
            o.phase = start % params->period;
        }
        kernel(&o, n, params, streamed);
    }
    if (streamed) kernels->fence();
    fi_leave_default_fp(saved);
}

/* Of one tile of the columns; each operand's stride is in bytes. */
static __attribute__((noinline)) void tile(fi_elementwise *kernel, enum fi_dtype dtype,
                                           const fi_activation *params, fi_operands o, const size_t stride[3],
                                           double *total, size_t rows, size_t columns, int streamed) {
    union {
        float f32[TILE];
        double f64[TILE];
    } sums;
    o.sums = &sums;
    for (size_t row = 0; row < rows; row += ROWS) {
        const size_t last = rows - row < ROWS ? rows : row + ROWS;
        for (size_t i = 0; i < columns; i++)
            if (dtype == FI_F64)
                sums.f64[i] = 0;
            else
                sums.f32[i] = 0;
        for (size_t r = row; r < last; r++) {
            kernel(&o, columns, params, streamed);
            o.out = (char *)o.out + stride[0];
            for (int i = 0; i < 3; i++) o.in[i] = at(o.in[i], stride[i]);
        }
        for (size_t i = 0; i < columns; i++) total[i] += dtype == FI_F64 ? sums.f64[i] : (double)sums.f32[i];
    }
}

void fi_activate_rows(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                      const fi_activation *params, void *out, const void *const in[3], double *sums,
                      size_t rows, size_t columns, size_t stride, int streamed) {
    const size_t itemsize = fi_itemsize(dtype), bytes = stride * itemsize;
    const size_t strides[3] = {bytes, bytes, 0}; /* a bias stands last, in one row */
    uint64_t saved = fi_enter_default_fp();
    for (size_t n, first = 0; first < columns; first += n) {
        n = columns - first < TILE ? columns - first : TILE;
        tile(kernels->activation[op][dtype], dtype, params, operands_at(out, in, first * itemsize), strides,
             sums + first, rows, n, streamed);
    }
    if (streamed) kernels->fence();
    fi_leave_default_fp(saved);
}

/* To float, with the last bit set where that is not exact: rounding again to fewer bits is then right. */
static float round_to_odd(double x) {
    const float nearest = (float)x;
    if (nearest == x || x != x) return nearest;
    const float toward_zero =
        (nearest < 0 ? -nearest : nearest) > (x < 0 ? -x : x) ? float_of(bits_f32(nearest) - 1) : nearest;
    return float_of(bits_f32(toward_zero) | 1);
}

static __attribute__((noinline)) void sum_rows(enum fi_dtype dtype, void *out, double *sums, size_t rows,
                                               size_t columns) {
    for (size_t row = 1; row < rows; row++)
        for (size_t i = 0; i < columns; i++) sums[i] += sums[row * columns + i];
    for (size_t i = 0; i < columns; i++) switch (dtype) {
        case FI_F16: ((uint16_t *)out)[i] = round_f16(round_to_odd(sums[i])); break;
        case FI_BF16: ((uint16_t *)out)[i] = round_bf16(round_to_odd(sums[i])); break;
        case FI_F32: ((float *)out)[i] = (float)sums[i]; break;
        default: ((double *)out)[i] = sums[i];
        }
}

void fi_sum_rows(enum fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns) {
    uint64_t saved = fi_enter_default_fp();
    sum_rows(dtype, out, sums, rows, columns);
    fi_leave_default_fp(saved);
}

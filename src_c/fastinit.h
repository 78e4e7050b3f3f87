/* The whole C interface of fastinit. Plain C11; knows nothing of Python.
 *
 * A fill is a pure function of (generator, distribution, dtype, parameters, first element): element i never
 * depends on the instruction set, on how a fill was cut into pieces, or on the caller's floating-point modes.
 */
#ifndef FASTINIT_H
#define FASTINIT_H
#include <stddef.h>
#include <stdint.h>

#ifdef __FAST_MATH__
#error "fastinit's bits are a promise that -ffast-math breaks: build with -fno-fast-math"
#endif

typedef unsigned __int128 fi_u128;

enum fi_variant { FI_XSL_RR, FI_DXSM, FI_VARIANTS };
enum fi_dtype { FI_F16, FI_BF16, FI_F32, FI_F64, FI_DTYPES };
enum fi_dist { FI_UNIFORM, FI_NORMAL, FI_TRUNCATED_NORMAL, FI_DISTS };

/* A PCG64 position, with NumPy's buffered high half of the last 32-bit draw. */
typedef struct fi_pcg64 {
    fi_u128 state, inc;
    uint32_t uinteger;
    uint16_t has_uint32;
    uint16_t variant; /* enum fi_variant */
} fi_pcg64;

/* What a transform needs; made by fi_uniform, fi_normal or fi_truncated_normal, never by hand. */
typedef struct fi_params {
    double loc, scale;  /* value = loc + scale * (u or z or t) */
    double least, most; /* the dtype's values that a uniform or truncated result is clamped to */
    double tail[16];    /* truncated_normal: constants of the inverse CDF */
    int branch;         /* truncated_normal: which of its formulas applies */
} fi_params;

#define FI_BLOCK 512 /* draws in a block: 4 KiB, in L1 beside what it becomes */
#define FI_LANES 32  /* leapfrog lanes; raw blocks are whole multiples of it */

/* FI_LANES positions of one stream, FI_LANES draws apart from their next ones. What the words mean is the raw
 * kernel's own affair. */
typedef struct fi_lanes {
    _Alignas(64) uint64_t word[3][FI_LANES];
    uint64_t multiplier[3], increment[3];
} fi_lanes;

typedef void fi_seat(fi_lanes *lanes, const fi_pcg64 *generator);
typedef void fi_raw(void *restrict draws, size_t n, fi_lanes *lanes); /* n: a multiple of FI_LANES */
typedef void fi_transform(void *restrict out, const uint64_t *restrict draws, size_t n,
                          const fi_params *params);

/* Elementwise operations. What a gradient's second operand is, the input x or the output y, is said here; its
 * first is the gradient of the output. */
enum fi_activation_op {
    FI_RELU,
    FI_LEAKY_RELU,
    FI_SELU,
    FI_SIGMOID,
    FI_TANH,
    FI_ALPHA_DROPOUT,
    FI_SELU_DROPOUT,
    FI_BIAS_LEAKY_RELU, /* x, bias */
    FI_BIAS_SELU,
    FI_RELU_BACKWARD,            /* x or y */
    FI_LEAKY_RELU_BACKWARD,      /* x */
    FI_SELU_BACKWARD,            /* y */
    FI_SELU_BACKWARD_X,          /* x */
    FI_SIGMOID_BACKWARD,         /* y */
    FI_TANH_BACKWARD,            /* y */
    FI_ALPHA_DROPOUT_BACKWARD,   /* none */
    FI_SELU_DROPOUT_BACKWARD,    /* y, after dropout */
    FI_SELU_DROPOUT_BACKWARD_X,  /* x */
    FI_BIAS_LEAKY_RELU_BACKWARD, /* x, bias */
    FI_BIAS_SELU_BACKWARD,       /* y */
    FI_ACTIVATIONS
};

typedef struct fi_activation {
    double slope;                 /* leaky ReLU's, below zero */
    double scale, shift, dropped; /* alpha dropout: what is kept becomes scale x + shift */
    uint32_t last_dropped;        /* the largest word whose element is dropped */
    size_t period;                /* of a bias: after so many elements, 64 or more, it begins again */
} fi_activation;

typedef struct fi_operands {
    void *out; /* may be any of in */
    const void *in[3];
    const uint32_t *words; /* alpha dropout's, one an element */
    size_t phase;          /* where in the bias the first element is */
    void *sums;            /* a gradient's sums, in the working precision: one an element, added to */
} fi_operands;
typedef void fi_elementwise(const fi_operands *operands, size_t n, const fi_activation *params, int streamed);

/* One instruction set's kernels. */
typedef struct fi_kernels {
    const char *name;
    fi_seat *seat;
    fi_raw *raw[FI_VARIANTS];
    fi_transform *transform[FI_DISTS][FI_DTYPES];
    fi_transform
        *streamed[FI_DISTS][FI_DTYPES]; /* past the cache, to a 64-byte line; NULL where there is none */
    /* raw and uniform(0, 1) in one where that gains, else NULL; the second past the cache, to a 64-byte line
     */
    fi_raw *random[FI_VARIANTS][FI_DTYPES][2];
    fi_elementwise *activation[FI_ACTIVATIONS][FI_DTYPES];
    /* whole 64-byte lines from cache to memory, past the cache; dst is 64-byte aligned */
    void (*stream)(void *restrict dst, const void *restrict src, size_t bytes);
    void (*fence)(void); /* after the last of them: what was streamed is seen by every thread */
} fi_kernels;

/* The table of that name, or of the best instruction set for NULL. NULL: not built, or not on this CPU. */
const fi_kernels *fi_select(const char *name);
/* The i-th name known to this build's sources, NULL past the end; *built and *supported say what fi_select
 * would find. */
const char *fi_isa(int i, int *built, int *supported);

/* Parameters; 0, or -1 where the range is not finite (uniform) or no number lies between the bounds
 * (truncated_normal). Those of a truncated_normal take 2 us, but nothing where `like`, earlier ones or NULL,
 * has the same bounds. It may be params itself. */
int fi_uniform(fi_params *params, enum fi_dtype dtype, double low, double high);
void fi_normal(fi_params *params, double loc, double scale);
int fi_truncated_normal(fi_params *params, const fi_params *like, enum fi_dtype dtype, double low,
                        double high, double loc, double scale);

/* Where draws come from when they do not come from a fi_pcg64: NumPy's bitgen_t in three members. */
typedef struct fi_source {
    void *state;
    uint64_t (*next_uint64)(void *state);
    uint32_t (*next_uint32)(void *state);
    double (*next_double)(void *state);
} fi_source;

/* Elements [start, start + n) of what the generator would fill from where it stands. It does not move. */
void fi_fill(const fi_kernels *kernels, const fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype,
             const fi_params *params, void *out, size_t start, size_t n);
/* The next n elements from a foreign source, which moves. */
void fi_fill_from(const fi_kernels *kernels, const fi_source *source, enum fi_dist dist, enum fi_dtype dtype,
                  const fi_params *params, void *out, size_t n);
/* Moves the generator as filling n elements does. */
void fi_consume(fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype, size_t n);
/* Raw 64-bit draws [start, start + n). */
void fi_draws(const fi_kernels *kernels, const fi_pcg64 *generator, uint64_t *out, size_t start, size_t n);

/* Alpha dropout's parameters but for the slope, of p in [0, 1]. */
void fi_alpha_dropout(fi_activation *params, double p);
/* Elements [start, start + n) of an operation on whole arrays; the words of alpha dropout are the generator's
 * (else NULL), from where it stands. A bias has 64 elements of its next period, too, where one lies between
 * start and start + n. streamed: out is written past the cache, and no operand lies in it. */
void fi_activate(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                 const fi_activation *params, const fi_pcg64 *generator, void *out, const void *const in[3],
                 size_t start, size_t n, int streamed);
/* The same of a gradient that sums, for each of so many rows, stride elements apart; the operand of a bias
 * has one row. The columns' sums are added to sums: those of every 16 rows in the working precision. */
void fi_activate_rows(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                      const fi_activation *params, void *out, const void *const in[3], double *sums,
                      size_t rows, size_t columns, size_t stride, int streamed);
/* Those sums, rows of columns, added up in their order and rounded once. They are overwritten. */
void fi_sum_rows(enum fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns);

/* Round to nearest, no flush to zero: what every value above is computed under.
 * Enter saves the caller's modes and sets the default ones; leave puts the caller's back. */
uint64_t fi_enter_default_fp(void);
void fi_leave_default_fp(uint64_t saved);

static inline size_t fi_itemsize(enum fi_dtype dtype) {
    return dtype == FI_F64 ? 8 : dtype == FI_F32 ? 4 : 2;
}
#endif

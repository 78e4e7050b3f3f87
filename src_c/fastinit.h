/* The whole C interface of fastinit. Plain C11; knows nothing of Python.
 *
 * A fill is a pure function of (generator, distribution, dtype, parameters, first element). Element i never
 * depends on the instruction set, on how a fill is cut into pieces, or on the caller's floating-point modes.
 * docs/stream.md defines that function. Unless a declaration says otherwise, arrays do not overlap, and every
 * pointer is aligned to its element. */
#ifndef FASTINIT_H
#define FASTINIT_H
#include <stddef.h>
#include <stdint.h>

#ifdef __FAST_MATH__
#error "fastinit's bits are a promise that -ffast-math breaks: build with -fno-fast-math"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "vectors take the halves of a draw as they lie in little-endian memory"
#endif

typedef unsigned __int128 fi_u128;

enum fi_variant { FI_XSL_RR, FI_DXSM, FI_VARIANTS };

/* The list of dtypes: X(arg, NAME, tag, T, F).
 *
 *   arg   the second argument of FI_EACH_DTYPE
 *   NAME  of FI_NAME in enum fi_dtype
 *   tag   ends the names of the dtype's functions and kernels
 *   T     how one value is stored
 *   F     its working precision: what a value is computed in, and rounded from, once
 *
 * A row needs narrow_tag and widen_tag in dtypes.inc.h, its vectors in convert.inc.h, its loop at the end of
 * activations.inc.h, its kernels of each distribution, and a record in fastinit/_dtypes.py. */
#define FI_EACH_DTYPE(X, arg)                                                                                \
    X(arg, F16, f16, uint16_t, float)                                                                        \
    X(arg, BF16, bf16, uint16_t, float)                                                                      \
    X(arg, F32, f32, float, float)                                                                           \
    X(arg, F64, f64, double, double)

#define FI_DTYPE_VALUE(arg, NAME, tag, T, F) FI_##NAME,
#define FI_DTYPE_INFO(arg, NAME, tag, T, F) {#tag, sizeof(T), sizeof(F)},
enum fi_dtype { FI_EACH_DTYPE(FI_DTYPE_VALUE, ) FI_DTYPES };
static const struct {
    const char *tag;
    size_t itemsize, working_size; /* bytes of a stored value, and of its working precision */
} fi_dtype_info[] = {FI_EACH_DTYPE(FI_DTYPE_INFO, )};

static inline size_t fi_itemsize(enum fi_dtype dtype) { return fi_dtype_info[dtype].itemsize; }

/* A position in a PCG64 stream, with NumPy's buffered high half of the last draw that was cut in two. */
typedef struct fi_pcg64 {
    fi_u128 state, inc;
    uint32_t uinteger;
    uint16_t has_uint32;
    uint16_t variant; /* enum fi_variant */
} fi_pcg64;

enum fi_dist {
#define X(NAME, name, parameters, draws) FI_##NAME,
#include "distributions.def"
    FI_DISTS
};
enum { FI_PARAMETERS = 4 };

/* How a distribution consumes the stream: `draws` draws become `values` values. If it is buffered, its 32-bit
 * words begin with the generator's buffered half. */
typedef struct fi_group {
    size_t draws, values;
    int buffered;
} fi_group;

static const struct {
    const char *name;
    size_t parameters;
    fi_group narrow, wide; /* of the dtypes that are computed in float, and in double */
} fi_dist_info[] = {
#define FI_SINGLES                                                                                           \
    {1, 2, 1}, { 1, 1, 0 }
#define FI_PAIRS                                                                                             \
    {1, 2, 0}, { 2, 2, 0 }
#define X(NAME, name, parameters, draws) {#name, parameters, draws},
#include "distributions.def"
};

/* The parameters of a fill as a transform reads them. Only fi_prepare makes them. */
typedef struct fi_params {
    double loc, scale;  /* value = loc + scale * (a standard value) */
    double least, most; /* the dtype's values that a uniform or truncated result is clamped to */
    double tail[16];    /* truncated_normal: constants of the inverse CDF (truncated.h) */
    int branch;         /* truncated_normal: which of its formulas applies */
} fi_params;

/* Makes the parameters of a fill from the distribution's own arguments, in the order of distributions.def.
 * Returns 0, or -1 if the range of a uniform is not finite in the working precision, or if no number lies
 * between the bounds of a truncated normal. `like` may be NULL, or any parameters that were made before,
 * `params` itself included: if a truncated normal has its bounds, the call takes no 2 us. */
int fi_prepare(fi_params *params, const fi_params *like, enum fi_dist dist, enum fi_dtype dtype,
               const double *arguments);

#define FI_BLOCK 512 /* draws in a block: 4 KiB, which stay in L1 beside the values that they become */
#define FI_LANES 32  /* leapfrog lanes; the length of a raw block is a multiple of it */

/* FI_LANES consecutive positions of one stream. A step moves each by FI_LANES draws, or by fewer if the raw
 * generator uses fewer lanes. Each raw generator gives the words a meaning of its own. */
typedef struct fi_lanes {
    _Alignas(64) uint64_t word[3][FI_LANES];
    uint64_t multiplier[3], increment[3];
} fi_lanes;

typedef void fi_init_lanes(fi_lanes *lanes, const fi_pcg64 *generator);
/* The next n draws, a multiple of FI_LANES. */
typedef void fi_raw(void *restrict draws, size_t n, fi_lanes *lanes);
/* n draws, at most FI_BLOCK and a multiple of the group's, become the values that these make. */
typedef void fi_transform(void *restrict out, const uint64_t *restrict draws, size_t n,
                          const fi_params *params);

enum fi_activation_op {
#define X(NAME, name, operands, extra, sums) FI_##NAME,
#include "activations.def"
    FI_ACTIVATIONS
};

enum fi_extra { FI_NOTHING, FI_WORDS, FI_BIAS };

static const struct {
    const char *name;
    int operands, extra, sums; /* as activations.def says */
} fi_activation_info[] = {
#define X(NAME, name, operands, extra, sums) {#name, operands, extra, sums},
#include "activations.def"
};

typedef struct fi_activation {
    double slope;                 /* of leaky ReLU below zero */
    double scale, shift, dropped; /* alpha dropout: a kept x becomes scale x + shift, any other `dropped` */
    uint32_t last_dropped;        /* an element is dropped if its word is at most this */
    size_t period;                /* elements after which the bias repeats; at least FI_BIAS_OVERLAP */
} fi_activation;

/* Elements of its next period that follow a bias, so that a vector may be read across its end. */
#define FI_BIAS_OVERLAP 64

typedef struct fi_operands {
    void *out; /* may be one of `in` */
    const void *in[3];
    const uint32_t *words; /* one for each element, if the operation takes words */
    size_t phase;          /* index into the bias of the first element */
    void *sums;            /* one for each element, in the working precision; results are added to it */
} fi_operands;
/* Each element of any bit pattern gives a result. The error is at most 2 units in the last place of the dtype
 * (of half types, after one rounding from float32); docs/activations.md has each function's. */
typedef void fi_elementwise(const fi_operands *operands, size_t n, const fi_activation *params,
                            int nontemporal);

/* The kernels of one instruction set. A non-temporal kernel writes past the cache; its output begins at a
 * 64-byte line. */
typedef struct fi_kernels {
    const char *name;
    fi_init_lanes *init_lanes;
    fi_raw *raw[FI_VARIANTS];
    fi_transform *transform[FI_DISTS][FI_DTYPES];
    fi_transform *nontemporal[FI_DISTS][FI_DTYPES]; /* NULL: a block is made in the cache and then copied */
    /* Raw draws and uniform(0, 1) in one kernel, [1] non-temporal. NULL: two kernels are as fast. */
    fi_raw *random[FI_VARIANTS][FI_DTYPES][2];
    fi_elementwise *activation[FI_ACTIVATIONS][FI_DTYPES];
    /* Copies past the cache; bytes is a multiple of 64 and dst 64-byte aligned. */
    void (*copy_nontemporal)(void *restrict dst, const void *restrict src, size_t bytes);
    void (*fence)(void); /* makes non-temporal stores visible to other threads */
} fi_kernels;

/* The i-th known instruction set, from the plainest to the best: its name, or NULL past the end. Sets its
 * kernels, or NULL if this build lacks them, and whether this CPU runs them. */
const char *fi_isa(int i, const fi_kernels **built, int *supported);
/* The kernels of the instruction set with that name, or of the best one for NULL. Returns NULL if it is
 * unknown, not built, or not on this CPU. */
const fi_kernels *fi_select(const char *name);

/* Draws from a generator that is no fi_pcg64: three members of NumPy's bitgen_t. */
typedef struct fi_source {
    void *state;
    uint64_t (*next_uint64)(void *state);
    uint32_t (*next_uint32)(void *state);
    double (*next_double)(void *state);
} fi_source;

/* Writes elements [start, start + n) of the fill that begins where the generator stands. It does not move. */
void fi_fill(const fi_kernels *kernels, const fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype,
             const fi_params *params, void *out, size_t start, size_t n);
/* Writes the next n elements from a foreign source, which moves. */
void fi_fill_from(const fi_kernels *kernels, const fi_source *source, enum fi_dist dist, enum fi_dtype dtype,
                  const fi_params *params, void *out, size_t n);
/* Moves the generator as filling n elements does. */
void fi_consume(fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype, size_t n);
/* Writes raw 64-bit draws [start, start + n). The generator does not move. */
void fi_draws(const fi_kernels *kernels, const fi_pcg64 *generator, uint64_t *out, size_t start, size_t n);

/* Sets the parameters of alpha dropout with probability p in [0, 1]; the slope stays as it is. */
void fi_alpha_dropout(fi_activation *params, double p);
/* Elements [start, start + n) of an operation on contiguous arrays; out may be any of `in`, else shares
 * nothing with them. The words of alpha dropout follow from where the generator stands (NULL for other
 * operations). A bias is followed by FI_BIAS_OVERLAP elements of its next period if a period ends within the
 * range. */
void fi_activate(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                 const fi_activation *params, const fi_pcg64 *generator, void *out, const void *const in[3],
                 size_t start, size_t n, int nontemporal);
/* An operation that sums, on rows that are `stride` elements apart; a third operand is one row, the bias. The
 * sums of the columns are added to `sums`: those of each 16 rows are made in the working precision. */
void fi_activate_rows(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                      const fi_activation *params, void *out, const void *const in[3], double *sums,
                      size_t rows, size_t columns, size_t stride, int nontemporal);
/* Adds the rows of `sums` up in their order, overwriting the first, and rounds each column's sum once. */
void fi_sum_rows(enum fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns);

/* Sets the modes that every value is computed under (round to nearest, no flush to zero) and returns the
 * caller's, for fi_leave_default_fp to set again. */
uint64_t fi_enter_default_fp(void);
void fi_leave_default_fp(uint64_t saved);
/* Makes a call under them. It is to a function that is not inlined, so that nothing moves past the change. */
#define FI_UNDER_DEFAULT_FP(call)                                                                            \
    do {                                                                                                     \
        uint64_t saved_ = fi_enter_default_fp();                                                             \
        call;                                                                                                \
        fi_leave_default_fp(saved_);                                                                         \
    } while (0)
#define FI_NOT_INLINED static __attribute__((noinline))
#endif

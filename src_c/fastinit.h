/* The C interface of fastinit, in C11 and independent of Python.
 *
 * Element i of a fill depends on the generator, distribution, dtype, parameters and i alone, never on the
 * instruction set, the pieces of the fill or the caller's floating-point modes (docs/stream.md). Unless a
 * declaration says otherwise, arrays do not overlap and each pointer is aligned to its element. */
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
 *   NAME  makes FI_NAME in enum fi_dtype
 *   tag   ends the names of the dtype's functions and kernels
 *   T     the type that stores a value
 *   F     the working precision: a value is computed in it and then rounded to T once
 *
 * Each row needs narrow_tag and widen_tag in dtypes.inc.h, vector conversions in convert.inc.h, a loop at the
 * end of activations.inc.h, a kernel for each distribution, here and in gpu.cu, and a record in
 * fastinit/_dtypes.py. */
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
    size_t itemsize, working_size; /* bytes of T and of F */
} fi_dtype_info[] = {FI_EACH_DTYPE(FI_DTYPE_INFO, )};

static inline size_t fi_itemsize(enum fi_dtype dtype) { return fi_dtype_info[dtype].itemsize; }
static inline int fi_is_wide(enum fi_dtype dtype) { return fi_dtype_info[dtype].working_size == 8; }

/* A position in a PCG64 stream. As in NumPy, `uinteger` is the high half of the last draw that was split into
 * 32-bit words; has_uint32 is 1 if that half is the next word, else 0. */
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

/* A distribution makes each group of `values` values from `draws` 64-bit draws. If it is buffered, it takes
 * 32-bit words, and the generator's buffered half is the first one. */
typedef struct fi_group {
    size_t draws, values;
    int buffered;
} fi_group;

static const struct {
    const char *name;
    size_t parameters;
    fi_group narrow, wide; /* if F is float; if F is double */
} fi_dist_info[] = {
#define FI_SINGLES                                                                                           \
    {1, 2, 1}, { 1, 1, 0 }
#define FI_PAIRS                                                                                             \
    {1, 2, 0}, { 2, 2, 0 }
#define X(NAME, name, parameters, draws) {#name, parameters, draws},
#include "distributions.def"
};
#define X(NAME, name, parameters, draws) _Static_assert(parameters <= FI_PARAMETERS, #name);
#include "distributions.def"

/* The parameters of a fill in the form that transforms read. fi_prepare makes them. */
typedef struct fi_params {
    double loc, scale;  /* value = loc + scale * (a standard value) */
    double least, most; /* clamp of uniform and truncated_normal, in values of the dtype */
    double tail[16];    /* truncated_normal: constants of the inverse CDF (truncated.h) */
    int branch;         /* truncated_normal: which of its formulas applies */
    int mirrored;       /* truncated_normal: 1 if draws are inverted and `scale` is negated, else 0 */
    int nontemporal;    /* 1 if stores bypass the cache, else 0, as fi_prepare sets it */
} fi_params;

/* Makes the parameters of a fill from the distribution's arguments, in the order of distributions.def.
 * Returns 0, or -1 if the range of a uniform is not finite in the working precision, or if no number lies
 * between the bounds of a truncated normal. `like` is NULL or earlier parameters; it may be `params`. A
 * truncated normal with the bounds of `like` reuses their constants, which take 2 us to make. */
int fi_prepare(fi_params *params, const fi_params *like, enum fi_dist dist, enum fi_dtype dtype,
               const double *arguments);

#define FI_BLOCK 512 /* draws in a block: 4 KiB, which fit in L1 beside their values */
#define FI_LANES 32  /* leapfrog lanes */

/* Consecutive positions of one stream, one a lane. A step moves each lane by the number of lanes that the raw
 * generator uses, at most FI_LANES. The raw generator also defines what the words mean. */
typedef struct fi_lanes {
    _Alignas(64) uint64_t word[3][FI_LANES];
    uint64_t multiplier[3], increment[3];
} fi_lanes;

#define FI_BOUNDS 16 /* truncated normals whose constants are made side by side */
/* Makes the parameters of FI_BOUNDS truncated normals whose values are t itself. */
typedef void fi_standard(fi_params *params, const double *low, const double *high);
/* Writes a value of each, from a draw each to double, or from a 32-bit word each to float. */
typedef void fi_abreast_f64(double *restrict t, const uint64_t *restrict draws, const fi_params *params);
typedef void fi_abreast_f32(float *restrict t, const uint64_t *restrict words, const fi_params *params);

typedef void fi_init_lanes(fi_lanes *lanes, const fi_pcg64 *generator);
/* Writes the next n draws; n is a multiple of FI_LANES. `draws` needs no alignment. */
typedef void fi_raw(void *restrict draws, size_t n, fi_lanes *lanes);
/* Turns n draws into their values; n is at most FI_BLOCK and a multiple of the group's draws. */
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
    double slope;                 /* of leaky ReLU for x < 0 */
    double scale, shift, dropped; /* alpha dropout: scale x + shift if x is kept, else `dropped` */
    uint32_t last_dropped;        /* an element is dropped if its word is at most this */
    size_t period;                /* elements after which the bias repeats; at least FI_BIAS_OVERLAP */
} fi_activation;

/* Elements of the next period that follow a bias in memory, so that a vector may be read across its end. */
#define FI_BIAS_OVERLAP 64

typedef struct fi_operands {
    void *out; /* may be one of `in` */
    const void *in[3];
    const uint32_t *words; /* one for each element, if `extra` is FI_WORDS */
    size_t phase;          /* index of the first element's bias */
    void *sums;            /* one F for each element, which its result is added to */
} fi_operands;
/* Computes n elements; nontemporal is 1 if they bypass the cache. Valid range: every bit pattern. Max error:
 * 2 ulp; half types are rounded from float32 once. docs/activations.md has each operation's. */
typedef void fi_elementwise(const fi_operands *operands, size_t n, const fi_activation *params,
                            int nontemporal);

/* Ways to make a value of a piece of the stream: of a draw, a word or a part of one. A piece may be rejected.
 * The values are those of NumPy's C functions: X(NAME, kernel, bytes of a piece, bytes of a value). */
#define FI_EACH_ATTEMPT(X)                                                                                   \
    X(ZIGGURAT_NORMAL_F64, attempt_normal_f64, 8, 8)                                                         \
    X(ZIGGURAT_NORMAL_F32, attempt_normal_f32, 4, 4)                                                         \
    X(ZIGGURAT_EXPONENTIAL_F64, attempt_exponential_f64, 8, 8)                                               \
    X(ZIGGURAT_EXPONENTIAL_F32, attempt_exponential_f32, 4, 4)                                               \
    X(BOUNDED_8, attempt_bounded_8, 1, 1)                                                                    \
    X(BOUNDED_16, attempt_bounded_16, 2, 2)                                                                  \
    X(BOUNDED_32, attempt_bounded_32, 4, 4)                                                                  \
    X(BOUNDED_32_AS_64, attempt_bounded_32_as_64, 4, 8)                                                      \
    X(BOUNDED_64, attempt_bounded_64, 8, 8)

#define FI_ATTEMPT_VALUE(NAME, kernel, piece, value) FI_##NAME,
#define FI_ATTEMPT_INFO(NAME, kernel, piece, value) {piece, value},
enum fi_attempt { FI_EACH_ATTEMPT(FI_ATTEMPT_VALUE) FI_ATTEMPTS };
static const struct {
    size_t piece, value; /* bytes */
} fi_attempt_info[] = {FI_EACH_ATTEMPT(FI_ATTEMPT_INFO)};

/* A bounded integer is offset + floor(piece * span / 2^b) for pieces of b bits, whose rest modulo 2^b is not
 * below the threshold. */
typedef struct fi_bounds {
    uint64_t span, threshold, offset; /* span: 1 to 2^b; 0 means 2^64 */
} fi_bounds;

/* Makes values of n pieces in order. `room` is the most values, and becomes the number made. Returns the
 * number of pieces used. A ziggurat's attempt ends before a piece of the tail, or one that it can't decide
 * on. */
typedef size_t fi_attempt_kernel(void *restrict out, size_t *room, const void *restrict pieces, size_t n,
                                 const fi_bounds *bounds);

/* Writes loc + scale * x, computed in F and rounded to T. */
typedef void fi_affine_kernel(void *restrict out, const void *restrict standard, size_t n, double loc,
                              double scale);

/* An instruction set's kernels. A non-temporal one bypasses the cache; its output is 64-byte aligned. */
typedef struct fi_kernels {
    const char *name;
    fi_init_lanes *init_lanes;
    fi_raw *raw[FI_VARIANTS];
    fi_transform *transform[FI_DISTS][FI_DTYPES];
    fi_standard *standard_truncated_normal;
    fi_abreast_f64 *abreast_f64;
    fi_abreast_f32 *abreast_f32;
    fi_transform *nontemporal[FI_DISTS][FI_DTYPES]; /* NULL: made in the cache, then copied */
    /* Raw draws and uniform(0, 1) in one kernel; [1] is non-temporal. NULL: two kernels are as fast. */
    fi_raw *random[FI_VARIANTS][FI_DTYPES][2];
    fi_elementwise *activation[FI_ACTIVATIONS][FI_DTYPES];
    fi_attempt_kernel *attempt[FI_ATTEMPTS];
    fi_affine_kernel *affine[FI_DTYPES];
    /* Copies, bypassing the cache; bytes is a multiple of 64, and dst is 64-byte aligned. */
    void (*copy_nontemporal)(void *restrict dst, const void *restrict src, size_t bytes);
    void (*fence)(void); /* makes non-temporal stores visible to other threads */
} fi_kernels;

/* Returns the name of the i-th known instruction set, slowest first, or NULL past the end. Sets its kernels
 * (NULL if this build lacks them) and whether this CPU supports it. */
const char *fi_isa(int i, const fi_kernels **built, int *supported);
/* Returns the kernels of the named instruction set, or of the best one if `name` is NULL. Returns NULL if the
 * set is unknown, not built, or not supported by this CPU. */
const fi_kernels *fi_select(const char *name);

/* A generator other than fi_pcg64: these are members of NumPy's bitgen_t. */
typedef struct fi_source {
    void *state;
    uint64_t (*next_uint64)(void *state);
    uint32_t (*next_uint32)(void *state);
    double (*next_double)(void *state);
} fi_source;

/* Writes elements [start, start + n) of the fill that begins at the generator's position, which stays. */
void fi_fill(const fi_kernels *kernels, const fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype,
             const fi_params *params, void *out, size_t start, size_t n);
/* Writes n elements from the next draws of `source`. */
void fi_fill_from(const fi_kernels *kernels, const fi_source *source, enum fi_dist dist, enum fi_dtype dtype,
                  const fi_params *params, void *out, size_t n);
/* Writes n elements from the generator, which moves past them, or from `source` if the generator is NULL.
 * Element i has its own arguments, arguments[.][i], which fi_prepare must accept. `out` needs no alignment.
 * For uniforms and truncated normals. */
void fi_fill_each(const fi_kernels *kernels, fi_pcg64 *generator, const fi_source *source, enum fi_dist dist,
                  enum fi_dtype dtype, const double *const *arguments, void *out, size_t n);
/* Moves the generator past the draws of n elements. */
void fi_consume(fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype, size_t n);
/* Writes 64-bit draws [start, start + n) from the generator's position, which stays. `out` needs no
 * alignment. */
void fi_draws(const fi_kernels *kernels, const fi_pcg64 *generator, void *out, size_t start, size_t n);

/* A generator that reads ahead, for code that takes one draw at a call: draws that follow each other come
 * from a block. Its position is that of the generator, `at` draws further. All zero but for the generator and
 * `kernels` at first. */
typedef struct fi_block {
    _Alignas(64) uint64_t draws[FI_BLOCK];
    fi_lanes lanes;
} fi_block;
typedef struct fi_ahead {
    fi_pcg64 generator;
    const fi_kernels *kernels;
    uint64_t (*more)(struct fi_ahead *ahead); /* fi_more, for modules that do not link it */
    fi_block *block;                          /* allocated with the first block; free() frees it */
    uint32_t at, end;                         /* the next draw in the block and its end; 0 and 0: none */
    uint32_t single;                          /* draws taken one by one since the last block or settling */
    fi_u128 multiplier, increment;            /* of FI_BLOCK steps */
} fi_ahead;

/* Returns the next draw if the block has none. Many calls in a row read a block. */
uint64_t fi_more(fi_ahead *ahead);
/* Reads a block, if the block has no draw. Returns 0, or -1 if there is no memory for it. */
int fi_read_ahead(fi_ahead *ahead);

/* Makes one value from the next draws, as NumPy does, where a ziggurat's kernel does not decide. */
typedef void fi_finish(void *bitgen, void *out);
/* Writes n values in NumPy's bits, and leaves the generator where NumPy leaves it. A piece that a
 * ziggurat's kernel leaves goes to `finish`, with a bitgen_t of NumPy over `ahead`. If `ahead` is NULL, all
 * values do. Returns 0, or -1 if there is no memory. */
int fi_attempt_fill(fi_ahead *ahead, enum fi_attempt attempt, void *out, size_t n, const fi_bounds *bounds,
                    fi_finish *finish, void *bitgen);

/* Writes values [start, start + n) of bounded integers from the generator's position, which stays, as if no
 * piece were rejected. Returns the number of values before the first rejected piece. `start` is 0 or a
 * multiple of 8, and no word has a part left. */
size_t fi_attempt_part(const fi_kernels *kernels, const fi_pcg64 *generator, enum fi_attempt attempt,
                       void *out, size_t start, size_t n, const fi_bounds *bounds);
/* Moves the generator past n pieces. A word of which a part is used is used. */
void fi_skip_pieces(fi_pcg64 *generator, enum fi_attempt attempt, size_t n);

/* Writes loc + scale * x of standard values, computed in the dtype's working precision and rounded once. */
void fi_affine(const fi_kernels *kernels, enum fi_dtype dtype, void *out, const void *standard, size_t n,
               double loc, double scale);

/* Replaces each x of the dtype's working precision by loc + scale * x, with a loc and scale of its own. */
void fi_affine_each(enum fi_dtype dtype, void *values, const double *loc, const double *scale, size_t n);

/* Sets all parameters of alpha dropout with probability p in [0, 1]. */
void fi_alpha_dropout(fi_activation *params, double p);
/* Computes elements [start, start + n) of an operation on contiguous arrays. `out` equals one of `in` or does
 * not overlap it. An operation with FI_WORDS takes words from the generator's position; for others the
 * generator is NULL. If a period of the bias ends within the range, FI_BIAS_OVERLAP elements follow it. */
void fi_activate(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                 const fi_activation *params, const fi_pcg64 *generator, void *out, const void *const in[3],
                 size_t start, size_t n, int nontemporal);
/* Computes an operation with `sums` on (rows, columns) arrays whose rows are `stride` elements apart;
 * aliasing as above. A third operand is the bias, of shape (columns,). Each column's results are added in
 * groups of 16 rows in the working precision, and the groups to `sums`, of shape (columns,). */
void fi_activate_rows(const fi_kernels *kernels, enum fi_activation_op op, enum fi_dtype dtype,
                      const fi_activation *params, void *out, const void *const in[3], double *sums,
                      size_t rows, size_t columns, size_t stride, int nontemporal);
/* Adds the rows of `sums`, of shape (rows, columns), into its first one in order, then rounds each column's
 * total to the dtype once. */
void fi_sum_rows(enum fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns);

/* Sets the floating-point modes of all computation (round to nearest, no flush to zero) and returns the
 * caller's, which fi_leave_default_fp restores. */
uint64_t fi_enter_default_fp(void);
void fi_leave_default_fp(uint64_t saved);
/* Makes a call in these modes. The callee must not be inlined, or the compiler could move its code out. */
#define FI_UNDER_DEFAULT_FP(call)                                                                            \
    do {                                                                                                     \
        uint64_t saved_ = fi_enter_default_fp();                                                             \
        call;                                                                                                \
        fi_leave_default_fp(saved_);                                                                         \
    } while (0)
#define FI_NOT_INLINED static __attribute__((noinline))
#endif

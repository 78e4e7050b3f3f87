# The declarations of the C core that Cython code uses. _dispatch.pyx reads the full lists.
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef extern from "fastinit.h" nogil:
    enum fi_dtype:
        FI_F16
        FI_BF16
        FI_F32
        FI_F64
        FI_DTYPES
    enum fi_dist:
        FI_UNIFORM
        FI_NORMAL
        FI_TRUNCATED_NORMAL
        FI_DISTS
    enum fi_activation_op:
        FI_ACTIVATIONS
    enum:
        FI_XSL_RR
        FI_DXSM
        FI_PARAMETERS
        FI_NOTHING
        FI_WORDS
        FI_BIAS
        FI_BIAS_OVERLAP
    struct fi_dtype_row "":
        const char *tag
    struct fi_group:
        size_t draws, values
        int buffered
    struct fi_dist_row "":
        const char *name
        size_t parameters
        fi_group narrow, wide
    struct fi_activation_row "":
        const char *name
        int operands, extra, sums
    struct fi_attempt_row "":
        size_t piece, value
    const fi_attempt_row *fi_attempt_info
    const fi_dtype_row *fi_dtype_info
    const fi_dist_row *fi_dist_info
    const fi_activation_row *fi_activation_info

    ctypedef struct fi_pcg64:
        uint32_t uinteger
        uint16_t has_uint32
        uint16_t variant
    ctypedef struct fi_params:
        int nontemporal
    ctypedef struct fi_activation:
        double slope
        size_t period
    ctypedef struct fi_kernels:
        const char *name
    enum fi_attempt:
        FI_ZIGGURAT_NORMAL_F64
        FI_ZIGGURAT_NORMAL_F32
        FI_ZIGGURAT_EXPONENTIAL_F64
        FI_ZIGGURAT_EXPONENTIAL_F32
        FI_BOUNDED_8
        FI_BOUNDED_16
        FI_BOUNDED_32
        FI_BOUNDED_32_AS_64
        FI_BOUNDED_64
        FI_ATTEMPTS
    ctypedef struct fi_bounds:
        uint64_t span, threshold, offset
    ctypedef struct fi_block:
        pass
    ctypedef struct fi_ahead:
        fi_pcg64 generator
        const fi_kernels *kernels
        uint64_t (*more)(fi_ahead *ahead) noexcept nogil
        fi_block *block
    ctypedef void fi_finish(void *bitgen, void *out) noexcept nogil
    ctypedef struct fi_source:
        void *state
        uint64_t (*next_uint64)(void *state) noexcept nogil
        uint32_t (*next_uint32)(void *state) noexcept nogil
        double (*next_double)(void *state) noexcept nogil

    const fi_kernels *fi_select(const char *name) noexcept
    const char *fi_isa(int i, const fi_kernels **built, int *supported) noexcept
    size_t fi_itemsize(fi_dtype dtype) noexcept
    bint fi_is_wide(fi_dtype dtype) noexcept
    int fi_prepare(fi_params *params, const fi_params *like, fi_dist dist, fi_dtype dtype,
                   const double *arguments) noexcept
    void fi_fill(const fi_kernels *kernels, const fi_pcg64 *generator, fi_dist dist, fi_dtype dtype,
                 const fi_params *params, void *out, size_t start, size_t n) noexcept
    void fi_fill_from(const fi_kernels *kernels, const fi_source *source, fi_dist dist, fi_dtype dtype,
                      const fi_params *params, void *out, size_t n) noexcept
    void fi_fill_each(const fi_kernels *kernels, fi_pcg64 *generator, const fi_source *source, fi_dist dist,
                      fi_dtype dtype, const double **arguments, void *out, size_t n) noexcept
    void fi_consume(fi_pcg64 *generator, fi_dist dist, fi_dtype dtype, size_t n) noexcept
    void fi_draws(const fi_kernels *kernels, const fi_pcg64 *generator, void *out, size_t start,
                  size_t n) noexcept
    void fi_affine(const fi_kernels *kernels, fi_dtype dtype, void *out, const void *standard, size_t n,
                   double loc, double scale) noexcept
    void fi_affine_each(fi_dtype dtype, void *values, const double *loc, const double *scale,
                        size_t n) noexcept
    uint64_t fi_more(fi_ahead *ahead) noexcept
    int fi_attempt_fill(fi_ahead *ahead, fi_attempt attempt, void *out, size_t n, const fi_bounds *bounds,
                        fi_finish *finish, void *bitgen) noexcept
    size_t fi_attempt_part(const fi_kernels *kernels, const fi_pcg64 *generator, fi_attempt attempt,
                           void *out, size_t start, size_t n, const fi_bounds *bounds) noexcept
    void fi_skip_pieces(fi_pcg64 *generator, fi_attempt attempt, size_t n) noexcept
    void fi_alpha_dropout(fi_activation *params, double p) noexcept
    void fi_activate(const fi_kernels *kernels, fi_activation_op op, fi_dtype dtype,
                     const fi_activation *params, const fi_pcg64 *generator, void *out,
                     const void **in_, size_t start, size_t n, int nontemporal) noexcept
    void fi_activate_rows(const fi_kernels *kernels, fi_activation_op op, fi_dtype dtype,
                          const fi_activation *params, void *out, const void **in_, double *sums,
                          size_t rows, size_t columns, size_t stride, int nontemporal) noexcept
    void fi_sum_rows(fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns) noexcept
    uint64_t fi_enter_default_fp() noexcept
    void fi_leave_default_fp(uint64_t saved) noexcept

cdef extern from "seed_sequence.h" nogil:
    enum:
        FI_POOL
    void fi_hash_entropy(uint32_t *pool, const uint32_t *words, size_t n)
    void fi_generate_state(uint64_t *words, const uint32_t *pool)

cdef extern from "xla.h" nogil:
    ctypedef void fi_filler(const fi_pcg64 *generator, fi_dist dist, fi_dtype dtype, const fi_params *params,
                            void *out, size_t start, size_t n) noexcept nogil
    void *fi_xla_handler(fi_filler *fill) noexcept

# Inline functions, which need no linking. A 128-bit number is passed in two halves.
cdef extern from *:
    """
    #include "pcg64.h"
    #define fi_set_u128(target, hi, lo) ((target) = FI_U128((uint64_t)(hi), (uint64_t)(lo)))
    #define fi_state(g) ((g)->state)
    #define fi_inc(g) ((g)->inc)
    #define fi_high(x) ((uint64_t)((x) >> 64))
    #define fi_low(x) ((uint64_t)(x))
    #define fi_advance_by(g, hi, lo) fi_advance(g, FI_U128((uint64_t)(hi), (uint64_t)(lo)))
    """
    ctypedef struct fi_u128:
        pass
    fi_u128 fi_state(fi_pcg64 *g) nogil
    fi_u128 fi_inc(fi_pcg64 *g) nogil
    uint64_t fi_high(fi_u128 x) nogil
    uint64_t fi_low(fi_u128 x) nogil
    void fi_set_u128(fi_u128 target, uint64_t hi, uint64_t lo) nogil
    void fi_advance_by(fi_pcg64 *g, uint64_t hi, uint64_t lo) nogil
    uint64_t fi_ahead64(fi_ahead *a) nogil
    uint32_t fi_ahead32(fi_ahead *a) nogil
    double fi_ahead_double(fi_ahead *a) nogil
    fi_pcg64 *fi_settled(fi_ahead *a) nogil
    void fi_seed(fi_pcg64 *g, const uint64_t *words) nogil

from fastinit._kernels cimport (
    fi_activation, fi_activation_op, fi_ahead, fi_attempt, fi_bounds, fi_dist, fi_dtype, fi_finish, fi_params,
    fi_pcg64, fi_source,
)

cdef void fill(const fi_pcg64 *generator, fi_dist dist, fi_dtype dtype, const fi_params *params,
               void *out, size_t start, size_t n) noexcept nogil
cdef void fill_from(const fi_source *source, fi_dist dist, fi_dtype dtype, const fi_params *params,
                    void *out, size_t n) noexcept nogil
cdef void fill_each(fi_pcg64 *generator, const fi_source *source, fi_dist dist, fi_dtype dtype,
                    const double **arguments, void *out, size_t n) noexcept nogil
cdef void consume(fi_pcg64 *generator, fi_dist dist, fi_dtype dtype, size_t n) noexcept nogil
cdef void draws(const fi_pcg64 *generator, void *out, size_t start, size_t n) noexcept nogil
cdef void init_ahead(fi_ahead *ahead) noexcept nogil
cdef int attempt_fill(fi_ahead *ahead, fi_attempt attempt, void *out, size_t n, const fi_bounds *bounds,
                      fi_finish *finish, void *bitgen) noexcept nogil
cdef size_t attempt_part(const fi_pcg64 *generator, fi_attempt attempt, void *out, size_t start, size_t n,
                         const fi_bounds *bounds) noexcept nogil
cdef void skip_pieces(fi_pcg64 *generator, fi_attempt attempt, size_t n) noexcept nogil
cdef void affine(fi_dtype dtype, void *out, const void *standard, size_t n, double loc,
                 double scale) noexcept nogil
cdef void affine_each(fi_dtype dtype, void *values, const double *loc, const double *scale,
                      size_t n) noexcept nogil
cdef int prepare(fi_params *params, const fi_params *like, fi_dist dist, fi_dtype dtype,
                 const double *arguments) noexcept nogil
cdef void set_alpha_dropout(fi_activation *params, double p) noexcept nogil
cdef void activate(fi_activation_op op, fi_dtype dtype, const fi_activation *params,
                   const fi_pcg64 *generator, void *out, const void **operands, size_t start, size_t n,
                   bint nontemporal) noexcept nogil
cdef void activate_rows(fi_activation_op op, fi_dtype dtype, const fi_activation *params, void *out,
                        const void **operands, double *sums, size_t rows, size_t columns, size_t stride,
                        bint nontemporal) noexcept nogil
cdef void sum_rows(fi_dtype dtype, void *out, double *sums, size_t rows, size_t columns) noexcept nogil

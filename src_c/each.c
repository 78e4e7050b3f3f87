/* Fills whose elements each have their own arguments. Standard values, of loc 0 and scale 1, are made for all
 * neighbours with the same bounds at once; then each is scaled and clamped with its own. */
#include "params.h"
#include "pcg64.h"

#include "dtypes.inc.h"

/* loc + scale z of each element, and bounds strictly within which no clamp changes it. */
typedef struct lines {
    double loc[FI_BLOCK], scale[FI_BLOCK], least[FI_BLOCK], most[FI_BLOCK];
} lines;

static void set_lines(lines *l, enum fi_dist dist, enum fi_dtype dtype, const double *const *arguments,
                      size_t start, size_t n) {
    const double *low = arguments[0] + start, *high = arguments[1] + start;
    if (dist == FI_UNIFORM)
        for (size_t i = 0; i < n; i++) {
            l->loc[i] = low[i];
            l->scale[i] = high[i] - low[i];
            l->least[i] = fi_is_wide(dtype) ? -__builtin_inf() : low[i];
            l->most[i] = fi_is_wide(dtype) ? __builtin_inf() : high[i];
        }
    else
        for (size_t i = 0; i < n; i++) {
            l->loc[i] = arguments[2][start + i];
            l->scale[i] = arguments[3][start + i];
            l->least[i] = fi_value_at(low[i], l->loc[i], l->scale[i]);
            l->most[i] = fi_value_at(high[i], l->loc[i], l->scale[i]);
        }
}

static double clamped(double v, enum fi_dist dist, enum fi_dtype dtype, const double *const *arguments,
                      size_t i) {
    fi_params p;
    double own[FI_PARAMETERS];
    for (size_t j = 0; j < fi_dist_info[dist].parameters; j++) own[j] = arguments[j][i];
    if (dist == FI_UNIFORM)
        fi_limit_uniform(&p, dtype, own);
    else
        fi_limit_truncated_normal(&p, dtype, own);
    v = v > p.most ? p.most : v;
    return v < p.least ? p.least : v;
}

/* Writes n values, at most FI_BLOCK, from the standard ones. */
static void place(void *out, const void *standard, const lines *l, enum fi_dist dist, enum fi_dtype dtype,
                  const double *const *arguments, size_t start, size_t n) {
#define PLACE(arg, NAME, tag, T, F)                                                                          \
    case FI_##NAME:                                                                                          \
        for (size_t i = 0; i < n; i++) {                                                                     \
            F v = (F)l->loc[i] + (F)l->scale[i] * ((const F *)standard)[i];                                  \
            T rounded = narrow_##tag(v);                                                                     \
            double x = (double)widen_##tag(rounded);                                                         \
            if (!(x > l->least[i] && x < l->most[i]) && !(dist == FI_UNIFORM && fi_is_wide(dtype)))          \
                rounded = narrow_##tag((F)clamped((double)v, dist, dtype, arguments, start + i));            \
            memcpy((char *)out + i * sizeof(T), &rounded, sizeof(T));                                        \
        }                                                                                                    \
        break;
    switch (dtype) {
        FI_EACH_DTYPE(PLACE, )
    default: break;
    }
}

static void draw(const fi_kernels *kernels, fi_pcg64 *generator, const fi_source *source, enum fi_dist dist,
                 enum fi_dtype dtype, const fi_params *params, void *out, size_t n) {
    if (!generator) {
        fi_fill_from(kernels, source, dist, dtype, params, out, n);
        return;
    }
    fi_fill(kernels, generator, dist, dtype, params, out, 0, n);
    fi_consume(generator, dist, dtype, n);
}

/* Writes a standard value for each of FI_BOUNDS intervals. */
static void draw_abreast(const fi_kernels *kernels, fi_pcg64 *generator, const fi_source *source,
                         enum fi_dtype dtype, const fi_params *params, void *out) {
    uint64_t pieces[FI_BOUNDS];
    for (int k = 0; k < FI_BOUNDS; k++)
        if (fi_is_wide(dtype))
            pieces[k] = generator ? fi_next64(generator) : source->next_uint64(source->state);
        else
            pieces[k] = generator ? fi_next32(generator) : source->next_uint32(source->state);
    if (fi_is_wide(dtype))
        kernels->abreast_f64(out, pieces, params);
    else
        kernels->abreast_f32(out, pieces, params);
}

/* The first elements of up to FI_BOUNDS runs with equal bounds, from element i on, and the end. */
typedef struct runs {
    size_t count, first[FI_BOUNDS + 1];
    double low[FI_BOUNDS], high[FI_BOUNDS];
} runs;

static void find_runs(runs *r, const double *low, const double *high, size_t i, size_t n) {
    for (r->count = 0; i < n && r->count < FI_BOUNDS; r->count++) {
        const size_t first = r->first[r->count] = i;
        r->low[r->count] = low[i];
        r->high[r->count] = high[i];
        while (i < n && memcmp(&low[i], &low[first], sizeof *low) == 0 &&
               memcmp(&high[i], &high[first], sizeof *high) == 0)
            i++;
    }
    r->first[r->count] = i;
    for (size_t k = r->count; k < FI_BOUNDS; k++) r->low[k] = r->low[0], r->high[k] = r->high[0];
}

FI_NOT_INLINED void fill_each(const fi_kernels *kernels, fi_pcg64 *generator, const fi_source *source,
                              enum fi_dist dist, enum fi_dtype dtype, const double *const *arguments,
                              char *out, size_t n) {
    const enum fi_dtype working = fi_is_wide(dtype) ? FI_F64 : FI_F32;
    const size_t size = fi_is_wide(dtype) ? sizeof(double) : sizeof(float);
    double standard[FI_BLOCK];
    fi_params params[FI_BOUNDS] = {{.branch = 0}};
    lines l;
    runs r = {.count = 1};
    if (dist == FI_UNIFORM) fi_prepare(params, NULL, dist, working, (const double[]){0, 1});
    for (size_t start = 0, m; start < n; start += m, out += m * fi_itemsize(dtype)) {
        m = n - start < FI_BLOCK ? n - start : FI_BLOCK;
        for (size_t i = 0; i < m; i = r.first[r.count]) {
            r.first[0] = i, r.first[1] = m;
            if (dist != FI_UNIFORM) {
                find_runs(&r, arguments[0] + start, arguments[1] + start, i, m);
                fi_standard_truncated_normal(kernels, params, r.low, r.high, r.count);
            }
            const int abreast = r.count == FI_BOUNDS && r.first[FI_BOUNDS] - i == FI_BOUNDS;
            if (abreast)
                draw_abreast(kernels, generator, source, working, params, (char *)standard + i * size);
            for (size_t k = 0; k < r.count && !abreast; k++)
                draw(kernels, generator, source, dist, working, &params[k],
                     (char *)standard + r.first[k] * size, r.first[k + 1] - r.first[k]);
        }
        set_lines(&l, dist, dtype, arguments, start, m);
        place(out, standard, &l, dist, dtype, arguments, start, m);
    }
}

void fi_fill_each(const fi_kernels *kernels, fi_pcg64 *generator, const fi_source *source, enum fi_dist dist,
                  enum fi_dtype dtype, const double *const *arguments, void *out, size_t n) {
    FI_UNDER_DEFAULT_FP(fill_each(kernels, generator, source, dist, dtype, arguments, out, n));
}

#define FI_AFFINE_EACH(tag, F)                                                                               \
    FI_NOT_INLINED void affine_each_##tag(F *restrict values, const double *restrict loc,                    \
                                          const double *restrict scale, size_t n) {                          \
        for (size_t i = 0; i < n; i++) values[i] = (F)loc[i] + (F)scale[i] * values[i];                      \
    }
FI_AFFINE_EACH(f32, float)
FI_AFFINE_EACH(f64, double)

void fi_affine_each(enum fi_dtype dtype, void *values, const double *loc, const double *scale, size_t n) {
    if (fi_is_wide(dtype))
        FI_UNDER_DEFAULT_FP(affine_each_f64(values, loc, scale, n));
    else
        FI_UNDER_DEFAULT_FP(affine_each_f32(values, loc, scale, n));
}

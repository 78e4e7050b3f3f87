/* Fills: from a position in the stream to values, block by block. */
#include <string.h>

#include "pcg64.h"

static fi_group group_of(enum fi_dist dist, enum fi_dtype dtype) {
    return fi_is_wide(dtype) ? fi_dist_info[dist].wide : fi_dist_info[dist].narrow;
}

/* Reads draws in order, from a generator or a source. Each n but the last is a multiple of FI_LANES. */
typedef struct reader {
    void (*read)(struct reader *r, uint64_t *restrict draws, size_t n);
    const fi_source *source;
    size_t words; /* 32-bit words left to draw from source */
    fi_pcg64 generator;
    fi_raw *raw;
    fi_lanes lanes;
} reader;

/* Fewer draws are made one by one, as setting up lanes would cost more than it gains. */
enum { FEW_DRAWS = 64 };

static void read_few(reader *r, uint64_t *restrict draws, size_t n) {
    for (size_t i = 0; i < n; i++) draws[i] = fi_next64(&r->generator);
}
static void read_lanes(reader *r, uint64_t *restrict draws, size_t n) {
    r->raw(draws, (n + FI_LANES - 1) / FI_LANES * FI_LANES, &r->lanes);
}
static void read_uint64(reader *r, uint64_t *restrict draws, size_t n) {
    for (size_t i = 0; i < n; i++) draws[i] = r->source->next_uint64(r->source->state);
}
static void read_uint32(reader *r, uint64_t *restrict draws, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint64_t low = r->source->next_uint32(r->source->state);
        uint64_t high = r->words > 1 ? r->source->next_uint32(r->source->state) : 0;
        draws[i] = low | high << 32;
        r->words -= r->words > 1 ? 2 : 1;
    }
}

/* Makes a reader of n draws from the generator's position `first`. */
static void init_reader(reader *r, const fi_kernels *kernels, const fi_pcg64 *generator, size_t first,
                        size_t n) {
    r->generator = *generator;
    if (first) fi_advance(&r->generator, first);
    r->read = read_few;
    if (n < FEW_DRAWS) return;
    r->read = read_lanes;
    r->raw = kernels->raw[generator->variant];
    kernels->init_lanes(&r->lanes, &r->generator);
}

typedef struct {
    const fi_kernels *kernels;
    fi_transform *transform, *nontemporal;
    fi_raw *const *random; /* as in fi_kernels; or NULL */
    const fi_params *params;
    fi_group group;
    size_t itemsize;
} job;

static job job_of(const fi_kernels *kernels, enum fi_dist dist, enum fi_dtype dtype,
                  const fi_params *params) {
    return (job){.kernels = kernels,
                 .transform = kernels->transform[dist][dtype],
                 .nontemporal = kernels->nontemporal[dist][dtype],
                 .params = params,
                 .group = group_of(dist, dtype),
                 .itemsize = fi_itemsize(dtype)};
}

/* Writes values [skip, skip + n) of the next group. */
static void part_of_group(reader *r, const job *j, char *out, size_t skip, size_t n) {
    uint64_t draws[2], values[2];
    r->read(r, draws, j->group.draws);
    j->transform(values, draws, j->group.draws, j->params);
    memcpy(out, (char *)values + skip * j->itemsize, n * j->itemsize);
}

enum { LINE = 64 };

static void make_block(reader *r, const job *j, fi_transform *transform, void *out, size_t n) {
    _Alignas(LINE) uint64_t draws[FI_BLOCK];
    r->read(r, draws, n);
    transform(out, draws, n, j->params);
}

/* Makes each block in the cache and copies its full lines past it; `kept` bytes are left for later. */
static void blocks_nontemporal(reader *r, const job *j, char *out, size_t left, size_t bytes_per_draw) {
    _Alignas(LINE) char line[LINE + FI_BLOCK * sizeof(double)];
    size_t kept = 0;
    for (size_t n; left; left -= n) {
        n = left < FI_BLOCK ? left : FI_BLOCK;
        make_block(r, j, j->transform, line + kept, n);
        kept += n * bytes_per_draw;
        size_t odd = -(uintptr_t)out % LINE; /* only up to the first line */
        if (odd > kept) odd = kept;
        if (odd) {
            memcpy(out, line, odd);
            memmove(line, line + odd, kept -= odd);
            out += odd;
        }
        size_t full = kept / LINE * LINE;
        j->kernels->copy_nontemporal(out, line, full);
        out += full;
        memcpy(line, line + full, kept -= full);
    }
    memcpy(out, line, kept);
    j->kernels->fence();
}

static void fill_groups(reader *r, const job *j, char *out, size_t groups) {
    const size_t bytes_per_draw = j->group.values * j->itemsize / j->group.draws;
    const int fused = j->random && r->read == read_lanes, aligned = (uintptr_t)out % LINE == 0;
    size_t left = groups * j->group.draws;
    const int nontemporal = j->params->nontemporal;
    if (nontemporal && !(aligned && (fused || j->nontemporal))) {
        blocks_nontemporal(r, j, out, left, bytes_per_draw);
        return;
    }
    if (fused) {
        const size_t n = left / FI_LANES * FI_LANES;
        j->random[nontemporal](out, n, &r->lanes);
        out += n * bytes_per_draw;
        left -= n;
    }
    fi_transform *transform = nontemporal && !fused ? j->nontemporal : j->transform;
    for (size_t n; left; left -= n, out += n * bytes_per_draw) {
        n = left < FI_BLOCK ? left : FI_BLOCK;
        make_block(r, j, transform, out, n);
    }
    if (nontemporal) j->kernels->fence();
}

/* Writes values [skip, skip + n) of group `first`. */
static void part_at(const job *j, const fi_pcg64 *generator, char *out, size_t first, size_t skip, size_t n) {
    reader r;
    init_reader(&r, j->kernels, generator, first * j->group.draws, j->group.draws);
    part_of_group(&r, j, out, skip, n);
}

FI_NOT_INLINED void fill(const job *j, const fi_pcg64 *generator, char *out, size_t start, size_t n) {
    reader r;
    const size_t per = j->group.values, draws = j->group.draws, bytes = per * j->itemsize;
    if (j->group.buffered && generator->has_uint32 && n) {
        if (start == 0) {
            uint64_t draw = generator->uinteger, values[2];
            j->transform(values, &draw, 1, j->params);
            memcpy(out, values, j->itemsize);
            out += j->itemsize;
            n--;
        } else {
            start--;
        }
    }
    size_t first = start / per;
    if (start % per && n) {
        part_at(j, generator, out, first++, start % per, 1);
        out += j->itemsize;
        n--;
    }
    const size_t last = first + n / per;
    if (j->params->nontemporal) /* start at a cache line */
        for (; first < last && -(uintptr_t)out % LINE >= bytes; out += bytes)
            part_at(j, generator, out, first++, 0, per);
    if (first < last) {
        init_reader(&r, j->kernels, generator, first * draws, (last - first) * draws);
        fill_groups(&r, j, out, last - first);
    }
    if (n % per) part_at(j, generator, out + (last - first) * bytes, last, 0, n % per);
}

void fi_fill(const fi_kernels *kernels, const fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype,
             const fi_params *params, void *out, size_t start, size_t n) {
    job j = job_of(kernels, dist, dtype, params);
    fi_raw *const *random = kernels->random[generator->variant][dtype];
    if (dist == FI_UNIFORM && params->loc == 0 && params->scale == 1 && random[0]) j.random = random;
    FI_UNDER_DEFAULT_FP(fill(&j, generator, out, start, n));
}

FI_NOT_INLINED void fill_doubles(const fi_source *source, const fi_params *params, double *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = params->loc + params->scale * source->next_double(source->state);
}

FI_NOT_INLINED void fill_from(reader *r, const job *j, char *out, size_t n) {
    const size_t groups = n / j->group.values, rest = n % j->group.values;
    fill_groups(r, j, out, groups);
    if (rest) part_of_group(r, j, out + groups * j->group.values * j->itemsize, 0, rest);
}

void fi_fill_from(const fi_kernels *kernels, const fi_source *source, enum fi_dist dist, enum fi_dtype dtype,
                  const fi_params *params, void *out, size_t n) {
    job j = job_of(kernels, dist, dtype, params);
    reader r = {.read = j.group.buffered ? read_uint32 : read_uint64, .source = source, .words = n};
    if (dist == FI_UNIFORM && dtype == FI_F64)
        FI_UNDER_DEFAULT_FP(fill_doubles(source, params, out, n));
    else
        FI_UNDER_DEFAULT_FP(fill_from(&r, &j, out, n));
}

void fi_consume(fi_pcg64 *generator, enum fi_dist dist, enum fi_dtype dtype, size_t n) {
    const fi_group g = group_of(dist, dtype);
    if (g.buffered)
        fi_skip32(generator, n);
    else if (n)
        fi_advance(generator, (n + g.values - 1) / g.values * g.draws);
}

void fi_draws(const fi_kernels *kernels, const fi_pcg64 *generator, void *out, size_t start, size_t n) {
    fi_pcg64 g = *generator;
    fi_lanes lanes;
    uint64_t draws[FI_LANES];
    const size_t rest = n % FI_LANES;
    char *to = out;
    if (start) fi_advance(&g, start);
    if (n < FEW_DRAWS) {
        for (size_t i = 0; i < n; i++) draws[0] = fi_next64(&g), memcpy(to + i * 8, draws, 8);
        return;
    }
    kernels->init_lanes(&lanes, &g);
    kernels->raw[g.variant](out, n - rest, &lanes);
    kernels->raw[g.variant](draws, FI_LANES, &lanes);
    memcpy(to + (n - rest) * 8, draws, rest * 8);
}

/* The part of checkkernels.c on fills: in one go by the baseline, which every other way of asking must equal.
 */
#ifndef FASTINIT_CHECK_FILLS_H
#define FASTINIT_CHECK_FILLS_H
#include "harness.h"

/* The bytes of a non-temporal fill: many blocks, and more than the values before the first cache line. */
#define LARGE (((size_t)1 << 18) + 1000)
#define LINE ((size_t)64)

static fi_group group_of(enum fi_dist dist, enum fi_dtype dtype) {
    return dtype == FI_F64 ? fi_dist_info[dist].wide : fi_dist_info[dist].narrow;
}

/* Every other way to make a fill must equal a single call of the baseline. */
static void check_fill(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
    static _Alignas(64) unsigned char wanted[BUFFER];
    size_t size = fi_itemsize(dtype), n = any_size(BUFFER / 2 / size),
           start = (size_t)(rnd() >> (8 + below(56)));
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), before = g;
    if (!checking(k, "fill", fi_dist_info[dist].name, fi_dtype_info[dtype].tag, n)) return;
    fi_params p = now.params = any_params(dist, dtype);
    fi_fill(baseline, &g, dist, dtype, &p, wanted, start, n);

    p.nontemporal = !timing && below(2); /* whatever the size */
    unsigned char *result = place(out, n * size, size);
    now.offset = (uintptr_t)result % 64;
    fi_fill(k, &g, dist, dtype, &p, result, start, n);
    untouched(out, result, n * size);
    same("differs from the baseline", result, wanted, n, size);

    result = place(out, n * size, size);
    for (size_t done = 0; done < n;) {
        size_t piece = 1 + below(below(2) ? 7 : n - done);
        piece = piece > n - done ? n - done : piece;
        fi_fill(k, &g, dist, dtype, &p, result + done * size, start + done, piece);
        done += piece;
    }
    untouched(out, result, n * size);
    same("cut into pieces differs from one fill", result, wanted, n, size);

    if (memcmp(&g, &before, sizeof g) != 0) fail("moved the generator", 0, NULL, NULL, 0);
    if (timing) {
        n = BUFFER / 2 / size;
        result = place(out, n * size, 64);
        BENCH(n, fi_fill(k, &g, dist, dtype, &p, result, 0, n));
    }
}

/* The next values continue from the position that fi_consume sets. */
static void check_consume(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
    static _Alignas(64) unsigned char wanted[BUFFER];
    size_t size = fi_itemsize(dtype), n = below(2000), skip = below(2000);
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), moved = g;
    const bool paired = group_of(dist, dtype).values == 2 && !group_of(dist, dtype).buffered;
    if (!checking(k, "consume", fi_dist_info[dist].name, fi_dtype_info[dtype].tag, skip)) return;
    fi_params p = now.params = any_params(dist, dtype);
    fi_consume(&moved, dist, dtype, skip);
    unsigned char *result = place(out, n * size, size);
    fi_fill(k, &moved, dist, dtype, &p, result, 0, n);
    fi_fill(k, &g, dist, dtype, &p, wanted, paired ? skip + skip % 2 : skip, n);
    same("does not go on where the fill ended", result, wanted, n, size);
}

static uint64_t source64(void *g) { return fi_next64(g); }
static uint32_t source32(void *g) { return fi_next32(g); }
static double source_double(void *g) { return fi_next_double(g); }

/* A foreign source over a PCG64 gives the PCG64's values, and ends at its position. */
static void check_fill_from(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
    static _Alignas(64) unsigned char wanted[BUFFER];
    size_t size = fi_itemsize(dtype), n = any_size(3000);
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), foreign = g;
    fi_source source = {&foreign, source64, source32, source_double};
    if (!checking(k, "fill_from", fi_dist_info[dist].name, fi_dtype_info[dtype].tag, n)) return;
    fi_params p = now.params = any_params(dist, dtype);
    fi_fill(baseline, &g, dist, dtype, &p, wanted, 0, n);
    p.nontemporal = (int)below(2);
    unsigned char *result = place(out, n * size, size);
    fi_fill_from(k, &source, dist, dtype, &p, result, n);
    untouched(out, result, n * size);
    same("differs from the fill", result, wanted, n, size);
    fi_consume(&g, dist, dtype, n);
    if (foreign.state != g.state || foreign.has_uint32 != g.has_uint32 ||
        (g.has_uint32 && foreign.uinteger != g.uinteger))
        fail("leaves its source elsewhere than fi_consume", 0, NULL, NULL, 0);
}

/* Elements with their own arguments equal those of fills of one, from a generator and from a source. */
static void check_fill_each(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
    enum { MOST = 1500 };
    static unsigned char wanted[MOST * sizeof(double)];
    static double columns[FI_PARAMETERS][MOST];
    const double *const arguments[] = {columns[0], columns[1], columns[2], columns[3]};
    size_t size = fi_itemsize(dtype), n = any_size(MOST);
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), here = g, foreign = g;
    fi_source source = {&foreign, source64, source32, source_double};
    if (dist == FI_NORMAL || !checking(k, "fill_each", fi_dist_info[dist].name, fi_dtype_info[dtype].tag, n))
        return;
    for (size_t i = 0; i < n; i++) {
        double own[FI_PARAMETERS];
        any_arguments(dist, dtype, own);
        if (i && below(2)) own[0] = columns[0][i - 1], own[1] = columns[1][i - 1];
        for (size_t j = 0; j < FI_PARAMETERS; j++) columns[j][i] = own[j];
        fi_params p = now.params = params_of(dist, dtype, own);
        fi_fill(baseline, &g, dist, dtype, &p, wanted + i * size, 0, 1);
        fi_consume(&g, dist, dtype, 1);
    }
    unsigned char *result = place(out, n * size, 1);
    fi_fill_each(k, &here, NULL, dist, dtype, arguments, result, n);
    untouched(out, result, n * size);
    same("differs from fills of one element", result, wanted, n, size);
    if (here.state != g.state || here.has_uint32 != g.has_uint32)
        fail("leaves its generator elsewhere", 0, NULL, NULL, 0);
    result = place(out, n * size, 1);
    fi_fill_each(k, NULL, &source, dist, dtype, arguments, result, n);
    untouched(out, result, n * size);
    same("from a source differs from fills of one element", result, wanted, n, size);
}

/* Raw draws at any position, and the rows that are NumPy's own, against the scalar generator. */
static void check_plain(const fi_kernels *k, guarded out) {
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), scalar = g;
    size_t n = any_size(3000), start = below(3000);
    fi_params p;
    union {
        uint64_t u64[3000];
        double f64[3000];
        float f32[3000];
    } wanted = {{0}};

    if (!checking(k, "plain", "", "", n)) return;
    fi_advance(&scalar, start);
    for (size_t i = 0; i < n; i++) wanted.u64[i] = fi_next64(&scalar);
    unsigned char *result = place(out, n * 8, 8);
    now.offset = (uintptr_t)result % 64;
    fi_draws(k, &g, (uint64_t *)result, start, n);
    untouched(out, result, n * 8);
    same("draws differ from the scalar generator's", result, wanted.u64, n, 8);

    p = usual_params(FI_UNIFORM, FI_F64);
    fi_fill(k, &g, FI_UNIFORM, FI_F64, &p, result, start, n);
    for (size_t i = 0; i < n; i++) wanted.f64[i] = (double)(wanted.u64[i] >> 11) * 0x1p-53;
    same("random f64 differs from NumPy's", result, wanted.f64, n, 8);

    p = usual_params(FI_UNIFORM, FI_F32);
    fi_fill(k, &g, FI_UNIFORM, FI_F32, &p, result, start, n);
    scalar = g;
    for (size_t i = 0; i < start + n; i++) {
        float value = (float)(fi_next32(&scalar) >> 8) * 0x1p-24f;
        if (i >= start) wanted.f32[i - start] = value;
    }
    same("random f32 differs from NumPy's", result, wanted.f32, n, 4);
}

/* ---- larger than a cache, and under another program's floating-point modes ---- */

/* Whole fills: first up to the end of a line, then past the cache, by way of a block in it or straight. From
 * every element of a line on where a kernel does the latter. From a foreign source nothing comes first. */
static void check_large(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
    const size_t size = fi_itemsize(dtype), n = LARGE / size - below(100);
    if (!checking(k, "large", fi_dist_info[dist].name, fi_dtype_info[dtype].tag, n)) return;
    unsigned char *wanted = malloc((n + 1) * size);
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS));
    if (wanted == NULL) exit(2);
    const bool straight =
        k->nontemporal[dist][dtype] || (dist == FI_UNIFORM && k->random[g.variant][dtype][1]);
    const size_t first = straight ? 0 : below(LINE / size) * size, step = straight ? size : LINE;
    fi_params p = now.params = usual_params(dist, dtype);
    fi_fill(baseline, &g, dist, dtype, &p, wanted, 0, n + 1);
    p.nontemporal = 1;
    for (now.offset = first; now.offset < LINE; now.offset += step) {
        const size_t start = below(2);
        unsigned char *result = out.data + LINE + now.offset;
        memset(out.data, CANARY, out.bytes);
        fi_fill(k, &g, dist, dtype, &p, result, start, n);
        untouched(out, result, n * size);
        same("differs from the baseline", result, wanted + start * size, n, size);
        if (now.offset > first + size) continue;
        fi_pcg64 foreign = g;
        memset(out.data, CANARY, out.bytes);
        fi_fill_from(k, &(fi_source){&foreign, source64, source32, source_double}, dist, dtype, &p, result,
                     n);
        untouched(out, result, n * size);
        same("from a source differs from the baseline", result, wanted, n, size);
    }
    free(wanted);
}

static void check_modes(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
#ifdef HOSTILE
    static _Alignas(64) unsigned char wanted[BUFFER];
    size_t size = fi_itemsize(dtype), n = any_size(3000), start = below(3000);
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), foreign = g;
    fi_source source = {&foreign, source64, source32, source_double};
    if (!checking(k, "modes", fi_dist_info[dist].name, fi_dtype_info[dtype].tag, n)) return;
    fi_params p = now.params = any_params(dist, dtype);
    fi_fill(baseline, &g, dist, dtype, &p, wanted, 0, start + n);
    unsigned char *result = place(out, n * size, size), *whole = place(out, (start + n) * size, size);

    uint64_t quiet = fp_modes(), hostile = HOSTILE[below(3)];
    set_fp_modes(hostile);
    fi_fill(k, &g, dist, dtype, &p, result, start, n);
    bool kept = fp_modes() == hostile;
    set_fp_modes(quiet);
    same("depends on the floating-point modes", result, wanted + start * size, n, size);

    set_fp_modes(hostile);
    fi_fill_from(k, &source, dist, dtype, &p, whole, start + n);
    kept &= fp_modes() == hostile;
    set_fp_modes(quiet);
    same("from a source depends on the floating-point modes", whole, wanted, start + n, size);
    if (!kept) fail("left the floating-point modes changed", 0, NULL, NULL, 0);
#else
    (void)k, (void)dist, (void)dtype, (void)out;
#endif
}
#endif

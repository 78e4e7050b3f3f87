/* Every kernel of every instruction set against the baseline's, bit for bit, then whole fills against
 * themselves cut into pieces. Buffers lie between guard pages, and what lies around the result must stay as
 * it was.
 *
 *     checkkernels [--seed N] [--rounds N] [--isa NAME] [--kernel PATTERN] [--bench]
 *
 * The first difference ends the run with exit status 1. --isa leaves out all others but the baseline.
 * --kernel takes a shell's pattern for the names that --bench prints. --bench times what was just checked. */
#include "activations.h"

/* Past the size from which fills are written around the cache, by more than is written before a line. */
#define LARGE (((size_t)8 << 20) + 1000)
#define LINE ((size_t)64)

/* ---- one kernel at a time ---- */

/* Values that so many draws make; a normal of float64 takes them in pairs. */
static size_t values_of(enum fi_dtype dtype, size_t draws) { return dtype == FI_F64 ? draws : 2 * draws; }

/* Seat and raw, in calls of several lengths, against the scalar generator. */
static void check_raw(const fi_kernels *k, enum fi_variant variant, guarded buffer) {
    static uint64_t wanted[4 * FI_BLOCK];
    fi_pcg64 g = any_generator(variant), scalar = g;
    fi_lanes lanes;
    k->seat(&lanes, &g);
    uint64_t *draws = NULL;
    for (int call = 0; call < 3; call++) {
        size_t n = below(4 * FI_BLOCK / FI_LANES + 1) * FI_LANES;
        if (!checking(k, "raw", variant_name[variant], "", n)) return;
        draws = (uint64_t *)place(buffer, n * 8, 64);
        for (size_t i = 0; i < n; i++) wanted[i] = fi_next64(&scalar);
        k->raw[variant](draws, n, &lanes);
        same("differs from the scalar generator", draws, wanted, n, 8);
        untouched(buffer, (unsigned char *)draws, n * 8);
    }
    if (timing) {
        draws = (uint64_t *)place(buffer, FI_BLOCK * 8, 64);
        BENCH(FI_BLOCK, k->raw[variant](draws, FI_BLOCK, &lanes));
    }
}

/* Raw and uniform(0, 1) in one against the baseline's in turn. */
static void check_random(const fi_kernels *k, enum fi_variant variant, enum fi_dtype dtype, bool streamed,
                         guarded out) {
    static uint64_t draws[4 * FI_BLOCK], wanted[4 * FI_BLOCK];
    fi_raw *random = k->random[variant][dtype][streamed];
    if (random == NULL) return;
    size_t size = fi_itemsize(dtype), align = streamed ? LINE : size;
    fi_params p = usual_params(FI_UNIFORM, dtype);
    fi_pcg64 g = any_generator(variant);
    fi_lanes lanes, plain;
    k->seat(&lanes, &g);
    baseline->seat(&plain, &g);
    for (int call = 0; call < 3; call++) {
        size_t n = below(4 * FI_BLOCK / FI_LANES + 1) * FI_LANES;
        if (!checking(k, streamed ? "streamed_random" : "random", variant_name[variant], dtype_name[dtype],
                      n))
            return;
        unsigned char *result = place(out, n * 8, align);
        now.offset = (uintptr_t)result % LINE;
        random(result, n, &lanes);
        k->fence();
        untouched(out, result, n * 8);
        baseline->raw[variant](draws, n, &plain);
        baseline->transform[FI_UNIFORM][dtype](wanted, draws, n, &p);
        same("differs from the baseline", result, wanted, n * 8 / size, size);
    }
    if (timing) BENCH(FI_BLOCK * 8 / size, random(out.data, FI_BLOCK, &lanes));
}

static void check_transform(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, bool streamed,
                            guarded in, guarded out) {
    static _Alignas(64) unsigned char wanted[FI_BLOCK * 8];
    fi_transform *transform = streamed ? k->streamed[dist][dtype] : k->transform[dist][dtype];
    if (transform == NULL) return;
    size_t size = fi_itemsize(dtype), draws = timing ? FI_BLOCK : any_size(FI_BLOCK);
    if (dist == FI_NORMAL && dtype == FI_F64) draws &= ~(size_t)1;
    size_t n = values_of(dtype, draws);
    if (!checking(k, dist_name[dist], streamed ? "streamed" : "", dtype_name[dtype], n)) return;
    now.params = any_params(dist, dtype);
    uint64_t *source = (uint64_t *)place(in, draws * 8, 8);
    for (size_t i = 0; i < draws; i++) source[i] = timing ? rnd() : any_draw();
    unsigned char *result = place(out, n * size, streamed ? LINE : size);
    now.offset = (uintptr_t)result % LINE;
    transform(result, source, draws, &now.params);
    k->fence();
    untouched(out, result, n * size);
    baseline->transform[dist][dtype](wanted, source, draws, &now.params);
    same("differs from the baseline", result, wanted, n, size);
    if (timing) BENCH(n, transform(result, source, draws, &now.params));
}

/* A normal is loc + scale z, whatever a kernel leaves out where it takes loc for nothing. Which NaN comes out
 * is not promised. */
static void check_scaled(const fi_kernels *k, enum fi_dtype dtype, bool streamed) {
    static const double locs[] = {0, -0.0, 1.5, -0x1p-130, 0x1p-1070, INFINITY, NAN};
    static const double scales[] = {1,       0,        -0.0,     -3,        0x1p-64,  0x1.fffffep-65,
                                    0x1p-66, 0x1p-120, 0x1p-149, 0x1p-1060, INFINITY, NAN};
    static union {
        _Alignas(64) float f32[2 * FI_LANES];
        double f64[FI_LANES];
    } z, got, wanted;
    fi_transform *transform = streamed ? k->streamed[FI_NORMAL][dtype] : k->transform[FI_NORMAL][dtype];
    if (transform == NULL) return;
    uint64_t draws[FI_LANES];
    size_t n = values_of(dtype, FI_LANES);
    for (size_t i = 0; i < FI_LANES; i++) draws[i] = any_draw();
    fi_params p = usual_params(FI_NORMAL, dtype);
    baseline->transform[FI_NORMAL][dtype](&z, draws, FI_LANES, &p);
    if (!checking(k, "scaled_normal", streamed ? "streamed" : "", dtype_name[dtype], n)) return;
    for (size_t a = 0; a < COUNT(locs) * COUNT(scales); a++) {
        double loc = locs[a % COUNT(locs)], scale = scales[a / COUNT(locs)];
        fi_normal(&now.params, loc, scale);
        transform(&got, draws, FI_LANES, &now.params);
        k->fence();
#define SCALE(type, member)                                                                                  \
    for (size_t i = 0; i < n; i++) {                                                                         \
        wanted.member[i] = (type)loc + (type)scale * z.member[i];                                            \
        if (isnan(wanted.member[i]) && isnan(got.member[i])) wanted.member[i] = got.member[i];               \
    }
        if (dtype == FI_F32)
            SCALE(float, f32)
        else
            SCALE(double, f64)
#undef SCALE
        same("is not loc + scale z", &got, &wanted, n, fi_itemsize(dtype));
    }
}

static void check_stream(const fi_kernels *k, guarded in, guarded out) {
    size_t n = below(BUFFER / 2 / 64) * 64;
    if (!checking(k, "stream", "", "", n)) return;
    unsigned char *source = place(in, n, 1), *result = place(out, n, 64);
    for (size_t i = 0; i < n; i++) source[i] = (unsigned char)rnd();
    k->stream(result, source, n);
    untouched(out, result, n);
    same("is not a copy", result, source, n, 1);
    if (timing) BENCH(BUFFER, k->stream(out.data, in.data, BUFFER));
}

/* ---- whole fills ---- */

/* A fill in one go by the baseline is what every other way of asking must give. */
static void check_fill(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
    static _Alignas(64) unsigned char wanted[BUFFER];
    size_t size = fi_itemsize(dtype), n = any_size(BUFFER / 2 / size),
           start = (size_t)(rnd() >> (8 + below(56)));
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), before = g;
    if (!checking(k, "fill", dist_name[dist], dtype_name[dtype], n)) return;
    fi_params p = now.params = any_params(dist, dtype);
    fi_fill(baseline, &g, dist, dtype, &p, wanted, start, n);

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

/* Where fi_consume leaves the generator, the next values go on. */
static void check_consume(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
    static _Alignas(64) unsigned char wanted[BUFFER];
    size_t size = fi_itemsize(dtype), n = below(2000), skip = below(2000);
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), moved = g;
    if (!checking(k, "consume", dist_name[dist], dtype_name[dtype], skip)) return;
    fi_params p = now.params = any_params(dist, dtype);
    fi_consume(&moved, dist, dtype, skip);
    unsigned char *result = place(out, n * size, size);
    fi_fill(k, &moved, dist, dtype, &p, result, 0, n);
    fi_fill(k, &g, dist, dtype, &p, wanted, dist == FI_NORMAL ? skip + skip % 2 : skip, n);
    same("does not go on where the fill ended", result, wanted, n, size);
}

static uint64_t source64(void *g) { return fi_next64(g); }
static uint32_t source32(void *g) { return fi_next32(g); }
static double source_double(void *g) { return fi_next_double(g); }

/* A foreign source that happens to be a PCG64 gives a PCG64's values, and stands where it would. */
static void check_fill_from(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, guarded out) {
    static _Alignas(64) unsigned char wanted[BUFFER];
    size_t size = fi_itemsize(dtype), n = any_size(3000);
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS)), foreign = g;
    fi_source source = {&foreign, source64, source32, source_double};
    if (!checking(k, "fill_from", dist_name[dist], dtype_name[dtype], n)) return;
    fi_params p = now.params = any_params(dist, dtype);
    fi_fill(baseline, &g, dist, dtype, &p, wanted, 0, n);
    unsigned char *result = place(out, n * size, size);
    fi_fill_from(k, &source, dist, dtype, &p, result, n);
    untouched(out, result, n * size);
    same("differs from the fill", result, wanted, n, size);
    fi_consume(&g, dist, dtype, n);
    if (foreign.state != g.state || foreign.has_uint32 != g.has_uint32 ||
        (g.has_uint32 && foreign.uinteger != g.uinteger))
        fail("leaves its source elsewhere than fi_consume", 0, NULL, NULL, 0);
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

    fi_uniform(&p, FI_F64, 0, 1);
    fi_fill(k, &g, FI_UNIFORM, FI_F64, &p, result, start, n);
    for (size_t i = 0; i < n; i++) wanted.f64[i] = (double)(wanted.u64[i] >> 11) * 0x1p-53;
    same("random f64 differs from NumPy's", result, wanted.f64, n, 8);

    fi_uniform(&p, FI_F32, 0, 1);
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
    if (!checking(k, "large", dist_name[dist], dtype_name[dtype], n)) return;
    unsigned char *wanted = malloc((n + 1) * size);
    fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS));
    if (wanted == NULL) exit(2);
    const bool straight = k->streamed[dist][dtype] || (dist == FI_UNIFORM && k->random[g.variant][dtype][1]);
    const size_t first = straight ? 0 : below(LINE / size) * size, step = straight ? size : LINE;
    fi_params p = now.params = usual_params(dist, dtype);
    for (size_t done = 0, piece; done <= n; done += piece) { /* pieces too small to go past the cache */
        piece = n + 1 - done < 9999 ? n + 1 - done : 9999;
        fi_fill(baseline, &g, dist, dtype, &p, wanted + done * size, done, piece);
    }
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
    if (!checking(k, "modes", dist_name[dist], dtype_name[dtype], n)) return;
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

static void check_isa(const fi_kernels *k, int rounds, guarded in, guarded out, guarded large) {
    for (int round = 0; round < rounds; round++) {
        timing &= round == 0;
        for (int v = 0; v < FI_VARIANTS; v++) {
            enum fi_variant variant = (enum fi_variant)v;
            check_raw(k, variant, out);
            for (int t = 0; t < FI_DTYPES; t++)
                for (int streamed = 0; streamed < 2; streamed++)
                    check_random(k, variant, (enum fi_dtype)t, streamed, out);
        }
        for (int streamed = 0; streamed < 2; streamed++) {
            check_scaled(k, FI_F32, streamed);
            check_scaled(k, FI_F64, streamed);
        }
        check_stream(k, in, out);
        check_plain(k, out);
        for (int op = 0; op < FI_ACTIVATIONS; op++)
            for (int t = 0; t < FI_DTYPES; t++)
                for (int streamed = 0; streamed < 2; streamed++)
                    if (round == 0 || below(8) == 0)
                        check_activation(k, (enum fi_activation_op)op, (enum fi_dtype)t, streamed, in, out);
        for (int d = 0; d < FI_DISTS; d++)
            for (int t = 0; t < FI_DTYPES; t++) {
                enum fi_dist dist = (enum fi_dist)d;
                enum fi_dtype dtype = (enum fi_dtype)t;
                check_transform(k, dist, dtype, false, in, out);
                check_transform(k, dist, dtype, true, in, out);
                check_fill(k, dist, dtype, out);
                check_consume(k, dist, dtype, out);
                check_fill_from(k, dist, dtype, out);
                check_modes(k, dist, dtype, out);
                if (round == 0 && dist != FI_TRUNCATED_NORMAL) check_large(k, dist, dtype, large);
            }
    }
}

int main(int argc, char **argv) {
    uint64_t seed = (uint64_t)time(NULL);
    int rounds = 200;
    const char *isa = NULL;
    bool bench = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            bench = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "--isa") == 0 && i + 1 < argc)
            isa = argv[++i];
        else if (strcmp(argv[i], "--kernel") == 0 && i + 1 < argc)
            pattern = argv[++i];
        else {
            fprintf(
                stderr,
                "usage: checkkernels [--seed N] [--rounds N] [--isa NAME] [--kernel PATTERN] [--bench]\n");
            return 2;
        }
    }
    if (isa != NULL && fi_select(isa) == NULL) {
        fprintf(stderr, "checkkernels: %s is not in this build, or not on this CPU\n", isa);
        return 2;
    }
    baseline = fi_select("baseline");
    guarded in = guard(BUFFER), out = guard(BUFFER), large = guard(LARGE + 2 * LINE);
    signal(SIGSEGV, caught);
    signal(SIGILL, caught);
    printf("checkkernels --seed %" PRIu64 " --rounds %d --kernel '%s'\n", seed, rounds, pattern);
    int built, supported;
    const char *name;
    for (int i = 0; (name = fi_isa(i, &built, &supported)) != NULL; i++) {
        if (isa != NULL && strcmp(name, isa) != 0 && strcmp(name, "baseline") != 0) continue;
        if (!built || !supported) {
            printf("%-12s %s\n", name, built ? "not on this CPU" : "not in this build");
            continue;
        }
        splitmix_state = seed;
        timing = bench;
        check_isa(fi_select(name), rounds, in, out, large);
        if (matched == 0) {
            fprintf(stderr, "checkkernels: no kernel's name is like %s\n", pattern);
            return 2;
        }
        printf("%-12s ok\n", name);
    }
    return 0;
}

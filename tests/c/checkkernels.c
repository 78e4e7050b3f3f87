/* Every kernel of every instruction set against the baseline's, bit for bit, then whole fills against
 * themselves cut into pieces. Buffers lie between guard pages, and what lies around the result must stay as
 * it was.
 *
 *     checkkernels [--seed N] [--rounds N] [--isa NAME] [--kernel PATTERN] [--bench]
 *
 * The first difference ends the run with exit status 1. --isa leaves out all others but the baseline.
 * --kernel takes a shell's pattern for the names that --bench prints. --bench times what was just checked. */
#include "activations.h"
#include "attempts.h"
#include "fills.h"

/* The number of values from n draws. */
static size_t values_of(enum fi_dtype dtype, size_t draws) { return dtype == FI_F64 ? draws : 2 * draws; }

/* Lanes and raw draws, in calls of several lengths, against the scalar generator. */
static void check_raw(const fi_kernels *k, enum fi_variant variant, guarded buffer) {
    static uint64_t wanted[4 * FI_BLOCK];
    fi_pcg64 g = any_generator(variant), scalar = g;
    fi_lanes lanes;
    k->init_lanes(&lanes, &g);
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

/* The fused raw and uniform(0, 1) kernels against the baseline's two kernels. */
static void check_random(const fi_kernels *k, enum fi_variant variant, enum fi_dtype dtype, bool nontemporal,
                         guarded out) {
    static uint64_t draws[4 * FI_BLOCK], wanted[4 * FI_BLOCK];
    fi_raw *random = k->random[variant][dtype][nontemporal];
    if (random == NULL) return;
    size_t size = fi_itemsize(dtype), align = nontemporal ? LINE : size;
    fi_params p = usual_params(FI_UNIFORM, dtype);
    fi_pcg64 g = any_generator(variant);
    fi_lanes lanes, plain;
    k->init_lanes(&lanes, &g);
    baseline->init_lanes(&plain, &g);
    for (int call = 0; call < 3; call++) {
        size_t n = below(4 * FI_BLOCK / FI_LANES + 1) * FI_LANES;
        if (!checking(k, nontemporal ? "nontemporal_random" : "random", variant_name[variant],
                      fi_dtype_info[dtype].tag, n))
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

static void check_transform(const fi_kernels *k, enum fi_dist dist, enum fi_dtype dtype, bool nontemporal,
                            guarded in, guarded out) {
    static _Alignas(64) unsigned char wanted[FI_BLOCK * 8];
    fi_transform *transform = nontemporal ? k->nontemporal[dist][dtype] : k->transform[dist][dtype];
    if (transform == NULL) return;
    size_t size = fi_itemsize(dtype), draws = timing ? FI_BLOCK : any_size(FI_BLOCK);
    draws -= draws % group_of(dist, dtype).draws;
    size_t n = values_of(dtype, draws);
    if (!checking(k, fi_dist_info[dist].name, nontemporal ? "nontemporal" : "", fi_dtype_info[dtype].tag, n))
        return;
    now.params = any_params(dist, dtype);
    uint64_t *source = (uint64_t *)place(in, draws * 8, 8);
    for (size_t i = 0; i < draws; i++) source[i] = timing ? rnd() : any_draw();
    unsigned char *result = place(out, n * size, nontemporal ? LINE : size);
    now.offset = (uintptr_t)result % LINE;
    transform(result, source, draws, &now.params);
    k->fence();
    untouched(out, result, n * size);
    baseline->transform[dist][dtype](wanted, source, draws, &now.params);
    same("differs from the baseline", result, wanted, n, size);
    if (timing) BENCH(n, transform(result, source, draws, &now.params));
}

/* A normal is loc + scale z, even in a kernel that omits a loc of 0. The bits of a NaN are not promised. */
static void check_scaled(const fi_kernels *k, enum fi_dtype dtype, bool nontemporal) {
    static const double locs[] = {0, -0.0, 1.5, -0x1p-130, 0x1p-1070, INFINITY, NAN};
    static const double scales[] = {1,       0,        -0.0,     -3,        0x1p-64,  0x1.fffffep-65,
                                    0x1p-66, 0x1p-120, 0x1p-149, 0x1p-1060, INFINITY, NAN};
    static union {
        _Alignas(64) float f32[2 * FI_LANES];
        double f64[FI_LANES];
    } z, got, wanted;
    fi_transform *transform = nontemporal ? k->nontemporal[FI_NORMAL][dtype] : k->transform[FI_NORMAL][dtype];
    if (transform == NULL) return;
    uint64_t draws[FI_LANES];
    size_t n = values_of(dtype, FI_LANES);
    for (size_t i = 0; i < FI_LANES; i++) draws[i] = any_draw();
    fi_params p = usual_params(FI_NORMAL, dtype);
    baseline->transform[FI_NORMAL][dtype](&z, draws, FI_LANES, &p);
    if (!checking(k, "scaled_normal", nontemporal ? "nontemporal" : "", fi_dtype_info[dtype].tag, n)) return;
    for (size_t a = 0; a < COUNT(locs) * COUNT(scales); a++) {
        double loc = locs[a % COUNT(locs)], scale = scales[a / COUNT(locs)];
        now.params = params_of(FI_NORMAL, dtype, (double[]){loc, scale});
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

static void check_copy(const fi_kernels *k, guarded in, guarded out) {
    size_t n = below(BUFFER / 2 / 64) * 64;
    if (!checking(k, "copy_nontemporal", "", "", n)) return;
    unsigned char *source = place(in, n, 1), *result = place(out, n, 64);
    for (size_t i = 0; i < n; i++) source[i] = (unsigned char)rnd();
    k->copy_nontemporal(result, source, n);
    untouched(out, result, n);
    same("is not a copy", result, source, n, 1);
    if (timing) BENCH(BUFFER, k->copy_nontemporal(out.data, in.data, BUFFER));
}

static void check_isa(const fi_kernels *k, int rounds, guarded in, guarded out, guarded large) {
    for (int round = 0; round < rounds; round++) {
        timing &= round == 0;
        for (int v = 0; v < FI_VARIANTS; v++) {
            enum fi_variant variant = (enum fi_variant)v;
            check_raw(k, variant, out);
            for (int t = 0; t < FI_DTYPES; t++)
                for (int nontemporal = 0; nontemporal < 2; nontemporal++)
                    check_random(k, variant, (enum fi_dtype)t, nontemporal, out);
        }
        for (int nontemporal = 0; nontemporal < 2; nontemporal++) {
            check_scaled(k, FI_F32, nontemporal);
            check_scaled(k, FI_F64, nontemporal);
        }
        check_copy(k, in, out);
        check_plain(k, out);
        for (int op = 0; op < FI_ACTIVATIONS; op++)
            for (int t = 0; t < FI_DTYPES; t++)
                for (int nontemporal = 0; nontemporal < 2; nontemporal++)
                    if (round == 0 || below(8) == 0)
                        check_activation(k, (enum fi_activation_op)op, (enum fi_dtype)t, nontemporal, in,
                                         out);
        for (int a = 0; a < FI_ATTEMPTS; a++) {
            check_attempt(k, (enum fi_attempt)a, in, out);
            check_attempt_fill(k, (enum fi_attempt)a, out);
        }
        for (int t = 0; t < FI_DTYPES; t++) check_affine(k, (enum fi_dtype)t, in, out);
        for (int d = 0; d < FI_DISTS; d++)
            for (int t = 0; t < FI_DTYPES; t++) {
                enum fi_dist dist = (enum fi_dist)d;
                enum fi_dtype dtype = (enum fi_dtype)t;
                check_transform(k, dist, dtype, false, in, out);
                check_transform(k, dist, dtype, true, in, out);
                check_fill(k, dist, dtype, out);
                check_consume(k, dist, dtype, out);
                check_fill_from(k, dist, dtype, out);
                check_fill_each(k, dist, dtype, out);
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
    const fi_kernels *built;
    int supported;
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

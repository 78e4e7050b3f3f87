/* What checkkernels.c stands on: repeatable randomness, parameters, buffers between guard pages, a report of
 * the first difference, a stopwatch. */
#ifndef FASTINIT_HARNESS_H
#define FASTINIT_HARNESS_H
#include "fastinit.h"
#include "pcg64.h"
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CANARY 0xA5
#define BUFFER ((size_t)1 << 17)

static const fi_kernels *baseline;
static const char *const variant_name[] = {"xsl_rr", "dxsm"};
/* ---- randomness: splitmix64, so that --seed gives a run back ---- */

static uint64_t splitmix_state;

static uint64_t rnd(void) {
    uint64_t z = splitmix_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t below(size_t n) { return (size_t)(rnd() % n); }
static double unit(void) { return (double)(rnd() >> 11) * 0x1p-53; }

static fi_pcg64 any_generator(enum fi_variant variant) {
    fi_pcg64 g = {.variant = (uint16_t)variant};
    fi_seed(&g, (uint64_t[]){rnd(), rnd(), rnd(), rnd()});
    g.has_uint32 = rnd() & 1;
    g.uinteger = g.has_uint32 ? (uint32_t)rnd() : 0;
    return g;
}

/* Random words, often at an end of the range, which reach the branches of ln and of the tails. */
static uint64_t any_draw(void) {
    static const uint32_t edge[] = {0,          1,          255,        256,        0x7fffffff,
                                    0x80000000, 0xfffffeff, 0xffffff80, 0xfffffffe, 0xffffffff};
    uint64_t d = rnd();
    switch (below(8)) {
    case 0: return (d & 0xffffffff00000000u) | edge[below(COUNT(edge))];
    case 1: return (d & 0xffffffff) | (uint64_t)edge[below(COUNT(edge))] << 32;
    case 2: return (uint64_t)edge[below(COUNT(edge))] << 32 | edge[below(COUNT(edge))];
    case 3: return d >> below(64);
    case 4: return ~(d >> below(64));
    default: return d;
    }
}

static size_t any_size(size_t most) {
    static const size_t about[] = {FI_LANES, 2 * FI_LANES, FI_BLOCK, 2 * FI_BLOCK, 3 * FI_BLOCK};
    size_t n;
    switch (below(4)) {
    case 0: n = below(8); break;
    case 1: n = about[below(COUNT(about))] + below(5) - 2; break;
    default: n = below(most + 1);
    }
    return n > most ? most : n;
}

/* ---- parameters ---- */

static bool timing;

static double any_real(double most) {
    double x = (2 * unit() - 1) * ldexp(1, (int)below(280) - 150);
    return fabs(x) > most ? most * (2 * unit() - 1) : x;
}

static const double usual_arguments[FI_DISTS][FI_PARAMETERS] = {
    [FI_UNIFORM] = {0, 1}, [FI_NORMAL] = {0, 1}, [FI_TRUNCATED_NORMAL] = {-2, 2, 0, 1}};

static fi_params params_of(enum fi_dist dist, enum fi_dtype dtype, const double *arguments) {
    fi_params p;
    if (fi_prepare(&p, NULL, dist, dtype, arguments)) {
        printf("FAIL %s_%s: parameters %a, %a refused\n", fi_dist_info[dist].name, fi_dtype_info[dtype].tag,
               arguments[0], arguments[1]);
        exit(1);
    }
    return p;
}

/* Common parameters; 0 and 1 for a distribution that is not listed above. */
static fi_params usual_params(enum fi_dist dist, enum fi_dtype dtype) {
    static const double standard[FI_PARAMETERS] = {0, 1};
    const double *usual = usual_arguments[dist];
    return params_of(dist, dtype, usual[0] == 0 && usual[1] == 0 ? standard : usual);
}

static fi_params any_params(enum fi_dist dist, enum fi_dtype dtype) {
    static const double bounds[][2] = {
        {-2, 2},        {8, 9},      {-9, -8},   {-INFINITY, 3}, {3, 3.0000001}, {-INFINITY, INFINITY},
        {0, INFINITY},  {30, 31},    {-40, -39}, {-0.01, 0.02},  {1, 1},         {-6, 12},
        {-6, -0x1p-10}, {-2, -1e-9}, {-0.0, 0}};
    static const double most[] = {65504, 0x1.fep127, 0x1.fffffep127, 0x1.fffffffffffffp1023};
    double a = any_real(most[dtype]), b = any_real(most[dtype]);
    if (timing) return usual_params(dist, dtype); /* so that two runs compare */
    switch (dist) {
    case FI_UNIFORM:
        switch (below(6)) {
        case 0: a = 0, b = 1; break;
        case 1: b = a * (1 + 0x1p-22 * (double)below(40)); break; /* a few values wide, or none */
        case 2: a = -most[dtype] / 2, b = most[dtype] / 2; break;
        case 3: a = 0, b = ldexp(unit(), -140); break; /* subnormal */
        default: break;
        }
        return params_of(dist, dtype, (double[]){(a < b ? a : b) / 2, (a < b ? b : a) / 2});
    case FI_TRUNCATED_NORMAL: {
        const double *w = bounds[below(COUNT(bounds))];
        double low = w[0], high = w[1];
        if (below(2)) {
            low = (unit() * 2 - 1) * 12;
            high = low + ldexp(unit(), 3 - (int)below(20));
        }
        return params_of(dist, dtype, (double[]){low, high, below(2) ? 0 : a, below(2) ? 1 : fabs(b)});
    }
    default: return params_of(dist, dtype, (double[FI_PARAMETERS]){below(2) ? 0 : a, below(2) ? 1 : fabs(b)});
    }
}

/* ---- buffers between guard pages ---- */

typedef struct guarded {
    unsigned char *data; /* a page that may not be touched before it and another after */
    size_t bytes;        /* whole pages */
} guarded;

static guarded guard(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    bytes = (bytes + page - 1) / page * page;
    unsigned char *all = mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, bytes, PROT_READ | PROT_WRITE) != 0) {
        perror("guard pages");
        exit(2);
    }
    return (guarded){all + page, bytes};
}

/* Memory of `bytes` at a multiple of `align`, next to the guard page after it or near the one before. */
static unsigned char *place(guarded g, size_t bytes, size_t align) {
    memset(g.data, CANARY, g.bytes);
    return below(2) ? g.data + (g.bytes - bytes) / align * align : g.data + below(64) * align;
}

/* ---- what is being checked, and what is said when it fails ---- */

static struct {
    const char *isa;
    char kernel[64];
    size_t n, offset;
    fi_params params;
} now;

static const char *pattern = "*"; /* of the kernels to check */
static size_t matched;

/* Sets the name of the next check. Returns whether it is selected. */
static bool checking(const fi_kernels *k, const char *kind, const char *what, const char *dtype, size_t n) {
    now.isa = k->name;
    now.n = n;
    now.offset = 0;
    now.params = (fi_params){0};
    snprintf(now.kernel, sizeof now.kernel, "%s%s%s%s%s", kind, *what ? "_" : "", what, *dtype ? "_" : "",
             dtype);
    bool chosen = fnmatch(pattern, now.kernel, 0) == 0;
    matched += chosen;
    return chosen;
}

static void fail(const char *why, size_t element, const void *got, const void *wanted, size_t size) {
    printf("FAIL %s, %s: %s; size %zu, offset %zu, element %zu", now.kernel, now.isa, why, now.n, now.offset,
           element);
    if (size) {
        uint64_t a = 0, b = 0;
        memcpy(&a, got, size);
        memcpy(&b, wanted, size);
        printf(": %0*" PRIx64 ", not %0*" PRIx64, (int)size * 2, a, (int)size * 2, b);
    }
    printf("; loc %a, scale %a, least %a, most %a\n", now.params.loc, now.params.scale, now.params.least,
           now.params.most);
    exit(1);
}

/* Reports a kernel that hit a guard page, or an instruction that the CPU lacks. */
static void caught(int number) {
    signal(number, SIG_DFL);
    fail(strsignal(number), 0, NULL, NULL, 0);
}

static void same(const char *why, const void *got, const void *wanted, size_t n, size_t size) {
    if (n == 0 || memcmp(got, wanted, n * size) == 0) return;
    const char *a = got, *b = wanted;
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i * size, b + i * size, size) != 0) fail(why, i, a + i * size, b + i * size, size);
}

static void untouched(guarded g, const unsigned char *out, size_t bytes) {
    const size_t begin = (size_t)(out - g.data);
    for (size_t i = begin ? 0 : bytes; i < g.bytes; i = i + 1 == begin ? begin + bytes : i + 1)
        if (g.data[i] != CANARY)
            fail("wrote outside its output, at byte", (size_t)(g.data + i - out), NULL, NULL, 0);
}

/* ---- another program's floating-point modes ---- */

#if defined(__x86_64__)
static uint64_t fp_modes(void) { return _mm_getcsr() & ~0x3fu; /* less the sticky flags */ }
static void set_fp_modes(uint64_t modes) { _mm_setcsr((unsigned)modes); }
#define HOSTILE                                                                                              \
    (uint64_t[]) { 0x5fc0 /* up, flush */, 0xffc0 /* towards zero, flush */, 0x3f80 /* down */ }
#elif defined(__aarch64__)
static uint64_t fp_modes(void) {
    uint64_t modes;
    __asm__ volatile("mrs %0, fpcr" : "=r"(modes));
    return modes;
}
static void set_fp_modes(uint64_t modes) { __asm__ volatile("msr fpcr, %0" ::"r"(modes) : "memory"); }
#define HOSTILE                                                                                              \
    (uint64_t[]) { 1u << 22 | 1u << 24, 3u << 22 | 1u << 24, 2u << 22 }
#endif

/* ---- the stopwatch ---- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Prints the least of several times of a call that makes `values` values. */
#define BENCH(values, call)                                                                                  \
    do {                                                                                                     \
        size_t calls_ = 1 + 100000 / (size_t)(values);                                                       \
        double least_ = INFINITY;                                                                            \
        for (int run_ = 0; run_ < 20; run_++) {                                                              \
            double begin_ = seconds();                                                                       \
            for (size_t i_ = 0; i_ < calls_; i_++) call;                                                     \
            double ns_ = (seconds() - begin_) * 1e9 / (double)calls_ / (double)(values);                     \
            least_ = ns_ < least_ ? ns_ : least_;                                                            \
        }                                                                                                    \
        printf("%-28s %-12s %8.3f ns/value\n", now.kernel, now.isa, least_);                                 \
    } while (0)
#endif

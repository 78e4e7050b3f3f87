/* What checkkernels.c stands on: repeatable randomness, buffers between guard pages, a report of the first
 * difference, a stopwatch. */
#ifndef FASTINIT_HARNESS_H
#define FASTINIT_HARNESS_H
#include "fastinit.h"
#include "pcg64.h"
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

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CANARY 0xA5
#define BUFFER ((size_t)1 << 17)

static const char *const dist_name[] = {"uniform", "normal", "truncated_normal"};
static const char *const dtype_name[] = {"f16", "bf16", "f32", "f64"};
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

/* Mostly random, often a word at an end of its range: the branches of ln and of the tails are there. */
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

/* ---- buffers between guard pages ---- */

typedef struct guarded {
    unsigned char *data; /* BUFFER bytes: a page that may not be touched before them and another after */
} guarded;

static guarded guard(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *all = mmap(NULL, BUFFER + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, BUFFER, PROT_READ | PROT_WRITE) != 0) {
        perror("guard pages");
        exit(2);
    }
    return (guarded){all + page};
}

/* Room for `bytes`, against the guard page after it or near the one before it, at a multiple of `align`. */
static unsigned char *place(guarded g, size_t bytes, size_t align) {
    memset(g.data, CANARY, BUFFER);
    return below(2) ? g.data + (BUFFER - bytes) / align * align : g.data + below(64) * align;
}

/* ---- what is being checked, and what is said when it fails ---- */

static struct {
    const char *isa;
    char kernel[64];
    size_t n, offset;
    fi_params params;
} now;

static void checking(const fi_kernels *k, const char *kind, const char *what, const char *dtype, size_t n) {
    now.isa = k->name;
    now.n = n;
    now.offset = 0;
    now.params = (fi_params){0};
    snprintf(now.kernel, sizeof now.kernel, "%s%s%s%s%s", kind, *what ? "_" : "", what, *dtype ? "_" : "",
             dtype);
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

/* A kernel that ran into a guard page, or onto an instruction that the CPU lacks. */
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
    for (size_t i = 0; i < BUFFER; i++)
        if (g.data[i] != CANARY && (g.data + i < out || g.data + i >= out + bytes))
            fail("wrote outside its output, at byte", (size_t)(g.data + i - out), NULL, NULL, 0);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The least of several timings of a call that makes `values` values. */
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

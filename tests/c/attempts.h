/* The attempts' part of checkkernels.c: each kernel against the baseline's, then whole fills and their parts.
 */
#ifndef FASTINIT_CHECK_ATTEMPTS_H
#define FASTINIT_CHECK_ATTEMPTS_H
#include "harness.h"

enum { MOST_PIECES = 2000 };

static const char *const attempt_name[] = {
#define X(NAME, kernel, piece, value) #kernel,
    FI_EACH_ATTEMPT(X)
#undef X
};

/* Bounds with a threshold of any size, or those of a ziggurat, which has none. */
static fi_bounds any_bounds(enum fi_attempt attempt) {
    const unsigned bits = 8 * (unsigned)fi_attempt_info[attempt].piece;
    const uint64_t all = bits == 64 ? 0 : (uint64_t)1 << bits, most = all - 1;
    uint64_t span = rnd() >> (64 - bits) >> below(bits);
    switch (below(4)) {
    case 0: span = all; break;
    case 1: span = (uint64_t)1 << below(bits); break;
    default: span += !span;
    }
    const uint64_t rest = span ? (most % span + 1) % span : 0; /* of 2^bits */
    return (fi_bounds){.span = span, .threshold = rest, .offset = below(2) ? 0 : rnd()};
}

/* A stream and the attempt that NumPy's function would make of it. */
typedef struct rest {
    fi_ahead *ahead;
    enum fi_attempt attempt;
} rest;

/* Finishes a value in the place of NumPy's function: by the baseline, and by a rule of its own where that
 * does not decide. */
static void finish(void *bitgen, void *out) {
    const rest *r = bitgen;
    const size_t size = fi_attempt_info[r->attempt].piece;
    for (;;) {
        uint64_t pieces[2] = {0};
        for (size_t n = 1; n <= 2; n++) {
            const uint64_t piece = size == 8 ? fi_ahead64(r->ahead) : fi_ahead32(r->ahead);
            memcpy((char *)pieces + (n - 1) * size, &piece, size);
            size_t made = 1, used = baseline->attempt[r->attempt](out, &made, pieces, n, NULL);
            if (made) return;
            if (used) break;
            if (n == 2) {
                memcpy(out, pieces, fi_attempt_info[r->attempt].value);
                return;
            }
        }
    }
}

static void check_attempt(const fi_kernels *k, enum fi_attempt attempt, guarded in, guarded out) {
    static _Alignas(64) unsigned char wanted[MOST_PIECES * 8];
    const size_t size = fi_attempt_info[attempt].piece, value = fi_attempt_info[attempt].value;
    const size_t n = any_size(MOST_PIECES), most = below(2) ? n : any_size(n + 10);
    const fi_bounds bounds = any_bounds(attempt);
    if (!checking(k, attempt_name[attempt], "", "", n)) return;
    unsigned char *pieces = place(in, n * size, size);
    for (size_t i = 0; i < n * size; i++) pieces[i] = (unsigned char)rnd();
    for (size_t at = 0; at < n && at < most;) { /* from one piece that a ziggurat leaves to the next */
        size_t made = most - at, plain = most - at;
        if (made > n) made = plain = n;
        unsigned char *result = place(out, made * value, value);
        const size_t room = made;
        now.offset = (uintptr_t)result % 64;
        const size_t used = k->attempt[attempt](result, &made, pieces + at * size, n - at, &bounds);
        untouched(out, result, room * value);
        const size_t used_plain =
            baseline->attempt[attempt](wanted, &plain, pieces + at * size, n - at, &bounds);
        if (used != used_plain || made != plain)
            fail("uses other pieces than the baseline", used, NULL, NULL, 0);
        same("differs from the baseline", result, wanted, made, value);
        at += used + 1;
    }
}

/* A fill leaves values and position that pieces of it do, and one of bounded integers those of its parts. */
static void check_attempt_fill(const fi_kernels *k, enum fi_attempt attempt, guarded out) {
    static _Alignas(64) unsigned char wanted[BUFFER];
    const size_t value = fi_attempt_info[attempt].value,
                 n = timing ? BUFFER / 2 / value : any_size(BUFFER / 2 / value);
    const bool bounded = attempt >= FI_BOUNDED_8;
    const fi_bounds bounds = timing ? (fi_bounds){.span = 10, .threshold = 6} : any_bounds(attempt);
    const fi_pcg64 g = any_generator((enum fi_variant)below(FI_VARIANTS));
    fi_ahead plain = {.generator = g, .kernels = baseline, .more = fi_more};
    fi_ahead ahead = {.generator = g, .kernels = k, .more = fi_more};
    if (!checking(k, "fill", attempt_name[attempt], "", n)) return;
    fi_finish *last = bounded ? NULL : finish;
    rest of_plain = {&plain, attempt}, of_ahead = {&ahead, attempt};
    unsigned char *result = place(out, n * value, value);
    if (fi_attempt_fill(&plain, attempt, wanted, n, &bounds, last, &of_plain)) exit(2);
    for (size_t done = 0, some; done < n; done += some) {
        some = fi_attempt_info[attempt].piece < 4 || below(2) ? n - done : 1 + below(n - done);
        if (fi_attempt_fill(&ahead, attempt, result + done * value, some, &bounds, last, &of_ahead)) exit(2);
    }
    untouched(out, result, n * value);
    same("differs from the baseline", result, wanted, n, value);
    fi_pcg64 end = *fi_settled(&ahead), other = *fi_settled(&plain);
    if (memcmp(&end, &other, sizeof end) != 0) fail("ends elsewhere", 0, NULL, NULL, 0);
    if (bounded) {
        const size_t start = below(n / 8 + 1) * 8 % (n + 1) / 8 * 8;
        memset(out.data, CANARY, out.bytes);
        const size_t made =
            fi_attempt_part(k, &g, attempt, result + start * value, start, n - start, &bounds);
        untouched(out, result, n * value);
        fi_pcg64 moved = g;
        fi_skip_pieces(&moved, attempt, n);
        if (made == n - start && !bounds.threshold) {
            same("a part differs", result + start * value, wanted + start * value, made, value);
            if (memcmp(&end, &moved, sizeof end) != 0)
                fail("is elsewhere than skipped pieces", 0, NULL, NULL, 0);
        }
    }
    if (timing) BENCH(n, fi_attempt_fill(&ahead, attempt, result, n, &bounds, last, &of_ahead));
    free(plain.block);
    free(ahead.block);
}

static void check_affine(const fi_kernels *k, enum fi_dtype dtype, guarded in, guarded out) {
    static unsigned char wanted[MOST_PIECES * 8];
    const size_t size = fi_itemsize(dtype), working = fi_dtype_info[dtype].working_size;
    const size_t n = timing ? MOST_PIECES : any_size(MOST_PIECES);
    const double loc = below(2) ? -0.0 : any_real(100), scale = below(2) ? 1 : any_real(100);
    if (!checking(k, "affine", "", fi_dtype_info[dtype].tag, n)) return;
    unsigned char *standard = place(in, n * working, working), *result = place(out, n * size, size);
    for (size_t i = 0; i < n; i++) {
        const double x = any_real(1000);
        memcpy(standard + i * working, working == 8 ? (const void *)&x : (const void *)(float[]){(float)x},
               working);
    }
    k->affine[dtype](result, standard, n, loc, scale);
    untouched(out, result, n * size);
    baseline->affine[dtype](wanted, standard, n, loc, scale);
    same("differs from the baseline", result, wanted, n, size);
    if (timing) BENCH(n, k->affine[dtype](result, standard, n, loc, scale));
}
#endif

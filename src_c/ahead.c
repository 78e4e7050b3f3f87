/* Reading ahead, and what is made of pieces of the stream one after the other. */
#include <stdlib.h>
#include <string.h>

#include "pcg64.h"

/* Draws that are taken one by one before a block is read: one that is dropped early costs as much as 100. */
enum { SINGLE = 64 };

int fi_read_ahead(fi_ahead *a) {
    if (a->at < a->end) return 0;
    fi_pcg64 *g = &a->generator;
    if (!a->block && !(a->block = aligned_alloc(64, sizeof *a->block))) return -1;
    if (a->end) {
        g->state = g->state * a->multiplier + a->increment;
    } else {
        fi_u128 m = fi_multiplier(g), c = g->inc;
        for (int n = 1; n < FI_BLOCK; n *= 2) {
            c *= m + 1;
            m *= m;
        }
        a->multiplier = m;
        a->increment = c;
        a->kernels->init_lanes(&a->block->lanes, g);
    }
    a->kernels->raw[g->variant](a->block->draws, FI_BLOCK, &a->block->lanes);
    a->at = 0;
    a->end = FI_BLOCK;
    return 0;
}

uint64_t fi_more(fi_ahead *a) {
    if (!a->end && a->single < SINGLE) {
        a->single++;
        return fi_next64(&a->generator);
    }
    if (fi_read_ahead(a) < 0) return fi_next64(fi_settled(a));
    return a->block->draws[a->at++];
}

/* Takes the word that the generator has kept, or all pieces that the block has left. */
static const char *next_pieces(fi_ahead *a, size_t size, size_t *n) {
    if (size <= 4 && a->generator.has_uint32) {
        *n = 4 / size;
        return (const char *)&a->generator.uinteger;
    }
    if (fi_read_ahead(a) < 0) return NULL;
    *n = (a->end - a->at) * (sizeof(uint64_t) / size);
    return (const char *)(a->block->draws + a->at);
}

/* Moves past the first `bytes` of what next_pieces returned; a word of which a part was used is used. */
static void take_pieces(fi_ahead *a, size_t size, size_t bytes) {
    fi_pcg64 *g = &a->generator;
    if (!bytes) return;
    if (size <= 4 && g->has_uint32) {
        g->has_uint32 = 0;
        return;
    }
    const size_t words = (bytes + 3) / 4;
    a->at += (uint32_t)((words + 1) / 2);
    if (size > 4) return;
    g->uinteger = (uint32_t)(a->block->draws[a->at - 1] >> 32);
    g->has_uint32 = words % 2;
}

FI_NOT_INLINED int attempt_fill(fi_ahead *a, enum fi_attempt attempt, char *out, size_t n,
                                const fi_bounds *bounds, fi_finish *finish, void *bitgen) {
    const size_t size = fi_attempt_info[attempt].piece, value = fi_attempt_info[attempt].value;
    for (size_t i = 0; !a && i < n; i++) finish(bitgen, out + i * value);
    while (a && n) {
        size_t pieces, made = n;
        const char *from = next_pieces(a, size, &pieces);
        if (!from) return -1;
        size_t used = a->kernels->attempt[attempt](out, &made, from, pieces, bounds);
        take_pieces(a, size, used * size);
        out += made * value;
        n -= made;
        if (n && used < pieces) { /* a ziggurat's piece */
            finish(bitgen, out);
            out += value;
            n--;
        }
    }
    return 0;
}

int fi_attempt_fill(fi_ahead *ahead, enum fi_attempt attempt, void *out, size_t n, const fi_bounds *bounds,
                    fi_finish *finish, void *bitgen) {
    int result;
    FI_UNDER_DEFAULT_FP(result = attempt_fill(ahead, attempt, out, n, bounds, finish, bitgen));
    return result;
}

void fi_skip_pieces(fi_pcg64 *generator, enum fi_attempt attempt, size_t n) {
    const size_t in_word = 4 / fi_attempt_info[attempt].piece;
    if (in_word)
        fi_skip32(generator, n / in_word + (n % in_word != 0));
    else
        fi_advance(generator, n);
}

/* Whether values are the bytes of the stream. */
static int is_copy(enum fi_attempt attempt, const fi_bounds *bounds) {
    const size_t size = fi_attempt_info[attempt].piece;
    const uint64_t all = size == 8 ? 0 : (uint64_t)1 << 8 * size; /* 0 means 2^64 */
    return bounds->span == all && !bounds->offset && fi_attempt_info[attempt].value == size;
}

/* Writes bytes of the stream, the generator's word first. */
static void copy_bytes(const fi_kernels *kernels, const fi_pcg64 *g, char *out, size_t n) {
    uint64_t rest;
    if (g->has_uint32) {
        const size_t word = n < 4 ? n : 4;
        memcpy(out, &g->uinteger, word);
        out += word;
        n -= word;
    }
    fi_draws(kernels, g, out, 0, n / 8);
    if (!(n % 8)) return;
    fi_draws(kernels, g, &rest, n / 8, 1);
    memcpy(out + n / 8 * 8, &rest, n % 8);
}

size_t fi_attempt_part(const fi_kernels *kernels, const fi_pcg64 *generator, enum fi_attempt attempt,
                       void *out, size_t start, size_t n, const fi_bounds *bounds) {
    const size_t size = fi_attempt_info[attempt].piece, value = fi_attempt_info[attempt].value;
    fi_attempt_kernel *kernel = kernels->attempt[attempt];
    fi_block block;
    fi_ahead a = {.generator = *generator, .kernels = kernels, .block = &block};
    fi_skip_pieces(&a.generator, attempt, start);
    if (is_copy(attempt, bounds)) {
        a.generator.has_uint32 &= size <= 4;
        copy_bytes(kernels, &a.generator, out, n * size);
        return n;
    }
    for (size_t done = 0, pieces = 0, made; done < n; done += made) {
        const char *from = next_pieces(&a, size, &pieces);
        made = n - done;
        const size_t used = kernel((char *)out + done * value, &made, from, pieces, bounds);
        if (made < used) {
            for (made = 1; kernel((char *)out + done * value, &made, from, 1, bounds), made; done++)
                from += size;
            return done;
        }
        take_pieces(&a, size, used * size);
    }
    return n;
}

void fi_affine(const fi_kernels *kernels, enum fi_dtype dtype, void *out, const void *standard, size_t n,
               double loc, double scale) {
    FI_UNDER_DEFAULT_FP(kernels->affine[dtype](out, standard, n, loc, scale));
}

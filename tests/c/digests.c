/* Digests of each function's values over all its inputs, for comparison with tests/digests.json.
 *
 *     digests ISA NAME WHAT...      for each WHAT, the digest of some inputs of one function
 *     digests --list                the functions' names and numbers of inputs
 *
 * WHAT is OFFSET/STRIDE, which stands for inputs OFFSET, OFFSET + STRIDE and so on, or `edges`: the inputs
 * next to those where a formula gives way to another. Input i is word i, the number whose bits are i, or the
 * i-th output of splitmix64. */
#include "fastinit.h"
#include "truncated.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP = FI_BLOCK, EDGE = 64 };
static const uint64_t words = (uint64_t)1 << 32, doubles = 10000000;

typedef struct function {
    const char *name;
    enum fi_dtype dtype;
    enum { RADII, ANGLES, WORDS, VALUES, DRAWS } input;
    int is_activation, which; /* an enum fi_dist or fi_activation_op */
    double arguments[FI_PARAMETERS];
} function;

/* RADII and ANGLES are of float32 normals: the other half of each draw is constant, 0 for the angles, whose
 * cosine is 1. VALUES are numbers, as operand of an activation; a gradient's first operand is 1. */
static const function functions[] = {
    {"normal radius f32", FI_F32, RADII, 0, FI_NORMAL, {0, 1}},
    {"normal angle f32", FI_F32, ANGLES, 0, FI_NORMAL, {0, 1}},
    {"truncated centre f32", FI_F32, WORDS, 0, FI_TRUNCATED_NORMAL, {-2, 2, 0, 1}},
    {"truncated wide f32", FI_F32, WORDS, 0, FI_TRUNCATED_NORMAL, {-INFINITY, INFINITY, 0, 1}},
    {"uniform f32", FI_F32, WORDS, 0, FI_UNIFORM, {-0.5, 0.25}},
    {"selu f32", FI_F32, VALUES, 1, FI_SELU, {0}},
    {"sigmoid f32", FI_F32, VALUES, 1, FI_SIGMOID, {0}},
    {"tanh f32", FI_F32, VALUES, 1, FI_TANH, {0}},
    {"leaky_relu f32", FI_F32, VALUES, 1, FI_LEAKY_RELU, {0}},
    {"selu_backward f32", FI_F32, VALUES, 1, FI_SELU_BACKWARD, {0}},
    {"selu_backward_x f32", FI_F32, VALUES, 1, FI_SELU_BACKWARD_X, {0}},
    {"sigmoid_backward f32", FI_F32, VALUES, 1, FI_SIGMOID_BACKWARD, {0}},
    {"tanh_backward f32", FI_F32, VALUES, 1, FI_TANH_BACKWARD, {0}},
    {"normal f64", FI_F64, DRAWS, 0, FI_NORMAL, {0, 1}},
    {"truncated centre f64", FI_F64, DRAWS, 0, FI_TRUNCATED_NORMAL, {-2, 2, 0, 1}},
    {"truncated wide f64", FI_F64, DRAWS, 0, FI_TRUNCATED_NORMAL, {-INFINITY, INFINITY, 0, 1}},
    {"truncated far f64", FI_F64, DRAWS, 0, FI_TRUNCATED_NORMAL, {5, INFINITY, 0, 1}},
    {"uniform f64", FI_F64, DRAWS, 0, FI_UNIFORM, {-0.5, 0.25}},
    {"selu f64", FI_F64, VALUES, 1, FI_SELU, {0}},
    {"sigmoid f64", FI_F64, VALUES, 1, FI_SIGMOID, {0}},
    {"tanh f64", FI_F64, VALUES, 1, FI_TANH, {0}},
    {"selu_backward_x f64", FI_F64, VALUES, 1, FI_SELU_BACKWARD_X, {0}},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static uint64_t inputs_of(const function *f) { return f->dtype == FI_F64 ? doubles : words; }

static uint64_t splitmix64(uint64_t i) {
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Eight chains of FNV-1a over 64-bit words, which a CPU computes side by side. */
typedef struct digest {
    uint64_t chain[8];
} digest;

static void add(digest *d, const uint64_t *data, size_t n) {
    for (size_t i = 0; i < n; i += 8)
        for (size_t k = 0; k < 8; k++) d->chain[k] = (d->chain[k] ^ data[i + k]) * 0x100000001b3u;
}

static uint64_t total(const digest *d) {
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t k = 0; k < 8; k++) {
        sum = (sum ^ (d->chain[k] & 0xffffffffu)) * 0x100000001b3u;
        sum = (sum ^ d->chain[k] >> 32) * 0x100000001b3u;
    }
    return sum;
}

/* Which inputs: all those that `input` lists, or that a stride makes. */
typedef struct part {
    const uint64_t *listed;
    uint64_t offset, stride, n;
} part;

static uint64_t at(const part *p, uint64_t i) { return p->listed ? p->listed[i] : p->offset + p->stride * i; }

/* A double in [-40, 40), or, for every fourth, with the bits of a draw. */
static uint64_t double_of(uint64_t i) {
    const uint64_t draw = splitmix64(i);
    const double x = ((double)(draw >> 11) * 0x1p-53 - 0.5) * 80;
    uint64_t bits = draw;
    if (i % 4) memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The bits of a NaN are not promised. */
static void one_nan(void *values, enum fi_dtype dtype, size_t n) {
    uint32_t *narrow = values;
    uint64_t *wide = values;
    for (size_t i = 0; i < n; i++)
        if (dtype == FI_F64)
            wide[i] = (wide[i] & INT64_MAX) > 0x7ff0000000000000u ? 0x7ff8000000000000u : wide[i];
        else
            narrow[i] = (narrow[i] & INT32_MAX) > 0x7f800000u ? 0x7fc00000u : narrow[i];
}

static union {
    uint64_t u64[2 * STEP];
    uint32_t u32[4 * STEP];
    float f32[4 * STEP];
    double f64[2 * STEP];
} in, ones, out;

static void activate(const fi_kernels *kernels, const function *f, const part *p, uint64_t first, size_t n,
                     digest *d) {
    const int gradient = fi_activation_info[f->which].operands == 2;
    const fi_activation params = {.slope = 0.01};
    fi_operands o = {.out = &out, .in = {gradient ? &ones : &in, &in, NULL}};
    memset(&in, 0, sizeof in);
    for (size_t k = 0; k < n; k++) {
        const uint64_t i = at(p, first + k);
        if (f->dtype == FI_F64)
            in.u64[k] = p->listed ? i : double_of(i), ones.f64[k] = 1;
        else
            in.u32[k] = (uint32_t)i, ones.f32[k] = 1;
    }
    kernels->activation[f->which][f->dtype](&o, STEP, &params, 0);
    one_nan(&out, f->dtype, STEP);
    if (f->dtype == FI_F64)
        add(d, out.u64, STEP);
    else
        add(d, out.u64, STEP / 2);
}

static uint64_t draw_of(const function *f, uint64_t i, int listed) {
    switch (f->input) {
    case RADII: return i & 0xffffffffu;
    case ANGLES: return (i & 0xffffffffu) << 32 | 0x9b4597e3u; /* whose radius is about 1 */
    case WORDS: return (i & 0xffffffffu) | (~i & 0xffffffffu) << 32;
    default: return listed ? i : splitmix64(i);
    }
}

static void sample(const fi_kernels *kernels, const function *f, const fi_params *params, const part *p,
                   uint64_t first, size_t n, digest *d) {
    memset(&in, 0, sizeof in);
    for (size_t k = 0; k < n; k++) in.u64[k] = draw_of(f, at(p, first + k), p->listed != NULL);
    kernels->transform[f->which][f->dtype](&out, in.u64, STEP, params);
    add(d, out.u64, STEP); /* a draw is one float64 or two float32 */
}

static uint64_t digest_of(const fi_kernels *kernels, const function *f, const part *p) {
    digest d = {{0}};
    fi_params params;
    if (!f->is_activation && fi_prepare(&params, NULL, (enum fi_dist)f->which, f->dtype, f->arguments) != 0) {
        fprintf(stderr, "digests: parameters refused\n");
        exit(2);
    }
    for (uint64_t first = 0; first < p->n; first += STEP) {
        const size_t n = p->n - first < STEP ? p->n - first : STEP;
        if (f->is_activation)
            activate(kernels, f, p, first, n, &d);
        else
            sample(kernels, f, &params, p, first, n, &d);
    }
    return total(&d);
}

/* ---- the edges ---- */

static uint64_t edges[1 << 18];
static size_t edge_count;

/* EDGE inputs on either side of one. */
static void add_edge(uint64_t i, uint64_t step) {
    for (uint64_t k = 0; k < 2 * EDGE; k++) edges[edge_count++] = i + (k - EDGE) * step;
}

static void add_value(const function *f, double x) {
    const float narrow = (float)x;
    uint64_t i = 0;
    if (f->dtype == FI_F64)
        memcpy(&i, &x, sizeof x);
    else
        memcpy(&i, &narrow, sizeof narrow);
    add_edge(i, 1);
}

/* Of numbers: every power of 2, every half of ln 2 (where the reduction of exp changes k), and the ends from
 * which a function is constant. */
static void edges_of_values(const function *f) {
    static const double ends[] = {8.2,     8.3,   8.5, 8.6,     8.7,   9.0, 17.0,
                                  18.4,    18.6,  19,  20,      37,    40,  88.72284,
                                  103.972, 104.0, 709, 709.783, 745.2, 746, 0x1.e18f48p6};
    const double sign[] = {1, -1};
    for (int s = 0; s < 2; s++) {
        for (int k = -1; k <= 128; k++) add_value(f, sign[s] * ldexp(1, k));
        for (int k = -149; k < -1; k++) add_value(f, sign[s] * ldexp(1, k));
        for (int k = 1; k < 310; k++) add_value(f, sign[s] * 0.25 * k * 0x1.62e42fefa39efp-1);
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) add_value(f, sign[s] * ends[k]);
        add_value(f, sign[s] * INFINITY);
    }
}

/* Of words and draws: both ends, where ln changes its exponent, the quadrants of the angle, and where a
 * truncated normal's tail begins. */
static void edges_of_words(const function *f) {
    const int bits = f->dtype == FI_F64 ? 64 : 32, cut = f->dtype == FI_F64 ? 12 : 0;
    const double whole = ldexp(1, bits), ends[] = {0.5, TAIL_Q / 2, 0.0227501319481792, 0.308537538725987};
    for (int k = 0; k < 8; k++) add_edge((uint64_t)k << (bits - 3), (uint64_t)1 << cut);
    for (int k = cut; k < bits; k++) {
        const uint64_t power = (uint64_t)1 << k, root = (uint64_t)ldexp(0x1.6a09e667f3bcdp-1, k + 1);
        add_edge(power, (uint64_t)1 << cut), add_edge(root, (uint64_t)1 << cut);
        add_edge(-power, (uint64_t)1 << cut), add_edge(-root, (uint64_t)1 << cut);
    }
    for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
        const uint64_t i = (uint64_t)(ends[k] * whole);
        add_edge(i, (uint64_t)1 << cut), add_edge(-i, (uint64_t)1 << cut);
    }
}

static part part_of(const function *f, const char *what) {
    if (strcmp(what, "edges") == 0) {
        edge_count = 0;
        if (f->is_activation)
            edges_of_values(f);
        else
            edges_of_words(f);
        return (part){.listed = edges, .n = edge_count};
    }
    part p = {0};
    if (sscanf(what, "%" SCNu64 "/%" SCNu64, &p.offset, &p.stride) != 2 || p.offset >= p.stride) {
        fprintf(stderr, "digests: what is %s?\n", what);
        exit(2);
    }
    p.n = (inputs_of(f) - p.offset + p.stride - 1) / p.stride;
    return p;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < FUNCTIONS; i++)
            printf("%s: %" PRIu64 "\n", functions[i].name, inputs_of(&functions[i]));
        return 0;
    }
    const fi_kernels *kernels = argc > 3 ? fi_select(argv[1]) : NULL;
    const function *f = NULL;
    for (size_t i = 0; argc > 3 && i < FUNCTIONS; i++)
        if (strcmp(argv[2], functions[i].name) == 0) f = &functions[i];
    if (kernels == NULL || f == NULL) {
        fprintf(stderr, "digests: no such instruction set here, or no such function\n");
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        const part p = part_of(f, argv[i]);
        printf("%016" PRIx64 "\n", digest_of(kernels, f, &p));
    }
    return 0;
}

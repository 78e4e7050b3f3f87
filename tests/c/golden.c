/* The C core's values as hexadecimal digits of their bits, for comparison with tests/vectors.json.
 *
 *     golden ISA < cases > values
 *     golden --list               the instruction sets that this build has and this machine runs
 *
 * A case is one line: distribution dtype variant state inc has_uint32 uinteger p1 p2 p3 p4 start n, with
 * state and inc in 32 hexadecimal digits and the parameters as strtod reads them (low high, loc scale, or low
 * high loc scale; the rest are ignored). */
#include "fastinit.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const variants[] = {"PCG64", "PCG64DXSM"};

/* The first i below n for which names[i], `stride` bytes apart, is the word. */
static int find(const char *word, const void *names, size_t stride, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(word, *(const char *const *)((const char *)names + (size_t)i * stride)) == 0) return i;
    fprintf(stderr, "golden: what is %s?\n", word);
    exit(2);
}
#define FIND(word, first, table, n) find(word, &(first), sizeof *(table), n)

static fi_u128 hex128(const char *digits) {
    char high[17] = {0};
    memcpy(high, digits, 16);
    return (fi_u128)strtoull(high, NULL, 16) << 64 | strtoull(digits + 16, NULL, 16);
}

static void print(const unsigned char *values, size_t n, size_t size) {
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = 0; /* every machine this is built for is little endian */
        memcpy(&bits, values + i * size, size);
        printf("%s%0*" PRIx64, i ? " " : "", (int)size * 2, bits);
    }
    putchar('\n');
}

static int list(void) {
    const fi_kernels *built;
    int supported;
    const char *name;
    for (int i = 0; (name = fi_isa(i, &built, &supported)) != NULL; i++)
        if (built && supported) puts(name);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) return list();
    const fi_kernels *kernels = argc == 2 ? fi_select(argv[1]) : NULL;
    if (kernels == NULL) {
        fprintf(stderr, "golden: no such instruction set here\n");
        return 2;
    }
    char dist_word[32], dtype_word[8], variant_word[16], state[33], inc[33], p_word[4][40];
    size_t start, n;
    unsigned has_uint32;
    fi_pcg64 g = {0};
    for (int fields;
         (fields = scanf("%31s %7s %15s %32s %32s %u %" SCNu32 " %39s %39s %39s %39s %zu %zu", dist_word,
                         dtype_word, variant_word, state, inc, &has_uint32, &g.uinteger, p_word[0], p_word[1],
                         p_word[2], p_word[3], &start, &n)) != EOF;) {
        if (fields != 13 || strlen(state) != 32 || strlen(inc) != 32) {
            fprintf(stderr, "golden: not a case\n");
            return 2;
        }
        enum fi_dist dist = (enum fi_dist)FIND(dist_word, fi_dist_info->name, fi_dist_info, FI_DISTS);
        enum fi_dtype dtype = (enum fi_dtype)FIND(dtype_word, fi_dtype_info->tag, fi_dtype_info, FI_DTYPES);
        g.variant = (uint16_t)FIND(variant_word, *variants, variants, FI_VARIANTS);
        g.state = hex128(state);
        g.inc = hex128(inc);
        g.has_uint32 = (uint16_t)has_uint32;
        double p[4];
        for (int i = 0; i < 4; i++) p[i] = strtod(p_word[i], NULL);
        fi_params params;
        if (fi_prepare(&params, NULL, dist, dtype, p) != 0) {
            fprintf(stderr, "golden: parameters refused\n");
            return 1;
        }
        unsigned char *values = malloc(n * fi_itemsize(dtype) + 1);
        if (values == NULL) return 1;
        fi_fill(kernels, &g, dist, dtype, &params, values, start, n);
        print(values, n, fi_itemsize(dtype));
        free(values);
    }
    return 0;
}

/* Prints the instruction sets that dispatch.c finds on this CPU, the best last, as if each had been built. */
#include <stdio.h>

#include "isa.h"

static const fi_kernels any = {.name = "any"};
const fi_kernels *const fi_table_baseline = &any, *const fi_table_avx2 = &any, *const fi_table_avx512 = &any;
const fi_kernels *const fi_table_avx512ifma = &any, *const fi_table_neon = NULL;

int main(void) {
    const char *name;
    for (int i = 0, built, supported; (name = fi_isa(i, &built, &supported)); i++) {
        if ((fi_select(name) != NULL) != (built && supported)) return 1;
        if (built && supported) printf("%s ", name);
    }
    return fi_select("sse9") != NULL;
}

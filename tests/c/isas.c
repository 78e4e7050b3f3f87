/* Prints the instruction sets that dispatch.c finds on this CPU, the best last, as if each had been built. */
#include <stdio.h>

#include "dispatch.c"

static const fi_kernels any = {.name = "any"};
#define BUILT(name, supported) const fi_kernels *const fi_table_##name = &any;
FI_EACH_ISA(BUILT)

int main(void) {
    const char *name;
    const fi_kernels *built;
    for (int i = 0, supported; (name = fi_isa(i, &built, &supported)); i++) {
        if ((fi_select(name) != NULL) != (built && supported)) return 1;
        if (built && supported) printf("%s ", name);
    }
    return fi_select("sse9") != NULL;
}

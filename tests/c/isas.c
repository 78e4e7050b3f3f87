/* Prints the instruction sets that dispatch.c finds, the best last, as if each had been built.
 *
 *     isas                                                    on this CPU
 *     isas LEAF1_ECX LEAF7_EBX LEAF7_1_EAX EXTENDED_ECX XCR0    on a CPU that has these words */
#include <stdio.h>
#include <stdlib.h>

#include "dispatch.c"

static const fi_kernels any = {.name = "any"};
#define BUILT(name, supported) const fi_kernels *const fi_table_##name = &any;
FI_EACH_ISA(BUILT)

static void print(features found) {
    const char *name;
    const fi_kernels *built;
    for (int i = 0, supported; (name = isa_on(found, i, &built, &supported)); i++)
        if (built && supported) printf("%s ", name);
}

int main(int argc, char **argv) {
    const char *name;
    const fi_kernels *built;
    for (int i = 0, supported; (name = fi_isa(i, &built, &supported)); i++)
        if ((fi_select(name) != NULL) != (built && supported)) return 1;
#ifdef __x86_64__
    unsigned word[5];
    for (int i = 0; i < argc - 1 && i < 5; i++) word[i] = (unsigned)strtoul(argv[i + 1], NULL, 0);
    if (argc == 6) {
        print((features){word[0], word[1], word[2], word[3], word[4]});
        return 0;
    }
#endif
    if (argc != 1) return 2;
    print(cpu());
    return fi_select("sse9") != NULL;
}

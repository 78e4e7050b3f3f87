/* The instruction sets that were built, and those that this CPU and operating system support. */
#include "fastinit.h"
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>

/* The CPUID words with the features of the x86-64 levels; xcr0: the registers that the system saves. */
typedef struct features {
    unsigned leaf1_ecx, leaf7_ebx, leaf7_1_eax, extended_ecx, xcr0;
} features;

/* Compiled code may use every feature of its level and of all levels below. */
static const features v3 = {
    .leaf1_ecx = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B | bit_FMA |
                 bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C,
    .leaf7_ebx = bit_BMI | bit_BMI2 | bit_AVX2,
    .extended_ecx = bit_LAHF_LM | bit_LZCNT,
    .xcr0 = 0x06, /* xmm, ymm */
};
static const features v4 = {
    .leaf7_ebx = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL,
    .xcr0 = 0xe0, /* mask registers, upper halves of zmm0 to zmm15, zmm16 to zmm31 */
};
static const features ifma = {.leaf7_ebx = bit_AVX512IFMA};
static const features bf16 = {.leaf7_1_eax = bit_AVX512BF16};

/* Each CPUID takes microseconds in a virtual machine. The first call, at import, is one thread's. */
static features cpu(void) {
    static features found;
    static int known;
    unsigned eax, ebx, ecx, edx;
    if (known) return found;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) found.leaf1_ecx = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) found.leaf7_ebx = ebx;
    if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) found.leaf7_1_eax = eax;
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx)) found.extended_ecx = ecx;
    if (found.leaf1_ecx & bit_OSXSAVE) /* else xgetbv is an illegal instruction */
        __asm__("xgetbv" : "=a"(found.xcr0), "=d"(edx) : "c"(0));
    known = 1;
    return found;
}

static int has(features level, features found) {
    return !(level.leaf1_ecx & ~found.leaf1_ecx) && !(level.leaf7_ebx & ~found.leaf7_ebx) &&
           !(level.leaf7_1_eax & ~found.leaf7_1_eax) && !(level.extended_ecx & ~found.extended_ecx) &&
           !(level.xcr0 & ~found.xcr0);
}
#else
typedef int features;
static features cpu(void) { return 0; }
#define has(level, found) 0
#endif
#ifdef __aarch64__
#define is_aarch64 1 /* NEON is part of it */
#else
#define is_aarch64 0
#endif

/* The list of instruction sets, slowest first: X(name, whether a CPU with the features `found` supports it).
 * Each row needs isa_name.c, with that file's compile flags in setup.py. */
#define FI_EACH_ISA(X)                                                                                       \
    X(baseline, 1)                                                                                           \
    X(neon, is_aarch64)                                                                                      \
    X(avx2, has(v3, found))                                                                                  \
    X(avx512, has(v3, found) && has(v4, found))                                                              \
    X(avx512ifma, has(v3, found) && has(v4, found) && has(ifma, found))                                      \
    X(avx512bf16, has(v3, found) && has(v4, found) && has(ifma, found) && has(bf16, found))

#define FI_DECLARE(name, on_cpu) extern const fi_kernels *const fi_table_##name;
FI_EACH_ISA(FI_DECLARE)

/* fi_isa on a CPU with these features. */
static const char *isa_on(features found, int i, const fi_kernels **built, int *supported) {
    (void)found; /* else unused if no row asks */
#define FI_RETURN_ROW(name, on_cpu)                                                                          \
    if (i-- == 0) {                                                                                          \
        *built = fi_table_##name;                                                                            \
        *supported = on_cpu;                                                                                 \
        return #name;                                                                                        \
    }
    FI_EACH_ISA(FI_RETURN_ROW)
    return NULL;
}

const char *fi_isa(int i, const fi_kernels **built, int *supported) {
    return isa_on(cpu(), i, built, supported);
}

const fi_kernels *fi_select(const char *name) {
    const fi_kernels *best = NULL, *table;
    const char *isa;
    for (int i = 0, supported; (isa = fi_isa(i, &table, &supported)) != NULL; i++)
        if (table && supported && (!name || !strcmp(name, isa))) best = table;
    return best;
}

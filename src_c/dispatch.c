/* Which instruction sets were built, and which of them this CPU and operating system can run. */
#include "isa.h"
#include <string.h>

static int always(void) { return 1; }

static int never(void) { return 0; }

#ifdef __x86_64__
#include <cpuid.h>

/* The words of CPUID that name the features of the x86-64 levels, and what the operating system saves. */
typedef struct features {
    unsigned leaf1_ecx, leaf7_ebx, extended_ecx, xcr0;
} features;

/* A level is its features and those of the levels before it; compiled code may use any of them. */
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

static features cpu(void) {
    features found = {0};
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) found.leaf1_ecx = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) found.leaf7_ebx = ebx;
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx)) found.extended_ecx = ecx;
    if (found.leaf1_ecx & bit_OSXSAVE) /* else xgetbv is an illegal instruction */
        __asm__("xgetbv" : "=a"(found.xcr0), "=d"(edx) : "c"(0));
    return found;
}

static int has(features found, features level) {
    return (found.leaf1_ecx & level.leaf1_ecx) == level.leaf1_ecx &&
           (found.leaf7_ebx & level.leaf7_ebx) == level.leaf7_ebx &&
           (found.extended_ecx & level.extended_ecx) == level.extended_ecx &&
           (found.xcr0 & level.xcr0) == level.xcr0;
}

static int has_avx2(void) { return has(cpu(), v3); }

static int has_avx512(void) { return has_avx2() && has(cpu(), v4); }

static int has_avx512ifma(void) { return has_avx512() && has(cpu(), ifma); }

#define has_neon never
#elif defined __aarch64__ /* NEON is part of it */
#define has_neon always
#define has_avx2 never
#define has_avx512 never
#define has_avx512ifma never
#else
#define has_neon never
#define has_avx2 never
#define has_avx512 never
#define has_avx512ifma never
#endif

/* From the plainest to the best. */
static const struct isa {
    const char *name;
    const fi_kernels *const *table;
    int (*supported)(void);
} isas[] = {
    {"baseline", &fi_table_baseline, always},
    {"neon", &fi_table_neon, has_neon},
    {"avx2", &fi_table_avx2, has_avx2},
    {"avx512", &fi_table_avx512, has_avx512},
    {"avx512ifma", &fi_table_avx512ifma, has_avx512ifma},
};
enum { ISAS = sizeof isas / sizeof *isas };

const fi_kernels *fi_select(const char *name) {
    for (int i = ISAS - 1; i >= 0; i--) {
        int wanted = !name || !strcmp(name, isas[i].name);
        if (wanted && *isas[i].table && isas[i].supported()) return *isas[i].table;
    }
    return NULL;
}

const char *fi_isa(int i, int *built, int *supported) {
    if (i < 0 || i >= ISAS) return NULL;
    *built = *isas[i].table != NULL;
    *supported = isas[i].supported();
    return isas[i].name;
}

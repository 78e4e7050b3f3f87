/* Template: raw 64-bit draws by leapfrog. LANES lanes begin at consecutive positions of the stream, and each
 * step moves all of them by LANES draws. Parameter: FI_RAW, the fastest generator of the instruction set:
 *
 *   FI_RAW_SCALAR  4 lanes of 128-bit integers, the specification; AVX2 has no faster one
 *   FI_RAW_WIDE    32 lanes of two 64-bit halves in plain C, which gcc vectorises for AVX-512
 *   FI_RAW_IFMA    32 lanes of three 52-bit limbs, by the multiply-adds of AVX-512 IFMA */
#include "pcg64.h"

#define FI_RAW_SCALAR 0
#define FI_RAW_WIDE 1
#define FI_RAW_IFMA 2
#ifndef FI_RAW
#define FI_RAW FI_RAW_SCALAR
#endif

enum { LANES = FI_RAW == FI_RAW_SCALAR ? 4 : FI_LANES, LIMB = FI_RAW == FI_RAW_IFMA ? 52 : 64 };

INLINE void split(fi_u128 x, uint64_t *word, size_t stride) {
    const fi_u128 mask = ((fi_u128)1 << LIMB) - 1;
    for (int i = 0; i * LIMB < 128; i++) word[i * stride] = (uint64_t)(x >> i * LIMB & mask);
}

static void init_lanes(fi_lanes *lanes, const fi_pcg64 *generator) {
    fi_u128 a = fi_multiplier(generator), c = generator->inc, s = generator->state, A = 1, C = 0;
    for (int k = 0; k < LANES; k++) {
        fi_u128 next = s * a + c;
        split(generator->variant == FI_DXSM ? s : next, &lanes->word[0][k], FI_LANES);
        s = next;
        A *= a;
        C = C * a + c;
    }
    split(A, lanes->multiplier, 1);
    split(C, lanes->increment, 1);
}

#if FI_RAW == FI_RAW_SCALAR
INLINE void raw(void *restrict out, size_t n, fi_lanes *lanes, int dxsm) {
    char *restrict to = out;
    const fi_u128 a = FI_U128(lanes->multiplier[1], lanes->multiplier[0]);
    const fi_u128 c = FI_U128(lanes->increment[1], lanes->increment[0]);
    fi_u128 s[LANES];
    for (int k = 0; k < LANES; k++) s[k] = FI_U128(lanes->word[1][k], lanes->word[0][k]);
    for (size_t i = 0; i < n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const uint64_t draw = fi_output((uint64_t)(s[k] >> 64), (uint64_t)s[k], dxsm);
            memcpy(to + (i + k) * 8, &draw, 8);
            s[k] = s[k] * a + c;
        }
    for (int k = 0; k < LANES; k++) split(s[k], &lanes->word[0][k], FI_LANES);
}

#elif FI_RAW == FI_RAW_WIDE
/* The high half of a 64 x 64-bit product. No vector instruction has it. */
INLINE uint64_t multiply_high(uint64_t a, uint64_t b) {
    const uint64_t mask = 0xffffffffu;
    uint64_t ll = (a & mask) * (b & mask), lh = (a & mask) * (b >> 32), hl = (a >> 32) * (b & mask);
    uint64_t middle = (ll >> 32) + (lh & mask) + (hl & mask);
    return (a >> 32) * (b >> 32) + (lh >> 32) + (hl >> 32) + (middle >> 32);
}

INLINE void raw(void *restrict out, size_t n, fi_lanes *lanes, int dxsm) {
    char *restrict to = out;
    const uint64_t a0 = lanes->multiplier[0], a1 = lanes->multiplier[1];
    const uint64_t c0 = lanes->increment[0], c1 = lanes->increment[1];
    uint64_t lo[LANES], hi[LANES];
    memcpy(lo, lanes->word[0], sizeof lo);
    memcpy(hi, lanes->word[1], sizeof hi);
    for (size_t i = 0; i < n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const uint64_t draw = fi_output(hi[k], lo[k], dxsm);
            memcpy(to + (i + k) * 8, &draw, 8);
            uint64_t low = lo[k] * a0 + c0;
            hi[k] = multiply_high(lo[k], a0) + hi[k] * a0 + lo[k] * a1 + c1 + (low < c0);
            lo[k] = low;
        }
    memcpy(lanes->word[0], lo, sizeof lo);
    memcpy(lanes->word[1], hi, sizeof hi);
}

#else
#define LO _mm512_madd52lo_epu64
#define HI _mm512_madd52hi_epu64
#define ADD _mm512_add_epi64
#define XOR _mm512_xor_si512
#define SHL _mm512_slli_epi64
#define SHR _mm512_srli_epi64
#define ALL(x) _mm512_set1_epi64((long long)(x))

enum finish { DRAWS, UNIT_F32, UNIT_F64 };

/* A state is s0 + 2^52 s1 + 2^104 s2. The bits of s0 and s1 above 52 have been carried and count no more;
 * they are not masked off, as the multiply-adds ignore them. */
INLINE void raw(void *restrict out, size_t n, fi_lanes *lanes, int dxsm, enum finish finish,
                int nontemporal) {
    enum { VECTORS = FI_LANES / 8 };
    const __m512i a0 = ALL(lanes->multiplier[0]), a1 = ALL(lanes->multiplier[1]),
                  a2 = ALL(lanes->multiplier[2]);
    const __m512i c0 = ALL(lanes->increment[0]), c1 = ALL(lanes->increment[1]), c2 = ALL(lanes->increment[2]);
    const __m512i m52 = ALL((1ull << 52) - 1), m40 = ALL((1ull << 40) - 1), halves = ALL(~(0xfffull << 40));
    const __m512i one = ALL(1), cheap = ALL((uint64_t)FI_CHEAP_MULTIPLIER);
    __m512i r[3][VECTORS];
    for (int j = 0; j < 3; j++)
        for (int v = 0; v < VECTORS; v++) r[j][v] = _mm512_load_si512(&lanes->word[j][8 * v]);
    for (size_t i = 0; i < n; i += FI_LANES)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            __m512i s0 = r[0][v], s1 = r[1][v], s2 = r[2][v], x;
            /* 0x6A is (a & b) ^ c; xor joins parts that do not overlap */
            if (dxsm) {
                __m512i lo = _mm512_ternarylogic_epi64(s0, m52, SHL(s1, 52), 0x6A);
                __m512i hi = _mm512_ternarylogic_epi64(SHR(s1, 12), m40, SHL(s2, 40), 0x6A);
                hi = _mm512_mullo_epi64(XOR(hi, SHR(hi, 32)), cheap);
                x = _mm512_mullo_epi64(XOR(hi, SHR(hi, 48)), _mm512_or_si512(lo, one));
            } else { /* s1 rotated has the top of lo and the bottom of hi, with its carried bits between */
                x = _mm512_ternarylogic_epi64(s0, m52, SHL(s2, 40), 0x6A);
                x = _mm512_ternarylogic_epi64(_mm512_ror_epi64(s1, 12), halves, x, 0x6A);
                x = _mm512_rorv_epi64(x, SHR(s2, 18));
            }
            if (finish == UNIT_F32)
                x = _mm512_castps_si512(
                    _mm512_mul_ps(_mm512_cvtepu32_ps(_mm512_srli_epi32(x, 8)), _mm512_set1_ps(0x1p-24f)));
            if (finish == UNIT_F64)
                x = _mm512_castpd_si512(
                    _mm512_mul_pd(_mm512_cvtepu64_pd(SHR(x, 11)), _mm512_set1_pd(0x1p-53)));
            put((char *)out + (i + 8 * v) * 8, (vector)x, nontemporal);
            __m512i n0 = LO(c0, s0, a0);
            __m512i n1 = LO(LO(HI(c1, s0, a0), s0, a1), s1, a0);
            __m512i n2 = LO(LO(LO(HI(HI(c2, s0, a1), s1, a0), s0, a2), s1, a1), s2, a0);
            n1 = ADD(n1, SHR(n0, 52));
            n2 = ADD(n2, SHR(n1, 52));
            r[0][v] = n0, r[1][v] = n1, r[2][v] = n2;
        }
    for (int j = 0; j < 3; j++)
        for (int v = 0; v < VECTORS; v++) _mm512_store_si512(&lanes->word[j][8 * v], r[j][v]);
}

/* random_*, fused with uniform(0, 1), takes 0.24 ns a float64; raw and transform in turn take 0.27 ns. */
#define FI_RAW_KERNEL(name, finish, nontemporal)                                                             \
    static void name##_xsl_rr(void *restrict out, size_t n, fi_lanes *lanes) {                               \
        raw(out, n, lanes, 0, finish, nontemporal);                                                          \
    }                                                                                                        \
    static void name##_dxsm(void *restrict out, size_t n, fi_lanes *lanes) {                                 \
        raw(out, n, lanes, 1, finish, nontemporal);                                                          \
    }
FI_RAW_KERNEL(raw, DRAWS, CACHED)
FI_RAW_KERNEL(random_f32, UNIT_F32, CACHED)
FI_RAW_KERNEL(random_f64, UNIT_F64, CACHED)
FI_RAW_KERNEL(nontemporal_random_f32, UNIT_F32, NONTEMPORAL)
FI_RAW_KERNEL(nontemporal_random_f64, UNIT_F64, NONTEMPORAL)
#endif

#if FI_RAW != FI_RAW_IFMA
static void raw_xsl_rr(void *restrict draws, size_t n, fi_lanes *lanes) { raw(draws, n, lanes, 0); }
static void raw_dxsm(void *restrict draws, size_t n, fi_lanes *lanes) { raw(draws, n, lanes, 1); }
#endif

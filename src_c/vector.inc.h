/* Template: the vector of an instruction set: load, store and shuffle. Parameters: FI_WIDTH and FI_NT_STORE
 * of kernels.inc.h. A loop over FI_WIDTH floats becomes straight code whose arrays live in registers. */
#include <string.h>

/* gcc unrolls short loops before it vectorises, then finds no vectors: leaky ReLU takes 10 times as long. */
#define VECTORISE _Pragma("GCC unroll 1")

enum { WIDTH = FI_WIDTH };
typedef uint64_t vector __attribute__((vector_size(4 * FI_WIDTH)));

INLINE vector load(const void *from) {
    vector x;
    memcpy(&x, from, sizeof x);
    return x;
}
INLINE void store(void *to, vector x) { memcpy(to, &x, sizeof x); }

/* A NONTEMPORAL store bypasses the cache and must be aligned to a vector. For vectors of 16 bytes the branch
 * costs more than it gains. */
enum { CACHED, NONTEMPORAL };

INLINE void put(void *to, vector x, int nontemporal) {
#if defined FI_NT_STORE && FI_WIDTH > 4
    if (nontemporal) {
        FI_NT_STORE(to, x);
        return;
    }
#endif
    (void)nontemporal;
    store(to, x);
}

static void copy_nontemporal(void *restrict dst, const void *restrict src, size_t bytes) {
#ifdef FI_NT_STORE
    for (size_t i = 0; i < bytes; i += sizeof(vector))
        FI_NT_STORE((char *)dst + i, load((const char *)src + i));
#else
    memcpy(dst, src, bytes);
#endif
}

static void fence(void) {
#ifdef FI_NT_STORE
    _mm_sfence();
#endif
}

/* Exchanges the high half of each draw in a with the low half of its counterpart in b, so that x holds the
 * low halves of WIDTH draws and y the high halves. The function is its own inverse. Nothing crosses a 128-bit
 * lane; gcc's permutations for a stride of two do, and cost twice as much. */
INLINE void swap_32(void *x, void *y, const void *a, const void *b) {
    vector p = load(a), q = load(b);
#if FI_WIDTH == 16 /* half the instructions: saves 8% of a float32 normal's time */
    store(x, (vector)_mm512_mask_shuffle_epi32((__m512i)p, 0xAAAA, (__m512i)q, _MM_PERM_CDAB));
    store(y, (vector)_mm512_mask_shuffle_epi32((__m512i)q, 0x5555, (__m512i)p, _MM_PERM_CDAB));
#else
    const uint64_t low = 0xffffffffu;
    store(x, (p & low) | q << 32);
    store(y, (q & ~low) | p >> 32);
#endif
}

#if !defined(__clang__) && __GNUC__ < 12 /* gcc 11 lacks the common name */
#define SHUFFLE(p, q, ...) __builtin_shuffle(p, q, (vector){__VA_ARGS__})
#else
#define SHUFFLE(p, q, ...) __builtin_shufflevector(p, q, __VA_ARGS__)
#endif
#if FI_WIDTH == 16
#define EVEN_64 0, 8, 2, 10, 4, 12, 6, 14
#define ODD_64 1, 9, 3, 11, 5, 13, 7, 15
#elif FI_WIDTH == 8
#define EVEN_64 0, 4, 2, 6
#define ODD_64 1, 5, 3, 7
#else
#define EVEN_64 0, 2
#define ODD_64 1, 3
#endif

/* The same for pairs of draws: the first of each in x, the second in y. */
INLINE void swap_64(void *x, void *y, const void *a, const void *b) {
    vector p = load(a), q = load(b);
    store(x, SHUFFLE(p, q, EVEN_64));
    store(y, SHUFFLE(p, q, ODD_64));
}

/* A vector of parts of 16 bytes. */
typedef uint64_t lane __attribute__((vector_size(16)));

INLINE vector join(const lane *parts) {
#if FI_WIDTH == 16
    __m256i low = _mm256_set_m128i((__m128i)parts[1], (__m128i)parts[0]);
    return (vector)_mm512_inserti64x4(_mm512_castsi256_si512(low),
                                      _mm256_set_m128i((__m128i)parts[3], (__m128i)parts[2]), 1);
#elif FI_WIDTH == 8
    return (vector)_mm256_set_m128i((__m128i)parts[1], (__m128i)parts[0]);
#else
    return parts[0];
#endif
}

/* A mask of the highest bits of a vector's elements of 64 or 32 bits. */
INLINE unsigned signs_64(vector x) {
#if FI_WIDTH == 16
    return _mm512_movepi64_mask((__m512i)x);
#elif FI_WIDTH == 8
    return (unsigned)_mm256_movemask_pd((__m256d)x);
#else
    return (unsigned)(x[0] >> 63 | x[1] >> 63 << 1);
#endif
}
INLINE unsigned signs_32(vector x) {
#if FI_WIDTH == 16
    return _mm512_movepi32_mask((__m512i)x);
#elif FI_WIDTH == 8
    return (unsigned)_mm256_movemask_ps((__m256)x);
#else
    return (unsigned)((x[0] >> 31 & 1) | x[0] >> 63 << 1 | (x[1] >> 31 & 1) << 2 | x[1] >> 63 << 3);
#endif
}

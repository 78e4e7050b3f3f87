/* Template: the transforms of uniforms and normals (docs/stream.md has the formulas). Each turns n draws into
 * values. Uses values.inc.h and vector.inc.h. */

/* The i-th 32-bit word of a block, low halves first. */
INLINE uint32_t word(const uint64_t *d, size_t i) {
    uint32_t w;
    memcpy(&w, (const char *)d + i * sizeof w, sizeof w);
    return w;
}

/* A kernel of a half type: the values of a float32 kernel, rounded. */
#define FI_HALF_KERNEL(name, tag, single)                                                                    \
    static void name(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {         \
        _Alignas(64) float values[2 * FI_BLOCK];                                                             \
        single(values, d, n, p);                                                                             \
        narrow_all_##tag(out, values, 2 * n);                                                                \
    }

static void uniform_range(float *restrict v, const uint64_t *restrict d, size_t n, const fi_params *params) {
    const fi_params p = *params;
    for (size_t i = 0; i < 2 * n; i++) v[i] = uniform_value_f32(word(d, i), &p);
}

/* uniform(0, 1) takes fewer operations. Its float32 values are below 1, but some would round to 1 in a half
 * type, which are `limited`. */
static void uniform_f32(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {
    float *restrict v = out;
    if (p->loc != 0 || p->scale != 1) {
        uniform_range(v, d, n, p);
        return;
    }
    for (size_t i = 0; i < 2 * n; i++) v[i] = unit_f32(word(d, i));
}
static void uniform_limited(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {
    float *restrict v = out;
    const float most = (float)p->most;
    if (p->loc != 0 || p->scale != 1) {
        uniform_range(v, d, n, p);
        return;
    }
    for (size_t i = 0; i < 2 * n; i++) {
        const float u = unit_f32(word(d, i));
        v[i] = u > most ? most : u;
    }
}
FI_HALF_KERNEL(uniform_f16, f16, uniform_limited)
FI_HALF_KERNEL(uniform_bf16, bf16, uniform_limited)

static void uniform_f64(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *params) {
    double *restrict v = out;
    const fi_params p = *params;
    for (size_t i = 0; i < n; i++) v[i] = uniform_value_f64(d[i], &p);
}

/* Hides a constant from the compiler: gcc makes `~word` a vpternlog, which waits for its target's old value
 * and so for the last iteration. */
INLINE uint32_t opaque(uint32_t x) {
    __asm__("" : "+r"(x));
    return x;
}

/* Values 2p and 2p + 1 are loc + scale r cos and loc + scale r sin: r from the low half of draw p, the angle
 * from the high half. n is a multiple of WIDTH. Two short loops overlap more elements than one long loop, and
 * the roots run beside the angles. `centred` leaves out the addition of a loc of 0, which costs 4% and
 * changes no bit, as no value is -0. */
INLINE void normal_f32_loop(float *restrict v, const uint64_t *restrict d, size_t n, float loc, float scale,
                            int centred, int nontemporal) {
    const uint32_t ones = opaque(0xffffffffu);
    uint32_t radius[WIDTH], angle[WIDTH];
    _Alignas(64) float r2[FI_BLOCK];
    float first[WIDTH], second[WIDTH];
    for (size_t i = 0; i < n; i += WIDTH) {
        swap_32(radius, angle, d + i, d + i + WIDTH / 2);
        for (int k = 0; k < WIDTH; k++) r2[i + k] = minus_two_ln_u32(radius[k], radius[k] ^ ones);
    }
    for (size_t i = 0; i < n; i += WIDTH) {
        swap_32(radius, angle, d + i, d + i + WIDTH / 2);
        for (int k = 0; k < WIDTH; k++) {
            float r_cos, r_sin;
            polar_f32(__builtin_sqrtf(r2[i + k]), angle[k], &r_cos, &r_sin);
            first[k] = centred ? scale * r_cos : loc + scale * r_cos;
            second[k] = centred ? scale * r_sin : loc + scale * r_sin;
        }
        swap_32(first, second, first, second);
        put(v + 2 * i, load(first), nontemporal);
        put(v + 2 * i + WIDTH, load(second), nontemporal);
    }
}

/* The same for n pairs of draws, a multiple of WIDTH / 2. */
INLINE void normal_f64_loop(double *restrict v, const uint64_t *restrict d, size_t n, double loc,
                            double scale, int centred, int nontemporal) {
    enum { HALF = WIDTH / 2 };
    uint64_t radius[HALF], angle[HALF];
    _Alignas(64) double r2[FI_BLOCK / 2];
    double first[HALF], second[HALF];
    for (size_t i = 0; i < n; i += HALF) {
        swap_64(radius, angle, d + 2 * i, d + 2 * i + HALF);
        VECTORISE /* else clang gathers the draws one by one */
            for (int k = 0; k < HALF; k++) r2[i + k] = -2.0 * ln_f64(unit(radius[k], DRAW));
    }
    for (size_t i = 0; i < n; i += HALF) {
        swap_64(radius, angle, d + 2 * i, d + 2 * i + HALF);
        for (int k = 0; k < HALF; k++) {
            double r_cos, r_sin;
            polar_f64(__builtin_sqrt(r2[i + k]), angle[k], &r_cos, &r_sin);
            first[k] = centred ? scale * r_cos : loc + scale * r_cos;
            second[k] = centred ? scale * r_sin : loc + scale * r_sin;
        }
        swap_64(first, second, first, second);
        put(v + 2 * i, load(first), nontemporal);
        put(v + 2 * i + HALF, load(second), nontemporal);
    }
}

/* The draws that are left after the last full vector are copied into one, padded with 0. */
#define FI_NORMAL_KERNEL(name, T, loop, draws_per_value, nontemporal)                                        \
    static __attribute__((noinline)) void name##_steps(T *restrict v, const uint64_t *restrict d, size_t n,  \
                                                       const fi_params *p) {                                 \
        const T loc = (T)p->loc, scale = (T)p->scale;                                                        \
        if (loc == 0 && scale >= (T)0x1p-64)                                                                 \
            loop(v, d, n, loc, scale, 1, nontemporal);                                                       \
        else                                                                                                 \
            loop(v, d, n, loc, scale, 0, nontemporal);                                                       \
    }                                                                                                        \
    static void name(void *restrict out, const uint64_t *restrict d, size_t n, const fi_params *p) {         \
        const size_t even = n / WIDTH * WIDTH, rest = n - even;                                              \
        uint64_t draws[WIDTH] = {0};                                                                         \
        _Alignas(64) T values[WIDTH * sizeof(double) / sizeof(T)];                                           \
        name##_steps(out, d, even / draws_per_value, p);                                                     \
        if (!rest) return;                                                                                   \
        memcpy(draws, d + even, rest * sizeof *draws);                                                       \
        name##_steps(values, draws, WIDTH / draws_per_value, p);                                             \
        memcpy((char *)out + even * sizeof *draws, values, rest * sizeof *draws);                            \
    }
FI_NORMAL_KERNEL(normal_f32, float, normal_f32_loop, 1, CACHED)
FI_NORMAL_KERNEL(normal_f64, double, normal_f64_loop, 2, CACHED)
#if FI_WIDTH == 16 /* a vector is a cache line */
FI_NORMAL_KERNEL(nontemporal_normal_f32, float, normal_f32_loop, 1, NONTEMPORAL)
FI_NORMAL_KERNEL(nontemporal_normal_f64, double, normal_f64_loop, 2, NONTEMPORAL)
#endif

FI_HALF_KERNEL(normal_f16, f16, normal_f32)
FI_HALF_KERNEL(normal_bf16, bf16, normal_f32)

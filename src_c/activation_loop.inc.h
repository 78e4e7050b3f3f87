/* Template: the loop of an elementwise operation, and a kernel of each, for one dtype. Uses vector.inc.h,
 * convert.inc.h and activation_ops.inc.h. All functions but the kernels are inlined with a constant `shape`,
 * which removes its branches. Parameters: TAG (f16, bf16, f32 or f64), which ends the names of all functions
 * here, and T and F of that dtype (fastinit.h). */
#define N(name) CAT(name, TAG)
enum { N(PER) = sizeof(vector) / sizeof(T) };

typedef void N(operation)(F *restrict r, const F *x, const F *y, const F *z, const uint32_t *words,
                          const fi_activation *p);

INLINE void N(one_vector)(N(operation) * op, struct shape shape, T *restrict to, F *restrict r,
                          const fi_operands *o, size_t i, size_t j, const fi_activation *p) {
    const int in_order = shape.sums || shape.extra == FI_WORDS;
    const T *a = o->in[0], *b = o->in[1], *c = o->in[2];
    void (*widen)(F *restrict, const T *restrict) = in_order ? N(widen_vector) : N(widen_pairs);
    F x[N(PER)], y[N(PER)], z[N(PER)];
    widen(x, a + i);
    if (shape.operands > 1) widen(y, b + (shape.extra == FI_BIAS ? j : i));
    if (shape.operands > 2) widen(z, c + i);
    op(r, x, y, z, shape.extra == FI_WORDS ? o->words + i : NULL, p);
    (in_order ? N(narrow_vector) : N(narrow_pairs))(to, r);
}

/* Adds elements [first, end) of a vector to their sums. */
INLINE void N(add_up)(F *restrict sums, const F *restrict r, size_t first, size_t end) {
    VECTORISE
    for (size_t k = 0; k < N(PER); k++) sums[k] += k - first < end - first ? r[k] : 0;
}

/* Computes fewer elements than a vector has, in copies of vector length. */
INLINE void N(run_few)(N(operation) * op, struct shape shape, const fi_operands *o, size_t n,
                       const fi_activation *p) {
    T in[3][N(PER)] = {{0}}, to[N(PER)];
    F r[N(PER)], *sums = o->sums;
    uint32_t words[N(PER)] = {0};
    for (int i = 0; i < shape.operands; i++)
        memcpy(in[i], (const T *)o->in[i] + (shape.extra == FI_BIAS && i ? o->phase : 0), n * sizeof(T));
    if (shape.extra == FI_WORDS) memcpy(words, o->words, n * sizeof *words);
    const fi_operands copies = {.in = {in[0], in[1], in[2]}, .words = words};
    N(one_vector)(op, shape, to, r, &copies, 0, 0, p);
    for (size_t k = 0; shape.sums && k < n; k++) sums[k] += r[k];
    memcpy(o->out, to, n * sizeof(T));
}

/* Computes one vector at a time. The elements before the first aligned vector and after the last full one are
 * computed in vectors that overlap their neighbours. The last is computed before anything is written, since
 * an operand may be the output. */
INLINE void N(run)(N(operation) * op, struct shape shape, const fi_operands *operands, size_t n,
                   const fi_activation *params, int nontemporal) {
    const fi_activation p = *params;
    const fi_operands copy = *operands, *o = &copy;
    T *out = o->out, to[N(PER)], last[N(PER)];
    F *sums = o->sums, last_r[N(PER)];
    size_t i = nontemporal ? -(uintptr_t)out % sizeof(vector) / sizeof(T) : 0, j = o->phase;
    const size_t left = (n - i) % N(PER), period = shape.extra == FI_BIAS ? p.period : 1;
    if (left) N(one_vector)(op, shape, last, last_r, o, n - N(PER), (j + n - N(PER)) % period, &p);
    if (i) {
        F r[N(PER)];
        N(one_vector)(op, shape, to, r, o, 0, j, &p);
        if (shape.sums) N(add_up)(sums, r, 0, i);
        store(out, load(to));
        j = (j + i) % period;
    }
    for (; i + N(PER) <= n; i += N(PER)) {
        F r[N(PER)]; /* if declared outside the loop, gcc stores each r once more */
        N(one_vector)(op, shape, to, r, o, i, j, &p);
        if (shape.sums) N(add_up)(sums + i, r, 0, N(PER));
        put(out + i, load(to), nontemporal);
        j = j + N(PER) < period ? j + N(PER) : j + N(PER) - period;
    }
    if (left) {
        if (shape.sums) N(add_up)(sums + n - N(PER), last_r, N(PER) - left, N(PER));
        store(out + n - N(PER), load(last));
    }
}

#define OPERATION(name) _Generic((F)0, float: name##_f32, double: name##_f64)
#define X(NAME, name, operands, extra, sums)                                                                 \
    INLINE void N(name##_each)(F *restrict r, const F *x, const F *y, const F *z, const uint32_t *words,     \
                               const fi_activation *p) {                                                     \
        VECTORISE                                                                                            \
        for (int k = 0; k < N(PER); k++)                                                                     \
            r[k] = OPERATION(name)(x[k], operands > 1 ? y[k] : 0, operands > 2 ? z[k] : 0,                   \
                                   extra == FI_WORDS ? words[k] : 0, p);                                     \
    }                                                                                                        \
    static __attribute__((noinline)) void N(name##_few)(const fi_operands *o, size_t n,                      \
                                                        const fi_activation *p) {                            \
        N(run_few)(N(name##_each), (struct shape){operands, extra, sums}, o, n, p);                          \
    }                                                                                                        \
    static void N(name##_kernel)(const fi_operands *o, size_t n, const fi_activation *p, int nontemporal) {  \
        if (n < N(PER))                                                                                      \
            N(name##_few)(o, n, p);                                                                          \
        else                                                                                                 \
            N(run)(N(name##_each), (struct shape){operands, extra, sums}, o, n, p, nontemporal);             \
    }
#include "activations.def"
#undef OPERATION
#undef N
#undef TAG
#undef T
#undef F

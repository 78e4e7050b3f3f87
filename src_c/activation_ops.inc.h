/* Template: the scalar functions of activations.def in one working precision. Uses vmath.inc.h and the
 * constants and reduce_W of activations.inc.h. Valid range: every bit pattern. Largest errors found, in ulp
 * of float32 and float64: selu 1.84, 1.71; sigmoid 1.78, 1.81; tanh 1.64, 1.84; selu_backward_x 1.96, 1.81;
 * sigmoid_backward 1.96, 1.32; tanh_backward 1.25, 1.20 (tests/nn/test_accuracy.py). Parameters:
 *
 *   F, U  float and uint32_t, or double and uint64_t
 *   W     f32 or f64, which ends the names of all functions here */
#define N(name) CAT(name, W)

INLINE F N(masked)(F x, U mask) { return N(of_bits)(N(bits)(x) & mask); }
INLINE F N(selected)(U mask, F x, F y) { return N(of_bits)((N(bits)(x) & mask) | (N(bits)(y) & ~mask)); }
INLINE F N(magnitude)(F x) { return N(masked)(x, (U)-1 >> 1); }
INLINE F N(with_sign)(F x, F of) { return N(selected)((U)-1 >> 1, x, of); }

/* exp(x) = 2^k exp(r). Valid range: x <= 0. 2^k would be subnormal for the smallest results, so the factor is
 * 2^(k + up), and the product is multiplied by 2^-up, which rounds it to a subnormal once. */
INLINE F N(exp_negative)(F x) {
    U k;
    F p = N(reduce)(x < -N(exp_end) ? -N(exp_end) : x, &k), s = N(power)(k + N(up));
    return N(fma)(s, p, s) * N(power)(-N(up));
}
/* (exp(x) - 1) / 2^halves. Valid range: x in [-40, 40]. */
INLINE F N(expm1)(F x, int halves) {
    U k;
    F p = N(reduce)(x, &k), s = N(power)(k - (U)halves);
    return N(fma)(s, p, s - N(power)(-(U)halves));
}
/* b / (1 + b). Valid range: b >= 0. q is corrected by (left - q rest) / sum; 1 / sum is 1 - q. `rest` is
 * the sum's rounding error (exact if b < 2^24, for double 2^53; else 0), `left` q's own, if of_quotient. */
INLINE F N(share)(F b, int of_quotient) {
    F sum = 1 + b, rest = b - (sum - 1), q = b / sum;
    F left = of_quotient ? N(fma)(-q, sum, b) : 0;
    return N(fma)(N(fma)(-q, rest, left), 1 - q, q);
}
/* The derivative of selu at x. With a conditional in place of the mask, gcc computes exponentials of -exp_end
 * for x > 0, which are subnormal. */
INLINE F N(slope_of_selu)(F x) {
    return N(selected)(-(U)(x > 0), N(lambda), N(lambda_alpha) * N(exp_negative)(x));
}
/* The derivative of selu from y = selu(x). */
INLINE F N(slope_at_selu)(F y) { return y > 0 ? N(lambda) : y + N(lambda_alpha); }
/* Whether dropout drops an element: never if an operand is NaN, so that the result is NaN. */
INLINE int N(drops)(F x, F y, uint32_t w, const fi_activation *p) {
    return ((U)w <= p->last_dropped) & !__builtin_isunordered(x, y);
}
/* Dropout sets x to -lambda alpha, SELU's limit at -infinity; then scale and shift restore mean 0 and
 * variance 1 (Klambauer et al. 2017). */
INLINE F N(dropped)(F x, uint32_t w, const fi_activation *p) {
    F kept = N(fma)((F)p->scale, x, (F)p->shift);
    return N(drops)(x, x, w, p) ? (F)p->dropped : kept;
}

/* Three operands, a word of the stream, and the parameters of the call. In a gradient x is the gradient of
 * the output, y the next operand. With a bias the activation's input is x + y, in a gradient y + z. */
#define OPERATION(name) INLINE F N(name)(F x, F y, F z, uint32_t w, const fi_activation *p)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

OPERATION(relu) { return x < 0 ? 0 : x; }
OPERATION(leaky_relu) { return x > 0 ? x : x * (F)p->slope; }
OPERATION(selu) {
    F low = N(lambda_alpha) * N(with_sign)(N(expm1)(x < -N(selu_end) ? -N(selu_end) : x, 0), x);
    return x > 0 ? N(lambda) * x : low;
}
/* With e = exp(-|x|): e / (1 + e) if x < 0, else 1 - e / (1 + e). */
OPERATION(sigmoid) {
    F below = N(share)(N(exp_negative)(N(with_sign)(x, -1)), 0);
    return x < 0 ? below : 1 - below;
}
/* m / (1 + m) with m = (exp(2 |x|) - 1) / 2: near 1 the errors of m cancel. Past tanh_end it is 1, within an
 * ulp. */
OPERATION(tanh) {
    F a = N(magnitude)(x);
    return N(with_sign)(N(share)(N(expm1)(a > N(tanh_end) ? 40 : 2 * a, 1), 1), x);
}
OPERATION(alpha_dropout) { return N(dropped)(x, w, p); }
OPERATION(selu_dropout) { return N(dropped)(N(selu)(x, y, z, w, p), w, p); }
OPERATION(bias_leaky_relu) { return N(leaky_relu)(x + y, y, z, w, p); }
OPERATION(bias_selu) { return N(selu)(x + y, y, z, w, p); }

/* A mask: gcc makes `y <= 0 ? 0 : x` a masked load of x, which takes 1.5 times as long from memory. */
OPERATION(relu_backward) { return N(masked)(x, -(U) !(y <= 0)); }
OPERATION(leaky_relu_backward) { return y > 0 ? x : x * (F)p->slope; }
OPERATION(selu_backward) { return x * N(slope_at_selu)(y); }
OPERATION(selu_backward_x) { return x * N(slope_of_selu)(y); }
OPERATION(sigmoid_backward) { return x * (1 - y) * y; }
OPERATION(tanh_backward) { return x * N(fma)(-y, y, 1); }
OPERATION(alpha_dropout_backward) { return N(drops)(x, x, w, p) ? 0 : x * (F)p->scale; }
OPERATION(selu_dropout_backward) { /* y is scale selu(x) + shift */
    F above = y - (F)p->shift, low = N(fma)((F)p->scale, N(lambda_alpha), above);
    F slope = above > 0 ? (F)p->scale * N(lambda) : low;
    return N(drops)(x, y, w, p) ? 0 : x * slope;
}
OPERATION(selu_dropout_backward_x) {
    F kept = x * N(slope_of_selu)(y) * (F)p->scale;
    return N(drops)(x, y, w, p) ? 0 : kept;
}
OPERATION(bias_leaky_relu_backward) { return N(leaky_relu_backward)(x, y + z, z, w, p); }
OPERATION(bias_selu_backward) { return N(selu_backward)(x, y, z, w, p); }

#pragma GCC diagnostic pop
#undef OPERATION
#undef N
#undef F
#undef U
#undef W

/* Template: the activations and their gradients (tools/coefficients/activations.py). Errors are relative,
 * before rounding. Uses vmath.inc.h, vector.inc.h and convert.inc.h. */

/* 2^k, exact. Valid range: 2^k is a normal number. Upper bits of k are shifted out: k may be the bits of the
 * float 1.5 * 2^23 + k (of the double 1.5 * 2^52 + k), whose low bits are those of k, plus an integer. */
INLINE float power_f32(uint32_t k) { return of_bits_f32((k + 127) << 23); }
INLINE double power_f64(uint64_t k) { return of_bits_f64((k + 1023) << 52); }

/* Splits x = k ln 2 + r, |r| <= 0.3467. Returns exp(r) - 1, with error 1.4e-8; sets *k for power_f32. */
INLINE float reduce_f32(float x, uint32_t *k) {
    float t = fma_f32(x, 0x1.715476p+0f, 0x1.8p23f), rounded = t - 0x1.8p23f;
    float r = fma_f32(rounded, -0x1.62e430p-1f, x);
    r = fma_f32(rounded, 0x1.05c610p-29f, r);
    float z = r * r;
    float even = fma_f32(fma_f32(0x1.6b78f0p-10f, z, 0x1.555712p-5f), z, 0x1.fffffep-2f);
    float odd = fma_f32(0x1.1227bep-7f, z, 0x1.5554b0p-3f);
    *k = bits_f32(t);
    return fma_f32(z, fma_f32(odd, r, even), r);
}

/* In double, error 1.9e-17. The high part of ln 2 ends in 11 zero bits: its product with k is exact. */
INLINE double reduce_f64(double x, uint64_t *k) {
    double t = fma_f64(x, 0x1.71547652b82fep+0, 0x1.8p52), rounded = t - 0x1.8p52;
    double r = fma_f64(rounded, -0x1.62e42fefa3800p-1, x);
    r = fma_f64(rounded, -0x1.ef35793c76730p-45, r);
    double z = r * r;
    double even = fma_f64(0x1.28a2a3c85c281p-22, z, 0x1.a019a690cba58p-16);
    even = horner3_f64(even, z, 0x1.6c16c17f330b5p-10, 0x1.5555555552104p-5, 0x1.0000000000005p-1);
    double odd = fma_f64(0x1.ae8b000042b53p-26, z, 0x1.71de74bef1081p-19);
    odd = horner3_f64(odd, z, 0x1.a01a017d6e280p-13, 0x1.111111111780ep-7, 0x1.555555555553fp-3);
    *k = bits_f64(t);
    return fma_f64(z, fma_f64(odd, r, even), r);
}

/* lambda and lambda alpha of SELU. exp(-x), selu(-x) and tanh(x) are constant for x past their `end`. */
static const float lambda_f32 = 0x1.0cfabep+0f, lambda_alpha_f32 = 0x1.c212ccp+0f;
static const float exp_end_f32 = 104, selu_end_f32 = 20, tanh_end_f32 = 8.6f;
static const uint32_t up_f32 = 64;
static const double lambda_f64 = 0x1.0cfabd6a91132p+0, lambda_alpha_f64 = 0x1.c212cc640f031p+0;
static const double exp_end_f64 = 746, selu_end_f64 = 40, tanh_end_f64 = 18.6;
static const uint64_t up_f64 = 512;

#define F float
#define U uint32_t
#define W f32
#include "activation_ops.inc.h"
#define F double
#define U uint64_t
#define W f64
#include "activation_ops.inc.h"

struct shape {
    int operands, extra, sums; /* a row of activations.def */
};

#define TAG f16
#define T uint16_t
#define F float
#include "activation_loop.inc.h"
#define TAG bf16
#define T uint16_t
#define F float
#include "activation_loop.inc.h"
#define TAG f32
#define T float
#define F float
#include "activation_loop.inc.h"
#define TAG f64
#define T double
#define F double
#include "activation_loop.inc.h"

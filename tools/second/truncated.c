/* docs/truncated_normal.md: t from two bounds and a u. */
#include "stream.h"

enum { CENTRE, WIDE, FAR };

float truncated_c32[] = {0x1.017010p-41f,  -0x1.04b9aep-36f, 0x1.0487e4p-33f, 0x1.237c10p-29f,
                         -0x1.a746e0p-25f, 0x1.424550p-24f,  0x1.4613dcp-17f, -0x1.21a8dap-13f,
                         -0x1.f30ed6p-12f, 0x1.68b31cp-4f};
float truncated_t32[] = {0x1.0b0502p+5f, -0x1.d00562p+5f, 0x1.6af4aap+5f,  -0x1.62d3d2p+4f,
                         0x1.0f962ep+3f, -0x1.558f16p+1f, -0x1.005fb0p-4f, 0x1.0035eap+0f};
double truncated_c64[] = {
    -0x1.72345dd5c14dep-65, 0x1.f625643f4b885p-62,  0x1.4a831e681d128p-60,  -0x1.45f12462db4e4p-55,
    0x1.c39913608b714p-54,  0x1.8e06852395b96p-50,  -0x1.85e980fdede54p-47, -0x1.3e994f03ba848p-46,
    0x1.4be2b98dd5289p-41,  -0x1.ffa74695ebefbp-40, -0x1.5ad60f175b814p-36, 0x1.844643a5c2501p-33,
    0x1.2581b434e3b04p-33,  -0x1.3a52a349332b4p-27, 0x1.3a4dde1c3b2d9p-25,  0x1.27100ef0dd635p-22,
    -0x1.abaf95df7a97fp-19, 0x1.42d8f9539bac3p-19,  0x1.4639d460162dfp-13,  -0x1.21a9e205e46d5p-10,
    -0x1.f3129001d37c4p-10, 0x1.68b31cd5b0400p-3};
double truncated_g[] = {0x1.0ca2fe45a5983p+8,  -0x1.7e9077673114fp+6, 0x1.1c4a8d7d6899dp+4,
                        -0x1.e1c5f0c021680p+1, -0x1.81b5d7948f14ap+1, 0x1.0000d28e2228fp+0};
double truncated_e[] = {0x1.ffffffffffc25p-1,  0x1.d46a0b51fa81dp+5,  0x1.2df397807f995p+10,
                        0x1.53103c430a2afp+13, 0x1.4b7e8c4252935p+15, 0x1.e8dda662996f8p+15,
                        0x1.6223b4953b1dfp+14};
double truncated_b[] = {0x1.e46a0b51f6023p+5,  0x1.49ba3835e1224p+10, 0x1.94e2a5d74015fp+13,
                        0x1.cc6358a69b9ffp+15, 0x1.bcda5e1563dbdp+16, 0x1.1b88fd3f7592fp+16,
                        0x1.97376fbb77e98p+12};

/* ---- The bounds ---- */

static double exp_minus(double a) {
    if (a >= 700) return 0;
    const int k = (int)(a * 0x1.71547652b82fep+0 + 0.5);
    const double r = fma(k, 0x1.62e42fefa39efp-1, -a) + k * 0x1.abc9e3b39803fp-56;
    double s = 1;
    for (int i = 18; i >= 1; i--) s = fma(r / i, s, 1);
    return ldexp(s, -k);
}

static double phi(double t) {
    const double lost = fma(t, t, -(t * t));
    return exp_minus(0.5 * (t * t)) * fma(-0.5, lost, 1) * 0x1.9884533d43651p-2;
}

static double hazard(double t) {
    double h = t;
    for (int i = 500; i >= 1; i--) h = t + i / h;
    return h;
}

static double outside(double t);
static double inside(double t) {
    if (t > 1) return 1 - outside(t);
    if (t < -1) return outside(-t) - 1;
    double s = 1;
    for (int i = 30; i >= 1; i--) s = fma(s, (t * t) / (2 * i + 1), 1);
    return ((2 * phi(t)) * t) * s;
}

static double outside(double t) {
    if (t <= 1) return 1 - inside(t);
    return t < 37 ? (2 * phi(t)) / hazard(t) : 0;
}

static double below_twice(double t) { return t < 0 ? outside(-t) : 2 - outside(t); }

void prepare_truncated(struct truncated *b, double low, double high) {
    b->mirrored = high <= 0;
    if (b->mirrored) {
        const double image = -low;
        low = -high, high = image;
    }
    b->kind = -3 <= low && high <= 3 ? CENTRE : low >= 5 ? FAR : WIDE;
    b->mass = low < 1 ? inside(high) - inside(low) : outside(low) - outside(high);
    b->centre = inside(low);
    b->below = below_twice(low);
    b->above = outside(high);
    if (b->kind != FAR) return;
    low = fmin(low, 0x1p30), high = fmin(high, 0x1p30);
    b->share = exp_minus((0.5 * (high - low)) * (high + low)) * (hazard(low) / hazard(high));
    b->w = fma(0.5 * low, low, ln(hazard(low)));
}

/* ---- t ---- */

static double central_f64(double x, double q) {
    const double v = -ln(q * (2 - q)), y = v - 0x1.12fc57a4d97b4p+1;
    double r = truncated_c64[0];
    for (int j = 1; j <= 21; j++) r = fma(r, y, truncated_c64[j]);
    return fma((x + x) * y, r, x + x);
}

static double tail_of_w(double w) {
    const double s = sqrt(w + w) + 3, y = 1 / s;
    double r = truncated_g[0];
    for (int j = 1; j <= 5; j++) r = fma(r, y, truncated_g[j]);
    const double a = s * r;
    const double z = a * a;
    double e = truncated_e[0];
    for (int j = 1; j <= 6; j++) e = fma(e, z, truncated_e[j]);
    double d = z + truncated_b[0]; /* the page's b[0] is 1 */
    for (int j = 1; j <= 6; j++) d = fma(d, z, truncated_b[j]);
    e = (a * e) / d;
    const double h = a + e;
    const double step = (fma(0.5 * a, a, -w) + ln(h)) / h;
    const double half = (0.5 * step) * e;
    return a - step * fma(half, fma(half, 2, 1), 1);
}

static double tail_f64(double q) { return tail_of_w(-ln(q) - 0x1.ce6bb25aa1316p-3); }

static float central_f32(double x, double one_less_square) {
    const float X = (float)x, v = minus_2_ln_f32((float)one_less_square, 0, 0), y = v - 0x1.12fc58p+2f;
    float r = truncated_c32[0];
    for (int j = 1; j <= 9; j++) r = fmaf(r, y, truncated_c32[j]);
    return fmaf((X + X) * y, r, X + X);
}

static float tail_f32(double q) {
    const float s = sqrtf(minus_2_ln_f32((float)q, 0, 0)), y = 1 / s;
    float r = truncated_t32[0];
    for (int j = 1; j <= 7; j++) r = fmaf(r, y, truncated_t32[j]);
    return s * r;
}

static double x_of(const struct truncated *b, double u) { return fma(u, b->mass, b->centre); }

static double q_of(const struct truncated *b, double u) {
    const double below = fma(u, b->mass, b->below), above = fma(1 - u, b->mass, b->above);
    return below < above ? below : above;
}

static double far_f64(const struct truncated *b, double u) {
    return tail_of_w(b->w - ln(fma(1 - u, 1 - b->share, b->share)));
}

static double image_f64(const struct truncated *b, double u) {
    if (b->kind == FAR) return far_f64(b, u);
    const double x = x_of(b, u), q = q_of(b, u);
    if (b->kind == WIDE && q < 0x1.61dep-9) return copysign(tail_f64(q), x);
    return central_f64(x, q);
}

static float image_f32(const struct truncated *b, double u) {
    if (b->kind == FAR) return (float)far_f64(b, u);
    const double x = x_of(b, u), q = q_of(b, u);
    if (b->kind == CENTRE) return central_f32(x, fma(-x, x, 1));
    if (q < 0x1.61dep-9) return copysignf(tail_f32(q), (float)x);
    return central_f32(x, q * (2 - q));
}

double truncated_f64(const struct truncated *b, double u) {
    return b->mirrored ? -image_f64(b, 1 - u) : image_f64(b, u);
}

float truncated_f32(const struct truncated *b, double u) {
    return b->mirrored ? -image_f32(b, 1 - u) : image_f32(b, u);
}

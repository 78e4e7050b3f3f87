/* docs/stream.md: draws, words, dtypes, uniform and normal, and the fill of n values. */
#include "stream.h"

/* ---- Generators and words ---- */

static const u128 PCG64_A = (u128)0x2360ED051FC65DA4u << 64 | 0x4385DF649FCCF645u;
static const u128 DXSM_A = 0xDA942042E4DD58B5u;

static uint64_t pcg64_output(u128 s) {
    const uint64_t x = (uint64_t)(s >> 64) ^ (uint64_t)s;
    const int r = (int)(s >> 122);
    return x >> r | x << (-r & 63);
}

static uint64_t dxsm_output(u128 s) {
    uint64_t hi = (uint64_t)(s >> 64), lo = (uint64_t)s;
    lo |= 1;
    hi ^= hi >> 32;
    hi *= 0xDA942042E4DD58B5u;
    hi ^= hi >> 48;
    return hi * lo;
}

uint64_t next_draw(struct stream *g) {
    u128 s = g->s;
    switch (g->kind) {
    case PCG64: return pcg64_output(g->s = PCG64_A * s + g->c);
    case DXSM: g->s = DXSM_A * s + g->c; return dxsm_output(s);
    case COUNTED: g->s += 1; return (uint64_t)(2 * s + 1) << 32 | (uint32_t)(2 * s);
    case LISTED: return ((const uint64_t *)(uintptr_t)g->c)[g->s++];
    default: g->s += 1; return (uint64_t)((uint32_t)s * 0x9E3779B1u + 0x7F4A7C15u) << 32 | (uint32_t)s;
    }
}

uint32_t next_word(struct stream *g) {
    if (g->held) {
        g->held = 0;
        return g->half;
    }
    const uint64_t d = next_draw(g);
    g->half = (uint32_t)(d >> 32);
    g->held = 1;
    return (uint32_t)d;
}

/* n steps are one step with another multiplier and increment. */
void skip_draws(struct stream *g, u128 n) {
    u128 a = g->kind == PCG64 ? PCG64_A : g->kind == DXSM ? DXSM_A : 1;
    u128 c = g->kind == PCG64 || g->kind == DXSM ? g->c : 1, all = 1, sum = 0;
    for (; n; n >>= 1) {
        if (n & 1) all *= a, sum = sum * a + c;
        c *= a + 1;
        a *= a;
    }
    g->s = g->s * all + sum;
}

void skip_words(struct stream *g, u128 n) {
    if (n && g->held) g->held = 0, n -= 1;
    if (n == 0) return;
    skip_draws(g, (n - 1) / 2);
    next_word(g);
    if (n % 2 == 0) next_word(g);
}

void words(struct stream *g, uint64_t n, uint32_t *out) {
    for (uint64_t i = 0; i < n; i++) out[i] = next_word(g);
}

/* ---- dtypes: a value is the double that equals it ---- */

static const struct {
    int digits, least, most; /* of the significand, and exponents of the smallest and the largest value */
} FORMAT[] = {{11, -24, 15}, {8, -133, 127}, {24, -149, 127}, {53, -1074, 1023}};

static int32_t bits_f32(float x) {
    int32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}
static float float_f32(int32_t b) {
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}
static int64_t bits_f64(double x) {
    int64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}
static double float_f64(int64_t b) {
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* floor(log2(|x|)), and 2^n. */
static int exponent_of(double x) { return (int)(bits_f64(x) >> 52 & 0x7FF) - 1023; }
static double power(int n) { return float_f64((int64_t)(1023 + n) << 52); }

/* The exponent of the distance between the dtype's values around x. */
static int unit_of(double x, int dtype) {
    const int own = exponent_of(x) + 1 - FORMAT[dtype].digits;
    return own < FORMAT[dtype].least ? FORMAT[dtype].least : own;
}

/* x rounded once, to nearest, ties to even. */
double nearest(double x, int dtype) {
    if (dtype == F32) return (float)x; /* C's conversions round so, too */
    if (dtype == F64 || x == 0 || !isfinite(x)) return x;
    const int unit = unit_of(x, dtype);
    const double y = nearbyint(x * power(-unit)) * power(unit);
    return fabs(y) >= power(FORMAT[dtype].most + 1) ? copysign(INFINITY, x) : y;
}

/* The bits of a value of the dtype. */
uint64_t encode(double v, int dtype) {
    if (dtype == F32) return (uint32_t)bits_f32((float)v);
    if (dtype == F64) return (uint64_t)bits_f64(v);
    const int digits = FORMAT[dtype].digits;
    const uint64_t sign = signbit(v) ? 0x8000 : 0;
    const double a = fabs(v);
    if (a == 0) return sign;
    if (isinf(a)) return sign | (uint64_t)(FORMAT[dtype].most * 2 + 1) << (digits - 1);
    const int unit = unit_of(a, dtype);
    /* The significand's leading digit, if there is one, counts as one more exponent. */
    return sign | (((uint64_t)(unit - FORMAT[dtype].least) << (digits - 1)) + (uint64_t)(a * power(-unit)));
}

/* The value whose bits, without the sign, are `key`; a negative key is a negative value. */
static double decode(int64_t key, int dtype) {
    const int digits = FORMAT[dtype].digits;
    const uint64_t bits = (uint64_t)(key < 0 ? -key : key);
    uint64_t exponent = bits >> (digits - 1), fraction = bits & (((uint64_t)1 << (digits - 1)) - 1);
    if (exponent) fraction |= (uint64_t)1 << (digits - 1), exponent -= 1;
    const double a = exponent > (uint64_t)FORMAT[dtype].most * 2
                         ? INFINITY
                         : ldexp((double)fraction, (int)exponent + FORMAT[dtype].least);
    return key < 0 ? -a : a;
}

/* The dtype's value next to v, above or below. Zero has one. */
static double beside(double v, int direction, int dtype) {
    const int64_t bits = (int64_t)encode(fabs(v), dtype);
    return decode((v < 0 ? -bits : bits) + direction, dtype);
}

/* Limits. A limit of zero has the sign of its bound. */
static double limit_of(double v, double bound) { return v == 0 ? copysign(v, bound) : v; }

double smallest_not_below(double x, int dtype) {
    double v = nearest(x, dtype);
    while (v < x) v = beside(v, 1, dtype);
    return limit_of(v, x);
}

double largest_not_above(double x, int dtype) {
    double v = nearest(x, dtype);
    while (v > x) v = beside(v, -1, dtype);
    return limit_of(v, x);
}

double largest_below(double x, int dtype) {
    double v = nearest(x, dtype);
    while (v >= x) v = beside(v, -1, dtype);
    return limit_of(v, x);
}

/* ---- Uniform ---- */

static double uniform_f64(uint64_t d, double low, double high) {
    const double u = (double)(d >> 11) * 0x1p-53;
    const double range = high - low;
    return low + range * u;
}

static float uniform_f32(uint32_t w, double low, double high) {
    const float u = (float)(w >> 8) * 0x1p-24f;
    const float range = (float)(high - low);
    return (float)low + range * u;
}

/* ---- Normal ---- */

static float horner_f32(const float *c, int n, float x) {
    float q = c[0];
    for (int j = 1; j < n; j++) q = fmaf(q, x, c[j]);
    return q;
}

static double horner(const double *c, int n, double x) {
    double q = c[0];
    for (int j = 1; j < n; j++) q = fma(q, x, c[j]);
    return q;
}

/* Coefficients begin with that of the highest power. */
static float paired_f32(const float *c, int n, float x) {
    const float x2 = x * x;
    float even = c[(n - 1) % 2], odd = c[n % 2];
    for (int j = (n - 1) % 2 + 2; j < n; j += 2) even = fmaf(even, x2, c[j]);
    for (int j = n % 2 + 2; j < n; j += 2) odd = fmaf(odd, x2, c[j]);
    return fmaf(odd, x, even);
}

static double paired(const double *c, int n, double x) {
    const double x2 = x * x;
    double even = c[(n - 1) % 2], odd = c[n % 2];
    for (int j = (n - 1) % 2 + 2; j < n; j += 2) even = fma(even, x2, c[j]);
    for (int j = n % 2 + 2; j < n; j += 2) odd = fma(odd, x2, c[j]);
    return fma(odd, x, even);
}

float normal_l32[] = {-0x1.65d000p-3f, 0x1.250e9ap-2f, -0x1.318692p-2f, 0x1.535b58p-2f,
                      -0x1.98d28cp-2f, 0x1.0004aap-1f, -0x1.5556f4p-1f, 0x1.fffffap-1f};
float normal_s32[] = {-0x1.31fb24p-8f, 0x1.467a54p-4f, -0x1.4abc14p-1f, 0x1.921fb6p+0f};
float normal_c32[] = {-0x1.4e7d44p-6f, 0x1.03b066p-2f, -0x1.3bd39cp+0f, 0x1.000000p+0f};

/* near_1: f comes from the complement where k is 0. */
float minus_2_ln_f32(float u, int near_1, float complement) {
    const int32_t k = (bits_f32(u) - 0x3F3504F3) >> 23;
    const float f = near_1 && k == 0 ? complement : float_f32(bits_f32(u) - k * (1 << 23)) - 1;
    const float q = paired_f32(normal_l32, 8, f);
    const float inner = fmaf(q, f * f, f * -2);
    return fmaf((float)k, -0x1.62e430p+0f, inner);
}

static void normal_pair_f32(uint64_t d, float z[2]) {
    const uint32_t w = (uint32_t)d, a = (uint32_t)(d >> 32);
    const float u = fmaf((float)w, 0x1p-32f, 0x1p-33f);
    const float complement = -fmaf((float)~w, 0x1p-32f, 0x1p-33f);
    const float r = sqrtf(minus_2_ln_f32(u, 1, complement));
    const uint32_t b = a + 0x20000000u;
    const float y = fmaf((float)(int32_t)(a << 2), 0x1p-32f, 0x1p-31f);
    const float y2 = y * y;
    const float s = horner_f32(normal_s32, 4, y2) * (y * r);
    const float c = horner_f32(normal_c32, 4, y2) * r;
    const int swapped = b >> 30 & 1;
    const float cosine = swapped ? s : c, sine = swapped ? c : s;
    z[0] = (b + 0x40000000u) >> 31 ? -cosine : cosine;
    z[1] = b >> 31 ? -sine : sine;
}

double normal_l64[] = {0x1.2f031072f8dcfp-3, 0x1.39a1fad84b423p-3, 0x1.74663c328b453p-3, 0x1.c71c5217df2cep-3,
                       0x1.24924941dd504p-2, 0x1.999999997ff4ep-2, 0x1.5555555555592p-1};
double normal_s64[] = {0x1.e08d5e37dba49p-25, -0x1.e2f63b4379386p-19, 0x1.50782454d2929p-13,
                       -0x1.32d2ccd6e3774p-8, 0x1.466bc6774d1e7p-4,   -0x1.4abbce625bdc1p-1,
                       0x1.921fb54442d18p+0};
double normal_c64[] = {-0x1.b045b96db34f8p-28, 0x1.f9c4e594f5570p-22, -0x1.a6d1e27d59df2p-16,
                       0x1.e1f5067600e5bp-11,  -0x1.55d3c7e3c00f5p-6, 0x1.03c1f081b5a53p-2,
                       -0x1.3bd3cc9be45dep+0,  0x1.0000000000000p+0};

double ln(double u) {
    const int64_t k = (bits_f64(u) - 0x3FE6A09E667F3BCD) >> 52;
    const double f = float_f64(bits_f64(u) - k * ((int64_t)1 << 52)) - 1;
    const double s = f / (2 + f);
    const double z = s * s;
    const double h = 0.5 * (f * f);
    const double q = paired(normal_l64, 7, z);
    const double t = fma((double)k, 0x1.a39ef35793c76p-33, s * fma(q, z, h));
    return fma((double)k, 0x1.62e42fee00000p-1, f - (h - t));
}

static void normal_pair_f64(uint64_t e, uint64_t a, double z[2]) {
    const double u = ((double)(e >> 12) + 0.5) * 0x1p-52;
    const double r = sqrt(-2 * ln(u));
    const uint64_t b = a + ((uint64_t)1 << 61);
    const double y = ((double)((int64_t)(a << 2) >> 13) + 0.5) * 0x1p-51;
    const double y2 = y * y;
    const double s = paired(normal_s64, 7, y2) * (y * r);
    const double c = paired(normal_c64, 8, y2) * r;
    const int swapped = b >> 62 & 1;
    const double cosine = swapped ? s : c, sine = swapped ? c : s;
    z[0] = (b + ((uint64_t)1 << 62)) >> 63 ? -cosine : cosine;
    z[1] = b >> 63 ? -sine : sine;
}

/* fl(loc + fl(scale * t)). */
static double placed_f64(double t, double loc, double scale) { return loc + scale * t; }
static float placed_f32(float t, double loc, double scale) {
    const float a = (float)loc, b = (float)scale;
    return a + b * t;
}

/* ---- Fills ---- */

struct limits {
    double least, most;
};

/* Without a value of the dtype between them, both limits are the same. */
static struct limits not_empty(struct limits l, double otherwise) {
    if (l.least > l.most) l.least = l.most = otherwise;
    return l;
}

static struct limits uniform_limits(double low, double high, int dtype) {
    const struct limits l = {smallest_not_below(low, dtype), largest_below(high, dtype)};
    return not_empty(l, nearest((float)low, dtype));
}

static struct limits truncated_limits(const double *p, int dtype) {
    const double low = p[2] + p[3] * p[0], high = p[2] + p[3] * p[1];
    struct limits l = {-INFINITY, INFINITY};
    if (isfinite(p[0])) l.least = smallest_not_below(low, dtype);
    if (isfinite(p[1])) l.most = largest_not_above(high, dtype);
    return not_empty(l, nearest(low, dtype));
}

static double clamped(double v, const struct limits *l) {
    return v > l->most ? l->most : v < l->least ? l->least : v;
}

static void put(void *out, uint64_t i, double v, int dtype) {
    const uint64_t bits = encode(v, dtype);
    const int size = dtype == F64 ? 8 : dtype == F32 ? 4 : 2;
    memcpy((char *)out + i * (uint64_t)size, &bits, (size_t)size); /* little-endian machines only */
}

static void fill_normal(struct stream *g, int dtype, const double *p, uint64_t start, uint64_t n, void *out) {
    skip_draws(g, dtype == F64 ? start / 2 * 2 : start / 2);
    for (uint64_t i = start / 2 * 2; i < start + n; i += 2) {
        double v[2];
        if (dtype == F64) {
            double z[2];
            const uint64_t e = next_draw(g), a = next_draw(g);
            normal_pair_f64(e, a, z);
            for (int j = 0; j < 2; j++) v[j] = placed_f64(z[j], p[0], p[1]);
        } else {
            float z[2];
            normal_pair_f32(next_draw(g), z);
            for (int j = 0; j < 2; j++) v[j] = nearest(placed_f32(z[j], p[0], p[1]), dtype);
        }
        for (uint64_t j = i; j < i + 2; j++)
            if (j >= start && j < start + n) put(out, j - start, v[j - i], dtype);
    }
}

static void fill_singles(struct stream *g, int dist, int dtype, const double *p, uint64_t n, void *out) {
    struct truncated b;
    struct limits l;
    if (dist == TRUNCATED)
        prepare_truncated(&b, p[0], p[1]), l = truncated_limits(p, dtype);
    else
        l = uniform_limits(p[0], p[1], dtype);
    for (uint64_t i = 0; i < n; i++) {
        double v;
        if (dist == UNIFORM && dtype == F64)
            v = uniform_f64(next_draw(g), p[0], p[1]);
        else if (dist == UNIFORM)
            v = nearest(clamped(uniform_f32(next_word(g), p[0], p[1]), &l), dtype);
        else if (dtype == F64) {
            const double u = ((double)(next_draw(g) >> 12) + 0.5) * 0x1p-52;
            v = clamped(placed_f64(truncated_f64(&b, u), p[2], p[3]), &l);
        } else {
            const double u = ((double)next_word(g) + 0.5) * 0x1p-32;
            v = nearest(clamped(placed_f32(truncated_f32(&b, u), p[2], p[3]), &l), dtype);
        }
        put(out, i, v, dtype);
    }
}

/* Values [start, start + n) of what the stream fills. The stream is left somewhere. */
void fill(struct stream *g, int dist, int dtype, const double *p, uint64_t start, uint64_t n, void *out) {
    if (dist == NORMAL) {
        fill_normal(g, dtype, p, start, n, out);
        return;
    }
    if (dtype == F64)
        skip_draws(g, start);
    else
        skip_words(g, start);
    fill_singles(g, dist, dtype, p, n, out);
}

/* The stream after a fill of n values. */
void skip_fill(struct stream *g, int dist, int dtype, uint64_t n) {
    if (dist == NORMAL)
        skip_draws(g, (n + 1) / 2 * (dtype == F64 ? 2 : 1));
    else if (dtype == F64)
        skip_draws(g, n);
    else
        skip_words(g, n);
}

/* A second implementation of docs/stream.md, written from that page alone: slow, scalar, for comparisons. */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef unsigned __int128 u128;

enum { F16, BF16, F32, F64 };
enum { UNIFORM, NORMAL, TRUNCATED };
/* Where draws come from. COUNTED: the words 0, 1, 2, ... MIXED: the low halves 0, 1, 2, ..., and high halves
 * that are another order of all words. LISTED: an array at address c. */
enum { PCG64, DXSM, COUNTED, MIXED, LISTED };

struct __attribute__((packed, aligned(8))) stream {
    u128 s, c;
    int kind, held; /* held: whether half is a buffered half */
    uint32_t half;
};

uint64_t next_draw(struct stream *g);
uint32_t next_word(struct stream *g);
void skip_draws(struct stream *g, u128 n);
void skip_words(struct stream *g, u128 n);

double nearest(double x, int dtype);
uint64_t encode(double v, int dtype);
double smallest_not_below(double x, int dtype);
double largest_not_above(double x, int dtype);
double largest_below(double x, int dtype);

float minus_2_ln_f32(float u, int near_1, float complement);
double ln(double u);

struct truncated {
    double mass, below, above, centre, share, w;
    int kind, mirrored;
};
void prepare_truncated(struct truncated *b, double low, double high);
double truncated_f64(const struct truncated *b, double u);
float truncated_f32(const struct truncated *b, double u);

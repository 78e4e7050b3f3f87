/* fma_f32 of vmath.inc.h: reads lines of a, b and c as the bits of floats, and prints the bits of a * b + c.
 */
#include "vmath.inc.h"
#include <inttypes.h>
#include <stdio.h>

int main(void) {
    uint32_t a, b, c;
    while (scanf("%" SCNx32 " %" SCNx32 " %" SCNx32, &a, &b, &c) == 3)
        printf("%08" PRIx32 "\n", bits_f32(fma_f32(of_bits_f32(a), of_bits_f32(b), of_bits_f32(c))));
    return 0;
}

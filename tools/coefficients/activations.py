"""Print the polynomial coefficients of src_c/activations.inc.h and the relative error of each."""

from mpmath import expm1, log, mp, mpf
from vmath import fit, round_to


def expm1_tail(r):
    """(exp(r) - 1 - r) / r^2."""
    return (expm1(r) - r) / r**2


if __name__ == "__main__":
    half = mpf("0.3467")  # ln(2) / 2, and what the rounding of the exponent adds
    for bits, degree, high_bits, label in ((24, 4, 24, "float32"), (53, 9, 42, "float64")):
        fit(
            f"expm1(r), {label}: q(r) in r + r^2 q(r)",
            expm1_tail,
            lambda r: r**2 / abs(expm1(r)),
            degree,
            -half,
            half,
            bits,
        )
        high = round_to(log(mpf(2)), high_bits)
        low = round_to(log(mpf(2)) - high, bits)
        print(
            f"ln 2 in two parts, {label}: {float(high).hex()} {float(low).hex()}",
            f"1 / ln 2: {float(round_to(1 / log(mpf(2)), bits)).hex()}",
        )
    mp.dps = 60
    alpha, scale = mpf("1.6732632423543772848170429916717"), mpf("1.0507009873554804934193349852946")
    for bits in (24, 53):
        print("SELU:", float(round_to(scale, bits)).hex(), float(round_to(alpha * scale, bits)).hex())

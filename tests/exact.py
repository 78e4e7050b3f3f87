"""The normals of docs/stream.md in exact rational arithmetic, from the page's own tables, and by mpmath."""

import math
import re
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np

HALF = Fraction(1, 2)
PAGE = Path(__file__).parents[1] / "docs" / "stream.md"
# bits of the significand, exponent of the smallest subnormal, exponent of the largest value
FORMATS = {"f16": (11, -24, 15), "bf16": (8, -133, 127), "f32": (24, -149, 127), "f64": (53, -1074, 1023)}


def fl(x, tag):
    """The number x rounded once, to nearest even: a Fraction, or an infinity."""
    x = Fraction(x)
    bits, least, most = FORMATS[tag]
    if x == 0:
        return Fraction(0)
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    exponent -= abs(x) < Fraction(2) ** exponent
    unit = Fraction(2) ** max(exponent - bits + 1, least)
    rounded = round(x / unit) * unit
    return rounded if abs(rounded) < Fraction(2) ** (most + 1) else math.copysign(math.inf, x)


def number(digits):
    return Fraction(float.fromhex(digits))


def tables():
    """The columns l, s and c of docs/stream.md: for float32, then for float64."""
    for table in re.findall(r"\| power \| l \| s \| c \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", PAGE.read_text()):
        cells = [[cell.strip(" `") for cell in line.split("|")[2:5]] for line in table.splitlines()]
        yield [[number(cell) for cell in column if cell] for column in zip(*cells, strict=True)]


(LN32, SIN32, COS32), (LN64, SIN64, COS64) = tables()


def horner(coefficients, x, tag):
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = fl(total * x + coefficient, tag)
    return total


def paired(coefficients, x, tag):
    """Sum even and odd powers separately. Coefficients begin with the highest."""
    square, upward = fl(x * x, tag), coefficients[::-1]
    even, odd = upward[::2][::-1], upward[1::2][::-1]
    return fl(horner(odd, square, tag) * x + horner(even, square, tag), tag)


def square_root(x, tag):
    """math.sqrt rounds once in float64, and float64 is wide enough for float32 to be rounded from it."""
    return fl(math.sqrt(x), tag)


def split(u, border, tag):
    """k and f of u = 2^k (1 + f)."""
    kind, bits = ("<f4", 23) if tag == "f32" else ("<f8", 52)
    pattern = int.from_bytes(np.array(float(u), kind).tobytes(), "little")
    k = (pattern - border) >> bits
    return k, fl(u / Fraction(2) ** k - 1, tag)


def turn(r, y, quadrant, polynomial, sines, cosines, tag):
    z = fl(y * y, tag)
    s = fl(polynomial(sines, z, tag) * fl(y * r, tag), tag)
    c = fl(polynomial(cosines, z, tag) * r, tag)
    return [(c, s), (-s, c), (-c, -s), (s, -c)][quadrant]


def signed(x, bits):
    return x - (x >> bits - 1 << bits)


def pair_f32(draw):
    w, a = draw & 0xFFFFFFFF, draw >> 32
    u = fl((fl(w, "f32") + HALF) / 2**32, "f32")
    k, f = split(u, 0x3F3504F3, "f32")
    if k == 0:
        f = -fl((fl(~w % 2**32, "f32") + HALF) / 2**32, "f32")
    q = paired(LN32, f, "f32")
    inner = fl(q * fl(f * f, "f32") - 2 * f, "f32")
    r = square_root(fl(k * -number("0x1.62e430p+0") + inner, "f32"), "f32")
    y = fl(fl(signed(a << 2 & 0xFFFFFFFF, 32), "f32") / 2**32 + Fraction(1, 2**31), "f32")
    return turn(r, y, (a + 2**29 >> 30) % 4, horner, SIN32, COS32, "f32")


def pair_f64(e, a):
    u = ((e >> 12) + HALF) / 2**52
    k, f = split(u, 0x3FE6A09E667F3BCD, "f64")
    s = fl(f / fl(2 + f, "f64"), "f64")
    z, h = fl(s * s, "f64"), fl(fl(f * f, "f64") / 2, "f64")
    tail = fl(s * fl(paired(LN64, z, "f64") * z + h, "f64"), "f64")
    t = fl(k * number("0x1.a39ef35793c76p-33") + tail, "f64")
    ln = fl(k * number("0x1.62e42fee00000p-1") + fl(f - fl(h - t, "f64"), "f64"), "f64")
    y = ((signed(a << 2 & 2**64 - 1, 64) >> 13) + HALF) / 2**51
    return turn(square_root(-2 * ln, "f64"), y, (a + 2**61 >> 62) % 4, paired, SIN64, COS64, "f64")


# ---- by mpmath ----


def true_pair(radius, angle, bits):
    """Return the Box-Muller pair of two integers of `bits` bits."""
    with mpmath.workdps(40):
        r = mpmath.sqrt(-2 * mpmath.log((radius + mpmath.mpf(0.5)) / 2 ** bits[0]))
        turns = (angle + mpmath.mpf(0.5)) / 2 ** bits[1]
        return r * mpmath.cospi(2 * turns), r * mpmath.sinpi(2 * turns)


def upper(t):
    """The probability above t."""
    return mpmath.erfc(t / mpmath.sqrt(2)) / 2


def inverse(u, low, high):
    """Return t such that the share u of the probability between low and high is below it."""
    if low > -high:  # use the tail that keeps its digits
        return -inverse(1 - u, -high, -low)
    mass = upper(-low) + u * (upper(-high) - upper(-low))
    t = mpmath.mpf(0)
    if mass < 0.02:
        t = -mpmath.sqrt(-2 * mpmath.log(mass))
    for _ in range(60):  # Newton on the logarithm, which is concave
        below = upper(-t)
        step = mpmath.log(below / mass) * below * mpmath.exp(t * t / 2) * mpmath.sqrt(2 * mpmath.pi)
        t -= step
        if abs(step) < mpmath.mpf(10) ** -25:
            return t
    raise ArithmeticError(f"no inverse of {u} between {low} and {high}")

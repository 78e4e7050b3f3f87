"""docs/truncated_normal.md in Python's floats and NumPy's float32 scalars, from the page's own tables."""

import math
import re
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
from exact import LN32, LN64, fl, number, paired, split

DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
PAGE = (Path(__file__).parents[1] / "docs" / "truncated_normal.md").read_text()


def table(heads):
    """Return the columns of the table with those heads."""
    lines = PAGE.split(f"| | {heads} |\n")[1].split("\n\n")[0].splitlines()[1:]
    columns = zip(*([cell.strip(" `") for cell in line.split("|")[2:-1]] for line in lines), strict=True)
    return [[float.fromhex(cell) for cell in column if cell] for column in columns]


CENTRE_32, TAIL_32 = table("c | t")
CENTRE_64, GUESS, EXCESS, BELOW = table("c | g | e | b")
MIDDLE_32, MIDDLE_64 = (float.fromhex(c) for c in re.findall(r"y = v - (0x\S+)", PAGE))
(HALF_PI,) = (float.fromhex(c) for c in re.findall(r"w = -ln\(q\) - (0x\S+)", PAGE))
(TAIL_Q,) = (float.fromhex(c) for c in re.findall(r"q < (0x1\S+)`", PAGE))


def fma(a, b, c):
    return float(fl(Fraction(a) * Fraction(b) + Fraction(c), "f64"))


def fma32(a, b, c):
    return np.float32(float(fl(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)), "f32")))


def horner(coefficients, y, step):
    r = coefficients[0]
    for c in coefficients[1:]:
        r = step(r, y, c)
    return r


def exp_minus(a):
    if not a < 700:
        return 0.0
    k = int(a * float.fromhex("0x1.71547652b82fep+0") + 0.5)
    r = fma(k, float.fromhex("0x1.62e42fefa39efp-1"), -a) + k * float.fromhex("0x1.abc9e3b39803fp-56")
    s = 1.0
    for i in range(18, 0, -1):
        s = fma(r / i, s, 1)
    return s * 2.0**-k


def density(t):
    return (
        exp_minus(0.5 * (t * t)) * fma(-0.5, fma(t, t, -(t * t)), 1) * float.fromhex("0x1.9884533d43651p-2")
    )


def hazard(t):
    rate = t
    for i in range(500, 0, -1):
        rate = t + i / rate
    return rate


def inside(t):
    if abs(t) > 1:
        return 1 - outside(t) if t > 0 else outside(-t) - 1
    s = 1.0
    for i in range(30, 0, -1):
        s = fma(s, t * t / (2 * i + 1), 1)
    return 2 * density(t) * t * s


def outside(t):
    if t <= 1:
        return 1 - inside(t)
    return 2 * density(t) / hazard(t) if t < 37 else 0.0


def below(t):
    return outside(-t) if t < 0 else 2 - outside(t)


def log_32(a):
    """-2 ln of a, rounded to float32"""
    k, f = split(fl(a, "f32"), 0x3F3504F3, "f32")
    inner = fl(paired(LN32, f, "f32") * fl(f * f, "f32") - 2 * f, "f32")
    return np.float32(float(fl(inner - k * number("0x1.62e430p+0"), "f32")))


def ln_f64(a):
    k, f = split(Fraction(a), 0x3FE6A09E667F3BCD, "f64")
    s = fl(f / fl(2 + f, "f64"), "f64")
    z, h = fl(s * s, "f64"), fl(fl(f * f, "f64") / 2, "f64")
    tail = fl(s * fl(paired(LN64, z, "f64") * z + h, "f64"), "f64")
    t = fl(k * number("0x1.a39ef35793c76p-33") + tail, "f64")
    return float(fl(k * number("0x1.62e42fee00000p-1") + fl(f - fl(h - t, "f64"), "f64"), "f64"))


def centre_32(x, v):
    y = v - np.float32(MIDDLE_32)
    return fma32((x + x) * y, horner(CENTRE_32, y, fma32), x + x)


def tail_32(v):
    s = np.sqrt(v)
    return s * horner(TAIL_32, np.float32(1) / s, fma32)


def centre_64(x, v):
    y = v - MIDDLE_64
    return fma((x + x) * y, horner(CENTRE_64, y, fma), x + x)


def tail_64(w):
    s = math.sqrt(w + w) + 3
    a = s * horner(GUESS, 1 / s, fma)
    z = a * a
    excess = a * horner(EXCESS, z, fma) / horner([z + BELOW[1], *BELOW[2:]], z, fma)
    rate = a + excess
    d = (fma(0.5 * a, a, -w) + ln_f64(rate)) / rate
    h = 0.5 * d * excess
    return a - d * fma(h, fma(h, 2, 1), 1)


def quantile(u, low, high, tag):
    """Return t of the exact float64 u, before loc, scale and the clamp."""
    return -image(1 - u, -high, -low, tag) if high <= 0 else image(u, low, high, tag)


def image(u, low, high, tag):
    """Return t for bounds with high >= 0."""
    if low >= 5:
        low, high = min(low, 2.0**30), min(high, 2.0**30)
        share = exp_minus(0.5 * (high - low) * (high + low)) * (hazard(low) / hazard(high))
        start = fma(0.5 * low, low, ln_f64(hazard(low)))
        t = tail_64(start - ln_f64(fma(1 - u, 1 - share, share)))
        return np.float32(t) if tag == "f32" else t
    mass = inside(high) - inside(low) if low < 1 else outside(low) - outside(high)
    x = fma(u, mass, inside(low))
    q = min(fma(u, mass, below(low)), fma(1 - u, mass, outside(high)))
    centre = -3 <= low and high <= 3
    tail = not centre and q < TAIL_Q
    if tag == "f64":
        t = tail_64(-ln_f64(q) - HALF_PI) if tail else centre_64(x, -ln_f64(q * (2 - q)))
    elif tail:
        t = tail_32(log_32(q))
    else:
        t = centre_32(np.float32(x), log_32(fma(-x, x, 1) if centre else q * (2 - q)))
    return -t if tail and x < 0 else t


def once(x, tag):
    """x rounded to the dtype once. A zero has the sign of x."""
    return math.copysign(float(fl(x, tag)), x) if math.isfinite(x) else x


def not_below(x, tag):
    """The smallest value of the dtype that is not below x. A zero has the sign of x."""
    v = once(x, tag)
    if v < x:
        with np.errstate(over="ignore"):
            v = float(np.nextafter(DTYPES[tag](v), DTYPES[tag](math.inf)))
    return v or math.copysign(0.0, x)


def value(u, low, high, loc, scale, tag):
    """Return the value of u in the dtype."""
    working = "f64" if tag == "f64" else "f32"
    precision = DTYPES[working]
    least, most = (t if math.isinf(t) else loc + scale * t for t in (low, high))
    lower, upper = not_below(least, tag), -not_below(-most, tag)
    if lower > upper:
        lower = upper = once(least, tag)
    v = float(precision(loc) + precision(scale) * precision(quantile(u, low, high, working)))
    return DTYPES[tag](once(lower if v < lower else upper if v > upper else v, tag))

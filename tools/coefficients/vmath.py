"""Print the polynomial coefficients of src_c/vmath.inc.h and the relative error of each.

Weighted least squares in 40 digits with Lawson's reweighting, which converges to the minimax polynomial.
Coefficients are then rounded to the working precision one at a time, lowest order first, and the rest fitted
again around it.
"""

from mpmath import cos, linspace, log, matrix, mp, mpf, pi, qr_solve, sin, sqrt

mp.dps = 40


def round_to(x, bits):
    """x to `bits` bits of significand, nearest."""
    mantissa, exponent = mp.frexp(x)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, bits)), exponent - bits)


def lawson(points, target, weight, powers, rounds):
    lam = [mpf(1)] * len(points)
    for _ in range(rounds):
        rows = matrix(len(points), len(powers))
        rhs = matrix(len(points), 1)
        for i, x in enumerate(points):
            w = weight[i] * sqrt(lam[i])
            for j, p in enumerate(powers):
                rows[i, j] = w * x**p
            rhs[i] = w * target[i]
        c = qr_solve(rows, rhs)[0]
        error = [
            abs(weight[i] * (sum(c[j] * x**p for j, p in enumerate(powers)) - target[i]))
            for i, x in enumerate(points)
        ]
        lam = [a * e for a, e in zip(lam, error, strict=True)]
        total = sum(lam)
        lam = [a / total for a in lam]
    return list(c)


def fit(name, function, weight, degree, low, high, bits, fixed=(), rounds=6, count=None):
    """Coefficients of the polynomial sum c[k] x^k nearest to function(x) in weight(x)-scaled error."""
    count = count or 8 * (degree + 1)
    mid, half = (mpf(low) + mpf(high)) / 2, (mpf(high) - mpf(low)) / 2
    points = [mid + half * cos(pi * t) for t in linspace(mpf("0.003"), mpf("0.997"), count)]
    f, w = [function(x) for x in points], [weight(x) for x in points]
    done = list(fixed)
    while len(done) <= degree:
        rest = [y - sum(c * x**k for k, c in enumerate(done)) for x, y in zip(points, f, strict=True)]
        c = lawson(points, rest, w, range(len(done), degree + 1), rounds)
        done.append(round_to(c[0], bits))
    error = max(abs(w[i] * (sum(c * x**k for k, c in enumerate(done)) - f[i])) for i, x in enumerate(points))
    print(f"{name}: relative error {mp.nstr(error, 3)}")
    for k, c in enumerate(done):
        print(f"  x^{k}  {float(c).hex():>28}  {mp.nstr(c, 20)}")


def ln_tail(x):
    """(-2 ln(1 + x) + 2 x) / x^2."""
    return (-2 * log(1 + x) + 2 * x) / x**2 if x else mpf(1)


def atanh_tail(z):
    """(ln((1+s)/(1-s)) - 2 s) / s with z = s^2."""
    s = sqrt(z)
    return (log((1 + s) / (1 - s)) - 2 * s) / s


if __name__ == "__main__":
    root = sqrt(mpf(2))
    fit(
        "-2 ln(1+f), float32: q(f) in -2 f + f^2 q(f)",
        ln_tail,
        lambda x: x**2 / abs(2 * log(1 + x)),
        7,
        1 / root - 1,
        root - 1,
        24,
    )
    quarter = pi / 2
    for bits, sin_degree, cos_degree, label in ((24, 3, 3, "float32"), (53, 6, 7, "float64")):
        fit(
            f"sin(pi/2 y) / y, {label}, in z = y^2",
            lambda z: sin(quarter * sqrt(z)) / sqrt(z),
            lambda z: sqrt(z) / sin(quarter * sqrt(z)),
            sin_degree,
            0,
            0.25,
            bits,
        )
        fit(
            f"cos(pi/2 y), {label}, in z = y^2",
            lambda z: cos(quarter * sqrt(z)),
            lambda z: 1 / cos(quarter * sqrt(z)),
            cos_degree,
            0,
            0.25,
            bits,
            fixed=(mpf(1),),
        )
    largest = ((root - 1) / (root + 1)) ** 2
    fit(
        "ln(1+f), float64: s R(z) in 2 s + s R(z), s = f/(2+f), z = s^2",
        atanh_tail,
        lambda z: sqrt(z) / (2 * mp.atanh(sqrt(z))),
        7,
        0,
        largest,
        53,
        fixed=(mpf(0),),
    )

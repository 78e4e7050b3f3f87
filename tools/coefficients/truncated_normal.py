"""Print the coefficients of src_c/truncated.inc.h as hex floats, lowest power first, with each fit's error.

Needs mpmath. The fits are relative least squares at Chebyshev nodes, towards minimax by Lawson's weights.
Each coefficient of a polynomial is rounded in its turn and the rest fitted again around it.
"""

from mpmath import cos, erfc, exp, fabs, findroot, log, lu_solve, matrix, mp, mpf, npdf, pi, qr_solve, sqrt

mp.dps = 50


def chebyshev(a, b, n):
    return [(a + b) / 2 + (b - a) / 2 * cos(pi * (2 * i + 1) / (2 * n)) for i in range(n)]


def upper_tail(t):
    return erfc(t / sqrt(2)) / 2


def quantile(q):
    """t >= 0 with upper_tail(t) == q."""
    y = -2 * log(q)
    t = (mpf(1) / 2 - q) * sqrt(2 * pi) if q > 0.3 else sqrt(max(mpf("0.1"), y - log(2 * pi * y)))
    while True:
        step = (upper_tail(t) - q) / npdf(t)
        t += step / (1 - step * t / 2)
        if fabs(step) < mpf(10) ** -30 * fabs(t):
            return t


def hazard(t):
    """phi(t) / upper_tail(t); far out by its asymptotic series."""
    if t < 100:
        return npdf(t) / upper_tail(t)
    term = total = mpf(1)
    for i in range(1, 30, 2):
        term *= -i / t**2
        total += term
    return t / total


def weighted(rows, targets, weights):
    a = matrix([[sqrt(w) * c for c in row] for row, w in zip(rows, weights, strict=True)])
    b = matrix([sqrt(w) * y for y, w in zip(targets, weights, strict=True)])
    return list(qr_solve(a, b)[0])


def rounded(value, bits):
    with mp.workprec(bits):
        return +value


def polynomial(points, degree, bits, fixed=()):
    """Coefficients c with sum(c[j] * x**j) ~ y over the points (x, y), and the largest relative error."""
    weights = [mpf(1)] * len(points)
    fixed, start = list(fixed), len(fixed)
    for step in range(start - 25, degree + 1):
        free = range(len(fixed), degree + 1)
        rest = [1 - sum(c * x**j for j, c in enumerate(fixed)) / y for x, y in points]
        c = fixed + weighted([[x**j / y for j in free] for x, y in points], rest, weights)
        error = [fabs(sum(a * x**j for j, a in enumerate(c)) / y - 1) for x, y in points]
        if step < start:
            weights = [w * (e / max(error) + mpf("0.001")) for w, e in zip(weights, error, strict=True)]
            scale = len(weights) / sum(weights)
            weights = [w * scale for w in weights]
        else:
            fixed.append(rounded(c[step], bits))
    return fixed, max(fabs(sum(a * x**j for j, a in enumerate(fixed)) / y - 1) for x, y in points)


def rational(points, degree):
    """Numerator and denominator of one degree, denominator's constant 1, and the largest relative error."""
    weights, denominator, best = [mpf(1)] * len(points), [mpf(1)] * len(points), None
    for _ in range(15):
        rows = [
            [x**j / (d * y) for j in range(degree + 1)] + [-(x**j) / d for j in range(1, degree + 1)]
            for (x, y), d in zip(points, denominator, strict=True)
        ]
        c = weighted(rows, [1 / d for d in denominator], weights)
        n, d = c[: degree + 1], [mpf(1), *c[degree + 1 :]]
        denominator = [sum(a * x**j for j, a in enumerate(d)) for x, _ in points]
        error = [
            fabs(sum(a * x**j for j, a in enumerate(n)) / below / y - 1)
            for (x, y), below in zip(points, denominator, strict=True)
        ]
        if best is None or max(error) < best[2]:
            best = n, d, max(error)
        weights = [w * (e / max(error) + mpf("0.001")) for w, e in zip(weights, error, strict=True)]
    return best


def show(name, coefficients, error=None):
    note = "" if error is None else f"  relative error 2^{float(log(error, 2)):.1f}"
    print(f"{name}{note}")
    print("    " + ", ".join(float(c).hex() for c in coefficients))


def slope(v):
    """t / x for x = 2 Phi(t) - 1, as a function of v = -ln(1 - x^2)."""
    x = sqrt(1 - exp(-v))
    return quantile(exp(-v) / (1 + x) / 2) / x


# The slope is 2 here, so that taking it out is exact.
MIDDLE = rounded(findroot(lambda v: slope(v) - 2, 2.1), 53)


def centre_points(n):
    """v and slope(v) / 2, up to |t| = 3 and a little."""
    return [(v, slope(v) / 2) for v in chebyshev(mpf(0), mpf("5.25"), n)]


def tail_points(n):
    """t / s over 1 / s, s = sqrt(-2 ln(2 upper_tail(t))), from t = 2.99 to the end of [5, inf] in float32."""
    near, far = (sqrt(-2 * log(2 * q)) for q in (upper_tail(mpf("2.99")), upper_tail(mpf(5)) / 2**34))
    return [(z, quantile(exp(-1 / z**2 / 2) / 2) * z) for z in chebyshev(1 / far, 1 / near, n)]


def guess_points(n):
    """t / (b + 3) over 1 / (b + 3), b = sqrt(t^2 + 2 ln(hazard(t))), from t = 2.95 to 2^30."""
    ts = [1 / z for z in chebyshev(mpf(2) ** -30, 1 / mpf("2.95"), n)] + [mpf("2.95"), mpf(2) ** 30]
    return [(1 / (sqrt(t * t + 2 * log(hazard(t))) + 3), t) for t in ts]


def hazard_points(n):
    """hazard(t) / t over 1 / t^2 from t = 2.9."""
    return [(w, hazard(1 / sqrt(w)) * sqrt(w)) for w in chebyshev(mpf(10) ** -16, 1 / mpf("2.9") ** 2, n)]


def levels_of_the_hazard(last, terms):
    """Powers of y = t / w in what levels 500 to last + 1 make over (t + w) / 2, less 1.

    w is sqrt(t^2 + 4 last). It interpolates at Chebyshev nodes from t = 1 to infinity.
    """
    ys = chebyshev(1 / sqrt(mpf(4 * last + 1)), mpf(1), terms)
    targets = []
    for y in ys:
        t = rate = y * sqrt(4 * last / (1 - y * y))
        for i in range(500, last, -1):
            rate = t + i / rate
        targets.append(2 * rate / (t + sqrt(t * t + 4 * last)) - 1)
    return list(lu_solve(matrix([[y**j for j in range(terms)] for y in ys]), matrix(targets)))


if __name__ == "__main__":
    twice_middle = rounded(2 * MIDDLE, 24)
    show("TWICE_MIDDLE_F32", [twice_middle])
    points = [(2 * v - twice_middle, y) for v, y in centre_points(50)]
    show("CENTRE_F32", *polynomial(points, 10, 24, [mpf(1)]))
    show("TAIL_F32", *polynomial(tail_points(50), 7, 24))
    show("MIDDLE_F64", [MIDDLE])
    show("CENTRE_F64", *polynomial([(v - MIDDLE, y) for v, y in centre_points(90)], 22, 53, [mpf(1)]))
    show("GUESS_F64", *polynomial([(z, t * z) for z, t in guess_points(70)], 5, 53))
    above, below, error = rational(hazard_points(80), 7)
    show("EXCESS", [rounded(a - b, 53) for a, b in zip(above[:0:-1], below[:0:-1], strict=True)], error)
    show("BELOW", [rounded(b, 53) for b in below[::-1]])
    show("AFTER_12", levels_of_the_hazard(12, 18)[::-1])
    show("AFTER_28", levels_of_the_hazard(28, 16)[::-1])

"""NumPy's methods with `out=`: NumPy's C functions make the values."""

from functools import partial

import numpy as np

from numpy.random.c_distributions cimport (
    random_beta, random_chisquare, random_exponential, random_f, random_gamma, random_geometric,
    random_gumbel, random_laplace, random_logistic, random_lognormal, random_logseries,
    random_negative_binomial, random_noncentral_chisquare, random_noncentral_f, random_normal,
    random_pareto, random_poisson, random_power, random_rayleigh, random_standard_cauchy,
    random_standard_exponential, random_standard_gamma, random_standard_normal, random_standard_t,
    random_vonmises, random_wald, random_weibull, random_zipf,
)

from fastinit._numpy_calls cimport (
    ABOVE_ONE, ANY, MODERATE, POSITIVE, SHARE, Method, draw, draw_into, draw_permutation, draw_rows, real,
    whole,
)

cdef Method BETA = real("beta", <void *>random_beta, (POSITIVE, POSITIVE))
cdef Method CHISQUARE = real("chisquare", <void *>random_chisquare, (POSITIVE,))
cdef Method EXPONENTIAL = real("exponential", <void *>random_exponential, (POSITIVE,))
cdef Method F = real("f", <void *>random_f, (POSITIVE, POSITIVE))
cdef Method GAMMA = real("gamma", <void *>random_gamma, (POSITIVE, POSITIVE))
cdef Method GEOMETRIC = whole("geometric", <void *>random_geometric, (SHARE,))
cdef Method GUMBEL = real("gumbel", <void *>random_gumbel, (ANY, POSITIVE))
cdef Method LAPLACE = real("laplace", <void *>random_laplace, (ANY, POSITIVE))
cdef Method LOGISTIC = real("logistic", <void *>random_logistic, (ANY, POSITIVE))
cdef Method LOGNORMAL = real("lognormal", <void *>random_lognormal, (ANY, POSITIVE))
cdef Method LOGSERIES = whole("logseries", <void *>random_logseries, (SHARE,))
cdef Method NEGATIVE_BINOMIAL = whole(
    "negative_binomial", <void *>random_negative_binomial, (MODERATE, SHARE)
)
cdef Method NONCENTRAL_CHISQUARE = real(
    "noncentral_chisquare", <void *>random_noncentral_chisquare, (POSITIVE, POSITIVE)
)
cdef Method NONCENTRAL_F = real("noncentral_f", <void *>random_noncentral_f, (POSITIVE, POSITIVE, POSITIVE))
cdef Method NORMAL = real("normal", <void *>random_normal, (ANY, POSITIVE))
cdef Method PARETO = real("pareto", <void *>random_pareto, (POSITIVE,))
cdef Method POISSON = whole("poisson", <void *>random_poisson, (MODERATE,))
cdef Method POWER = real("power", <void *>random_power, (POSITIVE,))
cdef Method RAYLEIGH = real("rayleigh", <void *>random_rayleigh, (POSITIVE,))
cdef Method STANDARD_CAUCHY = real("standard_cauchy", <void *>random_standard_cauchy, ())
cdef Method STANDARD_EXPONENTIAL = real("standard_exponential", <void *>random_standard_exponential, ())
cdef Method STANDARD_GAMMA = real("standard_gamma", <void *>random_standard_gamma, (POSITIVE,))
cdef Method STANDARD_NORMAL = real("standard_normal", <void *>random_standard_normal, ())
cdef Method STANDARD_T = real("standard_t", <void *>random_standard_t, (POSITIVE,))
cdef Method VONMISES = real("vonmises", <void *>random_vonmises, (ANY, POSITIVE))
cdef Method WALD = real("wald", <void *>random_wald, (POSITIVE, POSITIVE))
cdef Method WEIBULL = real("weibull", <void *>random_weibull, (POSITIVE,))
cdef Method ZIPF = whole("zipf", <void *>random_zipf, (ABOVE_ONE,))

# Methods of more than numbers: the C function keeps what it computes, takes integers or arrays, or is none.
cdef object binomial = np.random.Generator.binomial
cdef object dirichlet = np.random.Generator.dirichlet
cdef object hypergeometric = np.random.Generator.hypergeometric
cdef object multinomial = np.random.Generator.multinomial
cdef object multivariate_hypergeometric = np.random.Generator.multivariate_hypergeometric
cdef object permutation = np.random.Generator.permutation
cdef object standard_gamma = np.random.Generator.standard_gamma
cdef object triangular = np.random.Generator.triangular

# What the docstrings of NumPy's methods lack.
OUT = """
        out : ndarray, optional
            Array of the result's dtype to fill: contiguous, writable, in machine byte order. It is filled in
            memory order, and must be in C order if parameters are arrays or values are vectors.
"""


class NumpyMethods(np.random.Generator):
    """NumPy's Generator, whose methods that make arrays take `out=`."""

    def beta(self, a, b, size=None, *, out=None):
        return draw(self, BETA, (a, b), size, out)

    def binomial(self, n, p, size=None, *, out=None):
        if out is None:
            return binomial(self, n, p, size)
        return draw_into(self, binomial, np.int64, (n, p), size, out)

    def chisquare(self, df, size=None, *, out=None):
        return draw(self, CHISQUARE, (df,), size, out)

    def dirichlet(self, alpha, size=None, *, out=None):
        if out is None:
            return dirichlet(self, alpha, size)
        return draw_rows(self, dirichlet, np.float64, (alpha,), size, out)

    def f(self, dfnum, dfden, size=None, *, out=None):
        return draw(self, F, (dfnum, dfden), size, out)

    def gamma(self, shape, scale=1.0, size=None, *, out=None):
        return draw(self, GAMMA, (shape, scale), size, out)

    def geometric(self, p, size=None, *, out=None):
        return draw(self, GEOMETRIC, (p,), size, out)

    def gumbel(self, loc=0.0, scale=1.0, size=None, *, out=None):
        return draw(self, GUMBEL, (loc, scale), size, out)

    def hypergeometric(self, ngood, nbad, nsample, size=None, *, out=None):
        if out is None:
            return hypergeometric(self, ngood, nbad, nsample, size)
        return draw_into(self, hypergeometric, np.int64, (ngood, nbad, nsample), size, out)

    def laplace(self, loc=0.0, scale=1.0, size=None, *, out=None):
        return draw(self, LAPLACE, (loc, scale), size, out)

    def logistic(self, loc=0.0, scale=1.0, size=None, *, out=None):
        return draw(self, LOGISTIC, (loc, scale), size, out)

    def lognormal(self, mean=0.0, sigma=1.0, size=None, *, out=None):
        return draw(self, LOGNORMAL, (mean, sigma), size, out)

    def logseries(self, p, size=None, *, out=None):
        return draw(self, LOGSERIES, (p,), size, out)

    def multinomial(self, n, pvals, size=None, *, out=None):
        if out is None:
            return multinomial(self, n, pvals, size)
        return draw_rows(self, multinomial, np.int64, (n, pvals), size, out)

    def multivariate_hypergeometric(self, colors, nsample, size=None, method="marginals", *, out=None):
        if out is None:
            return multivariate_hypergeometric(self, colors, nsample, size, method)
        numpys = partial(multivariate_hypergeometric, method=method)
        return draw_rows(self, numpys, np.int64, (colors, nsample), size, out)

    def negative_binomial(self, n, p, size=None, *, out=None):
        return draw(self, NEGATIVE_BINOMIAL, (n, p), size, out)

    def noncentral_chisquare(self, df, nonc, size=None, *, out=None):
        return draw(self, NONCENTRAL_CHISQUARE, (df, nonc), size, out)

    def noncentral_f(self, dfnum, dfden, nonc, size=None, *, out=None):
        return draw(self, NONCENTRAL_F, (dfnum, dfden, nonc), size, out)

    def pareto(self, a, size=None, *, out=None):
        return draw(self, PARETO, (a,), size, out)

    def permutation(self, x, axis=0, *, out=None):
        return permutation(self, x, axis) if out is None else draw_permutation(self, x, axis, out)

    def poisson(self, lam=1.0, size=None, *, out=None):
        return draw(self, POISSON, (lam,), size, out)

    def power(self, a, size=None, *, out=None):
        return draw(self, POWER, (a,), size, out)

    def rayleigh(self, scale=1.0, size=None, *, out=None):
        return draw(self, RAYLEIGH, (scale,), size, out)

    def standard_cauchy(self, size=None, *, out=None):
        return draw(self, STANDARD_CAUCHY, (), size, out)

    def standard_gamma(self, shape, size=None, dtype=np.float64, out=None):
        if dtype is np.float64:
            return draw(self, STANDARD_GAMMA, (shape,), size, out)
        if out is None:
            return standard_gamma(self, shape, size, dtype)
        return draw_into(self, partial(standard_gamma, dtype=dtype), dtype, (shape,), size, out)

    def standard_t(self, df, size=None, *, out=None):
        return draw(self, STANDARD_T, (df,), size, out)

    def triangular(self, left, mode, right, size=None, *, out=None):
        if out is None:
            return triangular(self, left, mode, right, size)
        return draw_into(self, triangular, np.float64, (left, mode, right), size, out)

    def vonmises(self, mu, kappa, size=None, *, out=None):
        return draw(self, VONMISES, (mu, kappa), size, out)

    def wald(self, mean, scale, size=None, *, out=None):
        return draw(self, WALD, (mean, scale), size, out)

    def weibull(self, a, size=None, *, out=None):
        return draw(self, WEIBULL, (a,), size, out)

    def zipf(self, a, size=None, *, out=None):
        return draw(self, ZIPF, (a,), size, out)


def document():
    """Give each method NumPy's docstring, and the parameter `out` if that lacks it."""
    for name, method in vars(NumpyMethods).items():
        text = None if name.startswith("_") else getattr(np.random.Generator, name).__doc__
        if text is None:  # as under python -OO
            continue
        head, returns, rest = text.partition("\n        Returns\n")
        if "out=" not in head:
            signature = head.partition(")")[0]
            head = head.replace(f"{signature})", f"{signature}, *, out=None)", 1).rstrip() + OUT
        method.__doc__ = head + returns + rest


document()

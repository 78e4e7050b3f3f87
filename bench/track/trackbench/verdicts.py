"""Turns times into a ratio with its interval, and that into a verdict."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

CONFIDENCE = 0.99
#: The interval is never wider than from the least of n launches to the greatest, and the true median is
#: outside of that once in 2^(n-1) times. So fewer can't have the confidence.
LEAST_LAUNCHES = 8


class Ratio(NamedTuple):
    """B's time over A's, with the interval of `CONFIDENCE`."""

    estimate: float
    low: float
    high: float

    def verdict(self, threshold: float) -> str:
        """What the interval supports: "slower", "faster", "no difference", or "unclear" if it's too wide.

        >>> [Ratio(r, r - 0.01, r + 0.01).verdict(0.03) for r in (1.05, 0.9, 1.01, 1.03)]
        ['slower', 'faster', 'no difference', 'unclear']
        """
        if self.low > 1 + threshold:
            return "slower"
        if self.high < 1 / (1 + threshold):
            return "faster"
        within = self.low >= 1 / (1 + threshold) and self.high <= 1 + threshold
        return "no difference" if within else "unclear"


def unclear(threshold: float) -> Callable[[list[float]], bool]:
    """Whether the verdict at this threshold is unclear."""
    return lambda logarithms: ratio(logarithms).verdict(threshold) == "unclear"


def ratio(logarithms: list[float]) -> Ratio:
    """The median of the launches' ratios, given as logarithms, with its bootstrap interval.

    The launch is what is drawn again: turns in one pair of processes share its memory layout, its luck.
    """
    samples = np.asarray(logarithms)
    median = float(np.median(samples))
    if len(samples) < 2:
        return Ratio(exp(median), 0.0, float("inf"))
    found = bootstrap(
        (samples,),
        np.median,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),  # equal times give equal verdicts
    ).confidence_interval
    return Ratio(exp(median), exp(found.low), exp(found.high))

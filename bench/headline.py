"""Quick benchmarks of the six most important kernels, for `track compare` and `count`."""

import numpy as np
import pytest

import fastinit
from fastinit import random

VALUES = 1 << 18
BFLOAT16 = pytest.importorskip("ml_dtypes").bfloat16


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        ("random", "f4"),
        ("random", "f8"),
        ("standard_normal", "f4"),
        ("standard_normal", "f8"),
        ("standard_normal", BFLOAT16),
        ("truncated_normal", "f4"),
    ],
    ids=lambda each: each if isinstance(each, str) else "bf16",
)
def test_headline(benchmark, method, dtype):
    fastinit.set_num_threads(1)
    out = np.zeros(VALUES, dtype)
    arguments = (-2, 2) if method == "truncated_normal" else ()
    draw = getattr(random.default_rng(7), method)
    benchmark(lambda: draw(*arguments, out=out, dtype=out.dtype))
    mean = 0.5 if method == "random" else 0.0
    assert abs(out.astype("f8").mean() - mean) < 6 / np.sqrt(VALUES)

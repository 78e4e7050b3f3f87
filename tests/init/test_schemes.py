"""Bounds and standard deviations against torch, JAX's formulas and SciPy."""

import ctypes
import math
import platform

import numpy as np
import pytest
import scipy.stats
import torch
from cases import DTYPES, SPECS, same, shape_of

from fastinit import init
from fastinit.init.schemes import standard_bounds

# formulas

SCALED = {
    "xavier_uniform": {"gain": 1.7},
    "xavier_normal": {"gain": 1.7},
    "kaiming_uniform": {"a": 0.3, "mode": "fan_out"},
    "kaiming_normal": {"nonlinearity": "tanh"},
}


@pytest.mark.parametrize("arguments", ["default", "other"])
@pytest.mark.parametrize("shape", [(256, 784), (64, 3, 7, 7), (5, 4, 3, 2, 1)])
@pytest.mark.parametrize("name", SCALED)
def test_bounds_and_stds_are_torchs(name, shape, arguments, monkeypatch):
    """The arguments that torch's function passes to the tensor's method, to the rounding of float64."""
    given = SCALED[name] if arguments == "other" else {}
    asked = []
    for method in ("uniform_", "normal_"):
        monkeypatch.setattr(torch.Tensor, method, lambda self, a, b, generator=None: asked.append((a, b)))
    getattr(torch.nn.init, name + "_")(torch.empty(shape), **given)
    plan = init.get(name, **given).plan(shape)
    assert plan.parameters == pytest.approx(asked[0], rel=5e-16, abs=0)
    assert plan.fans == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize("distribution", ["uniform", "normal", "truncated_normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
def test_variance_scaling_is_its_formula(mode, distribution):
    shape, scale = (6, 5, 3, 3), 1.3
    fan = {"fan_in": 45, "fan_out": 54, "fan_avg": 49.5, "fan_geo_avg": math.sqrt(45 * 54)}[mode]
    plan = init.get("variance_scaling", scale=scale, mode=mode, distribution=distribution).plan(shape)
    assert plan.std == pytest.approx(math.sqrt(scale / fan), rel=2e-6)
    std = math.sqrt(scale / fan)
    expected = {
        "uniform": (-math.sqrt(3 * scale / fan), math.sqrt(3 * scale / fan)),
        "normal": (0.0, std),
        "truncated_normal": (-2.0, 2.0, 0.0, std / scipy.stats.truncnorm(-2, 2).std()),
    }[distribution]
    assert plan.parameters == pytest.approx(expected, rel=1e-14, abs=0)
    assert plan.distribution == distribution


def test_the_geometric_mean_is_the_root_of_the_product():
    plan = init.get("variance_scaling", mode="fan_geo_avg", distribution="normal").plan((2, 2))
    std = math.sqrt(1 / math.sqrt(2 * 2))
    assert std != math.sqrt(1 / (math.sqrt(2) * math.sqrt(2)))
    assert plan.parameters == (0.0, std)


@pytest.mark.parametrize(
    "name", ["xavier_uniform", "kaiming_normal", "variance_scaling", "orthogonal", "lecun_normal"]
)
def test_layout_says_where_the_inputs_are(name):
    initializer = init.get(name)
    plan = initializer.plan((3, 3, 16, 32), layout="io")
    assert plan.std == initializer.plan((32, 16, 3, 3)).std
    assert plan.std == initializer.plan((16, 3, 32, 3), in_axis=0, out_axis=-2).std
    assert plan.parameters == initializer.plan((8, 32, 16, 3, 3), batch_axis=0).parameters


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="the C library's number is not known"
)
def test_the_callers_rounding_mode_changes_no_bit():
    libm = ctypes.CDLL("libm.so.6")
    upward = 0x800 if platform.machine() == "x86_64" else 0x400000
    slopes = [slope / 10 for slope in range(20)]
    specs = [*SPECS, *(f"kaiming_normal(a={slope})" for slope in slopes)]

    def everything():
        yield from (init.get(spec).spec for spec in specs)
        yield from (init.get(spec).plan(shape_of(spec)).parameters for spec in specs)
        yield from (init.calculate_gain("leaky_relu", slope) for slope in slopes)
        yield from (init.constant((), value, dtype=dtype).tobytes() for value in slopes for dtype in DTYPES)
        yield from (init.trunc_normal_(np.empty(9), 0.3, 0.7, -slope, 1, 4).tobytes() for slope in slopes)

    before = list(everything())
    third = np.float64(1.0) / np.float64(3.0)
    try:
        assert libm.fesetround(upward) == 0
        after = list(everything())
        assert np.float64(1.0) / np.float64(3.0) > third  # the mode is in effect
    finally:
        libm.fesetround(0)
    assert after == before


def test_trunc_normals_bounds_are_values_not_standard_units():
    w = init.trunc_normal_(np.empty(100_000), 1.0, 0.5, 0.9, 2.5, generator=1)
    assert 0.9 <= w.min() < 0.9001
    assert 2.3 < w.max() <= 2.5
    peer = scipy.stats.truncnorm(-0.2, 3.0, loc=1.0, scale=0.5)
    assert scipy.stats.kstest(w, peer.cdf).pvalue > 1e-3
    same(
        init.trunc_normal_(np.empty(100), std=0.02, generator=1),
        init.truncated_normal(100, std=0.02, low=-100, high=100, dtype=np.float64, rng=1),
    )


def test_trunc_normal_stays_within_its_bounds_to_the_last_bit():
    pick = np.random.default_rng(0)
    values = np.empty(50)
    for seed in range(
        3000
    ):  # a dozen exceed them by a unit in the last place if the bounds are only converted
        mean, std, width = pick.uniform(-3, 3), pick.uniform(0.01, 3), 10.0 ** pick.uniform(-15, 1)
        a = mean + pick.normal() * std
        b = a + width * std
        if seed % 2:
            mean, a, b = -mean, -b, -a
        init.trunc_normal_(values, mean, std, a, b, generator=seed)
        assert a <= values.min()
        assert values.max() <= b


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": 1.0, "b": 0.0}, "a=1.0 is above b=0.0"),
        ({"a": math.nan}, "a=nan is above"),
        ({"std": 0.0}, "std must be above 0"),
        ({"std": math.inf}, "std must be finite"),
        ({"mean": math.nan}, "mean must be finite"),
        ({"std": 1e-308, "a": 10.0, "b": 11.0}, "std=1e-308 is too small for a=10.0, b=11.0 around mean=0.0"),
    ],
)
def test_trunc_normals_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        init.trunc_normal_(np.empty(3), **arguments)
    init.trunc_normal_(np.empty(3), std=1e-300, a=-1e9, b=1e9, generator=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("std", [1e-37, 1e-44, 1e-50, 5e-324])
def test_a_tiny_std_has_bounds_of_its_own_size(std, dtype):
    for low, high in ((-2.0, 2.0), (0.0, 2.0), (-2.0, 0.0)):
        values = init.trunc_normal_(np.empty(100, dtype), std=std, a=low, b=high, generator=1)
        assert (abs(values.astype(np.float64)) <= 10 * std).all()
    if std > 1e-300:
        assert (init.trunc_normal_(np.empty(9, dtype), std=std, a=1.0, b=2.0, generator=1) == 1.0).all()


@pytest.mark.parametrize("cut", [0.5, 1.0, 2.0, 3.0, math.inf])
def test_a_variance_is_kept_at_every_cut(cut):
    plan = init.get("variance_scaling", scale=1.3, cut=cut).plan((6, 45))
    low, high, mean, std = plan.parameters
    assert (low, high, mean) == (-cut, cut, 0.0)
    assert std == pytest.approx(math.sqrt(1.3 / 45) / scipy.stats.truncnorm(-cut, cut).std(), rel=1e-12)
    values = init.variance_scaling((500, 45), 1.3, cut=cut, rng=1)
    assert values.std() == pytest.approx(math.sqrt(1.3 / 45), rel=0.02)
    if cut == 2.0:
        assert plan.parameters == init.get("variance_scaling", scale=1.3).plan((6, 45)).parameters


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (-1.0, 1.0), (-0.1, 3.0), (4.0, math.inf)])
def test_a_std_is_kept_between_any_bounds(low, high):
    initializer = init.get("truncated_normal", std=0.02, low=low, high=high, keep_std=True)
    assert init.get(initializer.spec) == initializer
    plan = initializer.plan((100, 100))
    assert plan.parameters[3] == pytest.approx(0.02 / scipy.stats.truncnorm(low, high).std(), rel=1e-9)
    assert plan.std == pytest.approx(0.02, rel=1e-5)  # of a plan: six digits
    assert initializer((100, 100), rng=2).std() == pytest.approx(0.02, rel=0.03)
    kept = init.trunc_normal_(np.empty(10_000), 0.0, 0.02, -0.03, 0.05, 2, keep_std=True)
    assert kept.std() == pytest.approx(0.02, rel=0.03)
    assert -0.03 <= kept.min() < -0.0299
    assert 0.0499 < kept.max() <= 0.05
    number = np.float32(0.5)
    init.trunc_normal_(kept, std=number, a=-number - 1, b=number + 1, keep_std=True, generator=2)
    assert kept.std() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("variance_scaling(cut=0)", "cut must be above 0, not 0.0"),
        ("variance_scaling(cut=nan)", "cut must be above 0, not nan"),
        ("variance_scaling(cut=3, distribution=normal)", "cut is an argument of the truncated normal"),
        ("truncated_normal(low=1, high=1, keep_std=True)", "no std is kept between low=1.0 and high=1.0"),
        ("truncated_normal(keep_std=1)", "keep_std must be True or False, not 1"),
    ],
)
def test_what_keeps_no_std(spec, message):
    with pytest.raises(ValueError, match=message):
        init.get(spec)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distance", [1e3, 1e4, 1e7, 1e12, 1e16, 1e19, 1e300])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_the_mass_of_a_far_tail_is_at_the_near_bound(bound, sign, distance, dtype):
    """It falls as exp(-distance x / std), x being the way from the bound."""
    std = 2.0
    mean, a, b = bound + distance * std, bound - 2.0, bound
    if sign < 0:
        mean, a, b = -mean, -b, -a
    drawn = init.trunc_normal_(np.empty(20_000, dtype), mean, std, a, b, generator=1).astype(np.float64)
    assert a <= drawn.min()
    assert drawn.max() <= b
    way, spread = abs(drawn - sign * bound), std / distance
    least = np.spacing(dtype(1.0)).astype(np.float64) if bound else 2e-4 * spread
    assert way.max() <= 20 * spread + least
    if not bound and dtype in (np.float32, np.float64) and spread > np.finfo(dtype).tiny:
        assert scipy.stats.kstest(way / spread, "expon").statistic < 0.05


def test_a_far_bound_leaves_the_others_law_alone():
    """100 standard deviations on both sides of the mean, as for ViT, and a tail beyond 400."""
    for a, b in ((-2.0, 2.0), (8.0, math.inf)):
        plan = init.get("truncated_normal", **standard_bounds(0.0, 0.02, a, b)).plan(3)
        assert plan.parameters == (a / 0.02, b / 0.02, 0.0, 0.02)

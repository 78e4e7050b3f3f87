"""Initialisers against torch, JAX's formulas, SciPy, and themselves by block and by range."""

import ctypes
import inspect
import math
import pickle
import platform
import subprocess
import sys

import ml_dtypes
import mpmath
import numpy as np
import pytest
import scipy.stats
import torch

from fastinit import init, random

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
# every initialiser, with arguments where it needs them and where they change what is drawn
SPECS = [
    "variance_scaling",
    "variance_scaling(scale=2, mode=fan_geo_avg, distribution=uniform)",
    "xavier_uniform",
    "xavier_normal(gain=0.5)",
    "kaiming_uniform(a=2.23606797749979)",
    "kaiming_normal(mode=fan_out)",
    "lecun_uniform",
    "lecun_normal",
    "uniform(low=-1, high=3)",
    "normal(mean=1, std=0.02)",
    "truncated_normal(low=1, high=inf)",
    "constant(value=0.1)",
    "zeros",
    "ones",
    "eye",
    "dirac",
    "orthogonal(gain=2)",
    "delta_orthogonal",
    "sparse(sparsity=0.3)",
]
SHAPES = {"eye": (37, 29), "sparse": (37, 29), "dirac": (20, 11, 3, 4), "delta_orthogonal": (20, 11, 3, 4)}


def shape_of(spec):
    return SHAPES.get(init.get(spec).name, (19, 7, 3, 5))


def same(one, other):
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


def position(rng):
    state = rng.bit_generator.state
    return state["state"], state["has_uint32"] and state["uinteger"]


def test_the_list_above_is_whole():
    functions = {name for name in init.__all__ if hasattr(init, name + "_")}
    aliases = {name for name in functions if name.startswith(("glorot", "he_"))}
    assert {init.get(spec).name for spec in SPECS} == (functions - aliases) | {"truncated_normal"}


@pytest.mark.parametrize("layout", ["oi", "io"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", SPECS)
def test_blocks_and_ranges_are_the_whole(spec, dtype, layout):
    initializer, shape = init.get(spec), shape_of(spec)
    if layout == "io":
        shape = shape[::-1]
    rng = random.default_rng(5)
    rng.random(3, np.float32)  # leaves a buffered half word
    start = pickle.dumps(rng)
    full = initializer(shape, layout=layout, dtype=dtype, rng=rng)
    end = position(rng)
    assert full.dtype == np.dtype(dtype)
    assert full.shape == shape
    assert np.isfinite(full.astype(np.float64)).all()

    pick = np.random.default_rng(6)
    plan = initializer.plan(shape, layout=layout, dtype=dtype)
    rng = pickle.loads(start)
    for _ in range(4):
        first, last = sorted(pick.integers(0, full.size + 1, 2))
        out = np.empty(last - first, dtype)
        plan.fill(out, rng, int(first))
        same(out, full.reshape(-1)[first:last])
    assert position(rng) == position(pickle.loads(start))
    plan.consume(rng)
    assert position(rng) == end

    for step in (None, 1, -1, 2, -3, 3):
        # from a corner to the opposite one and beyond, so that no axis of the block is empty
        corners = [sorted(pick.integers(-1, size + 2, 2).tolist()) for size in shape]
        block = tuple(
            slice(first or None, last, step) if (step or 1) > 0 else slice(last, first or None, step)
            for first, last in corners
        )
        rng = pickle.loads(start)
        same(initializer(shape, layout=layout, dtype=dtype, rng=rng, block=block), full[block])
        assert position(rng) == end


def test_blocks_are_written_as_slices_are():
    full = init.normal((4, 5, 6), rng=1)
    same(init.normal((4, 5, 6), rng=1, block=(slice(1, 3),)), full[1:3])
    same(init.normal((4, 5, 6), rng=1, block=slice(None, None, -1)), full[::-1])
    same(init.normal((4, 5, 6), rng=1, block=(..., slice(2))), full[..., :2])
    same(init.normal((), rng=1, block=()), init.normal((), rng=1))
    same(init.normal((4, 5, 6), rng=1, block=(slice(2, 2), slice(9, 1))), full[2:2, 9:1])
    for block in ((1,), (slice(1),) * 4, (..., ...), ([0, 1],)):
        with pytest.raises(ValueError, match="tuple of slices"):
            init.normal((4, 5, 6), rng=1, block=block)
    with pytest.raises(ValueError, match="block= needs an rng"):
        init.normal((4, 5), block=(slice(2),))
    same(init.eye((4, 5), block=(slice(2),)), init.eye((4, 5))[:2])


def test_a_block_of_a_tensor_larger_than_memory():
    shape, rng = (2**28, 2**28), random.default_rng(3)
    block = init.kaiming_normal(shape, rng=rng, block=(slice(2**27, 2**27 + 4), slice(-4, None)))
    row = init.kaiming_normal(shape, rng=3, block=(slice(2**27 + 1, 2**27 + 2), slice(-4, None)))
    same(block[1:2], row)
    same(init.eye(shape, block=(slice(2**27, 2**27 + 2), slice(2**27, 2**27 + 2))), init.eye((2, 2)))


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
    """What torch's own function asks of the tensor, to the rounding of float64."""
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


@pytest.mark.parametrize(
    ("low", "high"), [(-2, 2), (1, math.inf), (8, 9), (-math.inf, 3), (3, 3.0000001), (-40, -38)]
)
def test_truncated_moments_are_their_integrals(low, high):
    plan = init.get("truncated_normal", mean=0.5, std=3.0, low=low, high=high).plan((1,))
    with mpmath.workdps(25):
        ends = max(low, -20), min(high, 20)  # no weight beyond, but where a bound lies there
        cut = mpmath.linspace(*(ends if ends[0] < ends[1] else (low, high)), 101)
        moments = [mpmath.quad(lambda z, k=k: z**k * mpmath.npdf(z), cut) for k in range(3)]
        mean, square = moments[1] / moments[0], moments[2] / moments[0]
        std = mpmath.sqrt(square - mean**2)
    assert plan.mean == pytest.approx(float(0.5 + 3 * mean), rel=1e-5)
    assert plan.std == pytest.approx(float(3 * std), rel=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", SPECS)
def test_mean_and_std_are_the_expected_ones(spec, dtype):
    """Within five standard errors of n draws, plus the dtype's rounding."""
    shape = {
        "eye": (400, 300),
        "sparse": (400, 300),
        "dirac": (64, 48, 3, 3),
        "delta_orthogonal": (64, 48, 3, 3),
    }.get(init.get(spec).name, (512, 256))
    plan = init.get(spec).plan(shape)
    values = init.get(spec)(shape, dtype=dtype, rng=11).astype(np.float64)
    centred = values - values.mean()
    spread = values.std()
    kurtosis = (centred**4).mean() / spread**4 if spread else 1.0
    rounding = 2.0 ** -(7 if dtype is ml_dtypes.bfloat16 else 10) * (abs(plan.mean) + plan.std)
    assert values.mean() == pytest.approx(plan.mean, abs=5 * plan.std / math.sqrt(values.size) + rounding)
    error = 2.5 * plan.std * math.sqrt(max(kurtosis - 1, 0) / values.size)
    assert spread == pytest.approx(plan.std, abs=error + rounding)


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
        assert np.float64(1.0) / np.float64(3.0) > third  # the mode took, and is still there
    finally:
        libm.fesetround(0)
    assert after == before


# those that are not one draw for each element


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", [(8, 2, 3), (8, 5, 4, 3), (4, 9, 1, 2, 5), (8, 0, 3)])
def test_dirac_is_torchs(shape, groups):
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    same(init.dirac(shape, groups=groups), expected)
    if len(shape) == 3:
        same(init.dirac(shape[::-1], groups=groups, layout="io"), expected.transpose())


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (0, 3), (1, 1)])
def test_eye_is_numpys(shape):
    same(init.eye(shape), np.eye(*shape, dtype=np.float32))


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3), (2, 4, 3, 3), (0, 4), (4, 0)])
def test_orthogonal_is_haars(shape):
    matrix = init.orthogonal(shape, gain=3.0, dtype=np.float64, rng=4).reshape(shape[0], math.prod(shape[1:]))
    q = matrix / 3.0
    rows, columns = q.shape
    assert np.allclose(q @ q.T if rows <= columns else q.T @ q, np.eye(min(rows, columns)), atol=1e-12)
    # uniform because Q'A is upper triangular with a positive diagonal, A being the same generator's normals
    normals = random.default_rng(4).standard_normal(q.shape)
    r = q.T @ normals if rows >= columns else (normals @ q.T).T
    assert np.allclose(np.tril(r, -1), 0, atol=1e-12)
    assert (np.diagonal(r) > 0).all()


def test_orthogonal_by_layout_and_batch():
    oi = init.orthogonal((6, 4, 3, 3), rng=1)
    same(
        init.orthogonal((3, 3, 4, 6), rng=1, layout="io"),
        init.orthogonal((6, 3, 3, 4), rng=1).transpose(1, 2, 3, 0),
    )
    stack = init.orthogonal((2, 6, 4, 3, 3), rng=1, batch_axis=0)
    same(stack[0], oi)
    second = stack[1].reshape(6, 36).astype(np.float64)
    assert np.allclose(second @ second.T, np.eye(6), atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 4, 4, 2), (5, 5, 1, 2, 3)])
def test_delta_orthogonal_is_jaxs(shape):
    full = init.delta_orthogonal(shape, gain=2.0, dtype=np.float64, rng=1)
    middle = tuple((size - 1) // 2 for size in shape[2:])
    matrix = full[(slice(None), slice(None), *middle)]
    same(matrix, init.orthogonal(shape[:2], gain=2.0, dtype=np.float64, rng=1))
    assert np.count_nonzero(full) == matrix.size
    io = init.delta_orthogonal(
        (*shape[2:], shape[1], shape[0]), gain=2.0, dtype=np.float64, rng=1, layout="io"
    )
    same(io[middle], matrix.T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sparsity", [0.0, 0.01, 0.5, 1.0])
def test_sparse_is_its_definition(sparsity, dtype):
    rows, columns = 40, 13
    rng = random.default_rng(8)
    rng.random(1, np.float32)
    values = init.sparse((rows, columns), sparsity, std=0.5, dtype=dtype, rng=rng)

    peer = random.default_rng(8)
    peer.random(1, np.float32)
    expected = init.normal((rows, columns), std=0.5, dtype=dtype, rng=peer)
    words = peer.integers(
        0, 2**32, (rows, columns), dtype=np.uint32
    )  # NumPy's: one buffered 32-bit word each
    for column in range(columns):
        order = sorted(range(rows), key=lambda row: (words[row, column], row))
        expected[order[: math.ceil(sparsity * rows)], column] = 0
    same(values, expected)
    assert position(rng) == position(peer)


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
    ):  # a dozen leave them by a unit in the last place where the bounds are only converted
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


# names, specs, errors


@pytest.mark.parametrize(
    "spec", [*SPECS, "dirac(groups=3)", "orthogonal(batch_axis=0)", "normal(mean=1e-300)"]
)
def test_a_spec_is_its_initializer(spec):
    initializer = init.get(spec)
    assert init.get(initializer.spec) == initializer
    assert init.get(initializer) is initializer
    assert hash(init.get(initializer.spec)) == hash(initializer)
    assert pickle.loads(pickle.dumps(initializer)) == initializer
    assert repr(initializer) == f"Initializer({initializer.spec!r})"
    assert init.get(initializer.name, **initializer.arguments).plan is not None


def test_specs_are_canonical():
    written = "kaiming_normal( mode = 'fan_out',a=0 , nonlinearity=leaky_relu )"
    assert init.get(written).spec == "kaiming_normal(mode=fan_out)"
    assert init.get("he_normal", mode="fan_out") == init.get(written)
    assert init.get("glorot_uniform") == init.get("xavier_uniform")
    assert init.get("normal", std=np.float32(0.02)).spec == f"normal(std={float(np.float32(0.02))!r})"
    assert init.get("truncated_normal(low=-inf, high=0)").arguments["low"] == -math.inf
    axes = init.get("lecun_normal(in_axis=[0, 1], out_axis=2)")
    assert axes.spec == "lecun_normal(in_axis=(0, 1), out_axis=2)"
    assert axes.plan((12, 64, 768)).fans == (768, 768)
    assert axes.plan((12, 64, 768), in_axis=2, out_axis=(0, 1)).fans == (768, 768)
    assert init.get("truncated_normal(std=2, high=1)").spec == "truncated_normal(high=1.0, std=2.0)"
    assert init.get("normal") != init.get("normal(std=2)")
    assert init.get("normal") != "normal"


def test_a_table_of_functions_is_what_they_say():
    for name in ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal"):
        plain = name.replace("glorot", "xavier").replace("he_", "kaiming_")
        assert getattr(init, name) is getattr(init, plain)
        assert getattr(init, name + "_") is getattr(init, plain + "_")
    for name in (name for name in init.__all__ if hasattr(init, name + "_")):
        signature = inspect.signature(getattr(init, name))
        assert list(signature.parameters)[-8:] == [
            "layout",
            "in_axis",
            "out_axis",
            "batch_axis",
            "dtype",
            "rng",
            "out",
            "block",
        ]
    own = list(inspect.signature(init.kaiming_normal).parameters.values())[:4]
    assert [(each.name, each.default) for each in own[1:]] == [
        ("a", 0.0),
        ("mode", "fan_in"),
        ("nonlinearity", "leaky_relu"),
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("kaiming", "unknown initialiser 'kaiming'; known are constant, .*zeros"),
        ("kaiming(a=1)", r"in 'kaiming\(a=1\)': unknown initialiser"),
        ("kaiming_normal(", r"in 'kaiming_normal\(': a spec is a name, or name\(argument=value, ...\)"),
        ("kaiming normal", "a spec is a name"),
        ("", "a spec is a name"),
        ("a.b(c=1)", "a spec is a name"),
        ("normal(std=1)(std=2)", "a spec is a name"),
        ("normal(\0)", "a spec is a name"),
        ("kaiming_normal(fan_out)", "arguments are written argument=value"),
        ("kaiming_normal(**a)", "arguments are written argument=value"),
        ("kaiming_normal(mode=fan-out)", "'fan - out' is not a number, a word"),
        ("kaiming_normal(mode=fan_up)", "unknown mode 'fan_up'; known are fan_in, fan_out"),
        ("variance_scaling(mode=fan_up)", "known are fan_in, fan_out, fan_avg, fan_geo_avg"),
        (
            "variance_scaling(distribution=cauchy)",
            "unknown distribution 'cauchy'; known are uniform, normal, trunc",
        ),
        ("variance_scaling(scale=-1)", "scale must not be negative, not -1.0"),
        ("kaiming_normal(nonlinearity=mish)", "unknown nonlinearity 'mish'; known are linear"),
        ("kaiming_normal(a=nan)", "a, the negative slope, must be a number whose square is finite, not nan"),
        ("kaiming_uniform(a=1e200)", "a, the negative slope, must be .* finite, not 1e"),
        ("kaiming_uniform(a=-inf)", "a, the negative slope, must be .* finite, not -inf"),
        ("xavier_normal(gain=nan)", "gain must be a number whose square is finite, not nan"),
        ("xavier_uniform(gain=1e200)", "gain must be a number whose square is finite, not 1e"),
        ("normal(std=1, std=2)", "'std' is given twice"),
        ("kaiming_normal(a=True)", "a must be a number, not True"),
        ("kaiming_normal(mode=1)", "mode must be a word, not 1"),
        (
            "kaiming_normal(gain=2)",
            "no argument 'gain'; it takes a=0.0, mode=fan_in, nonlinearity=leaky_relu",
        ),
        ("sparse(std=1)", "sparse needs a value for 'sparsity'"),
        ("sparse(sparsity=1.5)", "sparsity must be between 0 and 1"),
        ("normal(std=-0.1)", "std must not be negative, not -0.1"),
        ("normal(std=inf)", "std must be finite"),
        ("normal(mean=None)", "mean must be a number, not None"),
        ("uniform(low=2)", "low=2.0 is above high=1.0"),
        ("truncated_normal(low=3)", "no value lies between low=3.0 and high=2.0"),
        ("truncated_normal(low=inf, high=inf)", "no value lies between"),
        ("dirac(groups=0)", "groups must be 1 or more"),
        ("dirac(groups=1.5)", "groups must be an integer"),
        ("orthogonal(gain=inf)", "gain must be finite"),
    ],
)
def test_a_bad_spec_says_what_is_wrong(spec, message):
    with pytest.raises(ValueError, match=message):
        init.get(spec)


@pytest.mark.parametrize("tag", ["f16", "bf16", "f32", "f64"])
def test_a_tag_is_no_dtype_but_of_a_plan(tag):
    for make in (lambda: init.zeros(3, dtype=tag), lambda: random.default_rng(1).random(3, dtype=tag)):
        with pytest.raises(TypeError, match=r"dtype|data type"):
            make()
    assert init.get("zeros").plan(3, dtype=tag).tag == tag


def test_get_takes_arguments_with_a_name_alone():
    for spec in ("normal(std=2)", init.get("normal")):
        with pytest.raises(TypeError, match="arguments go with a name alone"):
            init.get(spec, mean=1)
    with pytest.raises(TypeError, match="not 3"):
        init.get(3)


@pytest.mark.parametrize(
    ("spec", "shape", "options", "message"),
    [
        ("xavier_normal", (), {}, "two axes or more"),
        ("xavier_normal", 5, {}, r"shape \(5,\) has 1"),
        ("kaiming_normal", (5, 0), {}, r"fan_in of shape \(5, 0\) is 0"),
        ("kaiming_normal(mode=fan_out)", (0, 5), {}, r"fan_out of shape \(0, 5\) is 0"),
        ("xavier_uniform", (0, 0), {}, "fan_avg of shape"),
        ("variance_scaling(mode=fan_geo_avg)", (0, 5), {}, "fan_geo_avg of shape"),
        ("normal", (3,), {"layout": "hwio"}, "unknown layout 'hwio'; known are oi, io"),
        ("lecun_normal", (3, 4), {"layout": None}, "unknown layout None"),
        ("eye", (3,), {}, r"eye needs 2 axes: shape \(3,\) has 1"),
        ("sparse(sparsity=0.5)", (3, 4, 5), {}, "sparse needs 2 axes"),
        ("dirac", (3, 4), {}, "dirac needs 3 to 5 axes"),
        ("dirac(groups=2)", (3, 4, 5), {}, "groups=2 does not divide the 3 outputs"),
        ("dirac", (3, 4, 5), {"batch_axis": 2}, "no batch_axis"),
        ("delta_orthogonal", (3, 4, 5), {}, "at least as many outputs as inputs: shape .* has 3 and 4"),
        ("orthogonal", (3,), {}, "two axes or more"),
        ("constant(value=1e6)", (3,), {"dtype": "f16"}, "1000000.0 is too large for float16"),
        ("normal(std=1e39)", (3,), {}, "too large for float32"),
        ("uniform(low=-3e38, high=3e38)", (3,), {}, "too large for float32"),
        ("uniform(low=-1.7e308, high=1.7e308)", (3,), {"dtype": "f64"}, "too large for float64"),
        ("zeros", (3, -1), {}, "negative size"),
    ],
)
def test_a_bad_shape_says_what_is_wrong(spec, shape, options, message):
    with pytest.raises(ValueError, match=message):
        init.get(spec).plan(shape, **options)


def test_a_fill_outside_the_tensor_is_refused():
    plan = init.get("normal").plan((3, 4))
    for start, size in ((-1, 2), (10, 3), (13, 0)):
        with pytest.raises(ValueError, match="are outside the 12 of shape"):
            plan.fill(np.empty(size, np.float32), random.default_rng(1), start)
    with pytest.raises(TypeError, match="float64, but float32 is wanted"):
        plan.fill(np.empty(3), random.default_rng(1))


def test_plans_say_what_can_be_cut_and_what_is_exact():
    for spec in SPECS:
        plan = init.get(spec).plan(shape_of(spec), dtype="bf16")
        assert plan.exact is ("orthogonal" not in spec)
        assert plan.whole is ("orthogonal" in spec or "sparse" in spec)
        assert (plan.fans is not None) is any(
            word in spec for word in ("scaling", "xavier", "kaiming", "lecun")
        )
    assert init.get("normal").plan((3,), layout=None).size == 3


def test_the_core_imports_only_numpy():
    code = "import sys, fastinit.init; print({'torch', 'ml_dtypes', 'scipy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

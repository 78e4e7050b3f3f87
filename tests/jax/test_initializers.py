import inspect
import subprocess
import sys

import jax
import jax.nn.initializers as theirs
import numpy as np
import pytest
from scipy import stats

import fastinit.jax as ours
from fastinit import init

KEY = jax.random.key(7)
DTYPES = ["float16", "bfloat16", "float32", "float64"]
NAMES = [name for name in vars(theirs) if not name.startswith("_")]
SCALINGS = {
    f"{name}_{distribution}": (scale, mode, "truncated_normal" if distribution == "normal" else distribution)
    for names, scale, mode in [
        (("glorot", "xavier"), 1.0, "fan_avg"),
        (("lecun",), 1.0, "fan_in"),
        (("he", "kaiming"), 2.0, "fan_in"),
    ]
    for name in names
    for distribution in ("normal", "uniform")
}
# An initialiser's name, its arguments, the shape, and the spec of the same.
SPECS = [
    ("uniform", {"scale": 3.0}, (5, 7), "uniform(high=3)"),
    ("normal", {"stddev": 0.1}, (13,), "normal(std=0.1)"),
    ("truncated_normal", {"stddev": 0.1, "lower": -1.0}, (), "truncated_normal(std=0.1, low=-1)"),
    ("orthogonal", {"scale": 2.0}, (3, 2, 4), "orthogonal(gain=2, in_axis=(0, 1), out_axis=2)"),
    ("orthogonal", {"column_axis": 0}, (5, 3), "orthogonal(in_axis=1, out_axis=0)"),
    ("delta_orthogonal", {}, (3, 2, 4), "delta_orthogonal(in_axis=-2, out_axis=-1)"),
]
AXES = {"in_axis": (0, 2), "out_axis": 3, "batch_axis": 1}
for name, way in SCALINGS.items():
    given = dict(zip(("scale", "mode", "distribution"), way, strict=True))
    SPECS.append((name, AXES, (4, 3, 2, 6), init.get("variance_scaling", **given, **AXES)))
by_spec = pytest.mark.parametrize(("name", "arguments", "shape", "spec"), SPECS)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def digits(array):
    return np.asarray(array).tobytes()


def signature(function):
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_signatures_are_jaxs(name):
    mine, its = getattr(ours, name), getattr(theirs, name)
    assert signature(mine) == signature(its)
    if mine is not its:  # zeros, ones and constant draw nothing
        required = [2.0, "fan_in", "normal"][: 3 * (name == "variance_scaling")]
        made = mine(*required, dtype="float16")
        assert signature(made) == signature(its(*required, dtype="float16"))
        assert isinstance(made, theirs.Initializer)


def test_all_names_are_there():
    assert sorted(ours.__all__) == sorted([*NAMES, "initialize"]) == dir(ours)


@by_spec
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_those_of_fastinit_init(name, arguments, shape, spec, dtype, x64):
    for key in [KEY, jax.random.PRNGKey(7), np.array([0, 7], np.uint32)]:
        array = getattr(ours, name)(**arguments)(key, shape, dtype)
        assert isinstance(array, jax.Array)
        assert (array.dtype, array.shape) == (dtype, shape)
        assert digits(array) == digits(init.get(spec)(shape, dtype=dtype, rng=[0, 7]))


@pytest.mark.parametrize("shape", [(100, 200), (3, 3, 20, 30)])
@pytest.mark.parametrize("name", sorted({*SCALINGS, "uniform", "normal", "truncated_normal"}))
def test_distributions_are_jaxs(name, shape):
    mine, its = (np.ravel(getattr(each, name)()(KEY, shape)) for each in (ours, theirs))
    assert stats.ks_2samp(mine, its).pvalue > 1e-4
    assert mine.std() == pytest.approx(its.std(), rel=0.05)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
def test_fans_are_jaxs(mode):
    arguments = 1.0, mode, "uniform", [0, 1], 3, 2
    mine, its = (each.variance_scaling(*arguments)(KEY, (4, 10, 3, 90)) for each in (ours, theirs))
    assert float(abs(mine).max()) == pytest.approx(float(abs(its).max()), rel=0.01)


def test_a_dtype_is_canonical():
    assert ours.normal()(KEY, (3,), "float64").dtype == np.float32
    assert ours.normal(dtype="float16")(KEY, (3,)).dtype == np.float16
    with jax.enable_x64(True):
        assert ours.normal()(KEY, (3,)).dtype == np.float64


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "int32", "float8_e4m3fn"])
def test_another_dtype_is_an_error(dtype):
    for array in [ours.normal(), ours.orthogonal(), ours.he_uniform(dtype=dtype)]:
        with pytest.raises(TypeError, match="dtype must be one of"):
            array(KEY, (3, 4), dtype)


def test_shapes_that_cannot_be():
    for name in ["he_normal", "orthogonal", "delta_orthogonal"]:
        for module in (ours, theirs):
            with pytest.raises(ValueError, match=r"ax[ei]s|2D|3D"):
                getattr(module, name)()(KEY, (3,))
    with pytest.raises(ValueError, match="outputs"):
        ours.delta_orthogonal()(KEY, (3, 4, 2))
    with pytest.raises(ValueError, match="axis of a matrix"):
        ours.delta_orthogonal(column_axis=2)
    assert ours.he_normal()(KEY, (0, 4)).shape == (0, 4)


def test_without_jax_the_error_names_the_extra():
    program = "import sys; sys.modules['jax'] = None; import fastinit; fastinit.jax"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ImportError: fastinit.jax needs jax: pip install 'fastinit-engine[jax]'" in done.stderr

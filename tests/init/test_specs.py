"""Spec strings, the table of initialisers, and what is refused."""

import inspect
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from cases import SPECS

from fastinit import _dtypes, init, random


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


def test_arguments_without_names_have_the_order_of_the_function():
    for name in (name for name in init.__all__ if hasattr(init, name + "_")):
        own = [*inspect.signature(getattr(init, name)).parameters][1:-8]
        arguments = init.get(name, **{key: 0.5 for key in own if key in ("value", "sparsity")}).arguments
        values = ", ".join(str(arguments[key]) for key in own)
        assert init.get(f"{name}({values})").arguments == arguments, name
    assert init.get("constant(0.25)").spec == "constant(value=0.25)"
    assert init.get("normal(0, 0.02)") == init.get("normal(std=0.02)")
    assert init.get("normal(1, std=0.02)").spec == "normal(mean=1.0, std=0.02)"
    assert init.get("he_normal(0.1, fan_out, in_axis=1, out_axis=0)").arguments["mode"] == "fan_out"


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
        ("kaiming", "unknown initialiser 'kaiming'; known are bernoulli, .*zeros"),
        ("kaiming(a=1)", r"in 'kaiming\(a=1\)': unknown initialiser"),
        ("kaiming_normal(", r"in 'kaiming_normal\(': a spec is a name, or name\(argument=value, ...\)"),
        ("kaiming(1)", r"in 'kaiming\(1\)': unknown initialiser 'kaiming'"),
        ("kaiming_normal(fan_out)", "kaiming_normal's a must be a number, not 'fan_out'"),
        ("normal(0, 1, 2)", "normal takes mean, std, but 3 values are given"),
        ("zeros(0)", "zeros takes none, but 1 values are given"),
        ("normal(1, mean=1)", "'mean' is given twice"),
        ("constant()", "constant needs a value for 'value'"),
        ("normal(*a)", "arguments are written value or argument=value"),
        ("normal(std=1, 2)", "a spec is a name"),
        ("kaiming normal", "a spec is a name"),
        ("", "a spec is a name"),
        ("a.b(c=1)", "a spec is a name"),
        ("normal(std=1)(std=2)", "a spec is a name"),
        ("normal(\0)", "a spec is a name"),
        ("kaiming_normal(**a)", "arguments are written value or argument=value"),
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
def test_a_tag_is_no_dtype(tag):
    zeros, rng = init.get("zeros"), random.default_rng(1)
    for make in (init.zeros, zeros.plan, lambda n, dtype: rng.random(n, dtype=dtype)):
        with pytest.raises(TypeError, match=r"dtype|data type"):
            make(3, dtype=tag)
    record = _dtypes.DTYPES[tag]
    assert zeros.plan(3, dtype=record.name).dtype is zeros.plan(3, dtype=record).dtype is record


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
        ("normal", (3,), {"layout": "hwio"}, "unknown layout 'hwio'; known are oi, io"),
        ("lecun_normal", (3, 4), {"layout": None}, "unknown layout None"),
        ("eye", (3,), {}, r"eye needs 2 axes: shape \(3,\) has 1"),
        ("sparse(sparsity=0.5)", (3, 4, 5), {}, "sparse needs 2 axes"),
        ("dirac", (3, 4), {}, "dirac needs 3 to 5 axes"),
        ("dirac(groups=2)", (3, 4, 5), {}, "groups=2 does not divide the 3 outputs"),
        ("dirac", (3, 4, 5), {"batch_axis": 2}, "no batch_axis"),
        ("delta_orthogonal", (3, 4, 5), {}, "at least as many outputs as inputs: shape .* has 3 and 4"),
        ("orthogonal", (3,), {}, "two axes or more"),
        ("constant(value=1e6)", (3,), {"dtype": "float16"}, "1000000.0 is too large for float16"),
        ("normal(std=1e39)", (3,), {}, "too large for float32"),
        ("uniform(low=-3e38, high=3e38)", (3,), {}, "too large for float32"),
        ("uniform(low=-1.7e308, high=1.7e308)", (3,), {"dtype": "float64"}, "too large for float64"),
        ("zeros", (3, -1), {}, "negative size"),
    ],
)
def test_a_bad_shape_says_what_is_wrong(spec, shape, options, message):
    with pytest.raises(ValueError, match=message):
        init.get(spec).plan(shape, **options)


def test_the_core_imports_only_numpy():
    code = "import sys, fastinit.init; print({'torch', 'ml_dtypes', 'scipy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("one", "other"),
    [(0, 1), ((0,), (1,)), ([0], [1]), (np.int64(0), np.int64(1)), (np.array([0]), np.array([1]))],
)
def test_all_that_counts_as_an_index_is_one(one, other):
    made = init.get("xavier_normal", in_axis=one, out_axis=other)
    plain = init.get(
        "xavier_normal",
        in_axis=tuple(map(int, one)) if np.ndim(one) else int(one),
        out_axis=tuple(map(int, other)) if np.ndim(other) else int(other),
    )
    assert made == plain
    assert init.get(made.spec) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert init.get("xavier_normal").plan((3, 4), in_axis=one, out_axis=other).fans == (3, 4)


@pytest.mark.parametrize("axis", [1.5, "0", [0.5], {3}])
def test_what_is_no_index_is_refused(axis):
    with pytest.raises((TypeError, ValueError)):
        init.get("xavier_normal").plan((3, 4), in_axis=axis, out_axis=axis)


@pytest.mark.parametrize(
    "shape", [True, (True, 2), b"ab", bytearray(b"ab"), memoryview(b"ab"), {3: 1}, {3}, "34", 3.5]
)
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(TypeError, match="a shape is an int or a sequence of ints"):
        init.normal(shape, rng=0)


def test_an_unknown_argument_blames_the_initialiser():
    with pytest.raises(TypeError, match=r"^kaiming_normal\(\) got an unexpected keyword argument 'gain'"):
        init.kaiming_normal((3, 4), gain=2)
    with pytest.raises(TypeError, match=r"^kaiming_normal_\(\) got an unexpected keyword argument 'gain'"):
        init.kaiming_normal_(np.ones((3, 4)), gain=2)
    with pytest.raises(TypeError, match=r"^xavier_normal\(\) missing a required argument: 'shape'"):
        init.xavier_normal(gain=2)


def test_what_counts_as_an_integer_is_one():
    class Two:
        def __index__(self):
            return 2

    assert init.get("kaiming_normal", groups=Two()) == init.get("kaiming_normal", groups=2)
    with pytest.raises(ValueError, match="groups must be an integer, not True"):
        init.get("kaiming_normal", groups=True)
    for groups in (np.array([1.0]), np.float32, int):  # these have __index__, which refuses
        with pytest.raises(ValueError, match="groups must be an integer, not"):
            init.get("kaiming_normal", groups=groups)
    for axis in (True, 1.0):
        with pytest.raises(TypeError, match=f"an axis is an integer, not {axis}"):
            init.get("kaiming_normal", in_axis=axis, out_axis=0)
    with pytest.raises(TypeError, match="integers are wanted, not True"):
        init.compute_fans((9, 3, 3), groups=True)
    assert repr(init.compute_fans((9, 3, 3), groups=np.int64(3))) == "(9, 9)"


@pytest.mark.parametrize("name", ["orthogonal", "delta_orthogonal"])
def test_a_gain_beyond_the_dtype_is_refused(name):
    make = getattr(init, name)
    with pytest.raises(ValueError, match=r"gain 1000000\.0 is too large for float16, which ends at 65504"):
        make((4, 4, 3), gain=1e6, dtype="f2", rng=0)
    assert np.isfinite(make((4, 4, 3), gain=65504, dtype="f2", rng=0)).all()

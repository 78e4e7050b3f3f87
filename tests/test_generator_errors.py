"""Bad calls of Generator raise NumPy's errors, and draw nothing."""

import numpy as np
import pytest

from fastinit.random import default_rng


def read_only():
    array = np.zeros(3)
    array.flags.writeable = False
    return array


# Both generators must raise the same class for these.
FILLS = {
    "an integer dtype": {"dtype": np.int32},
    "an integer dtype by name": {"dtype": "i4"},
    "an unknown dtype": {"dtype": "nonsense"},
    "a dtype of foreign byte order": {"dtype": ">f4"},
    "a longer dtype": {"dtype": np.longdouble},
    "a complex dtype": {"dtype": np.complex64},
    "an object dtype": {"dtype": object},
    "a dtype of 16 bytes by name": {"dtype": "f16"},
    "a dtype by its bits": {"dtype": "f32"},
    "no dtype at all": {"dtype": 3},
    "out of another dtype": {"out": np.zeros(3, np.float32)},
    "out of the default dtype": {"out": np.zeros(3), "dtype": np.float32},
    "out of integers": {"out": np.zeros(3, np.int64)},
    "out not contiguous": {"out": np.zeros(6)[::2]},
    "out not contiguous in two dimensions": {"out": np.zeros((4, 4))[:, :2]},
    "out backwards": {"out": np.zeros(3)[::-1]},
    "out read-only": {"out": read_only()},
    "out of foreign byte order": {"out": np.zeros(3, ">f8")},
    "out longer than size": {"size": 3, "out": np.zeros(4)},
    "out of another shape than size": {"size": (3, 1), "out": np.zeros(3)},
    "out 0-d for size 1": {"size": 1, "out": np.zeros(())},
    "a negative size": {"size": -1},
    "a negative size in a shape": {"size": (2, -1)},
    "a float size": {"size": 3.0},
    "a float in a shape": {"size": (3.0,)},
    "a bool size": {"size": True},
    "a size of text": {"size": "3"},
    "a size of None in a shape": {"size": (None,)},
    "a size no array has": {"size": 2**62},
    "a size that overflows as a product": {"size": (2**33, 2**33)},
    "a size beyond C's integers": {"size": 2**70},
    "an unknown argument": {"sizes": 3},
}

PARAMETERS = {
    "uniform": {
        "high below low": (1, 0),
        "high below low somewhere": ([0, 1], [1, 0]),
        "infinite high": (0, np.inf),
        "infinite low": (-np.inf, 0),
        "infinite both": (np.inf, np.inf),
        "NaN low": (np.nan, 0),
        "NaN high": (0, np.nan),
        "infinite range": (-1.7e308, 1.7e308),
        "infinite range somewhere": ([0, -1.7e308], [1, 1.7e308]),
        "infinite high somewhere": ([0, 0], [1, np.inf]),
        "NaN somewhere": ([0, np.nan], 1),
        "negative and infinite": ([1, 0], [0, np.inf]),
        "text": ("a", 1),
        "text in a list": (["a"], 1),
        "complex": (1j, 2),
        "complex in a list": ([1j], 2),
        "None": (None, 2),
        "None in a list": ([None], 2),
        "a dict": ({}, 2),
        "a ragged list": ([[1, 2], [1]], 2),
        "an int beyond float64": (10**400, 2),
        "shapes that do not broadcast": ([0, 0], [1, 1, 1]),
        "a size too small": ([0, 0], 1, ()),
        "a size that does not fit": ([0, 0], 1, 3),
        "a size that would have to be broadcast": ([0, 0], 1, (2, 1)),
        "a size for an empty array": ([], 1, 3),
        "a negative size with arrays": ([0, 0], 1, -1),
        "a float size with arrays": ([0, 0], 1, 2.0),
    },
    "normal": {
        "a negative scale": (0, -1),
        "a negative zero": (0, -0.0),
        "minus infinity": (0, -np.inf),
        "a negative scale somewhere": (0, [1, -1]),
        "a negative zero somewhere": (0, [1, -0.0]),
        "a negative scale with arrays": ([0, 1], -1),
        "text": (0, "x"),
        "complex": (0, 1j),
        "None": (0, None),
        "shapes that do not broadcast": ([0, 1], [1, 2, 3]),
        "a size that does not fit": ([0, 1], 1, 3),
        "a text size with arrays": ([0, 1], 1, "3"),
        "a float size with arrays": ([0, 1], 1, 2.0),
        "a negative size": (0, 1, -3),
    },
}

CALLS = [
    *(
        pytest.param(method, (), kwargs, id=f"{method}: {what}")
        for method in ("random", "standard_normal")
        for what, kwargs in FILLS.items()
    ),
    *(
        pytest.param(method, args, {}, id=f"{method}: {what}")
        for method, table in PARAMETERS.items()
        for what, args in table.items()
    ),
]

# NumPy has no dtype= or out= in these, so the errors are those of `random`.
WIDER = {"uniform": (0, 1), "normal": (0, 1), "truncated_normal": (-1, 1)}


@pytest.mark.parametrize(("method", "args", "kwargs"), CALLS)
def test_the_class_is_numpys_and_nothing_is_drawn(method, args, kwargs):
    theirs, mine = np.random.default_rng(7), default_rng(7)
    with np.errstate(over="ignore"), pytest.raises((TypeError, ValueError, OverflowError)) as error:
        getattr(theirs, method)(*args, **kwargs)
    with pytest.raises(error.type) as ours:
        getattr(mine, method)(*args, **kwargs)
    assert ours.type is error.type
    assert str(ours.value)
    assert mine.bit_generator.state == theirs.bit_generator.state


@pytest.mark.parametrize("method", WIDER)
@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("what", FILLS)
def test_methods_with_more_arguments_than_numpys_check_them_alike(method, arrays, what):
    theirs, mine = np.random.default_rng(7), default_rng(7)
    args = [[x, x, x] for x in WIDER[method]] if arrays else WIDER[method]
    with pytest.raises((TypeError, ValueError, OverflowError)) as error:
        theirs.random(**FILLS[what])
    with pytest.raises(error.type):
        getattr(mine, method)(*args, **FILLS[what])
    assert mine.bit_generator.state == theirs.bit_generator.state


@pytest.mark.parametrize("out", [[1.0, 2.0], 1, "x", np.float64(3), memoryview(bytearray(8))])
@pytest.mark.parametrize("method", ["random", "standard_normal"])
def test_out_that_is_no_array_is_a_type_error(method, out):
    with pytest.raises(TypeError, match="out must be an ndarray"):
        getattr(default_rng(7), method)(out=out)


@pytest.mark.parametrize("method", WIDER)
def test_only_scalar_parameters_fill_out_in_fortran_order(method):
    rng = default_rng(7)
    rng.random(out=np.zeros((2, 3), order="F"))
    args = [np.full((2, 3), x) for x in WIDER[method]]
    with pytest.raises(ValueError, match="C-contiguous"):
        getattr(rng, method)(*args, out=np.zeros((2, 3), order="F"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize(
    ("low", "high"), [(-2e38, 2e38), (0, 1e39), (1e39, 1e39), (-np.inf, 0), (np.nan, 1), (0, np.nan)]
)
def test_a_range_must_be_finite_in_float32(dtype, low, high):
    rng = default_rng(7)
    for args in ((low, high), ([low, low], [high, high]), ([0, low], [1, high])):
        with pytest.raises(OverflowError, match="valid bounds"):
            rng.uniform(*args, dtype=dtype)
    assert rng.bit_generator.state == np.random.PCG64(7).state


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((1, 0), "low > high"),
        ((np.inf, -np.inf), "low > high"),
        ((np.nan, 0), "NaN"),
        ((0, np.nan), "NaN"),
        ((0, 1, 0, -1), "scale < 0"),
        ((0, 1, 0, -0.0), "scale < 0"),
    ],
)
def test_truncated_normal_refuses(dtype, args, message):
    rng = default_rng(7)
    for parameters in (args, [[x, x] for x in args]):
        with pytest.raises(ValueError, match=message):
            rng.truncated_normal(*parameters, dtype=dtype)
    assert rng.bit_generator.state == np.random.PCG64(7).state


def test_default_rng_refuses_what_numpys_refuses():
    for seed in (-1, 1.5, "7", object(), [0.5]):
        with pytest.raises((TypeError, ValueError)) as error:
            np.random.default_rng(seed)
        with pytest.raises(error.type):
            default_rng(seed)


WRONG = [
    np.array("1"),
    np.array(b"1"),
    np.array(1j),
    np.array(None),
    "1",
    b"1",
    np.str_("1"),
    np.bytes_(b"1"),
    None,
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize(("method", "others"), [("normal", (1.0,)), ("uniform", (5.0,)), ("exponential", ())])
def test_a_scalar_that_is_no_number_is_numpys_error(method, others, wrong):
    """Also as an array without axes."""
    for make in (np.random.default_rng, default_rng):
        rng = make(7)
        with pytest.raises(TypeError):
            getattr(rng, method)(wrong, *others)
        assert rng.random() == make(7).random()
    with pytest.raises(TypeError):
        default_rng(7).truncated_normal(-1, 1, wrong)


def test_arrays_without_axes_are_scalars():
    for make in (np.random.default_rng, default_rng):
        for value in (
            np.array(2.0),
            np.array(2, ">f4"),
            np.array(2, np.uint64),
            np.array(True),
            np.float16(2),
        ):
            assert make(7).uniform(value, 5) == make(7).uniform(float(value), 5)
            assert isinstance(make(7).uniform(value, 5), float)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("count", [1, 9000])
def test_array_bounds_beyond_a_dtype_name_it(dtype, count):
    most = float(np.finfo(dtype).max)
    low, high = (-most, most) if dtype == "float64" else (0.0, 2 * most)
    with pytest.raises(OverflowError, match=f"exceeds valid bounds of {dtype}"):
        default_rng(7).uniform(np.full(count, low), high, dtype=dtype)

"""The functions that `register` makes from one: an array form, an in-place form, and their types."""

import importlib
import inspect
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

from fastinit import init
from fastinit.init.initializer import OPTIONS, OPTIONS_IN_PLACE

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # tools is no part of what is installed

from tools import stubs  # noqa: E402

TORCHS = sorted(name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_")
FORMS = sorted(name for name in init.__all__ if f"{name}_" in init.__all__)


@pytest.mark.parametrize("path", stubs.STUBS, ids=lambda path: path.name)
def test_a_stub_is_current(path):
    assert path.read_text() == stubs.STUBS[path](), "`python -m tools.stubs` renews it"


@pytest.mark.parametrize("name", FORMS)
def test_both_forms_have_signatures_of_their_own(name):
    array_form, in_place = getattr(init, name), getattr(init, f"{name}_")
    parameters = [*inspect.signature(array_form).parameters.values()]
    assert parameters[0].name == "shape"
    assert parameters[-len(OPTIONS) :] == OPTIONS
    own = [each.default for each in parameters[1 : -len(OPTIONS)]]
    twins = [*inspect.signature(in_place).parameters.values()]
    assert twins[0].name == "tensor"
    if twins[-len(OPTIONS_IN_PLACE) :] == OPTIONS_IN_PLACE:
        del twins[-len(OPTIONS_IN_PLACE) :]
    assert [each.default for each in twins[1:] if each.name != "generator"] == own
    assert array_form.__doc__
    assert array_form.__name__ in in_place.__doc__


@pytest.mark.parametrize(
    "name", sorted(name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_")
)
def test_forms_in_place_take_torchs_arguments_in_torchs_order(name):
    torchs = list(inspect.signature(getattr(torch.nn.init, name)).parameters)
    ours = list(inspect.signature(getattr(init, name)).parameters)
    assert ours[: len(torchs)] == torchs
    more = inspect.signature(getattr(init, name)).parameters.values()
    assert all(each.kind is each.KEYWORD_ONLY for each in list(more)[len(torchs) :])


@pytest.mark.parametrize(
    "call",
    [
        lambda: init.xavier_uniform((3, 4), 2.0),  # gain is a keyword
        lambda: init.xavier_uniform((3, 4), gian=2.0),
        lambda: init.xavier_uniform(),
        lambda: init.constant((3, 4)),
        lambda: init.constant((3, 4), 1.0, value=2.0),
        lambda: init.xavier_uniform_(np.zeros((3, 4), np.float32), gian=2.0),
        lambda: init.sparse_(np.zeros((3, 4), np.float32)),
        lambda: init.ones_(np.zeros(3, np.float32), 1.0),
    ],
)
def test_arguments_that_do_not_fit_are_type_errors(call):
    with pytest.raises(TypeError, match=r"argument|positional"):
        call()


def outcome(call, init):
    """What a call gives: the bytes and the dtype of an array, or the error and its text."""
    try:
        made = call(init)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return made.tobytes(), made.dtype, made.shape


ZEROS = [0, 0.0, -0.0, False, np.float64(-0.0), "0", [0], None]
ONES = [1, 1.0, True, np.float32(1), "1", np.ones(()), [1], (1,)]
SHAPES = [(2, 1), (2.0, 1), (2, True), (np.int64(2), 1), [2, 1], 2, np.array([2, 1]), ((2,), 1), (2, 1.0)]
AXES = [0, 0.0, False, np.int64(0), (0,), (0.0,), [0], (False,), None, "0"]
DTYPES = [np.float32, "f4", "bfloat16", np.dtype("f8"), "f16", np.int32, None]
ALIKE = {
    "a constant": [lambda init, value=value: init.constant((2,), value) for value in ZEROS + ONES],
    "a gain": [lambda init, gain=gain: init.xavier_normal((2, 1), gain=gain, rng=0) for gain in ZEROS + ONES],
    "groups": [lambda init, each=each: init.xavier_normal((2, 1), groups=each, rng=0) for each in ONES],
    "a mean": [lambda init, mean=mean: init.normal((9,), mean=mean, std=0.0, rng=0) for mean in ZEROS + ONES],
    "bounds": [
        lambda init, value=value: init.trunc_normal_(
            np.empty(9), mean=value, std=0.0, a=value, b=2, generator=0
        )
        for value in ZEROS
    ],
    "a shape": [lambda init, shape=shape: init.kaiming_normal(shape, rng=0) for shape in SHAPES],
    "an axis": [
        lambda init, axis=axis: init.kaiming_normal((3, 2), in_axis=axis, out_axis=1, rng=0) for axis in AXES
    ],
    "a dtype": [
        lambda init, dtype=dtype: init.kaiming_normal((3, 2), dtype=dtype, rng=0) for dtype in DTYPES
    ],
}


@pytest.fixture
def without_tables(monkeypatch):
    """Another copy of fastinit.init, which keeps nothing."""
    monkeypatch.setattr("fastinit._tables.kept", lambda function: function)
    monkeypatch.setattr("fastinit.init", init)  # as an import sets it
    for name in [name for name in sys.modules if name.startswith("fastinit.init")]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("fastinit.init")


@pytest.mark.filterwarnings("ignore:seed 0 is used a second time")
@pytest.mark.parametrize("what", ALIKE)
def test_equal_arguments_of_other_kinds_have_no_effect_on_each_other(what, without_tables):
    calls = ALIKE[what]
    expected = [outcome(call, without_tables) for call in calls]
    assert len({*expected}) > 2
    for order in ([*range(len(calls))], [*reversed(range(len(calls)))]):
        assert [outcome(calls[i], init) for i in order] == [expected[i] for i in order]


def test_what_a_user_holds_is_in_no_table():
    before = init.trunc_normal_(np.empty(9), std=0.5, generator=np.random.PCG64(3))
    mine = init.get("truncated_normal", std=0.5, low=-4.0, high=4.0)
    mine.arguments["std"] = 7.0
    plan = init.get("truncated_normal", std=0.5, low=-4.0, high=4.0).plan((9,), dtype=np.float64)
    plan.parameters = ()
    assert np.array_equal(init.trunc_normal_(np.empty(9), std=0.5, generator=np.random.PCG64(3)), before)


def test_a_bad_argument_is_told_before_a_bad_tensor():
    for _ in range(2):
        with pytest.raises(ValueError, match="unknown mode"):
            init.kaiming_normal_("no tensor", mode="fan")
        with pytest.raises(TypeError, match="not str"):
            init.kaiming_normal_("no tensor")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2])
def test_constants_of_dtypes_that_nothing_else_fills(dtype):
    for ours, theirs in (
        (init.zeros_, torch.nn.init.zeros_),
        (init.ones_, torch.nn.init.ones_),
        (lambda t: init.constant_(t, 2), lambda t: t.fill_(2)),
    ):
        one, other = torch.zeros(3, 2, dtype=dtype), torch.zeros(3, 2, dtype=dtype)
        assert ours(one) is one
        theirs(other)
        as_plain = torch.view_as_real if dtype.is_complex else lambda t: t.view(torch.uint8)
        assert torch.equal(as_plain(one), as_plain(other))


@pytest.mark.parametrize(
    "dtype",
    [torch.complex32, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu],
)
@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_constants_of_dtypes_that_torch_alone_has(dtype):
    for name in ("zeros_", "ones_"):
        one, other = torch.zeros(6, 2, dtype=dtype), torch.zeros(6, 2, dtype=dtype)
        before = one._version
        assert getattr(init, name)(one[::2]).shape == (3, 2)
        getattr(torch.nn.init, name)(other[::2])
        assert bytes(one.untyped_storage()) == bytes(other.untyped_storage())
        assert one._version == before + 1


def test_constants_of_conjugate_and_negative_views():
    base = torch.full((3,), 2 + 3j)
    init.constant_(base.conj(), 5.0)
    assert base.tolist() == [5, 5, 5]
    init.ones_(base.conj().imag)
    assert base.tolist() == [5 - 1j] * 3


@pytest.mark.parametrize(
    "name", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e8m0fnu", "int4"]
)
def test_constants_of_dtypes_of_ml_dtypes(name):
    array = np.full((4, 3), 2, getattr(ml_dtypes, name))
    assert init.ones_(array[::2]) is not None
    assert array.astype(np.float64).tolist() == [[1] * 3, [2] * 3] * 2
    if name != "float8_e8m0fnu":
        assert not init.zeros_(array).astype(np.float64).any()


def test_a_constant_that_a_dtype_lacks_is_refused():
    for tensor, value in (
        (torch.ones(3, dtype=torch.float8_e4m3fn), 449),
        (np.ones(3, ml_dtypes.float8_e4m3fn), 1e6),
        (np.ones(3, ml_dtypes.float8_e5m2), 1e6),
        (np.ones(3, ml_dtypes.float8_e8m0fnu), 0),
    ):
        with pytest.raises(ValueError, match=r"too large for float8|has no value near"):
            init.constant_(tensor, value)
        assert (np.asarray(tensor.float() if isinstance(tensor, torch.Tensor) else tensor) == 1).all()
    for kind in ("O", "U3", "M8[s]", "V4", [("a", "f4")]):
        with pytest.raises(TypeError, match="dtype must be one of"):
            init.zeros_(np.empty(3, kind))

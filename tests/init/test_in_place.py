"""Initialisers in place, with torch's names, into given arrays and tensors."""

import inspect
import math

import ml_dtypes
import numpy as np
import pytest
import torch
from cases import DTYPES, SHAPES, SPECS, position, same, shape_of

from fastinit import init, random

TORCH_DTYPES = {
    torch.float16: np.float16,
    torch.bfloat16: ml_dtypes.bfloat16,
    torch.float32: np.float32,
    torch.float64: np.float64,
}


TWINS = sorted(name for name in init.__all__ if name.endswith("_"))


# Arguments that torch's have not: they follow torch's, and are keywords.
AXES = {"layout": "oi", "in_axis": None, "out_axis": None, "batch_axis": ()}
STRUCTURED = {"orthogonal_", "delta_orthogonal_", "dirac_"}
SCALED = {
    f"{name}_{distribution}_"
    for name in ("xavier", "glorot", "kaiming", "he", "lecun")
    for distribution in ("uniform", "normal")
} | {"variance_scaling_"}


@pytest.mark.parametrize("name", [name for name in TWINS if hasattr(torch.nn.init, name)])
def test_a_twin_has_torchs_signature(name):
    def parameters(function):
        return [
            (each.name, each.default, each.kind) for each in inspect.signature(function).parameters.values()
        ]

    ours, theirs = parameters(getattr(init, name)), parameters(getattr(torch.nn.init, name))
    axes = [(key, default, inspect.Parameter.KEYWORD_ONLY) for key, default in AXES.items()]
    groups = ("groups", 1, inspect.Parameter.KEYWORD_ONLY)
    kept = ("keep_std", False, inspect.Parameter.KEYWORD_ONLY)
    more = [kept] * (name == "trunc_normal_") + [groups] * (name in SCALED)
    assert ours == theirs + more + axes * (name in SCALED or name in STRUCTURED)


def test_every_in_place_function_of_torch_has_a_twin():
    assert {name for name in torch.nn.init.__all__ if name.endswith("_")} <= set(TWINS)


REQUIRED = {"constant_": (0.25,), "sparse_": (0.3,)}


@pytest.mark.parametrize("name", TWINS)
def test_in_place_is_the_array_function(name):
    function = getattr(init, name)
    plain = getattr(init, {"trunc_normal_": "truncated_normal"}.get(name, name[:-1]))
    shape = SHAPES.get(name[:-1], (6, 5, 3))
    given = REQUIRED.get(name, ())
    seeded = {"generator": 4} if "generator" in inspect.signature(function).parameters else {}
    for dtype in DTYPES:
        expected = plain(shape, *given, dtype=dtype, rng=4)
        array = np.empty(shape, dtype)
        assert function(array, *given, **seeded) is array
        same(array, expected)
        strided = np.full((*shape[:-1], 2 * shape[-1]), 7, dtype)
        function(strided[..., ::2], *given, **seeded)
        same(strided[..., ::2], expected)
        assert (strided[..., 1::2] == 7).all()
    for torch_dtype, dtype in TORCH_DTYPES.items():
        expected = torch.from_numpy(plain(shape, *given, dtype=dtype, rng=4).astype(np.float64))
        tensor = torch.empty(shape, dtype=torch_dtype)
        assert function(tensor, *given, **seeded) is tensor
        assert torch.equal(tensor.double(), expected)
        transposed = torch.empty(shape[::-1], dtype=torch_dtype).permute(*range(len(shape))[::-1])
        function(transposed, *given, **seeded)
        assert torch.equal(transposed.double(), expected)


def test_parameters_of_a_module():
    layer = torch.nn.Linear(5, 3)
    version = layer.weight._version
    assert init.xavier_normal_(layer.weight, generator=1) is layer.weight
    assert layer.weight.requires_grad
    assert layer.weight.grad_fn is None
    assert layer.weight._version > version  # a graph that saved the old weight detects the change
    same(layer.weight.detach().numpy(), init.xavier_normal((3, 5), rng=1))


def test_generators_of_all_kinds():
    expected = init.normal((3, 4), rng=random.default_rng(9))
    same(init.normal((3, 4), rng=9), expected)
    same(init.normal((3, 4), rng=np.random.default_rng(9)), expected)
    same(init.normal((3, 4), rng=np.random.PCG64(9)), expected)
    plain = np.random.default_rng(9)
    init.normal((3, 4), rng=plain)
    assert (
        plain.random() == random.default_rng(9).random(7)[6]
    )  # two normals a draw: NumPy's generator has moved
    assert not np.array_equal(init.normal((3, 4)), init.normal((3, 4)))


@pytest.mark.parametrize("spec", SPECS)
def test_any_bit_generator_of_numpys_fills(spec):
    one, other = (np.random.Generator(np.random.MT19937(3)) for _ in range(2))
    shape = shape_of(spec)
    values = init.get(spec)(shape, dtype=np.float64, rng=one)
    same(values, init.get(spec)(shape, dtype=np.float64, rng=random.Generator(other.bit_generator)))
    assert one.random() == other.random()
    if init.get(spec).plan(shape).random:
        assert not np.array_equal(values, init.get(spec)(shape, dtype=np.float64, rng=one))


@pytest.mark.parametrize("spec", ["zeros", "ones", "constant(value=3)", "eye", "dirac(groups=2)"])
def test_constants_draw_nothing(spec):
    rng = random.default_rng(1)
    before = position(rng)
    shape = (4, 3, 5) if "dirac" in spec else (4, 3)
    init.get(spec)(shape, rng=rng)
    init.get(spec)(shape, rng=rng, block=(slice(2),))
    init.get(spec).plan(shape).fill(np.empty(5, np.float32), None, 2)
    assert position(rng) == before


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (np.empty(3, np.int64), TypeError, "float16, bfloat16, float32, float64"),
        ([0.0, 1.0], TypeError, "a writable buffer is wanted, not list"),
        (torch.empty(3, dtype=torch.int32), TypeError, "float32"),
        (torch.empty(3, device="meta"), TypeError, "on the CPU, not .* on meta"),
        (torch.eye(3).to_sparse(), TypeError, "must be dense"),
        (torch.zeros(1, 3).expand(2, 3), ValueError, "is expanded: its elements share memory"),
        (
            np.lib.stride_tricks.as_strided(np.zeros(3), (2, 3), (0, 8)),
            ValueError,
            "its elements share memory",
        ),
        (np.broadcast_to(np.zeros(1), (3,)), ValueError, "read-only"),
    ],
)
def test_what_cannot_be_filled(target, error, message):
    with pytest.raises(error, match=message):
        init.normal_(target)


def test_constants_fill_what_torchs_do():
    """Integers and bools, elements that share their memory, NaN and True."""
    values = {"zeros_": (), "ones_": (), "constant_": (1,)}
    for dtype in (torch.int64, torch.int8, torch.uint8, torch.bool, torch.float32, torch.bfloat16):
        for name, given in values.items():
            ours, theirs = torch.full((2, 3), 7).to(dtype), torch.full((2, 3), 7).to(dtype)
            version = ours._version
            assert getattr(init, name)(ours, *given) is ours
            assert torch.equal(ours, getattr(torch.nn.init, name)(theirs, *given))
            assert ours._version > version
            if dtype != torch.bfloat16:
                array = np.full((3, 4), 7, theirs.numpy().dtype)
                getattr(init, name)(array[:, ::2], *given)
                assert (array[:, ::2] == theirs.numpy()[0, 0]).all()
                assert (array[:, 1::2] == np.array(7).astype(array.dtype)).all()
    assert init.constant_(torch.zeros(2, dtype=torch.int64), 2**60 + 1).tolist() == [2**60 + 1] * 2
    assert init.constant_(torch.zeros(2, dtype=torch.int32), -2.5).tolist() == [-2, -2]
    assert init.constant_(torch.zeros(2), True).tolist() == [1.0, 1.0]
    assert init.constant_(torch.zeros(2), math.nan).isnan().all()
    assert np.isnan(init.constant(2, math.nan, dtype=np.float16)).all()
    assert init.ones_(torch.zeros(1).expand(3)).tolist() == [1.0, 1.0, 1.0]
    for value, error in ((300, OverflowError), (math.inf, OverflowError), (math.nan, ValueError)):
        with pytest.raises(error):
            init.constant_(torch.zeros(2, dtype=torch.uint8), value)
    with pytest.raises(TypeError, match="M8"):
        init.zeros_(np.zeros(3, "M8[s]"))


@pytest.mark.parametrize(
    ("name", "twin"), [("xavier_uniform", "xavier_uniform_"), ("truncated_normal", "trunc_normal_")]
)
def test_an_array_for_a_shape_is_pointed_to_the_function_in_place(name, twin):
    for target in (torch.empty(3, 4), np.empty((3, 4))):
        with pytest.raises(TypeError, match=f"sequence of ints, not .*; to fill .* in place there is {twin}"):
            getattr(init, name)(target)
    assert callable(getattr(init, twin))
    for shape in ("3x4", (3.5, 4)):
        with pytest.raises(TypeError, match=r"an int or a sequence of ints, not .*[35]") as caught:
            getattr(init, name)(shape)
        assert "place" not in str(caught.value)


def test_out():
    out = np.empty((4, 3), order="F")
    assert init.normal((4, 3), dtype=np.float64, rng=2, out=out) is out
    same(out, init.normal((4, 3), dtype=np.float64, rng=2))
    with pytest.raises(TypeError, match="out has dtype float64, but dtype asks for float32"):
        init.normal((4, 3), out=out)
    with pytest.raises(ValueError, match=r"out has shape \(4, 3\), but the result has \(2, 3\)"):
        init.normal((4, 3), dtype=np.float64, out=out, rng=1, block=(slice(2),))
    with pytest.raises(TypeError, match="not list"):
        init.normal((1,), out=[0.0])


EMPTY = [(0,), (0, 5), (5, 0), (0, 0), (4, 0, 3), (0, 4, 3), (3, 4, 0)]
ON_EMPTY = {
    "xavier_uniform_": {},
    "xavier_normal_": {},
    "kaiming_uniform_": {},
    "kaiming_normal_": {"mode": "fan_out"},
    "uniform_": {},
    "normal_": {},
    "trunc_normal_": {},
    "constant_": {"val": 3.0},
    "zeros_": {},
    "orthogonal_": {},
    "eye_": {},
    "dirac_": {},
    "sparse_": {"sparsity": 0.5},
}


@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize("name", ON_EMPTY)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_tensor_without_elements_is_no_error_where_it_is_none_in_torch(name, shape):
    """It isn't where torch divides by a fan of 0, either."""
    tensor, arguments, rng = torch.empty(shape), ON_EMPTY[name], random.default_rng(1)
    try:
        getattr(torch.nn.init, name)(tensor, **arguments)
    except ValueError:
        return
    except (ZeroDivisionError, IndexError):
        pass
    before = rng.bit_generator.state
    draws = {} if name in ("constant_", "zeros_", "eye_", "dirac_") else {"generator": rng}
    assert getattr(init, name)(tensor, **arguments, **draws) is tensor
    if not arguments and draws and name != "trunc_normal_":
        assert getattr(init, name.removesuffix("_"))(shape, rng=rng).shape == shape
    assert rng.bit_generator.state == before


def test_a_draw_into_complex_numbers_is_refused():
    with pytest.raises(TypeError, match="complex64"):
        init.normal_(torch.zeros(3, dtype=torch.complex64))


def test_what_fills_a_tensor_of_another_device_is_named():
    with pytest.raises(
        TypeError, match=r"on the CPU, not .* on meta; fastinit\.torch\.fill_ and fastinit\.torch\.init"
    ):
        init.normal_(torch.empty(3, device="meta"))


@pytest.mark.parametrize("name", ["normal_", "zeros_", "eye_"])
def test_freed_storage_is_refused(name):
    tensor = torch.ones(30, 30)
    tensor.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="storage has been freed"):
        getattr(init, name)(tensor)
    empty = torch.ones(0, 3)
    assert init.normal_(empty) is empty


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("normal_", torch.float32),
        ("ones_", torch.float32),
        ("ones_", torch.complex32),
        ("ones_", torch.int64),
    ],
)
@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_storage_that_is_freed_in_part_is_refused(name, dtype):
    """The last of 30 elements is freed."""
    tensor = torch.ones(6, 5, dtype=dtype)
    cut, whole = (
        [tensor, tensor.t(), tensor[2:, 1:], tensor[5:, 4:]],
        [tensor[::2], tensor[:, 3], tensor[5:, 5:]],
    )
    tensor.untyped_storage().resize_(29 * tensor.element_size())
    for view in whole:
        assert getattr(init, name)(view) is view
    for view in cut:
        with pytest.raises(ValueError, match="freed, in whole or in part"):
            getattr(init, name)(view)


@pytest.mark.parametrize("name", ["normal_", "kaiming_normal_", "sparse_", "orthogonal_"])
def test_a_generator_that_is_refused_leaves_the_version_counter(name):
    weight = torch.ones(5, 5, requires_grad=True)
    total = (weight * weight).sum()
    arguments = {"sparsity": 0.5} if name == "sparse_" else {}
    with pytest.raises(ValueError, match="Box-Muller"):
        getattr(init, name)(weight, **arguments, generator=random.default_rng(1, normals="ziggurat"))
    total.backward()


def test_a_mode_in_upper_case_is_torchs():
    upper, lower = torch.empty(6, 4), torch.empty(6, 4)
    init.kaiming_uniform_(upper, mode="FAN_OUT", generator=3)
    init.kaiming_uniform_(lower, mode="fan_out", generator=3)
    assert torch.equal(upper, lower)
    assert init.get("kaiming_normal", mode="FAN_OUT") == init.get("kaiming_normal", mode="fan_out")


# (shape, arguments, fans)
WEIGHTS = [
    ((32, 2, 3, 3), {"groups": 4}, (18, 72)),
    ((4, 3, 3), {"layout": "torch_transposed", "groups": 2}, (6, 9)),
    ((3, 3, 64, 2), {"layout": "keras_depthwise"}, (9, 18)),
    ((8, 4, 16), {"batch_axis": 0}, (16, 4)),
    ((2, 3, 8), {"in_axis": (0, 1), "out_axis": 2}, (6, 8)),
]


@pytest.mark.parametrize("name", sorted(SCALED))
@pytest.mark.parametrize(("shape", "arguments", "fans"), WEIGHTS)
def test_groups_and_axes_are_taken_in_all_forms(name, shape, arguments, fans):
    plain, in_place = getattr(init, name.removesuffix("_")), getattr(init, name)
    places = {key: value for key, value in arguments.items() if key != "groups"}
    initializer = init.get(name.removesuffix("_"), groups=arguments.get("groups", 1))
    plan = initializer.plan(shape, **places)
    assert plan.fans == fans
    assert plan.parameters == init.get(initializer.name).plan(fans[::-1]).parameters
    expected = plain(shape, **arguments, rng=3)
    same(initializer(shape, **places, rng=3), expected)
    same(init.get(initializer.spec)(shape, **places, rng=3), expected)
    same(in_place(np.empty(shape, np.float32), **arguments, generator=3), expected)
    tensor = torch.empty(shape)
    assert in_place(tensor, **arguments, generator=3) is tensor
    same(tensor.numpy(), expected)


# Each order of axes of a weight with 6 outputs and 4 inputs.
ORDERS = {"oi": (0, 1, 2), "torch_transposed": (1, 0, 2), "io": (2, 1, 0), "keras_transposed": (2, 0, 1)}


@pytest.mark.parametrize(("layout", "order"), ORDERS.items())
def test_matrices_take_axes_in_place(layout, order):
    def filled(function, **seed):
        weight = np.empty((6, 4, 3))
        function(weight.transpose(order), layout=layout, **seed)
        return weight

    matrix = filled(init.orthogonal_, generator=3).reshape(6, 12)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-12)
    middle = filled(init.delta_orthogonal_, generator=3)[:, :, 1]
    np.testing.assert_allclose(middle.T @ middle, np.eye(4), atol=1e-12)
    same(filled(init.dirac_), init.dirac((6, 4, 3), dtype=np.float64))


def test_dirac_passes_each_group_on():
    layer = torch.nn.ConvTranspose1d(4, 6, 3, padding=1, groups=2, bias=False)
    init.dirac_(layer.weight, groups=2, layout="torch_transposed")
    image = torch.rand(1, 4, 9)
    passed = layer(image).detach()[0]
    assert torch.equal(passed[[0, 1, 3, 4]], image[0])
    assert not passed[[2, 5]].any()

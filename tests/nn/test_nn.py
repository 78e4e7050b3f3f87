"""Values against torch on every size, and equal bits on every instruction set."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from activations import (
    BY_NAME,
    DTYPES,
    EPSILON,
    FUNCTIONS,
    NOTHING,
    SLOPE,
    assert_same,
    aten,
    bits,
    every_half,
    patterns,
)

from fastinit import _dispatch, nn

every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=str)
every_tag = pytest.mark.parametrize("tag", DTYPES)

GUARD = 0xA5


def guarded(n, dtype, offset):
    """Return n elements, `after` a cache line, and the memory around them."""
    memory = np.full((n + 64 + offset) * dtype.itemsize + 64, GUARD, np.uint8)
    start = -memory.ctypes.data % 64 + offset * dtype.itemsize
    return memory, start, memory[start : start + n * dtype.itemsize].view(dtype)


def sizes(rng):
    around = [size + d for size in (8, 16, 32, 64, 128, 1024, 4096, 8192) for d in (-1, 0, 1)]
    return [0, 1, 2, 3, 5, *around, *rng.integers(4, 3000, 6)]


@every_function
@every_tag
def test_values_are_torchs_on_every_size_and_nothing_around_them_changes(isa, function, tag):
    rng = np.random.default_rng(1)
    for n in sizes(rng):
        operands = function.operands(rng, (n,), tag)
        memory, start, out = guarded(n, DTYPES[tag], int(rng.integers(64)))
        assert function.call(*operands, out=out) is out
        error = 4 * EPSILON[tag]
        np.testing.assert_allclose(
            out.astype(np.float64), function.expected(*operands), rtol=error, atol=8 * error
        )
        around = np.concatenate([memory[:start], memory[start + out.nbytes :]])
        assert (around == GUARD).all(), n


@every_function
@every_tag
def test_bits_are_the_same_on_every_instruction_set(function, tag):
    rng = np.random.default_rng(2)
    operands = [
        np.concatenate([patterns(rng, 5001, tag), x]) for x in function.operands(rng, (100_001,), tag)
    ]
    config = _dispatch.config()
    found = {}
    try:
        for isa in config["built"]:
            if isa in config["supported"]:
                _dispatch.select(isa)
                found[isa] = function.call(*operands)
    finally:
        _dispatch.select(config["isa"])
    for isa, array in found.items():
        assert np.array_equal(bits(array), bits(found["baseline"])), isa


def check_large(function, tag):
    """Large arrays, non-temporal and shared between threads, give the values of small ones."""
    rng = np.random.default_rng(3)
    period = (1 << 13) - 1  # no multiple of a piece, so that a wrong offset into a bias shows
    small = [patterns(rng, period, tag) for _ in range(function.tall + function.bias)]
    times = (9 << 20) // small[0].nbytes
    large = [np.tile(x, times) for x in small]
    memory, start, out = guarded(large[0].size, DTYPES[tag], 5)
    function.call(*large, out=out)
    assert_same(out.reshape(times, -1), np.tile(function.call(*small), (times, 1)))
    assert (memory[:start] == GUARD).all()
    assert (memory[start + out.nbytes :] == GUARD).all()


without_draws = pytest.mark.parametrize("function", [each for each in FUNCTIONS if not each.draws], ids=str)


@without_draws
def test_large_arrays_have_the_bits_of_small_ones(isa, function):
    check_large(function, "f32")


@without_draws
@pytest.mark.parametrize("tag", ["f16", "bf16", "f64"])
def test_large_arrays_of_every_dtype_have_the_bits_of_small_ones(function, tag):
    check_large(function, tag)


@every_function
@pytest.mark.parametrize("tag", ["f16", "bf16"])
def test_half_types_are_float32_rounded_once(isa, function, tag):
    """Every half value is tested. NumPy and ml_dtypes round the expected ones."""
    rng = np.random.default_rng(4)
    others = [patterns(rng, 1 << 16, tag) for _ in range(function.tall + function.bias - 1)]
    for operands in ([every_half(tag), *others], [*others, every_half(tag)]):
        wide = function.call(*(x.astype(np.float32) for x in operands))
        with np.errstate(over="ignore", invalid="ignore"):
            assert_same(function.call(*operands), wide.astype(DTYPES[tag]))


SPECIAL = [0.0, 2.0**-149, 2.0**-126, 2.0**-24, 1e-8, 0.5, 1.0, 20.0, 88.8, 104.0, 745.2, 3e4, 1e30, np.inf]
SLOPES = [0.0, -0.0, 0.01, -0.5, 1.0, 3.0, np.nan, np.inf]

TORCH_DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64}


def special_operands(count, tag):
    """All pairs of special values, or triples."""
    one = np.array([*SPECIAL, *(-x for x in SPECIAL), np.nan])
    with np.errstate(over="ignore"):
        return [x.ravel().astype(DTYPES[tag]) for x in np.meshgrid(*[one] * count)]


def check_as_torchs(call, torchs, count, tag):
    """Results are NaN if torch's are, infinite if torch's are, with the same sign; a small one may be 0.

    torch's loops over vectors and over the few that are left differ in NaN: so many values stand after ours.
    """
    operands = special_operands(count, tag)
    got = call(*operands).astype(np.float64)
    tensors = [torch.from_numpy(np.tile(x, 64).astype(np.float64)).to(TORCH_DTYPES[tag]) for x in operands]
    wanted = torchs(*tensors)[: got.size].double().numpy()
    smallest = float(np.finfo(np.float16).tiny if tag == "f16" else np.finfo(np.float32).tiny)
    np.testing.assert_allclose(got, wanted, rtol=3 * EPSILON[tag], atol=smallest)
    signs = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got[signs]), np.signbit(wanted[signs]))


@pytest.mark.parametrize("function", [each for each in FUNCTIONS if each.kind[1:3] == (NOTHING, 0)], ids=str)
@every_tag
def test_special_values_are_torchs(isa, function, tag):
    check_as_torchs(function.call, function.torchs, function.tall, tag)


@pytest.mark.parametrize("slope", SLOPES)
@every_tag
def test_every_slope_is_torchs(isa, slope, tag):
    check_as_torchs(lambda x: nn.leaky_relu(x, slope), lambda x: F.leaky_relu(x, slope), 1, tag)
    check_as_torchs(
        lambda g, x: nn.leaky_relu_backward(g, x, slope),
        lambda g, x: aten.leaky_relu_backward(g, x, slope, False),
        2,
        tag,
    )


@pytest.mark.parametrize("name", ["selu", "leaky_relu"])
@pytest.mark.parametrize("tag", ["f32", "f64"])
def test_a_fused_bias_is_numpys_sum_before(isa, name, tag):
    rng = np.random.default_rng(5)
    x, bias = patterns(rng, 700 * 33, tag).reshape(700, 33), patterns(rng, 33, tag)
    with np.errstate(all="ignore"):
        assert_same(BY_NAME[f"bias_{name}"].call(x, bias), BY_NAME[name].call(x + bias))


def test_the_order_of_a_gradients_products(isa):
    """Each is rounded, in the order of docs/activations.md."""
    rng = np.random.default_rng(2)
    grad, y = rng.standard_normal(100_000, np.float32), rng.random(100_000, np.float32)
    assert_same(nn.sigmoid_backward(grad, y), grad * (1 - y) * y)
    slope = (1 - y.astype(np.float64) ** 2).astype(np.float32)  # rounded once: y is a multiple of 2^-24
    assert_same(nn.tanh_backward(grad, y), grad * slope)


def test_results_have_the_dtype_and_shape_of_the_input_and_leave_it_alone():
    for function in FUNCTIONS:
        for tag, dtype in DTYPES.items():
            operands = function.operands(np.random.default_rng(6), (3, 4, 5), tag)
            before = [x.copy() for x in operands]
            result = function.call(*operands)
            assert (result.dtype, result.shape, type(result)) == (dtype, (3, 4, 5), np.ndarray)
            for x, then in zip(operands, before, strict=True):
                assert_same(x, then)


def test_the_default_slope_is_torchs():
    x = np.linspace(-3, 3, 40)
    b = np.zeros(40)
    expected = F.leaky_relu(torch.from_numpy(x)).numpy()
    assert_same(nn.leaky_relu(x), expected)
    assert_same(nn.bias_leaky_relu(x, b), expected)
    for gradient in (
        nn.leaky_relu_backward(np.ones(40), x),
        nn.bias_leaky_relu_backward(np.ones(40), x, b)[0],
    ):
        assert {*gradient.tolist()} == {0.01, 1.0} != {SLOPE, 1.0}

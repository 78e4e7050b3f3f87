"""The gradient of a bias: exact sums, in an order that depends on the shape alone."""

import functools
from math import fsum

import ml_dtypes
import numpy as np
import pytest
from activations import DTYPES, EPSILON, FUNCTIONS, assert_same
from test_layouts import READABLE, WRITABLE

import fastinit
from fastinit import _dispatch, nn

BACKWARDS = [function for function in FUNCTIONS if function.sums]
every_backward = pytest.mark.parametrize("function", BACKWARDS, ids=str)
every_tag = pytest.mark.parametrize("tag", DTYPES)

#: Rows and columns around every block of the sums: groups of rows, tiles and pieces of columns, many of both.
SHAPES = [
    *((rows, 3) for rows in (1, 2, 15, 16, 17, 1023, 1025, 40_000)),
    *((3, columns) for columns in (1, 511, 512, 513, 1023, 1025, 100_001)),
    *((17, 33), (1025, 1025), (33, 700), (5, 7, 11), (300_001, 1)),
]


@pytest.fixture
def threads():
    before = fastinit.get_num_threads()
    yield fastinit.set_num_threads
    fastinit.set_num_threads(before)


def operands_of(function, shape, tag):
    return function.operands(np.random.default_rng(1), shape, tag)


@every_backward
@every_tag
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_are_those_of_exact_arithmetic(function, tag, shape):
    """The kernels of the instruction set in use; the next test compares the others with them."""
    operands = operands_of(function, shape, tag)
    grad_x, grad_bias = function.both(*operands)
    assert (grad_bias.dtype, grad_bias.shape) == (DTYPES[tag], shape[-1:])
    wide = grad_x if tag in ("f32", "f64") else function.call(*(each.astype("f4") for each in operands))
    rows = wide.astype(np.float64).reshape(-1, shape[-1])[:, :50]
    exact = np.array([fsum(column) for column in rows.T])
    # Sixteen rows at a time are summed in the working precision.
    error = 16 * (2.0**-53 if tag == "f64" else 2.0**-24) * abs(rows).sum(0) + EPSILON[tag] * abs(exact)
    assert (abs(grad_bias[:50].astype(np.float64) - exact) <= error).all()


def in_the_order_of_the_page(values):
    """The sum of each column: 16 long rows at a time, those sums in float64, 64 rows at a time, and so on."""
    rows, columns = values.shape
    together = max(1, min(1 << 13, values.size // 256) // columns) if values.size >= 4096 else 1
    long_rows = np.zeros((-(-rows // (16 * together)) * 16, together * columns), values.dtype)
    long_rows.reshape(-1, columns)[:rows] = values
    blocks = []
    for first in range(0, len(long_rows), 16):
        if first % 64 == 0:
            blocks.append(np.zeros(together * columns))
        blocks[-1] += functools.reduce(np.add, long_rows[first : first + 16])
    return functools.reduce(np.add, np.reshape(blocks, (-1, columns)))


@every_backward
@pytest.mark.parametrize("tag", ["f16", "f32", "f64"])  # NumPy rounds float64 to these in one step
@pytest.mark.parametrize("shape", [(200, 300), (70, 1000), (5000, 3), (3, 5)], ids=str)
def test_sums_are_made_in_the_order_of_the_page(function, tag, shape):
    operands = operands_of(function, shape, tag)
    wide = function.call(*(x.astype("f4" if tag == "f16" else x.dtype) for x in operands))
    assert_same(function.both(*operands)[1], in_the_order_of_the_page(wide).astype(DTYPES[tag]))


@every_backward
@every_tag
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_depend_on_no_thread_and_no_instruction_set(function, tag, shape, threads):
    operands = operands_of(function, shape, tag)
    config = _dispatch.config()
    found = []
    try:
        for isa in (isa for isa in config["built"] if isa in config["supported"]):
            _dispatch.select(isa)
            for n in (1, 2, 7):
                threads(n)
                found.append(function.both(*operands))
    finally:
        _dispatch.select(config["isa"])
    for grad_x, grad_bias in found[1:]:
        assert_same(grad_x, found[0][0])
        assert_same(grad_bias, found[0][1])


@every_backward
@every_tag
@pytest.mark.parametrize("layout", READABLE)
def test_sums_of_every_layout_are_those_of_contiguous_arrays(function, tag, layout):
    for shape in [(37, 41), (1040, 3), (2, 3, 600), (37, 5003), (2, 3, 5, 5003), (20_001,), (300, 7, 2)]:
        operands = operands_of(function, shape, tag)
        expected = function.both(*operands)
        changed = [READABLE[layout](x) for x in operands]
        out = np.zeros(shape, DTYPES[tag])
        for grad_x, grad_bias in (
            function.both(*changed),
            function.both(*changed, out=out),
            function.both(operands[0], *changed[1:], out=np.asfortranarray(out)),
        ):
            assert_same(np.array(grad_x), expected[0])
            assert_same(grad_bias, expected[1])


@every_backward
def test_sums_of_more_axes_than_thirty_two(function):
    shape = (2, *[1] * 60, 3, 50)
    operands = operands_of(function, shape, "f32")
    expected = function.both(*operands)
    changed = [np.asfortranarray(x) for x in operands]
    grad_x, grad_bias = function.both(*changed, out=np.zeros(shape, "f4", order="F"))
    assert_same(np.ascontiguousarray(grad_x), expected[0])
    assert_same(grad_bias, expected[1])


@every_backward
@every_tag
def test_sums_in_place(function, tag):
    operands = operands_of(function, (90, 70), tag)
    expected = function.both(*operands)
    for i in range(2):
        changed = [x.copy() for x in operands]
        grad_x, grad_bias = function.both(*changed, out=changed[i])
        assert grad_x is changed[i]
        assert_same(grad_x, expected[0])
        assert_same(grad_bias, expected[1])


@every_backward
@every_tag
@pytest.mark.parametrize("layout", WRITABLE)
def test_sums_are_written_to_the_second_of_two_outputs(function, tag, layout):
    operands = operands_of(function, (90, 70), tag)
    expected = function.both(*operands)
    out = np.zeros((90, 70), DTYPES[tag]), WRITABLE[layout](np.zeros(70, DTYPES[tag]))
    found = function.both(*operands, out=out)
    assert all(a is b for a, b in zip(found, out, strict=True))
    assert_same(out[0], expected[0])
    assert_same(np.array(out[1]), expected[1])


@every_backward
def test_a_second_output_that_does_not_fit_is_refused_before_any_write(function):
    operands = operands_of(function, (9, 7), "f32")
    read_only = np.zeros(7, "f4")
    read_only.flags.writeable = False
    for wrong, error in [
        (np.zeros(7), TypeError),
        (np.zeros(8, "f4"), ValueError),
        (np.zeros((1, 7), "f4"), ValueError),
        (read_only, ValueError),
    ]:
        out = np.zeros((9, 7), "f4")
        with pytest.raises(error):
            function.both(*operands, out=(out, wrong))
        assert not out.any()


@every_backward
@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0,), (2, 0, 4)])
def test_sums_of_nothing_are_zero(function, shape):
    grad_x, grad_bias = function.both(*operands_of(function, shape, "f32"))
    assert grad_x.shape == shape
    assert_same(grad_bias, np.zeros(shape[-1], "f4"))


@every_backward
@pytest.mark.parametrize("tag", ["f16", "bf16"])
def test_sums_of_halves_keep_what_a_half_would_lose(function, tag):
    """A thousand ones and 4096 small values: each is lost beside the sum, but all together are not."""
    small = {"f16": 2.0**-8, "bf16": 2.0**-6}[tag]
    g = np.full((4097, 1), small, DTYPES[tag])
    g[0] = 64
    rest = [
        np.ones(shape, DTYPES[tag]) for shape in function.shapes(g.shape)[1:]
    ]  # so that the slope is the same
    [slope] = function.both(*(np.ones_like(x[:1], float) for x in (g, *rest)))[1]
    _, grad_bias = function.both(g, *rest)
    assert_same(grad_bias, np.array([slope * (64 + 4096 * small)]).astype(DTYPES[tag]))


@pytest.mark.parametrize(("beyond", "steps"), [(2.0**-24, 1), (-(2.0**-24), 0)])
@pytest.mark.parametrize("tag", ["f16", "bf16"])
def test_a_sum_of_halves_is_rounded_once(tag, beyond, steps):
    """A sum next to the middle of two half values would round to the middle in float32, then to even."""
    g = np.zeros((17, 1), DTYPES[tag])
    g[0], g[1], g[16] = 1, EPSILON[tag] / 2, beyond
    _, grad_bias = nn.bias_leaky_relu_backward(g, np.ones_like(g), np.zeros(1, DTYPES[tag]))
    assert grad_bias == 1 + steps * EPSILON[tag]


@pytest.mark.parametrize("columns", [7, 1001])
def test_each_thread_finds_its_place_in_the_bias(threads, columns):
    rng = np.random.default_rng(3)
    x, bias = rng.random((3_000_000 // columns, columns), np.float32), rng.random(columns, np.float32)
    threads(3)
    assert_same(nn.bias_leaky_relu(x, bias), x + bias)  # which is positive


def test_nan_and_infinity_stay_in_their_columns():
    g = np.ones((100, 4), np.float32)
    g[7, 1], g[50, 2], g[3, 3], g[90, 3] = np.nan, np.inf, np.inf, -np.inf
    for function in BACKWARDS:
        _, grad_bias = function.both(g, *(np.ones(shape, "f4") for shape in function.shapes(g.shape)[1:]))
        assert np.isnan(grad_bias).tolist() == [False, True, False, True]
        assert grad_bias[2] == np.inf
        assert np.isfinite(grad_bias[0])


def test_an_overflowing_sum_of_halves_is_infinite():
    g = np.full((10, 1), 60000, np.float16)
    _, grad_bias = nn.bias_leaky_relu_backward(g, np.ones_like(g), np.zeros(1, np.float16))
    assert grad_bias[0] == np.inf
    g = np.full((10, 1), 3e38, ml_dtypes.bfloat16)
    _, grad_bias = nn.bias_leaky_relu_backward(g, np.ones_like(g), np.zeros(1, ml_dtypes.bfloat16))
    assert grad_bias[0] == np.inf

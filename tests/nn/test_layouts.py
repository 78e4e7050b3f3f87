"""Every layout gives the values of contiguous arrays; overlaps give those of NumPy's ufuncs.

Layouts are dealt with above the kernels, for all operations of a kind alike. So every layout meets one
operation of each kind, and every operation meets a few layouts, on each instruction set.
"""

import numpy as np
import pytest
from activations import BY_NAME, DTYPES, FUNCTIONS, KINDS, assert_same, values

from fastinit import nn

every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=str)
every_kind = pytest.mark.parametrize("function", KINDS, ids=str)
SHAPE = (6, 35, 21)  # a separate test has more than a block of the iterator


def strided(x):
    wide = np.zeros([3 * size for size in x.shape], x.dtype)
    wide[tuple([slice(1, None, 3)] * x.ndim)] = x
    return wide[tuple([slice(1, None, 3)] * x.ndim)]


def negative(x):
    return np.flip(np.flip(x).copy())


def transposed(x):
    return np.ascontiguousarray(x.T).T


def last_axis_first(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, 0)), 0, -1)


def rows_of_more(x):
    wide = np.zeros((*x.shape[:-1], x.shape[-1] + 3), x.dtype)
    wide[..., 2:-1] = x
    return wide[..., 2:-1]


def misaligned(x):
    memory = np.zeros(x.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64 + 1
    moved = memory[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    moved[...] = x
    assert not moved.flags.aligned or x.dtype.alignment == 1
    return moved


def swapped(x):
    return x.astype(x.dtype.newbyteorder())


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def subclass(x):
    return x.view(np.memmap)


#: An `out` may have any of them, too; an array in foreign byte order is of another dtype.
WRITABLE = {
    "contiguous": np.copy,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "negative": negative,
    "transposed": transposed,
    "last axis first": last_axis_first,
    "rows of more": rows_of_more,
    "misaligned": misaligned,
}
READABLE = {**WRITABLE, "swapped": swapped, "read-only": read_only, "subclass": subclass}


@every_function
@pytest.mark.parametrize("tag", DTYPES)
def test_every_operation_takes_layouts_and_works_in_place(isa, function, tag):
    operands = function.operands(np.random.default_rng(1), SHAPE, tag)
    expected = function.call(*operands)
    out = misaligned(np.zeros(SHAPE, DTYPES[tag]))
    assert function.call(*map(negative, operands), out=out) is out
    assert_same(np.array(out), expected)
    for i in range(function.tall):
        changed = [x.copy() for x in operands]
        assert function.call(*changed, out=changed[i]) is changed[i]
        assert_same(changed[i], expected)


@every_kind
@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("layout", READABLE)
def test_inputs_in_every_layout(function, tag, layout):
    operands = function.operands(np.random.default_rng(1), SHAPE, tag)
    expected = function.call(*operands)
    changed = [READABLE[layout](x) for x in operands]
    assert_same(function.call(*changed), expected)
    for i, x in enumerate(changed):  # each also beside contiguous ones
        assert_same(function.call(*operands[:i], x, *operands[i + 1 :]), expected)


@every_kind
@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("layout", WRITABLE)
def test_outputs_in_every_layout(function, tag, layout):
    operands = function.operands(np.random.default_rng(1), SHAPE, tag)
    expected = function.call(*operands)
    out = WRITABLE[layout](np.full(SHAPE, 9, DTYPES[tag]))
    assert function.call(*operands, out=out) is out
    assert_same(np.array(out), expected)
    assert function.call(*map(WRITABLE[layout], operands), out=out) is out
    assert_same(np.array(out), expected)
    memory = out if out.base is None else out.base
    out[...] = 0
    assert not memory.any(), "something was written beside it"


@every_kind
@pytest.mark.parametrize("tag", DTYPES)
def test_broadcast_inputs(function, tag):
    """Operands whose elements share memory: repeated rows, columns, and one number."""
    rng = np.random.default_rng(2)
    for shape in [(1, 1, 21), (6, 1, 1), (1, 1, 1)]:
        operands = [
            np.broadcast_to(values(rng, shape, tag) if len(each) > 1 else values(rng, 1, tag), each)
            for each in function.shapes(SHAPE)
        ]
        assert_same(function.call(*operands), function.call(*map(np.ascontiguousarray, operands)))


@every_kind
@pytest.mark.parametrize("tag", DTYPES)
def test_arrays_of_one_element_or_none(function, tag):
    rng = np.random.default_rng(3)
    expected_of_one = function.call(*function.operands(np.random.default_rng(3), (1,), tag))
    for shape in [(0,), (0, 4), (3, 0), (2, 0, 5)]:
        assert function.call(*function.operands(rng, shape, tag)).shape == shape
    operands = function.operands(np.random.default_rng(3), (1,), tag)
    assert_same(function.call(*[x.reshape(-1) for x in operands]), expected_of_one)


@pytest.mark.parametrize("function", [each for each in KINDS if not each.name.startswith("bias")], ids=str)
@pytest.mark.parametrize("tag", DTYPES)
def test_arrays_of_no_dimension_and_scalars(function, tag):
    operands = function.operands(np.random.default_rng(3), (1,), tag)
    expected = function.call(*operands).reshape(())
    result = function.call(*[x.reshape(()) for x in operands])
    assert result.shape == ()
    assert_same(np.asarray(result), expected)
    assert_same(np.asarray(function.call(*[x[0] for x in operands])), expected)
    out = np.zeros((), DTYPES[tag])
    assert function.call(*[x.reshape(()) for x in operands], out=out) is out
    assert_same(out, expected)


@every_kind
def test_lists_are_float64(function):
    operands = function.operands(np.random.default_rng(4), (3, 5), "f64")
    assert_same(function.call(*(x.tolist() for x in operands)), function.call(*operands))


@every_kind
@pytest.mark.parametrize("tag", DTYPES)
def test_more_than_a_block_of_the_iterator(function, tag):
    shape = (3, 211, 97)
    operands = function.operands(np.random.default_rng(5), shape, tag)
    out = strided(np.zeros(shape, DTYPES[tag]))
    assert function.call(*map(transposed, operands), out=out) is out
    assert_same(np.array(out), function.call(*operands))


@every_kind
@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("layout", WRITABLE)
def test_in_place(function, tag, layout):
    """The output may be any operand of its shape."""
    operands = function.operands(np.random.default_rng(6), SHAPE, tag)
    expected = function.call(*operands)
    for i in range(function.tall):
        changed = [WRITABLE[layout](x) for x in operands]
        assert function.call(*changed, out=changed[i]) is changed[i]
        assert_same(np.array(changed[i]), expected)


def square(memory):
    return memory[:8100].reshape(90, 90)


#: An input and an output in one memory.
OVERLAPS = {
    "one on": lambda memory: (memory[:-1], memory[1:]),
    "one back": lambda memory: (memory[1:], memory[:-1]),
    "by its last": lambda memory: (memory[:5000], memory[4999:9999]),
    "by its first": lambda memory: (memory[4999:9999], memory[:5000]),
    "a line on": lambda memory: (memory[:9000], memory[8:9008]),
    "reversed": lambda memory: (memory[::-1], memory),
    "every other": lambda memory: (memory[:4000:2], memory[:2000]),
    "transposed": lambda memory: (square(memory), square(memory).T),
    "a row on": lambda memory: (square(memory)[:-1], square(memory)[1:]),
    "a column back": lambda memory: (square(memory)[:, 1:], square(memory)[:, :-1]),
    "a square on": lambda memory: (square(memory)[:-2, :-2], square(memory)[2:, 2:]),
}


@pytest.mark.parametrize("overlap", OVERLAPS)
@every_kind
def test_an_output_that_overlaps_an_input_has_the_values_of_one_that_does_not(function, overlap):
    for i in range(function.tall):
        x, out = OVERLAPS[overlap](np.zeros(10_000))
        assert np.shares_memory(x, out)
        operands = function.operands(np.random.default_rng(7), x.shape, "f64")
        expected = function.call(*operands)
        x[...] = operands[i]
        operands[i] = x
        assert function.call(*operands, out=out) is out
        assert_same(np.array(out), expected)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_memory_is_what_numpys_ufunc_leaves(overlap):
    ours, numpys = (np.random.default_rng(8).standard_normal(10_000) for _ in range(2))
    x, out = OVERLAPS[overlap](ours)
    nn.relu(x, out=out)
    x, out = OVERLAPS[overlap](numpys)
    np.maximum(x, 0, out=out)
    np.testing.assert_array_equal(ours, numpys)


@pytest.mark.parametrize("row", [0, 20, 39])
@pytest.mark.parametrize("columns", [30, 40_000])  # a long bias is not copied
def test_a_bias_that_is_a_row_of_the_output(row, columns):
    x = np.random.default_rng(9).standard_normal((40, columns))
    for out in (np.zeros(x.shape), x.copy(), np.zeros(x.T.shape).T):
        out[row] = bias = np.linspace(-1, 1, columns)
        operand = out.copy() if out.any(1).all() else x
        expected = nn.bias_selu(operand, bias)
        assert_same(np.array(nn.bias_selu(operand, out[row], out=out)), expected)


def test_a_result_keeps_the_order_of_its_input():
    for order in "CF":
        x = np.zeros((4, 5, 6), order=order)
        result = BY_NAME["selu"].call(x)
        assert result.flags.c_contiguous == (order == "C")
        assert result.flags.f_contiguous == (order == "F")

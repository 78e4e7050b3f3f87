"""Objects with the buffer protocol or DLPack are read and written without a copy."""

import array
import ctypes
import sys
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import torch
from activations import DTYPES, FUNCTIONS, KINDS, assert_same
from test_layouts import READABLE

from fastinit import nn

every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=str)
every_kind = pytest.mark.parametrize("function", KINDS, ids=str)


class DLPackOnly:
    """An array that has only DLPack."""

    def __init__(self, values):
        self._values = values

    def __dlpack__(self, **arguments):
        return self._values.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


def tensor(x):
    """A torch tensor in the memory of x."""
    if x.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def heard(x):
    return np.from_dlpack(x) if hasattr(x, "__dlpack__") else np.array(x)


#: What shares the memory of a float64 array.
SPEAKERS = {
    "memoryview": memoryview,
    "torch": tensor,
    "DLPack": DLPackOnly,
    "torch through DLPack": lambda x: DLPackOnly(tensor(x)),
    "ctypes": lambda x: (ctypes.c_double * x.size).from_buffer(x),
    "array.array": lambda x: array.array("d", x.tolist()),
}


@every_kind
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_everyone_is_understood_as_input_and_as_output(function, speaker):
    operands = function.operands(np.random.default_rng(1), (500,), "f64")
    expected = function.call(*operands)
    said = [SPEAKERS[speaker](x) for x in operands]
    assert_same(function.call(*said), expected)

    out = SPEAKERS[speaker](np.zeros(500))
    assert function.call(*said, out=out) is out
    assert_same(heard(out), expected)

    assert function.call(*said, out=said[0]) is said[0]  # in place
    assert_same(heard(said[0]), expected)


@every_function
@pytest.mark.parametrize("tag", DTYPES)
def test_tensors_of_every_dtype_and_stride(function, tag):
    operands = function.operands(np.random.default_rng(2), (9, 30), tag)
    expected = function.call(*operands)
    out = np.zeros((18, 30), DTYPES[tag])
    result = function.call(*map(tensor, operands), out=tensor(out)[::2])
    assert isinstance(result, torch.Tensor)
    assert_same(out[::2].copy(), expected)
    assert not out[1::2].any()
    assert_same(function.call(*(tensor(np.asfortranarray(x)) for x in operands)), expected)


def test_torch_knows_that_a_tensor_has_been_written():
    x = torch.randn(20, dtype=torch.float64, requires_grad=True)
    doubled = x.clone()
    result = (doubled * doubled).sum()
    nn.relu(doubled.detach(), out=doubled.detach())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


def test_a_refused_call_leaves_a_tensor_as_it_was():
    """The version changes too, so that autograd detects the write."""
    out, bias = torch.ones(4, 3), np.zeros(3, "f4")
    for call, error in [
        (lambda: nn.relu(np.zeros((4, 3)), out=out), TypeError),
        (lambda: nn.relu(np.zeros((4, 2), "f4"), out=out), ValueError),
        (lambda: nn.leaky_relu(np.zeros((4, 3), "f4"), 1e300, out=out), OverflowError),
        (lambda: nn.bias_leaky_relu(np.zeros((4, 3), "f4"), bias, 1e300, out=out), OverflowError),
    ]:
        with pytest.raises(error):
            call()
        assert out._version == 0
    nn.relu(np.zeros((4, 3), "f4"), out=out)
    assert out._version == 1


def test_a_gradient_of_bfloat16_that_cannot_be_made_leaves_out_alone(monkeypatch):
    """The gradient of the bias is a new array, which needs ml_dtypes."""
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    x = torch.zeros(4, 3, dtype=torch.bfloat16)
    out = torch.ones(4, 3, dtype=torch.bfloat16)
    with pytest.raises(ImportError, match="ml_dtypes"):
        nn.bias_selu_backward(x, x, out=out)
    assert (out == 1).all()
    assert out._version == 0


def test_an_expanded_tensor_is_no_output():
    x = np.zeros((4, 3), "f4")
    for out in (torch.ones(3).expand(4, 3), torch.ones(4, 1).expand(4, 3)):
        with pytest.raises(ValueError, match=r"\(4, 3\) is expanded"):
            nn.relu(x, out=out)
        assert (out == 1).all()
    assert nn.relu(x[:1], out=torch.ones(3).expand(1, 3)).max() == 0  # one row shares nothing
    for shape in [(3, 0), (0, 3)]:  # nor do empty arrays, whose strides may be zero
        nn.relu(np.zeros(shape, "f4"), out=torch.zeros(shape))
        nn.relu(np.zeros(shape), out=DLPackOnly(np.zeros(shape)))


def test_a_tensor_that_requires_grad_is_refused_as_by_torch():
    x = torch.zeros(3, requires_grad=True)
    for call in (lambda: nn.relu(x), lambda: nn.relu(np.zeros(3, "f4"), out=x)):
        with pytest.raises(RuntimeError, match="grad"):
            call()


def test_inference_tensors_are_tensors():
    with torch.inference_mode():
        x = torch.linspace(-1, 1, 30)
        assert nn.relu(x, out=x) is x
    assert x.min() == 0


def peak_of(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MILLION = 1 << 20


@pytest.mark.parametrize("speaker", [each for each in SPEAKERS if each != "array.array"])
def test_no_copy_is_made(speaker):
    """A copy would show in the peak of NumPy's allocator."""
    x, out = SPEAKERS[speaker](np.ones(MILLION)), SPEAKERS[speaker](np.zeros(MILLION))
    assert peak_of(lambda: np.ones(MILLION)) > 8 * MILLION
    assert peak_of(lambda: nn.selu(x, out=out)) < MILLION
    assert peak_of(lambda: nn.bias_selu_backward(x, x, out=out)) < 33 * MILLION  # a bias as long as x


@every_kind
@pytest.mark.parametrize("shape", [(2048, 512), (64, 1 << 14)], ids=str)
@pytest.mark.parametrize("layout", ["strided", "negative", "swapped", "misaligned", "transposed"])
def test_other_layouts_take_blocks_and_no_copy_of_the_whole(function, layout, shape):
    operands = function.operands(np.random.default_rng(3), shape, "f64")
    changed = [READABLE[layout](x) for x in operands]
    out = np.zeros(shape)
    assert peak_of(lambda: function.call(*changed, out=out)) < out.nbytes // 2
    if layout != "swapped":  # in place
        assert peak_of(lambda: function.call(*changed, out=changed[0])) < out.nbytes // 2


@every_kind
def test_every_other_row_and_column_of_one_array_are_no_reason_to_copy(function):
    both = np.zeros((2048, 1024))
    both[:, ::2] = 1
    rest = function.operands(np.random.default_rng(3), (2048, 512), "f64")[1:]
    assert peak_of(lambda: function.call(both[:, ::2], *rest, out=both[:, 1::2])) < both.nbytes // 4
    assert (both[:, ::2] == 1).all()
    assert_same(both[:, 1::2].copy(), function.call(np.ones((2048, 512)), *rest))


def test_bfloat16_by_dlpack_alone_is_refused_by_name():
    """NumPy's DLPack has no bfloat16."""
    x = DLPackOnly(torch.zeros(3, dtype=torch.bfloat16))
    for call in (lambda: nn.relu(x), lambda: nn.relu(np.zeros(3, ml_dtypes.bfloat16), out=x)):
        with pytest.raises(TypeError, match="DLPackOnly by DLPack"):
            call()


def test_jax_arrays_are_inputs():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        x = jax.numpy.linspace(-2, 2, 100)
        assert_same(nn.selu(x), nn.selu(np.asarray(x)))
        for tag in DTYPES:
            out = x.astype(DTYPES[tag])
            assert_same(nn.selu(out), nn.selu(np.asarray(out)))
            with pytest.raises(ValueError, match="read-only"):
                nn.selu(out, out=out)

"""Buffers: the values that follow from an index and a shape."""

import ml_dtypes
import mpmath
import numpy as np
import pytest
import torch
from specs import choose, f32, made

from fastinit.checkpoint import BadInput, Rule, TensorSpec, generate, inspect, tensors, verify


@pytest.mark.parametrize("dtype", ["I64", "U8", "BOOL", "F32", "BF16"])
@pytest.mark.parametrize(("text", "value"), [("zeros", 0), ("ones", 1), ("constant(value=1)", 1)])
def test_constants_of_every_dtype(dtype, text, value):
    choice = choose([TensorSpec("b", dtype, (3, 2))], [Rule("*", text)])[0]
    values = made(choice)
    values = values.view(ml_dtypes.bfloat16) if dtype == "BF16" else values
    assert (values == value).all()
    assert (choice.mean, choice.std) == (value, 0)


def test_position_ids():
    choice = choose([TensorSpec("position_ids", "I64", (2, 77))], [Rule("*", "arange")])[0]
    wanted = torch.arange(77).expand(2, -1).numpy()
    assert (made(choice).reshape(2, 77) == wanted).all()
    assert (made(choice, 70, 90) == wanted.ravel()[70:90]).all()


@pytest.mark.parametrize("dtype", ["BOOL", "U8", "F32"])
def test_causal_mask(dtype):
    choice = choose([TensorSpec("attn.bias", dtype, (1, 2, 9, 9))], [Rule("*", "tril")])[0]
    wanted = np.broadcast_to(np.tril(np.ones((9, 9))), (1, 2, 9, 9))
    assert (made(choice).reshape(wanted.shape) == wanted).all()


@pytest.mark.parametrize(
    ("dtype", "kind"), [("F32", np.float32), ("F64", np.float64), ("BF16", ml_dtypes.bfloat16)]
)
@pytest.mark.parametrize("text", ["inv_freq(base=10000)", "inv_freq"])
def test_inverse_frequencies_are_correctly_rounded(dtype, kind, text):
    choice = choose([TensorSpec("inv_freq", dtype, (64,))], [Rule("*", text)])[0]
    with mpmath.workdps(50):
        wanted = [kind(float(mpmath.mpf(10000) ** (-mpmath.mpf(i) / 64))) for i in range(64)]
    assert (made(choice).view(kind) == np.array(wanted)).all()


def test_inverse_frequencies_are_the_models():
    choice = choose([f32("inv_freq", 64)], [Rule("*", "inv_freq(base=10000)")])[0]
    theirs = 1.0 / (10000.0 ** (torch.arange(0, 128, 2, dtype=torch.int64).float() / 128))
    # Their value is rounded three times, in float32.
    np.testing.assert_allclose(made(choice), theirs.numpy(), rtol=2.5e-7)


@pytest.mark.parametrize(
    ("dtype", "shape", "text", "message"),
    [
        ("I64", (3,), "normal", "normal makes floats; I64 can be zeros"),
        ("BOOL", (3,), "constant(value=2)", "BOOL cannot hold 2"),
        ("U8", (3,), "constant(value=-1)", "U8 cannot hold -1"),
        ("I32", (3,), "constant(value=0.5)", "I32 cannot hold 0.5"),
        ("I64", (), "arange", "arange needs 1 axes"),
        ("BOOL", (3,), "tril", "tril needs 2 axes"),
        ("F32", (), "inv_freq(base=10000)", "needs 1 axes"),
    ],
)
def test_what_a_buffer_cannot_be(dtype, shape, text, message):
    with pytest.raises(BadInput, match=rf"tensor 'b', matched by '\*': .*{message}"):
        choose([TensorSpec("b", dtype, shape)], [Rule("*", text)])


EMPTY = [(0,), (0, 5), (5, 0), (0, 0), (3, 4, 0)]
SPECS = ["xavier_uniform", "kaiming_normal", "orthogonal", "eye", "dirac", "sparse(sparsity=0.5)", "tril"]


@pytest.mark.parametrize("dtype", ["F32", "I64", "F8_E4M3", "C64", "F4"])
@pytest.mark.parametrize("init", [*SPECS, "arange", "inv_freq(base=100)", "zeros", "normal"])
def test_a_tensor_without_elements_is_no_error_for_any_rule(tmp_path, init, dtype):
    model = {str(shape): TensorSpec("x", dtype, shape) for shape in EMPTY}
    rules = [Rule("*", init, padding_idx=0)]
    summary = generate(model, tmp_path, init=rules, digest=True)
    assert (summary.tensors, summary.bytes) == (len(EMPTY), 0)
    assert len(summary.tensor_digests) == len(EMPTY)
    assert verify(tmp_path).same
    assert not any(each.marked for each in inspect(tmp_path))
    assert [array.shape for _, array in tensors(tmp_path, init=rules)] == EMPTY
    assert generate(tmp_path, tmp_path, init=rules, resume=True).kept == summary.files

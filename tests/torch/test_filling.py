import numpy as np
import pytest
import torch

from fastinit.random import default_rng
from fastinit.torch import fill_

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "spec", ["xavier_uniform", "normal(std=2)", "orthogonal", "sparse(sparsity=0.5)", "eye"]
)
def test_parts_make_the_full_tensor(spec, dtype):
    full = fill_(torch.empty(6, 8, dtype=dtype), spec, 7)
    blocks = [
        fill_(torch.empty(6, 2, dtype=dtype), spec, 7, shape=(6, 8), block=(..., slice(n, n + 2)))
        for n in range(0, 8, 2)
    ]
    assert torch.equal(torch.cat(blocks, 1), full)
    flat = [fill_(torch.empty(12, dtype=dtype), spec, 7, shape=(6, 8), start=n) for n in range(0, 48, 12)]
    assert torch.equal(torch.cat(flat), full.view(-1))


def test_a_generator_moves_past_the_full_tensor():
    one, other = default_rng(3), default_rng(3)
    fill_(torch.empty(2, 3), "normal", one, shape=(4, 3), block=(slice(2, 4),))
    fill_(torch.empty(4, 3), "normal", other)
    assert one.random() == other.random()


def test_strides_and_gradients():
    weight = torch.empty(5, 4).T.requires_grad_()
    assert fill_(weight, "normal", 3) is weight
    assert torch.equal(weight, fill_(torch.empty(4, 5), "normal", 3))
    assert weight._version > 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"shape": (4, 4)}, r"shape \(2, 3\), but the full tensor has \(4, 4\)"),
        ({"shape": (4, 4), "block": (slice(2),)}, r"but the block has \(2, 4\)"),
        ({"shape": (2, 3), "start": 1}, "outside the 6"),
        ({"block": ("x",)}, "tuple of slices"),
    ],
)
def test_parts_that_do_not_fit(options, error):
    tensor = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=error):
        fill_(tensor, "normal", 3, **options)
    assert not tensor.any()


def test_wrong_types():
    with pytest.raises(TypeError, match="not both"):
        fill_(torch.empty(2), "normal", 3, block=(slice(2),), start=0)
    with pytest.raises(TypeError, match="dtype"):
        fill_(torch.empty(2, dtype=torch.int32), "normal", 3)


def test_a_shard_of_a_large_tensor_costs_only_itself():
    part = fill_(torch.empty(4), "normal", 3, shape=(1 << 20, 1 << 20), start=(1 << 40) - 4)
    assert np.isfinite(part.numpy()).all()

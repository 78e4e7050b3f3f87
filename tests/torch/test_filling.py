import numpy as np
import pytest
import torch
from torch import nn

from fastinit.checkpoint import Rule
from fastinit.random import default_rng
from fastinit.torch import fill_, initialize, record

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


@pytest.mark.parametrize("options", [{}, {"start": 0}, {"block": (slice(2),)}])
def test_freed_storage_is_refused(options):
    """FSDP1 leaves such tensors. Their address is 0."""
    tensor, generator = torch.zeros(2, 3), default_rng(7)
    tensor.untyped_storage().resize_(0)
    state = generator.bit_generator.state
    with pytest.raises(ValueError, match="storage has been freed"):
        fill_(tensor, "normal", generator, **options)
    assert generator.bit_generator.state == state


def test_a_module_s_freed_storage_is_refused():
    module = nn.Linear(4, 3)
    module.weight.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="storage has been freed"):
        initialize(module, 7, [Rule("*", "normal")])


class Steps(nn.Module):
    """A buffer of integers, and a table that is like another tensor."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 4))
        self.register_buffer("steps", torch.zeros(5, dtype=torch.int64))
        self.reset_parameters()

    def reset_parameters(self):
        with torch.no_grad():
            self.steps.copy_(torch.arange(5, device=self.steps.device) * 3)
            self.weight.copy_(torch.ones_like(self.weight) * 2)


def test_the_default_device_is_of_no_account():
    """``torch.set_default_device("cuda")`` is common."""
    for init in ((record(Steps),), ()):
        expected, module = initialize(Steps(), 7, *init), Steps()
        with torch.no_grad(), torch.device("meta"):
            module.weight.zero_(), module.steps.zero_()
            initialize(module, 7, *init)
        assert torch.equal(module.steps, expected.steps)
        assert torch.equal(module.weight, expected.weight)
    module = Steps()
    with torch.device("meta"):
        assert str(record(module)) == str(record(Steps))

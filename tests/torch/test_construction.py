import pytest
import torch
from torch import nn

from fastinit.torch import meta_parameters, skip_init


def test_skip_init_leaves_parameters_and_fills_buffers():
    class Masked(nn.Linear):
        def __init__(self):
            super().__init__(300, 200)
            self.register_buffer("mask", torch.empty(3, 3).fill_(1).triu_(1))

    state = torch.get_rng_state()
    with skip_init():
        model = nn.Sequential(Masked(), nn.BatchNorm1d(3), nn.Embedding(5, 4, padding_idx=1))
        nn.init.trunc_normal_(model[0].weight)
        nn.init.orthogonal_(model[0].weight)
        model[0].weight.data.mul_(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert (model[0].mask == torch.ones(3, 3).triu(1)).all()
    assert (model[1].running_var == 1).all()
    assert nn.Linear(3, 2).weight.std() > 0
    assert nn.Module.register_parameter.__qualname__ == "Module.register_parameter"


@pytest.mark.parametrize("context", [skip_init, meta_parameters])
def test_lazy_modules_are_built_as_always(context):
    with context():
        module = nn.LazyLinear(3)
    assert isinstance(module.weight, nn.UninitializedParameter)
    assert module(torch.ones(2, 4)).shape == (2, 3)

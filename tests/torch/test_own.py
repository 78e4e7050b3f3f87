import copy
import warnings

import pytest
import torch
from torch import nn

from fastinit import checkpoint
from fastinit.torch import CannotRecord, by_name, initialize, record


def test_weight_norm_through_its_right_inverse():
    module = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 8, 3))
    initialize(module, 7)
    tensors = dict(checkpoint.tensors(record(module), seed=7))
    for name, tensor in module.state_dict().items():
        assert (tensor.numpy() == tensors[name]).all(), name
    torch.testing.assert_close(module.weight, module.parametrizations.weight.original1)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_old_weight_norm(dim, device):
    with torch.device(device):
        module = nn.Sequential(nn.utils.weight_norm(nn.Conv1d(4, 8, 3), dim=dim))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initialize(module, 7)
    tensors = dict(checkpoint.tensors(record(module), seed=7))
    assert tensors.keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        assert (tensor.numpy() == tensors[name]).all(), name
    module(torch.zeros(2, 4, 5))  # computes the weight
    plain = initialize(
        nn.Sequential(nn.Conv1d(4, 8, 3)), 7, record(lambda: nn.Sequential(nn.Conv1d(4, 8, 3)))
    )
    assert float(module[0].weight.detach().std()) == pytest.approx(
        float(plain[0].weight.detach().std()), rel=0.3
    )
    torch.testing.assert_close(module[0].weight, module[0].weight_v)


def test_the_old_spectral_norm():
    module = nn.utils.spectral_norm(nn.Linear(4, 8))
    module(torch.zeros(2, 4))  # the weight leaves the memory of weight_orig
    initialize(module, 7)
    with by_name(plain := nn.Linear(4, 8), 7):
        plain.reset_parameters()
    made = dict(checkpoint.tensors(record(module), seed=7))
    assert (made["weight_orig"] == module.weight_orig.detach().numpy()).all()
    assert float(module.weight_orig.detach().std()) == pytest.approx(
        float(plain.weight.detach().std()), rel=0.5
    )
    assert torch.equal(module.bias, plain.bias)


def test_orthogonal_through_its_right_inverse():
    module = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4))
    before = module.weight.detach().clone()
    initialize(module, 7, lambda m: (nn.init.orthogonal_(m.weight), nn.init.zeros_(m.bias)))
    torch.testing.assert_close(module.weight @ module.weight.T, torch.eye(4))
    assert not torch.allclose(module.weight, before)


def by_all_parameters(module):
    for parameter in module.parameters():
        parameter.normal_(std=0.02)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("error:.*stay as they were:UserWarning")
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_code_that_writes_the_originals_of_a_parametrization_keeps_what_it_wrote(wrap, device):
    with torch.device(device):
        module = wrap(nn.GRU(8, 16), "weight_hh_l0")
    initialize(module, 7)
    for parameter in module.parameters():
        assert 0 < parameter.abs().max() <= 16**-0.5
    assert module(torch.ones(2, 8))[0].isfinite().all()
    tensors = dict(checkpoint.tensors(record(module), seed=7))
    for name, parameter in module.named_parameters():
        assert (tensors[name] == parameter.detach().numpy()).all()
    linear = wrap(nn.Linear(4, 8))
    initialize(linear, 7, by_all_parameters)
    assert all(0 < parameter.abs().max() < 0.2 for parameter in linear.parameters())


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "wrap",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.parametrizations.orthogonal,
    ],
)
def test_a_parametrized_tensor_that_nothing_writes_stays(wrap):
    module = wrap(nn.Linear(4, 8))
    before = copy.deepcopy(module.state_dict())
    with pytest.warns(UserWarning, match="stay as they were"):
        initialize(module, 7, lambda m: m.bias.zero_())
    after = module.state_dict()
    assert not after.pop("bias").any()
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())


def test_a_write_to_a_part_of_a_parametrized_tensor_keeps_the_rest():
    module = nn.utils.parametrizations.weight_norm(nn.Linear(4, 8))
    before = module.weight.detach().clone()
    initialize(module, 7, lambda m: (m.weight[0].fill_(1.0), m.bias.zero_()))
    assert (module.weight[0] == 1).all()
    torch.testing.assert_close(module.weight[1:], before[1:])


def test_spectral_norm_from_meta_is_an_error_that_names_its_vectors():
    with torch.device("meta"):
        module = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 8))
    with pytest.raises(RuntimeError, match=r"parametrizations\.weight\.0\._u was on the meta device"):
        initialize(module, 7)


def test_a_parametrization_without_an_inverse_is_refused_before_anything_is_written():
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    nn.utils.parametrize.register_parametrization(module[1], "weight", nn.Tanh())
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(
        RuntimeError, match=r"1\.weight: parametrization Tanh does not implement right_inverse"
    ):
        initialize(module, 7)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_orthogonal_from_meta_is_orthogonal():
    with torch.device("meta"):
        module = nn.utils.parametrizations.orthogonal(nn.Linear(4, 8))
    with pytest.warns(UserWarning, match=r"without a name \(randn\)"):  # the rest of a basis
        initialize(module, 7, lambda m: (nn.init.orthogonal_(m.weight), m.bias.zero_()))
    torch.testing.assert_close(module.weight.T @ module.weight, torch.eye(4))


@pytest.mark.filterwarnings("ignore:1 parameters stay as they were:UserWarning")
@pytest.mark.parametrize("name", ["init_weights", "reset_parameters"])
def test_own_code_that_needs_an_argument_is_named(name):
    class Needs(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))

    module = Needs()
    setattr(Needs, name, lambda self, std: pytest.fail("was called"))
    with pytest.warns(UserWarning, match=rf"Needs\.{name} is not called \(missing .* 'std'\)"):
        initialize(module, 7)


def test_the_inverse_of_a_parametrization_that_meta_lacks():
    module = nn.utils.parametrizations.orthogonal(nn.Linear(4, 8))
    with pytest.raises(CannotRecord, match='device="cpu" records while the model is really built'):
        record(module)

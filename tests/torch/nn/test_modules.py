"""The modules stand for torch's."""

import copy
import inspect
import pickle
import subprocess
import sys

import pytest
import torch

import fastinit.torch
from fastinit.torch import nn

PAIRS = [
    (nn.LeakyReLU(), torch.nn.LeakyReLU()),
    (nn.LeakyReLU(0.2, True), torch.nn.LeakyReLU(0.2, True)),
    (nn.SELU(), torch.nn.SELU()),
    (nn.SELU(inplace=True), torch.nn.SELU(inplace=True)),
]
every_pair = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda module: repr(module))


@every_pair
def test_a_module_is_torchs_but_for_its_speed(ours, theirs):
    assert isinstance(ours, type(theirs))
    assert repr(ours) == repr(theirs)
    assert ours.state_dict() == theirs.state_dict()
    assert inspect.signature(type(ours), eval_str=True) == inspect.signature(type(theirs), eval_str=True)
    x = torch.linspace(-3, 3, 50)
    torch.testing.assert_close(ours(x.clone()), theirs(x.clone()), rtol=3e-7, atol=0)


@every_pair
def test_the_kernels_are_ours(ours, theirs):
    with torch.profiler.profile() as profile:
        ours(torch.ones(3))
    assert any(each.key.startswith("fastinit::") for each in profile.key_averages())


@every_pair
def test_copies_and_pickles(ours, theirs):
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert type(again) is type(ours)
        assert repr(again) == repr(ours)
        assert again(torch.tensor([-1.0])) == ours(torch.tensor([-1.0]))


def networks():
    """Two networks with equal weights."""
    torch_, ours = (
        torch.nn.Sequential(
            torch.nn.Conv2d(2, 4, 3), made.LeakyReLU(0.1, inplace=True), torch.nn.Flatten(),
            torch.nn.Linear(36, 8), made.SELU(), torch.nn.Linear(8, 1),
        ) for made in (torch.nn, nn)
    )  # fmt: skip
    ours.load_state_dict(torch_.state_dict())
    return ours, torch_


@pytest.mark.parametrize("compiled", [False, True])
def test_networks_train_alike(compiled):
    torch._dynamo.reset()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        models = networks()
        x, y = torch.randn(16, 2, 5, 5), torch.randn(16, 1)
    losses = []
    for model in models:
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        run = torch.compile(model, fullgraph=True, backend="aot_eager") if compiled else model
        for _ in range(5):
            loss = (run(x) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_submodule_is_imported_on_first_use():
    program = (
        "import sys, fastinit.torch as t\n"
        "assert 'fastinit.torch.nn' not in sys.modules\n"
        "assert t.nn is sys.modules['fastinit.torch.nn']\n"
        "from fastinit.torch.nn.functional import selu"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert "nn" in dir(fastinit.torch)
    with pytest.raises(AttributeError, match="no attribute 'typo'"):
        _ = fastinit.torch.typo

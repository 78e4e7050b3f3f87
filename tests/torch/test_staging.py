"""Values that reach a GPU through a buffer. Here the CPU stands for the GPU."""

import pytest
import torch

from fastinit import init
from fastinit.random import PCG64, Generator
from fastinit.torch import fill_, staging


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("spec", ["normal", "uniform", "bernoulli", "eye"])
@pytest.mark.parametrize("nbytes", [8, 24, 64, 4096])
def test_any_buffer_gives_the_same_values(dtype, spec, nbytes):
    shape = (9, 7)
    expected = fill_(torch.empty(shape, dtype=dtype), spec, Generator(PCG64(7)))
    plan = init.get(spec).plan(shape, dtype=str(dtype).removeprefix("torch."))
    made, buffer = torch.full(shape, 9, dtype=dtype), torch.zeros(nbytes, dtype=torch.uint8)
    staging.fill_through(made, plan, Generator(PCG64(7)), [(0, 63)], buffer)
    assert torch.equal(made, expected)
    part = torch.full((20,), 9, dtype=dtype)
    staging.fill_through(part, plan, Generator(PCG64(7)), [(5, 20)], buffer)
    assert torch.equal(part, expected.reshape(-1)[5:25])
    staging.fill_through(part, plan, Generator(PCG64(7)), iter([(1, 2), (11, 17), (62, 1)]), buffer)
    assert torch.equal(
        part, torch.cat([expected.reshape(-1)[at] for at in (slice(1, 3), slice(11, 28), slice(62, 63))])
    )


def test_fills_of_a_gpu_s_tensors_take_the_buffer(monkeypatch):
    asked = []

    def buffer():
        asked.append(1)
        return torch.zeros(24, dtype=torch.uint8)

    monkeypatch.setattr(staging, "page_locked", buffer)
    for spec, taken in (("bernoulli", 1), ("eye", 1), ("orthogonal", 0)):
        asked.clear()
        tensor = torch.zeros(4, 5).as_subclass(OnGpu)
        version = tensor._version
        fill_(tensor, spec, 7)
        assert torch.equal(tensor.as_subclass(torch.Tensor), fill_(torch.empty(4, 5), spec, 7))
        assert (len(asked), tensor._version > version) == (taken, True), spec
    asked.clear()
    strided = torch.zeros(5, 4).as_subclass(OnGpu).t()
    fill_(strided, "bernoulli", 7)
    assert torch.equal(strided.as_subclass(torch.Tensor), fill_(torch.empty(4, 5), "bernoulli", 7))
    assert not asked


def test_the_buffer_is_the_cpu_s(monkeypatch):
    """Whatever the default device is. To lock pages takes a driver."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **options: empty(*shape, **options))
    monkeypatch.setattr(staging, "_buffers", [])
    with torch.device("meta"):
        assert staging.page_locked().device.type == "cpu"

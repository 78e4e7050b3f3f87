"""Run by test_sharding.py: ``ranks.py RANK WORLD PORT`` checks DTensors in a group of processes."""

import os
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.distributed.tensor.placement_types import _StridedShard

from fastinit.random import PCG64, Generator
from fastinit.torch import fill_, initialize, record

RANK, WORLD, PORT = map(int, sys.argv[1:]) if __name__ == "__main__" else (0, 1, 0)
SPECS = ["normal", "xavier_uniform", "kaiming_normal(mode=fan_out)", "lecun_normal", "constant(value=0.5)"]


def full(spec, shape, dtype=torch.float32):
    tensor = torch.empty(shape, dtype=dtype)
    return fill_(tensor, spec, Generator(PCG64(7)).fold_in("x"))


def held(tensor, mesh, placements):
    """What torch gives this rank of a tensor."""
    for axis, placement in enumerate(placements):
        if isinstance(placement, Replicate):
            continue
        parts, _ = placement._split_tensor(tensor, mesh.size(axis), with_padding=False, contiguous=True)
        at = mesh.get_coordinate()[axis]
        tensor = parts[at] if at < len(parts) else tensor.narrow(placement.dim, 0, 0)
    return tensor


def placements_are_those_of_the_full_tensor():
    meshes = {"1d": init_device_mesh("cpu", (WORLD,))}
    if WORLD == 4:
        meshes["2d"] = init_device_mesh("cpu", (2, 2))
    cases = {
        "1d": [[Shard(0)], [Shard(1)], [Shard(2)], [Replicate()], [_StridedShard(0, split_factor=2)],
               [_StridedShard(1, split_factor=3)]],
        "2d": [[Shard(0), Shard(1)], [Shard(0), Shard(0)], [Replicate(), Shard(1)],
               [_StridedShard(0, split_factor=2), Shard(0)], [_StridedShard(1, split_factor=2), Shard(0)]],
    }  # fmt: skip
    count = 0
    for name, mesh in meshes.items():
        for placements in cases[name]:
            for shape in ((13, 10, 6), (1, 3, 2), (4, 4, 4)):
                for spec in (*SPECS, "orthogonal"):
                    for dtype in (torch.float32, torch.bfloat16):
                        expected = full(spec, shape, dtype)
                        part = held(expected, mesh, placements)
                        made = DTensor.from_local(
                            torch.full_like(part, 9), mesh, placements, run_check=False, shape=expected.shape,
                            stride=expected.stride(),
                        )  # fmt: skip
                        rng = Generator(PCG64(7)).fold_in("x")
                        assert fill_(made, spec, rng) is made
                        assert torch.equal(made._local_tensor, part), (placements, shape, spec)
                        count += 1
    return count


def assert_refused(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def partial_sums_and_blocks_are_refused():
    mesh = init_device_mesh("cpu", (WORLD,))
    total = DTensor.from_local(torch.zeros(4, 4), mesh, [Partial()])
    sharded = distribute_tensor(torch.zeros(4, 4), mesh, [Shard(0)])
    for tensor, arguments, said in (
        (total, {}, "is a sum"),
        (sharded, {"start": 0, "shape": (8, 4)}, "has its place itself"),
        (sharded, {"shape": (8, 4)}, "has its place itself"),
    ):
        assert_refused(
            lambda tensor=tensor, arguments=arguments: fill_(tensor, "normal", 7, **arguments), said
        )


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(13, 10, padding_idx=2)
        self.up, self.down = nn.Linear(10, 24), nn.Linear(24, 10, bias=False)
        self.norm = nn.LayerNorm(10)
        nn.init.trunc_normal_(self.up.weight, std=0.02)
        self.register_buffer("scale", torch.linspace(0, 1, 10))

    def forward(self, x):
        return self.norm(self.down(torch.relu(self.up(self.embed(x)))) * self.scale)


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def models_are_those_of_one_process():
    recording = record(Net)
    one = initialize(Net(), 7, recording)
    expected = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    batch = torch.arange(12).reshape(2, 6)
    loss = one(batch).square().mean().item()
    mesh = init_device_mesh("cpu", (WORLD,))
    plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}

    def fsdp(net):
        fully_shard(net.up), fully_shard(net)

    def tensor_parallel(net):
        parallelize_module(net, mesh, plan)

    def both(net):
        grid = init_device_mesh("cpu", (WORLD // 2, 2), mesh_dim_names=("dp", "tp"))
        parallelize_module(net, grid["tp"], plan)
        fully_shard(net.up, mesh=grid["dp"]), fully_shard(net, mesh=grid["dp"])

    def hybrid(net):
        grid = init_device_mesh("cpu", (WORLD // 2, 2), mesh_dim_names=("replicate", "shard"))
        fully_shard(net, mesh=grid)

    ways = [fsdp, tensor_parallel] + ([both, hybrid] if WORLD % 2 == 0 else [])
    for way in ways:
        for meta in (False, True):
            with torch.device("meta" if meta else "cpu"):
                net = Net()
            way(net)
            if meta:
                assert_refused(lambda net=net: initialize(net, 7, recording), "to_empty")
                net.to_empty(device="cpu")
            initialize(net, 7, recording)
            for name, tensor in net.state_dict().items():
                assert torch.equal(whole(tensor), expected[name]), (way.__name__, meta, name)
            assert_refused(lambda net=net: initialize(net, 7), "is a DTensor")
            assert abs(whole(net(batch)).square().mean().item() - loss) < 1e-6
            if way is not tensor_parallel:  # the root's parameters stay gathered after a forward pass
                before = net.embed.weight.clone()
                assert_refused(
                    lambda net=net: initialize(net, 7, recording), "embed.weight is gathered by FSDP2"
                )
                assert torch.equal(net.embed.weight, before)
                net.reshard()
            initialize(net, 8, recording)
            assert not torch.equal(whole(net.embed.weight), expected["embed.weight"])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(PORT), RANK=str(RANK), WORLD_SIZE=str(WORLD))
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    np.seterr(all="raise")
    assert placements_are_those_of_the_full_tensor() > 100
    partial_sums_and_blocks_are_refused()
    models_are_those_of_one_process()
    print("all equal", flush=True)
    distributed.destroy_process_group()

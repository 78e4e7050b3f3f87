"""Run by test_sharding.py: ``ranks.py RANK WORLD PORT`` checks DTensors in a group of processes."""

import functools
import itertools
import os
import sys
import warnings

import models
import numpy as np
import one_digest
import pytest
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.distributed.tensor.placement_types import _StridedShard

import fastinit.torch.init
from fastinit import init
from fastinit.random import PCG64, Generator
from fastinit.torch import CannotRecord, by_name, fill_, initialize, meta_parameters, record

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
                        made._local_tensor.zero_()
                        again = Generator(PCG64(7)).fold_in("x")
                        assert init.get(spec).fill_(made, again) is made
                        assert torch.equal(made._local_tensor, part), (placements, shape, spec)
                        assert again.bit_generator.state == rng.bit_generator.state
                        count += 1
    return count


def one_list_has_one_digest():
    """Whatever holds its tensors. `_StridedShard`, which torch can't make whole, is compared part by part."""
    meshes = [init_device_mesh("cpu", (WORLD,))]
    placements = [[Shard(0)], [Shard(1)], [Replicate()], [_StridedShard(0, split_factor=2)]]
    if WORLD == 4:
        meshes.append(init_device_mesh("cpu", (2, 2)))
        placements += [[Shard(0), Shard(1)], [Shard(0), Shard(0)], [Replicate(), Shard(1)]]
    expected = one_digest.of_init()
    for placed in placements:
        mesh = meshes[len(placed) - 1]
        module = nn.Module()
        for name, dtype, shape, _ in one_digest.ROWS:
            fits = [each if each.is_replicate() or each.dim < len(shape) else Replicate() for each in placed]
            empty = torch.full(shape, 9.0, dtype=getattr(torch, one_digest.DTYPES[dtype]))
            part = held(empty, mesh, fits)
            made = DTensor.from_local(
                part, mesh, fits, run_check=False, shape=empty.shape, stride=empty.stride()
            )
            module.register_parameter(name, nn.Parameter(made))
        initialize(module, 7, one_digest.RULES)
        strided = any(isinstance(each, _StridedShard) for each in placed)
        for name, tensor in module.state_dict().items():
            array = expected[name]
            words = torch.from_numpy(array.view(f"i{array.itemsize}"))
            part = held(words, mesh, tensor.placements)
            assert torch.equal(tensor.to_local().view(part.dtype), part), (placed, name)
        if not strided:
            arrays = {
                name: tensor.full_tensor().view(getattr(torch, f"int{8 * tensor.itemsize}")).numpy()
                for name, tensor in module.state_dict().items()
            }
            assert one_digest.digest(arrays) == one_digest.NAMED, placed


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
    for fill in (init.normal_, init.zeros_):
        assert_refused(lambda fill=fill: fill(total), "is a sum")
        assert not total._local_tensor.any()
    fills = (init.normal_, init.zeros_, fastinit.torch.init.normal_, lambda part: fill_(part, "normal", 7))
    for axis, fill in itertools.product((0, 1), fills):
        whole = distribute_tensor(torch.full((12, 10), 9.0), mesh, [Shard(axis)])
        kept = whole.narrow(1 - axis, 2, 3)  # not along the axis that is shared out
        with torch.no_grad():
            fill(kept)
            assert not (kept.full_tensor() == 9).any()
            if WORLD > 1:
                part = whole.narrow(axis, 3, 2)
                assert_refused(lambda fill=fill, part=part: fill(part), "would be lost")
        assert (whole.full_tensor() == 9).sum() == 120 - 3 * whole.shape[axis]


def contexts_of_one_module_do_not_nest():
    net = Net()
    fully_shard(net)
    with by_name(net, 7):
        assert_refused(lambda: by_name(net, 8).__enter__(), "is in a context of by_name already")


def compiled_modules_keep_their_class():
    net = Net()
    fully_shard(net)
    compiled = torch.compile(net, backend="eager")
    with by_name(compiled, 7):
        for each in (*net.children(), compiled):
            each.reset_parameters()
    expected = initialize(Net(), 7)
    assert torch.equal(whole(net.up.weight), expected.up.weight)


def ties_that_are_broken_are_refused():
    mesh = init_device_mesh("cpu", (WORLD,))
    net = models.transformers_model("Llama:ForCausalLM", tie_word_embeddings=True)
    plan = {"model.embed_tokens": RowwiseParallel(input_layouts=Replicate())}
    parallelize_module(net, mesh, plan)
    assert_refused(lambda: initialize(net, 7), "lm_head.weight and model.embed_tokens.weight are tied")
    net.tie_weights()
    initialize(net, 7)
    expected = initialize(models.transformers_model("Llama:ForCausalLM", tie_word_embeddings=True), 7)
    for name, tensor in net.state_dict().items():
        assert torch.equal(whole(tensor), expected.state_dict()[name]), name


def functions_in_place_fill_parts():
    mesh = init_device_mesh("cpu", (WORLD,))
    fills = {
        "kaiming_normal_": {"mode": "fan_out"},
        "trunc_normal_": {"std": 0.02},
        "constant_": {"val": 0.5},
        "zeros_": {},
        "eye_": {},
        "sparse_": {"sparsity": 0.3},
    }
    for name, arguments in fills.items():
        fill = getattr(init, name)
        draws = {} if name in ("constant_", "zeros_", "eye_") else {"generator": 7}
        whole = fill(torch.full((13, 10), 9.0), **arguments, **draws)
        for placement in (Shard(0), Shard(1)):
            made = distribute_tensor(torch.full((13, 10), 9.0), mesh, [placement])
            assert fill(made, **arguments, **draws) is made
            assert torch.equal(made.full_tensor(), whole), (name, placement)
    torch.manual_seed(3)
    whole = init.normal_(torch.empty(13, 10))
    torch.manual_seed(3)
    made = init.normal_(distribute_tensor(torch.empty(13, 10), mesh, [Shard(0)]))
    assert torch.equal(made.full_tensor(), whole)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(13, 10, padding_idx=2)
        self.up, self.down = nn.Linear(10, 24), nn.Linear(24, 10, bias=False)
        self.norm = nn.LayerNorm(10)
        self.register_buffer("scale", torch.empty(10))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.trunc_normal_(self.up.weight, std=0.02)
        nn.init.uniform_(self.up.bias[3:7], 1, 2)  # a part, which lies on some of the ranks
        with torch.no_grad():
            self.down.weight.normal_(std=0.1).mul_(0.5)
        self.scale.copy_(torch.linspace(0, 1, 10))

    def forward(self, x):
        return self.norm(self.down(torch.relu(self.up(self.embed(x)))) * self.scale)


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def by_its_methods(net):
    if net.embed.weight.is_meta:
        net.to_empty(device="cpu")
    with by_name(net, 7):
        for each in (*net.children(), net):
            each.reset_parameters()


def ways_to_shard():
    mesh = init_device_mesh("cpu", (WORLD,))
    plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}

    def fsdp(net):
        fully_shard(net.up), fully_shard(net)

    def tensor_parallel(net):
        parallelize_module(net, mesh, plan)

    def offloaded(net):
        fully_shard(net, offload_policy=CPUOffloadPolicy(pin_memory=False))

    def both(net):
        grid = init_device_mesh("cpu", (WORLD // 2, 2), mesh_dim_names=("dp", "tp"))
        parallelize_module(net, grid["tp"], plan)
        fully_shard(net.up, mesh=grid["dp"]), fully_shard(net, mesh=grid["dp"])

    def hybrid(net):
        grid = init_device_mesh("cpu", (WORLD // 2, 2), mesh_dim_names=("replicate", "shard"))
        fully_shard(net, mesh=grid)

    return [fsdp, tensor_parallel, offloaded] + ([both, hybrid] if WORLD % 2 == 0 else [])


def models_are_those_of_one_process():
    recording = record(Net)
    one = initialize(Net(), 7)
    expected = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    assert (expected["embed.weight"][2] == 0).all()
    assert (expected["up.bias"][3:7] >= 1).all()
    batch = torch.arange(12).reshape(2, 6)
    loss = one(batch).square().mean().item()
    fillings = {
        "a recording": lambda net: initialize(net, 7, recording),
        "its own code": lambda net: initialize(net, 7),
        "methods": by_its_methods,
    }
    for way, meta, filling in itertools.product(ways_to_shard(), (False, True), fillings):
        case = way.__name__, meta, filling
        with torch.device("meta" if meta else "cpu"):
            net = Net()
        way(net)
        state = torch.get_rng_state()
        fillings[filling](net)
        assert torch.equal(torch.get_rng_state(), state), case
        for name, tensor in net.state_dict().items():
            assert torch.equal(whole(tensor), expected[name]), (*case, name)
        assert abs(whole(net(batch)).square().mean().item() - loss) < 1e-6, case
        if way.__name__ != "tensor_parallel":  # the root's parameters stay gathered after a forward pass
            before = net.embed.weight.clone()
            with pytest.raises(TypeError, match=r"embed\.weight is gathered by FSDP2"):
                fillings[filling](net)
            assert torch.equal(net.embed.weight, before)
            net.reshard()
        initialize(net, 8, recording)
        assert not torch.equal(whole(net.embed.weight), expected["embed.weight"])


def what_cannot_be_said_in_rules_is_refused():
    net = Net()
    fully_shard(net)
    before = {name: whole(tensor).clone() for name, tensor in net.state_dict().items()}
    weight = net.down.weight

    def squared(net):
        net.down.weight.normal_()
        net.down.weight.copy_(net.down.weight @ net.down.weight.T @ net.down.weight)

    def of_outside(net):
        weight.normal_()

    for code, error, said in (
        (squared, CannotRecord, "down.weight: cannot be recorded"),
        (of_outside, TypeError, "none of the module's"),
    ):
        with pytest.raises(error, match=said), torch.no_grad():
            initialize(net, 7, code)
        with pytest.raises(error, match=said), torch.no_grad(), by_name(net, 7):
            code(net)
    assert {name: whole(tensor).tolist() for name, tensor in net.state_dict().items()} == {
        name: tensor.tolist() for name, tensor in before.items()
    }
    with pytest.warns(UserWarning, match="stay as they were"):
        initialize(net, 7, lambda net: net.up.reset_parameters())
    assert torch.equal(whole(net.norm.weight), before["norm.weight"])
    assert not torch.equal(whole(net.up.weight), before["up.weight"])


def models_of_transformers_are_those_of_one_process():
    names = ["GPT2:LMHeadModel", "Llama:ForCausalLM", "Llama:ForCausalLM"]
    builds = [
        functools.partial(models.transformers_model, name, tie_word_embeddings=tied)
        for name, tied in zip(names, (True, False, True), strict=True)
    ]
    batch = torch.arange(24).reshape(2, 12)
    for build, recorded in itertools.product(builds, (False, True)):
        one = initialize(build().eval(), 7)
        expected = {name: tensor.clone() for name, tensor in one.state_dict().items()}
        loss = one(batch, labels=batch).loss.item()
        with meta_parameters():
            net = build().eval()
        layers = net.transformer.h if hasattr(net, "transformer") else net.model.layers
        for layer in layers:
            fully_shard(layer)
        fully_shard(net)
        initialize(net, 7, record(build) if recorded else None)
        for name, tensor in net.state_dict().items():
            assert torch.equal(whole(tensor), expected[name]), (build.args, name)
        assert abs(net(batch, labels=batch).loss.item() - loss) < 1e-5
        tied = net.get_output_embeddings().weight is net.get_input_embeddings().weight
        assert tied == build.keywords["tie_word_embeddings"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(PORT), RANK=str(RANK), WORLD_SIZE=str(WORLD))
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    np.seterr(all="raise")
    assert placements_are_those_of_the_full_tensor() > 100
    one_list_has_one_digest()
    partial_sums_and_blocks_are_refused()
    functions_in_place_fill_parts()
    models_are_those_of_one_process()
    what_cannot_be_said_in_rules_is_refused()
    contexts_of_one_module_do_not_nest()
    compiled_modules_keep_their_class()
    ties_that_are_broken_are_refused()
    models_of_transformers_are_those_of_one_process()
    print("all equal", flush=True)
    distributed.destroy_process_group()

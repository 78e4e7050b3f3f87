import math
import threading

import pytest
import torch
import torch.nn.init as theirs
from models import transformers_model
from test_init import CALLS, made, seeded
from test_naming import linear
from torch import distributed, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Shard
from torch.nn.init import trunc_normal_ as taken_before
from torch.testing._internal.distributed.fake_pg import FakeStore

import fastinit.torch.init as ours
from fastinit import init
from fastinit.random import default_rng
from fastinit.torch import by_name, record


@pytest.mark.parametrize("name", CALLS)
def test_what_has_no_values_is_left_alone(name):
    shape, rng = CALLS[name][0], default_rng(7)
    before = rng.bit_generator.state
    for more in ({}, seeded(name, rng)):
        meta = torch.empty(shape, device="meta")
        assert made(ours, name, meta, **more) is meta
        with FakeTensorMode():
            fake = torch.empty(shape)
            assert made(ours, name, fake, **more) is fake
        assert type(fake) is FakeTensor
    assert rng.bit_generator.state == before


class Named(torch.Tensor):
    """A tensor that sees the functions called with it."""

    seen = ()

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        cls.seen += (function.__name__,)
        return super().__torch_function__(function, types, args, kwargs)


def test_other_tensors_are_torchs():
    ours.normal_(Named(torch.zeros(3)))
    assert "normal_" in Named.seen
    for dtype in (torch.int32, torch.bool, torch.complex64):
        for name in ("constant_", "eye_", "dirac_"):
            mine, its = (torch.zeros(CALLS[name][0], dtype=dtype) for _ in range(2))
            assert torch.equal(made(ours, name, mine), made(theirs, name, its))
    torch.manual_seed(3)
    mine = ours.normal_(torch.zeros(3, dtype=torch.complex64))
    torch.manual_seed(3)
    assert torch.equal(mine, theirs.normal_(torch.zeros(3, dtype=torch.complex64)))
    with pytest.raises(TypeError, match="complex64 tensor draws from a generator of torch alone"):
        ours.normal_(torch.zeros(3, dtype=torch.complex64), generator=7)


@pytest.fixture
def mesh():
    """A mesh of two processes, of which this is the second. The other one is not there."""
    distributed.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    yield init_device_mesh("cpu", (2,))
    distributed.destroy_process_group()


@pytest.mark.parametrize("name", CALLS)
def test_a_dtensor_gets_its_part_of_the_whole(mesh, name):
    shape = CALLS[name][0] or (3,)
    whole = made(ours, name, torch.empty(shape), **seeded(name, 7))
    part = whole.tensor_split(2)[1] if len(whole) % 2 == 0 else whole[len(whole) // 2 + 1 :]
    for module, generator in ((ours, seeded(name, 7)), (theirs, {})):
        sharded = DTensor.from_local(
            torch.full_like(part, 9), mesh, [Shard(0)], run_check=False, shape=shape, stride=whole.stride()
        )
        weight = nn.Parameter(sharded)
        version = weight._version
        with ours.patch(7):
            assert made(module, name, weight, **generator) is weight
        assert torch.equal(weight._local_tensor, part)
        assert weight._version > version


def test_a_dtensor_that_cannot_be_filled(mesh):
    total = DTensor.from_local(torch.zeros(3, 4), mesh, [Partial()], run_check=False)
    with pytest.raises(TypeError, match="is a sum that no rank has"):
        ours.normal_(total)
    sharded = DTensor.from_local(torch.zeros(3, 4), mesh, [Shard(0)], run_check=False)
    with pytest.raises(ValueError, match="Mode foo not supported"):
        ours.kaiming_normal_(sharded, mode="foo")
    assert not sharded._local_tensor.any()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)
        self.heads = nn.MultiheadAttention(4, 2)
        self.table = nn.Parameter(torch.empty(5, 4))
        taken_before(self.table, std=0.02)
        theirs.normal_(self.heads.out_proj.weight, 0.0, generator=default_rng(9))


def test_a_patch_is_one_generator_in_order():
    with ours.patch(7):
        net = Net()
    rng = default_rng(7)
    laws = [
        (net.fc.weight, "kaiming_uniform_", {"a": math.sqrt(5)}),
        (net.fc.bias, "uniform_", {"a": -(3**-0.5), "b": 3**-0.5}),
        (torch.empty(4, 4), "kaiming_uniform_", {"a": math.sqrt(5)}),  # of out_proj, which is filled again
        (torch.empty(4), "uniform_", {"a": -0.5, "b": 0.5}),
        (net.heads.in_proj_weight, "xavier_uniform_", {}),
        (net.table, "trunc_normal_", {"std": 0.02}),
    ]
    for tensor, name, arguments in laws:
        wanted = getattr(init, name)(torch.empty_like(tensor), generator=rng, **arguments)
        assert not isinstance(tensor, nn.Parameter) or torch.equal(tensor, wanted), name
    assert torch.equal(net.heads.out_proj.weight, init.normal_(torch.empty(4, 4), generator=9))


def test_a_patch_without_a_generator_follows_torchs_seed():
    torch.manual_seed(3)
    seed = int(torch.randint(0, 2**63 - 1, ()))
    for generator in (None, torch.Generator().manual_seed(3)):
        torch.manual_seed(3)
        with ours.patch(generator):
            filled = theirs.normal_(torch.empty(3))
        assert torch.equal(filled, init.normal_(torch.empty(3), generator=seed))


def code_of_torch():
    return {name: (getattr(theirs, name), getattr(theirs, name).__code__) for name in theirs.__all__}


def test_patches_nest_and_end():
    before, made = code_of_torch(), []
    assert {code.co_filename for _, code in before.values()} == {
        torch.nn.init.__file__
    }  # no other test left its own

    def draw():
        made.append(theirs.normal_(torch.empty(5)))
        return made[-1]

    def fail():
        with ours.patch(7):
            draw()
            with pytest.raises(ValueError, match="2 dimensions"), ours.patch(8):
                theirs.eye_(draw())
            theirs.kaiming_normal_(draw())

    with pytest.raises(ValueError, match="Fan in and fan out"):
        fail()
    outer, inner = default_rng(7), default_rng(8)
    for tensor, rng in zip(made, (outer, inner, outer), strict=True):
        assert torch.equal(tensor, init.normal_(torch.empty(5), generator=rng))
    assert code_of_torch() == before
    torch.manual_seed(3)
    after = theirs.normal_(torch.empty(5))
    torch.manual_seed(3)
    assert torch.equal(after, torch.empty(5).normal_())


@ours.patch(7)
def decorated():
    return nn.Linear(3, 4)


def test_a_patch_is_a_decorator():
    assert torch.equal(decorated().weight, decorated().weight)


def test_other_threads_are_not_patched():
    seen = []

    def elsewhere():
        torch.manual_seed(3)
        seen.append(theirs.normal_(torch.empty(5)))
        with ours.patch(8):
            seen.append(theirs.normal_(torch.empty(5)))

    with ours.patch(7):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        mine = theirs.normal_(torch.empty(5))
    torch.manual_seed(3)
    wanted = [torch.empty(5).normal_(), *(init.normal_(torch.empty(5), generator=seed) for seed in (8, 7))]
    assert all(map(torch.equal, (*seen, mine), wanted))


def test_a_patch_leaves_meta_tensors_alone():
    rng = default_rng(7)
    before = rng.bit_generator.state
    with ours.patch(rng):
        with torch.device("meta"):
            assert Net().fc.weight.is_meta
        with FakeTensorMode():
            assert type(nn.Linear(3, 4).weight) is FakeTensor
        assert rng.bit_generator.state == before
        with torch.device("cpu"):  # a mode, which torch.nn.init asks first
            assert torch.equal(nn.Linear(3, 4).weight, expected_of_linear())


def expected_of_linear():
    return init.kaiming_uniform_(torch.empty(4, 3), a=math.sqrt(5), generator=7)


def test_gpt2_draws_from_the_patch_alone():
    """Also by the references that transformers has taken."""
    before = torch.get_rng_state()
    with ours.patch(7):
        one, two = (transformers_model("GPT2:LMHeadModel") for _ in range(2))
    with ours.patch(7):
        again = transformers_model("GPT2:LMHeadModel")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, one.state_dict().values(), again.state_dict().values()))
    for name, weight in one.named_parameters():
        if weight.dim() > 1:
            assert not torch.equal(weight, two.get_parameter(name)), name
            std = 0.02 / math.sqrt(4 if name.endswith("c_proj.weight") else 1)
            assert float(weight.detach().std()) == pytest.approx(std, rel=0.2), name


@pytest.mark.parametrize("name", ["normal_", "trunc_normal_", "orthogonal_", "eye_"])
def test_the_innermost_context_acts(name):
    plain, inside, outside = linear(), linear(), linear()
    with by_name(plain, 7):
        getattr(theirs, name)(plain.weight)
    for generator in ({}, seeded(name, 9)):
        with ours.patch(8), by_name(inside, 7):
            getattr(ours, name)(inside.weight, **generator)
        assert torch.equal(inside.weight, plain.weight)
        nn.init.zeros_(inside.weight)
    with by_name(outside, 7), ours.patch(8):
        getattr(theirs, name)(outside.weight)
    wanted = getattr(init, name)(torch.empty_like(plain.weight), **seeded(name, 8))
    assert torch.equal(outside.weight, wanted)
    with by_name(outside, 7), ours.patch(8):
        getattr(ours, name)(outside.weight, **seeded(name, 9))
    wanted = getattr(init, name)(torch.empty_like(plain.weight), **seeded(name, 9))
    assert torch.equal(outside.weight, wanted)


def test_code_that_uses_the_functions_is_recorded():
    def built(module):
        made = linear()
        module.trunc_normal_(made.weight, std=0.02)
        module.normal_(made.bias, 1.0)
        return made

    its = record(lambda: built(theirs))
    assert record(lambda: built(ours)).rules == its.rules
    with ours.patch(7):
        assert record(lambda: built(theirs)).rules == its.rules

import inspect
import math
import threading
import warnings

import numpy as np
import pytest
import torch
import torch.nn.init as theirs
from models import transformers_model
from scipy import stats
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

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# Every function that fills, with a shape and arguments of which none is the default.
CALLS = {
    "uniform_": ((5, 7), {"a": -1, "b": 2}),
    "normal_": ((6,), {"mean": 1.5, "std": 0.2}),
    "trunc_normal_": ((3, 5), {"mean": 0.5, "std": 0.02, "a": 0.48, "b": 0.6}),
    "constant_": ((), {"val": 0.1}),
    "eye_": ((3, 5), {}),
    "dirac_": ((4, 3, 5), {"groups": 2}),
    "xavier_uniform_": ((4, 6, 3), {"gain": 2}),
    "xavier_normal_": ((4, 6), {"gain": 0.5}),
    "kaiming_uniform_": ((4, 6, 3, 3), {"a": 5**0.5, "mode": "fan_out"}),
    "kaiming_normal_": ((4, 6), {"nonlinearity": "relu"}),
    "orthogonal_": ((4, 2, 3), {"gain": 2}),
    "sparse_": ((10, 3), {"sparsity": 0.25, "std": 1}),
}
RANDOM = sorted({*CALLS} - {"constant_", "eye_", "dirac_"})
ALIASES = [name for name in theirs.__all__ if f"{name}_" in theirs.__all__]


def seeded(name, seed):
    return {"generator": seed} if name in RANDOM else {}


def made(module, name, tensor, **more):
    return getattr(module, name)(tensor, **CALLS[name][1], **more)


def expected(name, seed, dtype=torch.float32):
    return made(init, name, torch.empty(CALLS[name][0], dtype=dtype), **seeded(name, seed))


def signature(function):
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", theirs.__all__)
def test_names_and_signatures_are_torchs(name):
    assert signature(getattr(ours, name)) == signature(getattr(theirs, name))


def test_all_names_are_there():
    assert sorted(ours.__all__) == sorted([*theirs.__all__, "patch"])
    fills = {name for name in theirs.__all__ if name.endswith("_")}
    assert {*CALLS} | {"ones_", "zeros_"} == fills
    assert ours._calculate_fan_in_and_fan_out(torch.empty(3, 4)) == (4, 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CALLS)
def test_values_are_fastinits(name, dtype):
    shape, wanted = CALLS[name][0], expected(name, 7, dtype)
    weight = nn.Parameter(torch.full(shape, 9, dtype=dtype))
    version = weight._version
    assert made(ours, name, weight, **seeded(name, 7)) is weight
    assert torch.equal(weight, wanted)
    assert weight._version > version
    assert weight.requires_grad
    assert weight.grad_fn is None
    strided = torch.full((*shape[::-1], 2), 9, dtype=dtype)[..., 1].permute(tuple(range(len(shape))[::-1]))
    assert torch.equal(made(ours, name, strided, **seeded(name, 7)), wanted)


@pytest.mark.parametrize("name", CALLS)
def test_laws_are_torchs(name):
    shape, arguments = CALLS[name]
    shape = tuple(8 * size for size in shape)
    torch.manual_seed(3)
    both = (getattr(module, name) for module in (ours, theirs))
    mine, its = (function(torch.empty(shape), **arguments).flatten() for function in both)
    if name not in RANDOM:
        assert torch.equal(mine, its)
    elif name == "orthogonal_":
        gram = mine.view(shape[0], -1) @ mine.view(shape[0], -1).T
        assert torch.allclose(gram, 4 * torch.eye(shape[0]), atol=1e-5)
        assert torch.allclose(mine.norm(), its.norm())
    else:
        assert stats.ks_2samp(mine, its).pvalue > 1e-3


def test_a_constant_is_rounded_once():
    value = 1 + 2**-8 + 2**-40
    assert ours.constant_(torch.empty(1, dtype=torch.bfloat16), value) == 1 + 2**-7
    assert theirs.constant_(torch.empty(1, dtype=torch.bfloat16), value) == 1


@pytest.mark.parametrize("name", RANDOM)
def test_generators_of_every_kind(name):
    shape = CALLS[name][0]
    rng = default_rng(3)
    one, two = (made(ours, name, torch.empty(shape), generator=rng) for _ in range(2))
    again = np.random.default_rng(3)
    assert torch.equal(one, made(ours, name, torch.empty(shape), generator=again))
    assert torch.equal(two, made(ours, name, torch.empty(shape), generator=again))
    assert torch.equal(one, made(ours, name, torch.empty(shape), generator=3))

    def drawn(generator):
        return int(torch.randint(0, 2**63 - 1, (), generator=generator))

    torchs = [torch.Generator().manual_seed(5) for _ in range(2)]
    filled = made(ours, name, torch.empty(shape), generator=torchs[0])
    assert torch.equal(filled, expected(name, drawn(torchs[1])))
    assert torch.equal(*(each.get_state() for each in torchs))
    torch.manual_seed(5)
    assert torch.equal(filled, made(ours, name, torch.empty(shape)))
    assert torch.equal(torch.get_rng_state(), torchs[0].get_state())


def test_a_generator_of_fastinits_leaves_those_of_others():
    def others():
        return np.random.get_state()[1].tolist(), torch.get_default_dtype()  # noqa: NPY002

    before, state = others(), torch.get_rng_state()
    for name, (shape, _) in CALLS.items():
        made(ours, name, torch.empty(shape), **seeded(name, 7))
    with ours.patch(7):
        nn.Transformer(16, 2, 1, 1, 8, batch_first=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert others() == before


def outcome(function, tensor, arguments):
    """Return the type and text of a call's error, or of its warnings."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            assert function(tensor(), *arguments) is not None
        except Exception as error:
            return type(error), str(error)
    return [(each.category, str(each.message)) for each in seen]


def of(*shape, dtype=torch.float32):
    return lambda: torch.zeros(shape, dtype=dtype)


REFUSED = [
    ("normal_", of(3), (0, -1)),
    ("normal_", of(3), (0, math.nan)),
    ("normal_", of(), (0, -1)),
    ("normal_", of(3), ("x",)),
    ("normal_", of(3), (0, 1, None, 4)),
    ("normal_", of(3, dtype=torch.int64), ()),
    ("normal_", lambda: [1.0], ()),
    ("normal_", lambda: np.zeros(3), ()),
    ("normal_", lambda: torch.eye(3).to_sparse(), ()),
    ("normal_", lambda: torch.zeros(1, 3).expand(2, 3), ()),
    ("normal_", nn.parameter.UninitializedParameter, ()),
    ("uniform_", of(3), (1, 0)),
    ("uniform_", of(3, dtype=torch.float16), (0, 1e9)),
    ("trunc_normal_", of(3), (0, 0)),
    ("trunc_normal_", of(3), (0, 1, 2, -2)),
    ("constant_", of(3), ()),
    ("constant_", of(3), ("x",)),
    ("constant_", of(3, dtype=torch.float16), (1e9,)),
    ("constant_", of(3, dtype=torch.uint8), (300,)),
    ("eye_", of(3), ()),
    ("dirac_", of(3, 3), ()),
    ("dirac_", of(3, 4, 5), (2,)),
    ("dirac_", of(3, 4, 5), (0,)),
    ("xavier_uniform_", of(), ()),
    ("xavier_uniform_", of(0), ()),
    ("xavier_normal_", of(3), ()),
    ("xavier_normal_", of(0, 0), ()),
    ("xavier_normal_", of(3, 4), ("x",)),
    ("kaiming_uniform_", of(3), ()),
    ("kaiming_uniform_", of(3, 4), (0, "fan_avg")),
    ("kaiming_normal_", of(3, 4), ("x",)),
    ("kaiming_normal_", of(3, 4), (True, "foo")),
    ("kaiming_normal_", of(3, 4), (True,)),
    ("kaiming_normal_", of(3, 4), (0, "fan_in", "gelu")),
    ("orthogonal_", of(3), ()),
    ("orthogonal_", lambda: torch.zeros(1, 3).expand(2, 3), ()),
    ("sparse_", of(3), (0.5,)),
    ("sparse_", of(3, 3), ()),
    ("sparse_", of(3, 3), ("x",)),
    ("sparse_", of(3, 3), (0.5, -1)),
    ("calculate_gain", lambda: "gelu", ()),
    ("calculate_gain", lambda: "leaky_relu", (True,)),
]


@pytest.mark.parametrize(("name", "tensor", "arguments"), REFUSED)
def test_errors_are_torchs(name, tensor, arguments):
    wanted = outcome(getattr(theirs, name), tensor, arguments)
    assert isinstance(wanted, tuple)
    assert outcome(getattr(ours, name), tensor, arguments) == wanted
    with ours.patch(7):
        patched = outcome(getattr(theirs, name), tensor, arguments)
    assert patched[0] is wanted[0]
    if "argument" not in wanted[1]:  # of the signature: Python's own words
        assert patched == wanted


@pytest.mark.parametrize(
    ("name", "tensor", "arguments"),
    [
        *(("kaiming_normal_", of(*shape), ("x",)) for shape in ((0,), (0, 3), (4, 0, 3))),
        ("kaiming_uniform_", of(3, 0), ()),
        *((name, of(0, 3), ()) for name in ("normal_", "uniform_", "xavier_normal_", "orthogonal_")),
        ("sparse_", of(0, 3), (0.5,)),
        ("eye_", of(0, 3), ()),
        ("trunc_normal_", of(0), ()),
    ],
)
def test_warnings_of_tensors_without_elements_are_torchs(name, tensor, arguments):
    wanted = outcome(getattr(theirs, name), tensor, arguments)
    assert wanted == [(UserWarning, "Initializing zero-element tensors is a no-op")] * ("kaiming" in name)
    before = torch.get_rng_state()
    assert outcome(getattr(ours, name), tensor, arguments) == wanted
    with ours.patch(7):
        assert outcome(getattr(theirs, name), tensor, arguments) == wanted
    assert torch.equal(torch.get_rng_state(), before)


def test_old_names_warn_as_torchs():
    for name in ALIASES:
        shape, arguments = CALLS[f"{name}_"]
        with pytest.warns(FutureWarning, match="deprecated in favor of") as mine:
            filled = getattr(ours, name)(torch.empty(shape), **arguments, **seeded(f"{name}_", 7))
        with pytest.warns(FutureWarning) as its, ours.patch(7):
            assert torch.equal(filled, getattr(theirs, name)(torch.empty(shape), **arguments))
        assert str(mine[0].message) == str(its[0].message)
        assert mine[0].filename == its[0].filename == __file__


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

import inspect
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.init as theirs
from scipy import stats
from torch import nn

import fastinit.torch.init as ours
from fastinit import init
from fastinit.random import default_rng

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

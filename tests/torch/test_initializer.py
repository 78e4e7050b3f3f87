import copy

import numpy as np
import pytest
import torch
from torch import nn

from fastinit import checkpoint
from fastinit.checkpoint import BadInput, Rule
from fastinit.torch import by_name, initialize, manifest, meta_parameters, record


def model(device=None):
    """A model with ties, a padding row, norms and buffers."""
    tied = nn.ModuleDict(
        {
            "embed": nn.Embedding(9, 4, padding_idx=2, device=device),
            "norm": nn.BatchNorm1d(4, device=device),
            "attention": nn.MultiheadAttention(4, 2, device=device),
            "head": nn.Linear(4, 9, device=device),
        }
    )
    tied["head"].weight = tied["embed"].weight
    return tied


def equal(one, other):
    tensors, others = one.state_dict(), other.state_dict()
    return tensors.keys() == others.keys() and all(
        torch.equal(tensors[name], others[name]) for name in tensors
    )


def test_from_meta_and_plain_and_generate_are_the_same_bits():
    plain, meta = initialize(model(), 7), initialize(model("meta"), 7)
    assert equal(plain, meta)
    assert meta["head"].weight is meta["embed"].weight
    tensors = dict(checkpoint.tensors(record(model("meta")), seed=7))
    assert list(tensors) == list(manifest(plain))
    assert all((plain.state_dict()[name].numpy() == array).all() for name, array in tensors.items())
    assert not equal(plain, initialize(model(), 8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_is_that_of_floating_point_tensors(dtype):
    cast = initialize(model("meta"), 7, dtype=dtype)
    assert cast["embed"].weight.dtype == dtype
    assert cast["norm"].num_batches_tracked.dtype == torch.int64
    name = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}[dtype]
    tensors = dict(checkpoint.tensors(record(model("meta")), seed=7, dtype=name))
    for key, array in tensors.items():
        assert (cast.state_dict()[key].double().numpy() == array.astype(np.float64)).all(), key


def test_real_parameters_move_in_place_of_their_owners():
    module = model()
    parameter = module["embed"].weight
    assert initialize(module, 7)["embed"].weight is parameter
    moved = initialize(model(), 7, dtype=torch.float64)
    assert moved["head"].weight is moved["embed"].weight


@pytest.mark.parametrize(
    "init",
    ["he", "torch", [Rule("*", "normal(std=3)", min_ndim=2), Rule("*", "zeros")]],
)
def test_rules_are_generates(init):
    module = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 3), nn.BatchNorm1d(3)).to("meta")
    initialize(module, 7, init)
    tensors = dict(checkpoint.tensors(manifest(module), seed=7, init=init))
    assert all((module.state_dict()[name].numpy() == array).all() for name, array in tensors.items())


def test_a_toml_file_and_a_recording(tmp_path):
    (tmp_path / "rules.toml").write_text('[[rule]]\nmatch = "*"\ninit = "normal"\n')
    linear = initialize(nn.Linear(3, 2), 7, tmp_path / "rules.toml")
    with by_name(nn.Linear(3, 2), 7) as _:
        pass
    record(nn.Linear(3, 2)).save(tmp_path / "recording.json")
    assert linear.bias.std() > 0
    recording = record(nn.Linear(3, 2))
    assert equal(initialize(nn.Linear(3, 2), 7, recording), initialize(nn.Linear(3, 2), 7))


def test_a_callable_runs_by_name():
    module = initialize(
        nn.Linear(3, 2), 7, lambda m: nn.init.xavier_uniform_(m.weight) is nn.init.zeros_(m.bias)
    )
    expected = nn.Linear(3, 2)
    with by_name(expected, 7):
        nn.init.xavier_uniform_(expected.weight)
        nn.init.zeros_(expected.bias)
    assert equal(module, expected)


def test_own_code_in_the_order_that_modules_have():
    class Own(nn.Linear):
        def init_weights(self):
            nn.init.ones_(self.weight)
            nn.init.zeros_(self.bias)

    assert (initialize(Own(3, 2, device="meta")).weight == 1).all()
    transformer = initialize(nn.Transformer(8, 2, 1, 1, 16, batch_first=True, device="meta"), 7)
    assert equal(transformer, initialize(nn.Transformer(8, 2, 1, 1, 16, batch_first=True), 7))
    assert (transformer.encoder.layers[0].self_attn.in_proj_bias == 0).all()


def test_seed_none_is_drawn_from_torch():
    torch.manual_seed(5)
    one = initialize(nn.Linear(3, 2), None)
    other = initialize(nn.Linear(3, 2), None)
    torch.manual_seed(5)
    again = initialize(nn.Linear(3, 2), None)
    assert equal(one, again)
    assert not equal(one, other)


def test_torchs_state_is_untouched():
    linear = nn.Linear(3, 2)
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()

    def code(module):
        torch.randn(3)
        module.reset_parameters()

    with pytest.warns(UserWarning, match="1 draws"):
        initialize(linear, 7, code)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() is dtype


@pytest.mark.parametrize("build", [lambda: nn.Conv2d(3, 4, 3), lambda: nn.Conv2d(3, 4, 3).half()])
def test_another_order_of_memory(build):
    module = build().to(memory_format=torch.channels_last)
    recordings = record(module), record(build), record(lambda: build().to(memory_format=torch.channels_last))
    assert len({str(each) for each in recordings}) == 1
    initialize(module, 7)
    assert module.weight.is_contiguous(memory_format=torch.channels_last)
    assert equal(module, initialize(build(), 7))
    assert equal(module, initialize(build().to(memory_format=torch.channels_last), 7, recordings[0]))


def no_code():
    module = nn.Module()
    module.scale = nn.Parameter(torch.ones(3))
    return module


def test_a_meta_tensor_that_nothing_fills():
    class Masked(nn.Linear):
        def __init__(self):
            super().__init__(3, 2)
            self.register_buffer("mask", torch.ones(3, 3).tril(), persistent=False)

    with torch.device("meta"):
        masked, scaled = Masked(), no_code()
    with pytest.raises(RuntimeError, match=r"^mask was on the meta device.*meta_parameters\(\)"):
        initialize(masked)
    with pytest.raises(RuntimeError, match=r"^scale was on the meta device.*record\(constructor\)"):
        initialize(scaled)
    with meta_parameters():
        masked = Masked()
    assert (initialize(masked).mask == torch.ones(3, 3).tril()).all()
    with torch.device("meta"):
        scaled = no_code()
    assert (initialize(scaled, init=record(no_code)).scale == 1).all()


def test_a_real_parameter_that_nothing_fills_stays_and_is_named():
    with pytest.warns(UserWarning, match="1 parameters stay as they were.*: scale"):
        assert (initialize(no_code()).scale == 1).all()


@pytest.mark.parametrize(
    ("module", "init", "error", "message"),
    [
        (nn.LazyLinear(3), None, TypeError, "weight is lazy"),
        (nn.Linear(3, 2, dtype=torch.complex64), None, TypeError, "weight has dtype torch.complex64"),
        (nn.Linear(3, 2), "nothing", BadInput, "unknown preset 'nothing'"),
        (nn.Linear(3, 2), [Rule("weight", "ones")], BadInput, "no rule matches tensor 'bias'"),
        (nn.Linear(3, 2), [Rule("*", "orthogonal")], BadInput, "'bias'"),
    ],
)
def test_refusals_come_before_anything_is_written(module, init, error, message):
    parameters = {name: p for name, p in module.named_parameters() if not nn.parameter.is_lazy(p)}
    before = copy.deepcopy(parameters)
    with pytest.raises(error, match=message):
        initialize(module, 7, init)
    assert all(torch.equal(before[name], parameter) for name, parameter in parameters.items())


def test_a_bad_seed():
    for seed in (-1, 1.5):
        with pytest.raises(BadInput, match="seed"):
            initialize(nn.Linear(3, 2), seed)


def test_meta_parameters_keep_buffers_and_ties():
    with meta_parameters():
        module = model()
    assert module["head"].weight is module["embed"].weight
    assert module["embed"].weight.is_meta
    assert (module["norm"].running_var == 1).all()
    assert nn.Linear(2, 2).weight.device.type == "cpu"
    assert equal(initialize(module, 7), initialize(model(), 7))


def test_manifest_lists_what_a_checkpoint_holds():
    module = nn.Module()
    module.weight = nn.Parameter(torch.empty(2, 3, dtype=torch.bfloat16, device="meta"))
    module.alias = module.weight
    module.register_buffer("steps", torch.zeros((), dtype=torch.int64))
    module.register_buffer("hidden", torch.zeros(3), persistent=False)
    assert manifest(module) == {
        "weight": {"dtype": "BF16", "shape": [2, 3]},
        "steps": {"dtype": "I64", "shape": []},
    }


@pytest.mark.parametrize("wrap", [nn.DataParallel, nn.Sequential, lambda m: nn.ModuleDict({"inner": m})])
def test_a_wrapper_lets_own_code_run(wrap):
    class Own(nn.Linear):
        def init_weights(self):
            nn.init.ones_(self.weight)
            nn.init.zeros_(self.bias)

    wrapped = initialize(wrap(Own(3, 2)), 7)
    assert all((p == (p.ndim > 1)).all() for p in wrapped.parameters())


def test_copies_between_named_tensors_happen():
    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def init_weights(self):
            self.a.reset_parameters()
            self.b.load_state_dict(self.a.state_dict())

    module = initialize(Twins(), 7)
    assert torch.equal(module.a.weight, module.b.weight)
    tensors = dict(checkpoint.tensors(record(Twins()), seed=7))
    assert all((module.state_dict()[name].numpy() == array).all() for name, array in tensors.items())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_parameter_that_own_code_replaces_is_filled(device):
    class Replaced(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(3, 2, device=device))

        def init_weights(self):
            self.weight = nn.Parameter(torch.randn(3, 2) * 0.5)

    one, other = initialize(Replaced(), 7), initialize(Replaced(), 7)
    assert torch.equal(one.weight, other.weight)
    tensors = dict(checkpoint.tensors(record(Replaced()), seed=7))
    assert (one.weight.detach().numpy() == tensors["weight"]).all()


def test_a_recording_of_other_shapes_is_refused():
    with pytest.raises(BadInput, match=r"weight has shape \(4, 300\), but in the recording \(4, 3\)"):
        initialize(nn.Linear(300, 4), 3, record(nn.Linear(3, 4)))


def test_after_an_error_the_module_is_on_meta_again():
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(3, 4))
        module.register_buffer("table", torch.arange(4.0))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="table was on the meta device"):
            initialize(module, 7)
        assert all(tensor.is_meta for tensor in module.state_dict().values())


def test_new_tensors_that_code_assigns_count_as_filled():
    class Assigns(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", torch.empty(4))
            self.first = nn.Parameter(torch.empty(3))
            self.second = nn.Parameter(torch.empty(3))

        def init_weights(self):
            self.table = torch.arange(4.0)
            self.first = nn.Parameter(torch.full((3,), 2.0))
            self.second.data = torch.full((3,), 3.0)

    with torch.device("meta"):
        module = Assigns()
    initialize(module, 7)
    assert module.table.tolist() == [0, 1, 2, 3]
    assert module.first.tolist() == [2, 2, 2]
    assert module.second.tolist() == [3, 3, 3]

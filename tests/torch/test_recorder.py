import numpy as np
import pytest
import torch
from torch import nn

from fastinit import checkpoint
from fastinit.torch import CannotRecord, initialize, record


class Model(nn.Module):
    """A module whose parts are given as tensors or functions of the module."""

    def __init__(self, code=None, **tensors):
        super().__init__()
        for name, tensor in tensors.items():
            setattr(self, name, nn.Parameter(tensor()))
        self.code = code

    def init_weights(self):
        with torch.no_grad():
            self.code(self)


def rules(make):
    return {rule.match: (rule.init, *rule.then) for rule in record(make).rules}


def weight_after(code, shape=(6, 4)):
    """Return the init and steps of a weight after some code."""
    return rules(Model(code, weight=lambda: torch.empty(shape)))["weight"]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        (lambda m: m.weight.normal_(0, 0.02), ("normal(std=0.02)",)),
        (lambda m: nn.init.trunc_normal_(m.weight), ("truncated_normal",)),
        (lambda m: nn.init.orthogonal_(m.weight), ("orthogonal",)),
        (lambda m: nn.init.sparse_(m.weight, 0.5), ("sparse(sparsity=0.5)",)),
        (lambda m: nn.init.eye_(m.weight), ("eye",)),
        (lambda m: m.weight.bernoulli_(0.25), ("bernoulli(p=0.25)",)),
        (lambda m: m.weight.zero_(), ("zeros",)),
        (lambda m: m.weight.fill_(2.5), ("constant(value=2.5)",)),
        (lambda m: m.weight.normal_().mul_(0.5).div_(3), ("normal", "* 0.5", "/ 3.0")),
        (lambda m: m.weight.uniform_().sub_(0.5).clamp_(-0.1), ("uniform", "- 0.5", "clamp(-0.1, inf)")),
        (lambda m: m.weight.copy_(torch.randn(6, 4) * 0.3 + 1), ("normal", "* 0.3", "+ 1.0")),
        (lambda m: m.weight.copy_(1 + 0.3 * torch.rand_like(m.weight)), ("uniform", "* 0.3", "+ 1.0")),
        (lambda m: m.weight.copy_(torch.normal(0.0, 0.5, (6, 4))), ("normal(std=0.5)",)),
        (lambda m: (m.weight.normal_(), m.weight[2].zero_()), ("normal", "[2] = zeros")),
        (lambda m: (m.weight.normal_(), m.weight[:, 1:3].mul_(2)), ("normal", "[:, 1:3] * 2.0")),
        (lambda m: (m.weight.zero_(), m.weight.view(3, 2, 4)[:, 1].normal_()), ("zeros", "[1:6:2] = normal")),
        (lambda m: (m.weight[:2].normal_(), m.weight[2:].zero_()),
         ("zeros", "[0:2] = normal", "[2:6] = zeros")),
        (lambda m: (m.weight.uniform_(), m.weight.normal_()), ("normal",)),
        (lambda m: m.weight.normal_().mul_(1.0).add_(0.0), ("normal",)),
        (lambda m: m.weight.uniform_().exp_().neg_(), ("uniform", "exp", "negative")),
        (lambda m: m.weight.normal_(0, torch.tensor([4.0]).sqrt().item()), ("normal(std=2.0)",)),
        (lambda m: m.weight.normal_(0, float(torch.linspace(0, 1, 5).tolist()[3])), ("normal(std=0.75)",)),
        (lambda m: setattr(m, "weight", nn.Parameter(torch.randn(6, 4))), ("normal",)),
    ],
)  # fmt: skip
def test_what_code_does_becomes_a_rule(code, rule):
    assert weight_after(code) == rule


def test_a_table_is_computed_once_and_stored():
    def code(module):
        position = torch.arange(6).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, 4, 2) * (-np.log(1e4) / 4))
        module.weight[:, 0::2] = torch.sin(position * frequency)
        module.weight[:, 1::2] = torch.cos(position * frequency)

    def copied(module):
        table = torch.empty(6, 4)
        code(type("", (), {"weight": table}))
        module.weight.copy_(table)

    recording = record(Model(copied, weight=lambda: torch.empty(6, 4)))
    assert recording.rules[0].init == "data"
    expected = torch.empty(6, 4)
    code(type("", (), {"weight": expected}))
    ((_, table),) = checkpoint.tensors(recording)
    assert (table == expected.numpy()).all()


def test_buffers_have_short_rules_if_they_can():
    class Buffers(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("positions", torch.arange(5).expand(1, -1))
            self.register_buffer("mask", torch.ones(4, 4).tril())
            self.register_buffer("scale", torch.tensor(0.1))
            self.register_buffer("lost", torch.tensor([3, 1, 2]), persistent=False)

    recording = record(Buffers)
    assert {rule.match: rule.init for rule in recording.rules} == {
        "positions": "arange",
        "mask": "tril",
        "scale": "constant(value=0.1)",
        "lost": "data",
    }
    assert [spec.name for spec in recording.specs] == ["positions", "mask", "scale"]


def test_copies_of_a_layer_are_equal_as_in_torch():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    tensors = dict(
        checkpoint.tensors(
            record(lambda: nn.TransformerEncoder(layer.__class__(8, 2, 16, batch_first=True), 2))
        )
    )
    assert (tensors["layers.0.linear1.weight"] == tensors["layers.1.linear1.weight"]).all()


def test_a_copy_of_a_named_tensor_takes_its_stream():
    class Momentum(nn.Module):
        def __init__(self):
            super().__init__()
            self.slow, self.fast = nn.Linear(3, 2), nn.Linear(3, 2)
            self.slow.weight.data.copy_(self.fast.weight.data)

    tensors = dict(checkpoint.tensors(record(Momentum), seed=4))
    assert (tensors["slow.weight"] == tensors["fast.weight"]).all()
    assert not (tensors["slow.bias"] == tensors["fast.bias"]).any()
    module = initialize(Momentum(), 4, record(Momentum))
    assert (module.fast.weight.detach().numpy() == tensors["fast.weight"]).all()


def test_ties_are_listed_once_and_padding_rows_stay():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(9, 4, padding_idx=2), nn.Linear(4, 9)
            self.head.weight = self.embed.weight

    recording = record(Tied)
    assert [spec.name for spec in recording.specs] == ["embed.weight", "head.bias"]
    assert recording.rules[0].then == ("[2] = zeros",)


def test_the_module_itself_is_not_touched():
    module = nn.Linear(3, 2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.get_rng_state()
    record(module)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.empty(1).device.type == "cpu"


def test_narrow_floats():
    tables = {"ones": torch.ones(3), "table": torch.tensor([1.0, 0.25, 256, 0.25])}
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu):

        def build(dtype=dtype):
            module = nn.Module()
            for name, table in tables.items():
                module.register_buffer(name, table.to(dtype))
            return module

        made = dict(checkpoint.tensors(record(build)))
        for name, buffer in build().named_buffers():
            assert (made[name].view(np.uint8) == buffer.view(torch.uint8).numpy()).all()


def test_what_reads_a_shape_does_not_draw():
    drawn = rules(
        lambda: Model(
            weight=lambda: torch.randn(3, 2),
            zeros=lambda: torch.zeros_like(torch.randn(3, 2)),
            ones=lambda: torch.randn(3).new_ones(4),
            table=lambda: torch.arange(6.0) + torch.full_like(torch.randn(6), 2.0),
        )
    )
    assert drawn.pop("table")[0] == "data"
    assert drawn == {"weight": ("normal",), "zeros": ("zeros",), "ones": ("ones",)}


def test_weight_norm_is_a_norm_and_named():
    recording = record(lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 8, 3)))
    note = "parametrizations.weight.original0: a norm of parametrizations.weight.original1"
    assert recording.notes == (f"{note}, in NumPy's arithmetic",)
    tensors = dict(checkpoint.tensors(recording))
    weight = torch.from_numpy(tensors["parametrizations.weight.original1"])
    norms = torch.from_numpy(tensors["parametrizations.weight.original0"])
    torch.testing.assert_close(norms, torch.norm_except_dim(weight, 2, 0))


def numpy_noise():
    return Model(weight=lambda: torch.from_numpy(np.random.standard_normal((3, 2))))  # noqa: NPY002


def code(function, *shape):
    return Model(lambda module: function(module.weight), weight=lambda: torch.empty(shape or (3,)))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (numpy_noise, r"weight: differs from one construction to the next \(numpy.random\?\)"),
        (code(lambda w: w.exponential_()), "weight: .*exponential_"),
        (code(lambda w: w.normal_().cumsum_(0)), "weight: .*cumsum"),
        (code(lambda w: w.normal_().erfinv_()), "weight: .*erfinv_"),
        (code(lambda w: w[:2].normal_()), "weight: .*nothing that fills all"),
        (code(lambda w: None), "weight: "),
        (code(lambda w: torch._foreach_mul_([w.normal_()], 0.5)), "weight: .*_foreach_mul_"),
        (code(lambda w: w.normal_().view(torch.int32).add_(1)), "weight: .*in another dtype"),
        (code(lambda w: w.fill_(torch.rand(3).sum().item())), r"Tensor.item\(\) depends on rand"),
        (code(lambda w: w.normal_().copy_(torch.eye(3) + w), 3, 3), "weight: .*table of values"),
        (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), "_[uv]: "),
        (lambda: nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)), 'meta tensors; device="cpu" records'),
    ],
)
def test_what_no_rule_says_is_an_error_that_names_it(make, error):
    with pytest.raises(CannotRecord, match=error):
        record(make)


def test_other_errors_of_the_code_are_its_own():
    def make():
        raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        record(make)


def test_on_the_cpu_such_a_tensor_is_stored_as_it_was_made():
    def make():
        return Model(weight=lambda: torch.empty(3, 2).exponential_(), other=lambda: torch.randn(2))

    recording = record(make, device="cpu")
    assert [rule.init for rule in recording.rules] == ["data", "normal"]
    assert recording.notes[0].startswith("weight: stored as torch made it (exponential_")


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16])
def test_bits_that_are_written_as_another_dtype(dtype):
    expected = torch.zeros(3)
    expected.view(dtype).fill_(17000)
    ((_, array),) = checkpoint.tensors(record(code(lambda w: w.zero_().view(dtype).fill_(17000))))
    assert (array == expected.numpy()).all()


def test_numpy_may_not_write_to_a_meta_tensor():
    def write(weight):
        weight.zero_().numpy()[...] = 1

    with pytest.raises(ValueError, match="read-only"):
        record(code(write))


def by_item():
    return Model(weight=lambda: torch.full((3,), torch.rand(1).item()))


def by_numpy():
    weight = torch.zeros(3)
    weight.numpy()[...] = np.random.default_rng().random(3)
    return Model(weight=lambda: weight)


def test_on_the_cpu_numbers_that_were_read_show_in_a_second_construction():
    with pytest.raises(CannotRecord, match="weight: differs from one construction to the next"):
        record(by_item, device="cpu")
    assert record(by_numpy, device="cpu").notes[0].startswith("weight: stored as torch made it (numpy")


def test_a_table_that_is_too_large(monkeypatch):
    monkeypatch.setattr("fastinit.torch.recorder.MAX_TABLE", 100)
    with pytest.raises(CannotRecord, match="table of 160 bytes, above 100"):
        record(lambda: Model(weight=lambda: torch.arange(40.0)))
    assert rules(lambda: Model(weight=lambda: torch.zeros(40)))["weight"] == ("zeros",)


def test_a_wrong_device():
    with pytest.raises(ValueError, match="cuda"):
        record(nn.Linear(2, 2), device="cuda")


def test_equal_models_have_equal_recordings():
    assert record(lambda: nn.Linear(3, 2)) == record(nn.Linear(3, 2, device="meta"))
    assert record(lambda: nn.Linear(3, 2)) != record(lambda: nn.Linear(3, 4))


def test_memory_that_nothing_wrote_is_no_table():
    def partly():
        weight = torch.empty(1000)
        weight[:10] = 1
        return Model(weight=lambda: weight)

    for make in (
        lambda: Model(weight=lambda: torch.empty(1000)),
        lambda: Model(weight=lambda: torch.empty(1000) * 2),
        partly,
        code(lambda w: w.mul_(0.5), 1000),
    ):
        with pytest.raises(CannotRecord, match="weight: "):
            record(make)


def with_buffer(function):
    module = Model(lambda m: function(m, m.weight), weight=lambda: torch.empty(3))
    module.register_buffer("buffer", torch.tensor([1.0, 2.0, 3.0]))
    return module


@pytest.mark.parametrize(
    ("function", "weight", "buffer"),
    [
        (lambda m, w: (m.buffer.mul_(2), w.copy_(m.buffer)), [2, 4, 6], [2, 4, 6]),
        (lambda m, w: (w.copy_(m.buffer), m.buffer.zero_()), [1, 2, 3], [0, 0, 0]),
        (lambda m, w: (w.fill_(1).add_(m.buffer), m.buffer.copy_(w)), [2, 3, 4], [2, 3, 4]),
    ],
)
def test_a_real_buffer_has_the_value_that_it_had_then(function, weight, buffer):
    module = with_buffer(function)
    tensors = dict(checkpoint.tensors(record(module)))
    assert tensors["weight"].tolist() == weight
    assert tensors["buffer"].tolist() == buffer
    assert module.buffer.tolist() == [1, 2, 3]
    initialize(module)
    assert (module.weight.tolist(), module.buffer.tolist()) == (weight, buffer)


def parts():
    first, second = torch.randn(8).chunk(2)
    return Model(a=lambda: first.clone(), b=lambda: second.clone())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Model(weight=lambda: torch.randn(1, 3).expand(4, 3).clone()),
        lambda: Model(weight=lambda: torch.randn(1, 3) * torch.ones(4, 1)),
        code(lambda w: w.copy_(torch.randn(3)), 4, 3),
        code(lambda w: (w.normal_(), w[1:].copy_(w[:1])), 4, 3),
        code(lambda w: [w[n : n + 2].copy_(x) for x in [torch.randn(2, 4)] for n in (0, 2)], 4, 4),
        code(lambda w: w.copy_(w.normal_().T.clone()), 3, 3),
        parts,
    ],
)
def test_draws_that_several_elements_share_are_refused(make):
    with pytest.raises(CannotRecord):
        record(make)


def test_a_factor_of_a_draw_is_not_one_of_a_constant():
    with pytest.raises(CannotRecord):
        record(code(lambda w: w.copy_(torch.add(torch.ones(3), torch.randn(3), alpha=3))))


def test_attributes_and_classes_of_parameters_are_kept():
    class Marked(nn.Parameter):
        pass

    class Model2(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = Marked(torch.empty(3)), nn.Parameter(torch.empty(3))
            self.bias.kept = True

        def init_weights(self):
            nn.init.constant_(self.weight, 2.0 if isinstance(self.weight, Marked) else 3.0)
            nn.init.constant_(self.bias, 4.0 if hasattr(self.bias, "kept") else 5.0)

    assert rules(Model2()) == {"weight": ("constant(value=2.0)",), "bias": ("constant(value=4.0)",)}
    assert initialize(Model2()).weight.tolist() == [2, 2, 2]


def test_large_integers_and_complex_numbers_are_kept():
    class Numbers(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("large", torch.full((3,), 2**60 + 1))
            self.register_buffer("complex", torch.full((3,), 1 + 2j))

    tensors = dict(checkpoint.tensors(record(Numbers)))
    assert tensors["large"].tolist() == [2**60 + 1] * 3
    assert tensors["complex"].tolist() == [1 + 2j] * 3


def test_a_long_history_is_replayed():
    def rows():
        table = torch.zeros(1500, 2)
        for row in range(1500):
            table[row] = row
        return Model(weight=lambda: table)

    ((_, table),) = checkpoint.tensors(record(rows))
    assert (table[:, 0] == np.arange(1500)).all()


def test_numpys_draws_in_a_modules_own_code():
    module = code(lambda w: w.copy_(torch.from_numpy(np.random.standard_normal(3))))  # noqa: NPY002
    with pytest.raises(CannotRecord, match="differs from one construction to the next"):
        record(module)


def test_a_parameter_without_elements_needs_no_code():
    assert rules(Model(lambda m: None, weight=lambda: torch.empty(0, 4))) == {"weight": ("zeros",)}

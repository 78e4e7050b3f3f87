import functools
import math
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from fastinit import checkpoint, init
from fastinit.random import PCG64, Generator
from fastinit.torch import by_name, manifest, record

BOUND = 5**-0.5

trunc_normal_002 = functools.partial(nn.init.trunc_normal_, std=0.02)


def linear():
    return nn.Linear(5, 4)


def wanted(spec, name="weight", shape=(4, 5), seed=7, dtype="float32"):
    """Return what an initialiser makes of a name."""
    rng = Generator(PCG64(seed)).fold_in(name)
    return torch.from_numpy(init.get(spec)(shape, rng=rng, dtype=dtype))


def filled(code, module=None):
    """Return the weight of a module after some code of its own."""
    module = linear() if module is None else module
    with by_name(module, 7), torch.no_grad():
        code(module)
    return module.weight.detach()


def test_reset_parameters_by_name():
    module = linear()
    with by_name(module, 7):
        module.reset_parameters()
    uniform = f"uniform(low={-BOUND!r}, high={BOUND!r})"
    assert torch.equal(module.weight, wanted(uniform))
    assert torch.equal(module.bias, wanted(uniform, "bias", (4,)))


@pytest.mark.parametrize(
    ("code", "spec"),
    [
        (lambda m: m.weight.normal_(), "normal"),
        (lambda m: m.weight.data.normal_(1, 2), "normal(mean=1, std=2)"),
        (lambda m: m.weight.uniform_(-1, 3), "uniform(low=-1, high=3)"),
        (lambda m: m.weight.bernoulli_(0.3), "bernoulli(p=0.3)"),
        (lambda m: m.weight.bernoulli_(), "bernoulli"),
        (lambda m: nn.init.xavier_normal_(m.weight, gain=2), "xavier_normal(gain=2)"),
        (lambda m: nn.init.kaiming_normal_(m.weight, mode="fan_out"), "kaiming_normal(mode=fan_out)"),
        (lambda m: nn.init.orthogonal_(m.weight, 2), "orthogonal(gain=2)"),
        (lambda m: nn.init.sparse_(m.weight, 0.3), "sparse(sparsity=0.3)"),
        (lambda m: nn.init.eye_(m.weight), "eye"),
        (lambda m: trunc_normal_002(m.weight), "truncated_normal(std=0.02, low=-100, high=100)"),
        (lambda m: m.weight.copy_(torch.randn(4, 5)), "normal"),
        (lambda m: setattr(m.weight, "data", torch.randn(4, 5)), "normal"),
        (lambda m: setattr(m, "weight", nn.Parameter(torch.rand(4, 5))), "uniform"),
    ],
)  # fmt: skip
def test_each_law_of_torch_is_ours(code, spec):
    assert torch.equal(filled(code), wanted(spec))


def test_a_truncated_normal_that_is_seen_as_operations_alone():
    def trunc_normal_(weight, mean, std, a, b):
        cdf = [0.5 + 0.5 * math.erf((bound - mean) / std / math.sqrt(2)) for bound in (a, b)]
        weight.uniform_(2 * cdf[0] - 1, 2 * cdf[1] - 1).erfinv_().mul_(std * math.sqrt(2.0)).add_(mean)
        weight.clamp_(min=a, max=b)

    for mean, std, a, b in ((0.0, 0.02, -0.04, 0.04), (0.5, 0.0137, 0.49, 0.6), (0.0, 1.0, -2.0, 2.0)):
        direct = filled(lambda m: nn.init.trunc_normal_(m.weight, mean, std, a, b))  # noqa: B023
        assert torch.equal(filled(lambda m: trunc_normal_(m.weight, mean, std, a, b)), direct)  # noqa: B023
    scaled = filled(lambda m: trunc_normal_(m.weight, 0.0, 1.0, -2.0, 2.0) or m.weight.mul_(0.3).add_(1.0))
    assert torch.equal(scaled, wanted("truncated_normal").mul(0.3).add(1.0))


def test_another_chain_stays_torchs_operations():
    weight = filled(lambda m: m.weight.uniform_(-0.5, 0.5).erfinv_().mul_(3.0).add_(0.0).clamp_(-1, 1))
    expected = wanted("uniform(low=-0.5, high=0.5)").erfinv_().mul_(3.0).add_(0.0).clamp_(-1, 1)
    assert torch.equal(weight, expected)


@pytest.mark.parametrize(
    "part",
    [
        lambda w: w[1:3],
        lambda w: w[2],
        lambda w: w.T,
        lambda w: w.T[1:4],
        lambda w: w[:, 1:3],
        lambda w: w.view(-1)[3:17],
        lambda w: w[::2, ::3],
    ],
)
def test_a_view_gets_the_values_of_its_place(part):
    weight = filled(lambda m: (m.weight.fill_(9.0), part(m.weight).normal_(std=2)))
    expected = torch.full((4, 5), 9.0)
    part(expected).copy_(part(wanted("normal(std=2)")))
    assert torch.equal(weight, expected)


def test_a_view_has_the_fans_of_its_own_shape():
    module = nn.Linear(6, 12)
    weight = filled(lambda m: nn.init.xavier_uniform_(m.weight[:4]), module)
    bound = math.sqrt(6 / 10)
    expected = wanted(f"uniform(low={-bound!r}, high={bound!r})", shape=(12, 6))
    assert torch.equal(weight[:4], expected[:4])


def test_orthogonal_on_a_view():
    weight = filled(lambda m: nn.init.orthogonal_(m.weight[1:3]))
    torch.testing.assert_close(weight[1:3] @ weight[1:3].T, torch.eye(2))


def test_what_the_code_does_afterwards_happens():
    weight = filled(lambda m: (m.weight.normal_(), m.weight.mul_(0.1), m.weight[0].zero_()))
    expected = wanted("normal").mul(0.1)
    expected[0] = 0
    assert torch.equal(weight, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype):
    module = nn.Linear(5, 4, dtype=dtype)
    weight = filled(lambda m: m.weight.normal_(), module)
    name = str(dtype).removeprefix("torch.")
    if dtype == torch.bfloat16:
        rng = Generator(PCG64(7)).fold_in("weight")
        expected = torch.from_numpy(init.get("normal")((4, 5), rng=rng, dtype=name).view(np.int16)).view(
            dtype
        )
    else:
        expected = wanted("normal", dtype=name)
    assert torch.equal(weight, expected)


def test_strides_and_ties_and_buffers():
    module = nn.Module()
    module.first = nn.Parameter(torch.empty(5, 4).T)
    module.second = module.first
    module.register_buffer("table", torch.empty(4))
    with by_name(module, 7), torch.no_grad():
        module.second.normal_()
        module.table.normal_()
    assert torch.equal(module.first, wanted("normal", "first"))
    assert torch.equal(module.table, wanted("normal", "table", (4,)))


def test_the_order_and_repeats_do_not_matter():
    one, other = nn.Sequential(linear(), linear()), nn.Sequential(linear(), linear())
    with by_name(one, 7):
        one[0].reset_parameters()
        one[1].reset_parameters()
    with by_name(other, 7):
        for layer in (other[1], other[0], other[0]):
            layer.reset_parameters()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one[0].weight, one[1].weight)


def test_marks_of_transformers_do_not_keep_its_code_from_running():
    class Marked(nn.Linear):
        _is_hf_initialized = False

        def initialize_weights(self):
            if not self._is_hf_initialized:
                nn.init.normal_(self.weight)
                self._is_hf_initialized = True

    marked = Marked(5, 4)
    marked.initialize_weights()
    assert torch.equal(filled(Marked.initialize_weights, marked), wanted("normal"))


def test_names_lose_what_wrappers_add():
    module = nn.Sequential(linear())
    compiled = torch.compile(module, backend="eager")
    with by_name(compiled, 7):
        module[0].reset_parameters()
    assert torch.equal(module[0].weight, wanted(f"uniform(low={-BOUND!r}, high={BOUND!r})", "0.weight"))
    parallel = nn.DataParallel(linear())
    with by_name(parallel, 7):
        parallel.module.reset_parameters()
    assert torch.equal(parallel.module.weight, wanted(f"uniform(low={-BOUND!r}, high={BOUND!r})"))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda m: torch.compile(nn.DataParallel(m), backend="eager"),
        lambda m: nn.DataParallel(torch.compile(m, backend="eager")),
        lambda m: torch.compile(nn.DataParallel(torch.compile(m, backend="eager")), backend="eager"),
    ],
)
def test_names_lose_wrappers_around_the_root_however_they_nest(wrap):
    module = nn.Sequential(linear(), nn.ModuleDict({"module": linear()}))
    assert list(manifest(wrap(module))) == list(manifest(module))
    assert "1.module.weight" in manifest(module)


def test_a_draw_without_a_name_is_torchs_and_named():
    module = linear()
    torch.manual_seed(3)
    expected = torch.randn(6)
    torch.manual_seed(3)
    noise = []

    def draw():
        with by_name(module, 7):
            noise.append(torch.randn(6))
            torch.empty(3).uniform_()

    with pytest.warns(UserWarning, match=r"2 draws into tensors without a name \(randn, uniform_\)"):
        draw()
    assert torch.equal(noise[0], expected)


def test_other_threads_and_later_calls_are_torchs():
    module, other = linear(), linear()
    seen = []

    def elsewhere():
        torch.manual_seed(3)
        nn.init.trunc_normal_(module.weight)
        seen.append(module.weight.detach().clone())

    torch.manual_seed(3)
    nn.init.trunc_normal_(other.weight)
    with by_name(module, 7):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert torch.equal(seen[0], other.weight)
    torch.manual_seed(3)
    nn.init.trunc_normal_(module.weight)
    assert torch.equal(module.weight, other.weight)
    assert nn.init.orthogonal_.__defaults__ == (1, None)


def test_names_are_back_after_an_error():
    module = linear()
    code = nn.init.trunc_normal_.__code__
    with pytest.raises(RuntimeError, match="mine"), by_name(module, 7):
        raise RuntimeError("mine")
    assert nn.init.trunc_normal_.__code__ is code


def test_nested_contexts():
    one, other = linear(), linear()
    with by_name(one, 7), by_name(other, 8):
        nn.init.normal_(other.weight)
    with by_name(other, 7):
        nn.init.normal_(other.weight)
    assert torch.equal(other.weight, wanted("normal"))


@pytest.mark.parametrize("law", ["trunc_normal_", "orthogonal_", "eye_", "normal_"])
def test_the_outer_context_sees_what_the_inner_has_no_name_for(law):
    outer, inner = linear(), linear()
    code = getattr(nn.init, law)

    def both():
        code(outer.weight)
        outer.bias.data.copy_(torch.randn(4))
        code(inner.weight)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with by_name(outer, 7), by_name(inner, 8):
            both()
    expected = linear(), linear()
    for each, seed in zip(expected, (7, 8), strict=True):
        with by_name(each, seed):
            code(each.weight)
    assert torch.equal(outer.weight, expected[0].weight)
    assert torch.equal(inner.weight, expected[1].weight)


def inverse_softplus(weight):
    weight.uniform_(0.001, 0.1)
    weight.copy_(weight + torch.log(-torch.expm1(-weight)))


@pytest.mark.parametrize(
    "code",
    [
        lambda w: w.uniform_(1, 16).log_(),
        lambda w: w.normal_().exp_().mul_(0.5),
        lambda w: w.copy_(w.uniform_().sqrt()),
        lambda w: (w.uniform_(1, 16), w[:20].log_()),
        lambda w: (w.uniform_(1, 16), w.t().log1p_(), w[3].zero_(), w.expm1_()),
        lambda w: w.copy_(torch.log(w.uniform_(1, 16))),
        inverse_softplus,
    ],
)
def test_functions_of_draws_have_the_bits_of_the_recording(code):
    class Module(nn.Linear):
        def init_weights(self):
            with torch.no_grad():
                code(self.weight)
                self.bias.zero_()

    module = Module(100, 40)
    tensors = dict(checkpoint.tensors(record(module), seed=7))
    with by_name(module, 7):
        module.init_weights()
    assert module.weight.detach().numpy().tobytes() == tensors["weight"].tobytes()


def test_autograd_sees_the_write():
    module = linear()
    version = module.weight._version
    with by_name(module, 7):
        module.reset_parameters()
    assert module.weight._version > version
    assert module.weight.requires_grad


@pytest.mark.parametrize(
    ("module", "error"),
    [
        (lambda: nn.LazyLinear(3), "weight is lazy"),
        (lambda: nn.Linear(3, 4, dtype=torch.complex64), "weight has dtype torch.complex64"),
    ],
)
def test_parameters_that_cannot_be_filled(module, error):
    with pytest.raises(TypeError, match=error):
        by_name(module(), 7)


def test_a_bad_seed():
    for seed in (-1, 1.5, "x"):
        with pytest.raises(ValueError, match="seed"):
            by_name(linear(), seed)

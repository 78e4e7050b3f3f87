"""Values, layouts, dtypes and operations in place, against torch's functions and those of NumPy's arrays."""

import inspect
import sys

import pytest
import torch
import torch.nn.functional as T
from calls import CALLS, DTYPES, ELEMENTWISE, as_leaves, error_of
from torch._subclasses import FakeTensorMode

from fastinit.torch.nn import functional as F

every_call = pytest.mark.parametrize("call", CALLS, ids=str)
every_elementwise = pytest.mark.parametrize("call", ELEMENTWISE, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)

LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
    "permuted": lambda x: x.permute(2, 0, 3, 1).contiguous().permute(1, 3, 0, 2),
    "every other": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "rows of more": lambda x: torch.nn.functional.pad(x, (2, 3))[..., 2:-3],
    "expanded": lambda x: x[:1].expand(x.shape),
    "one number": lambda x: x[:1, :1, :1, :1].expand(x.shape),
}
SPECIAL = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 1e-42, -1e-42, 100.0, -100.0])


@every_call
@every_dtype
def test_values_are_those_of_numpys_arrays_and_near_torchs(call, dtype):
    for shape in [(5, 7), (2, 3, 4, 1030), (3, 1), (70_001,)]:
        operands = call.operands(shape, dtype)
        found = call.ours(*operands)
        assert found.dtype == dtype
        assert torch.equal(found, call.numpys(*operands, out=torch.empty_like(operands[0])))
        exact = call.theirs(*(x.double() for x in operands))
        epsilon = torch.finfo(dtype).eps
        rounding = 0.51 * epsilon if dtype.itemsize == 2 else 3 * epsilon
        assert ((found.double() - exact).abs() <= rounding * exact.abs() + torch.finfo(dtype).tiny).all()


@every_call
@every_dtype
def test_gradients_are_near_torchs(call, dtype):
    operands = call.operands((30, 41), dtype)
    grad = call.operands((30, 41), dtype, seed=2)[0]
    ours, theirs = as_leaves(operands), as_leaves(x.double() for x in operands)
    call.ours(*ours).backward(grad)
    call.theirs(*theirs).backward(grad.double())
    epsilon = torch.finfo(dtype).eps
    for i, (found, exact) in enumerate(zip(ours, theirs, strict=True)):
        assert found.grad.dtype == dtype
        atol = 4 * epsilon * float(grad.abs().max()) * (30 if i else 1)
        torch.testing.assert_close(found.grad.double(), exact.grad, rtol=4 * epsilon, atol=atol)


@every_call
def test_special_values_are_torchs(call):
    """But for NaN's gradient by SELU, which in torch is that of a positive number."""
    x = SPECIAL.clone().requires_grad_()
    rest = [torch.zeros_like(SPECIAL)] if call.bias else []
    found, expected = call.ours(x, *rest), call.theirs(x, *rest)
    torch.testing.assert_close(found, expected, rtol=3e-7, atol=1e-50, equal_nan=True)
    assert torch.equal(found.signbit()[1:], expected.signbit()[1:])
    (ours,), (theirs,) = (torch.autograd.grad(y.sum(), x) for y in (found, expected))
    torch.testing.assert_close(ours[1:], theirs[1:], rtol=3e-7, atol=1e-40)
    assert ours[0].isnan() if "selu" in call.name else ours[0] == theirs[0]


@every_call
@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_its_values_and_torchs_strides(call, dtype, layout):
    x, *bias = call.operands((3, 6, 5, 4), dtype)
    x = LAYOUTS[layout](x)
    found, expected = call.ours(x, *bias), call.theirs(x, *bias)
    assert torch.equal(found, call.ours(x.contiguous(), *bias))
    assert found.stride() == expected.stride()
    grad = call.operands((3, 6, 5, 4), dtype, seed=2)[0]
    for each in (grad, LAYOUTS[layout](grad)):
        grads = [gradients(call.ours, each, given, *bias) for given in (x, x.contiguous())]
        assert all(map(torch.equal, *grads))
        assert grads[0][0].stride() == found.stride()


def gradients(function, grad, *operands):
    leaves = [x.detach().requires_grad_() for x in operands]
    return torch.autograd.grad(function(*leaves), leaves, grad)


@every_call
def test_every_bias_has_its_stride(call):
    if call.bias:
        x, bias = call.operands((3, 6))
        for each in (bias.repeat_interleave(3)[::3], bias[:1].expand(6)):
            assert torch.equal(call.ours(x, each), call.ours(x, each.contiguous()))


@every_call
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)], ids=str)
def test_empty_tensors(call, shape):
    leaves = as_leaves(call.operands(shape))
    found = call.ours(*leaves)
    assert found.shape == shape
    found.sum().backward()
    assert [each.grad.tolist() for each in leaves[1:]] == [[0.0] * shape[-1] for _ in leaves[1:]]


@every_elementwise
@every_dtype
def test_numbers_without_axes(call, dtype):
    x = torch.tensor(-2.0, dtype=dtype, requires_grad=True)
    found = call.ours(x)
    found.backward()
    assert found.shape == x.grad.shape == ()
    torch.testing.assert_close(found, call.theirs(x))


@every_call
def test_gradients_are_recorded_only_if_wanted(call):
    leaves = as_leaves(call.operands((3, 4)))
    assert not call.ours(*(x.detach() for x in leaves)).requires_grad
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            found = call.ours(*leaves)
        assert not found.requires_grad
        assert torch.equal(found, call.ours(*leaves))
    for i in range(len(leaves)):  # of one operand alone
        some = [x if i == j else x.detach() for j, x in enumerate(leaves)]
        (found,) = torch.autograd.grad(call.ours(*some).sum(), some[i])
        assert torch.equal(found, torch.autograd.grad(call.ours(*leaves).sum(), leaves)[i])


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64, torch.float8_e5m2], ids=str
)
@every_elementwise
def test_other_dtypes_have_torchs_errors(call, dtype):
    x = torch.zeros(3, dtype=dtype)
    assert error_of(call.ours, x) == error_of(call.theirs, x)


def test_what_does_not_fit_is_refused():
    x = torch.zeros(2, 3)
    for bias in (torch.zeros(2), torch.zeros(1), torch.zeros(()), torch.zeros(1, 3)):
        for each in (F.bias_selu, F.bias_leaky_relu):
            with pytest.raises(ValueError, match="does not fit"):
                each(x, bias)
    with pytest.raises(ValueError, match="does not fit"):
        F.bias_selu(torch.zeros(()), torch.zeros(1))
    with pytest.raises(TypeError, match="float32 and float64"):
        F.bias_selu(x, torch.zeros(3, dtype=torch.float64))
    for each in (F.leaky_relu, lambda x, slope: F.bias_leaky_relu(x, torch.zeros(3), slope)):
        with pytest.raises(OverflowError, match="float32"):
            each(x, 1e300)
    assert F.leaky_relu(x.double() - 1, 1e300)[0, 0] == -1e300


@every_call
def test_other_devices_and_layouts_are_torchs(call):
    operands = [x.to("meta") for x in call.operands((3, 4))]
    found = call.ours(*operands)
    assert (found.device.type, found.shape) == ("meta", (3, 4))
    if not call.bias:
        sparse = torch.eye(3).to_sparse()
        assert error_of(call.ours, sparse) == error_of(call.theirs, sparse)


@pytest.fixture
def mesh():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


def test_dtensors_are_torchs(mesh):
    from torch.distributed.tensor import Shard, distribute_tensor

    for call in CALLS:
        placed = [distribute_tensor(x, mesh, [Shard(0)]) for x in call.operands((3, 4))]
        found, expected = call.ours(*placed), call.theirs(*placed)
        assert found.placements == expected.placements
        assert torch.equal(found.to_local(), expected.to_local())


@every_call
@pytest.mark.parametrize("layout", LAYOUTS)
def test_fake_tensors_have_the_real_ones_form(call, layout):
    x, *bias = call.operands((3, 6, 5, 4), torch.bfloat16)
    real = [LAYOUTS[layout](x), *bias]
    found = call.ours(*real)
    with FakeTensorMode() as mode:
        fake = call.ours(*(mode.from_tensor(each) for each in real))
    assert type(fake) is not torch.Tensor
    assert (fake.shape, fake.stride(), fake.dtype, fake.device) == (
        *(found.shape, found.stride(), found.dtype, found.device),
    )


@every_call
def test_bfloat16_needs_no_ml_dtypes(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    leaves = as_leaves(call.operands((3, 4), torch.bfloat16))
    call.ours(*leaves).sum().backward()
    assert all(x.grad.dtype == torch.bfloat16 for x in leaves)


def test_autocast_casts_the_bias_as_that_of_linear():
    layer, bias = torch.nn.Linear(5, 4, bias=False), torch.nn.Parameter(torch.ones(4))
    with torch.autocast("cpu", torch.bfloat16):
        for each in (F.bias_selu, F.bias_leaky_relu):
            found = each(layer(torch.ones(2, 5)), bias)
            assert found.dtype == torch.bfloat16
            found.float().sum().backward()
        x = layer(torch.ones(2, 5))
        assert F.selu(x).dtype == T.selu(x).dtype
    assert bias.grad.dtype == torch.float32
    assert layer.weight.grad.abs().min() > 0


@every_elementwise
class TestInPlace:
    def test_the_result_is_the_input(self, call):
        (x,) = call.operands((3, 4))
        expected, version = call.ours(x), x._version
        assert call.ours(x, inplace=True) is x
        assert torch.equal(x, expected)
        assert x._version > version
        with torch.inference_mode():
            (x,) = call.operands((3, 4))
            assert torch.equal(call.ours(x, inplace=True), expected)

    def test_gradients_are_torchs(self, call):
        (x,) = call.operands((3, 4))
        if "-" in call.name:  # the sign of the output isn't that of the input
            y = call.ours(2 * as_leaves([x])[0], inplace=True)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                y.sum().backward()
            return
        for take in (lambda x: 2 * x, lambda x: (2 * x)[1:], lambda x: (2 * x).view(-1)[::2]):
            ours, theirs = as_leaves([x, x])
            for function, leaf in ((call.ours, ours), (call.theirs, theirs)):
                function(take(leaf), inplace=True).pow(2).sum().backward()
            torch.testing.assert_close(ours.grad, theirs.grad)

    def test_a_view_changes_its_base(self, call):
        (x,) = call.operands((3, 4))
        ours, theirs = as_leaves([x, x])
        for function, leaf in ((call.ours, ours), (call.theirs, theirs)):
            base = 3 * leaf
            function(base[1:], inplace=True)
            if "-" in call.name:
                return
            base.pow(2).sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad)

    def test_what_another_gradient_needs_is_not_changed_unseen(self, call):
        x = torch.ones(3, requires_grad=True) * 2
        y = x * x
        call.ours(x, inplace=True)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()

    def test_leaves_and_shared_elements_are_refused_as_by_torch(self, call):
        leaf = torch.ones(3, requires_grad=True)
        assert (
            error_of(lambda: call.ours(leaf, inplace=True))[1][:40]
            == (error_of(lambda: call.theirs(leaf, inplace=True))[1][:40])
        )
        with pytest.raises(RuntimeError, match="single memory location"):
            call.ours(torch.ones(1).expand(3), inplace=True)


@pytest.mark.parametrize("name", ["leaky_relu", "selu"])
def test_signatures_are_torchs(name):
    ours, theirs = (inspect.signature(getattr(each, name), eval_str=True) for each in (F, T))
    assert ours == theirs


@every_call
def test_no_generator_moves(call):
    before = torch.get_rng_state()
    leaves = as_leaves(call.operands((3, 4)))
    call.ours(*leaves).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


@every_call
def test_subclasses_and_modes_of_torch_functions_are_heard(call):
    class Tagged(torch.Tensor):
        pass

    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            names.append(getattr(function, "__name__", ""))
            return function(*args, **(kwargs or {}))

    x, *bias = call.operands((3, 4))
    tagged = call.ours(x.as_subclass(Tagged), *bias)
    assert type(tagged) is Tagged
    assert torch.equal(tagged.as_subclass(torch.Tensor), call.ours(x, *bias))
    names = []
    with Seen():
        call.ours(x, *bias)
    assert call.name.split()[0] in names


def test_a_function_is_one_node_of_a_symbolic_trace():
    class Both(torch.nn.Module):
        def forward(self, x, bias):
            return F.selu(F.bias_leaky_relu(x, bias, 0.5))

    graph = torch.fx.symbolic_trace(Both())
    assert [node.target for node in graph.graph.nodes if node.op == "call_function"] == [
        F.bias_leaky_relu,
        F.selu,
    ]
    x, bias = torch.randn(2, 3, generator=torch.Generator().manual_seed(1)), torch.ones(3)
    assert torch.equal(graph(x, bias), Both()(x, bias))

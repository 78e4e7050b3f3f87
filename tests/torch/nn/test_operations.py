"""Derivatives, fake kernels and transforms of the operations, against torch's checks and functions."""

from itertools import product

import pytest
import torch
from calls import CALLS, ELEMENTWISE, as_leaves
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from fastinit.torch.nn import functional as F
from fastinit.torch.nn.operations import OPERATIONS

every_call = pytest.mark.parametrize("call", CALLS, ids=str)


def arguments(name, shape=(3, 4), dtype=torch.float32, requires_grad=False):
    """Return operands for an operation, as its schema says."""
    schema, generator = OPERATIONS[name].schema.partition(" -> ")[0], torch.Generator().manual_seed(3)
    shapes = [shape[-1:] if "bias" in each else shape for each in schema.split(",") if "Tensor" in each]
    made = [torch.randn(each, generator=generator).to(dtype).requires_grad_(requires_grad) for each in shapes]
    return [*made, *[0.3] * ("float" in schema)]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (2, 0, 3), (2, 3, 1, 5)], ids=str)
def test_torch_finds_every_operation_in_order(name, dtype, shape):
    operation = getattr(torch.ops.fastinit, name)
    for requires_grad in (False, True):
        torch.library.opcheck(operation, arguments(name, shape, dtype, requires_grad))
    x, *rest = arguments(name, shape, dtype)
    torch.library.opcheck(operation, [x.transpose(0, 1).contiguous().transpose(0, 1), *rest])


@every_call
def test_first_and_second_derivatives_are_those_of_differences(call):
    leaves = as_leaves(call.operands((4, 5)))
    assert gradcheck(call.ours, leaves)
    assert gradgradcheck(call.ours, leaves)
    for i in range(len(leaves)):
        some = [x if i == j else x.detach() for j, x in enumerate(leaves)]
        assert gradgradcheck(call.ours, some)


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_are_functions_that_have_derivatives(name):
    """Of gradients, too: torch's differences see each operation as a function of all its operands."""
    tensors = [x for x in arguments(name, dtype=torch.float64) if isinstance(x, torch.Tensor)]
    slope = arguments(name)[len(tensors) :]

    def function(*operands):
        return getattr(torch.ops.fastinit, name)(*operands, *slope)

    assert gradcheck(function, as_leaves(tensors))
    assert gradgradcheck(function, as_leaves(tensors))


@every_call
def test_third_derivatives_are_torchs(call):
    operands = call.operands((2, 3))

    def third(function):
        found = as_leaves(operands)
        last = function(*found).sin().sum()
        for _ in range(3):
            last = torch.autograd.grad(last, found, create_graph=True)
            last = sum(x.sin().sum() for x in last)
        return torch.autograd.grad(last, found)

    for found, expected in zip(third(call.ours), third(call.theirs), strict=True):
        torch.testing.assert_close(found, expected)


@every_call
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own, at its first tangent
def test_a_derivative_in_forward_mode_is_an_error(call):
    operands = call.operands((3, 4))
    tangents = tuple(map(torch.ones_like, operands))

    def total(*operands):
        return call.ours(*operands).sum()

    def dual():
        with forward_ad.dual_level():
            call.ours(*map(forward_ad.make_dual, operands, tangents))

    for refused in (
        lambda: torch.func.jvp(call.ours, tuple(operands), tangents),
        lambda: torch.func.jvp(torch.func.grad(total), tuple(operands), tangents),
        lambda: torch.func.jvp(
            torch.vmap(call.ours, (1, None)[: len(operands)]), *jvp_of_batch(call, operands)
        ),
        lambda: torch.func.jacfwd(call.ours)(*operands),
        lambda: torch.func.hessian(total)(*operands),
        dual,
    ):
        with pytest.raises(NotImplementedError, match="derivative in forward mode"):
            refused()
    with forward_ad.dual_level():  # no operand has a tangent
        assert torch.equal(call.ours(*operands), call.ours(*operands))
    by_reverse = torch.autograd.functional.jvp  # twice, in fact
    found, expected = (by_reverse(f, tuple(operands), tangents)[1] for f in (call.ours, call.theirs))
    torch.testing.assert_close(found, expected)


def jvp_of_batch(call, operands):
    x, *bias = operands
    batch = (torch.stack([x, x], 1), *bias)
    return batch, tuple(map(torch.ones_like, batch))


@every_call
def test_transforms_of_reverse_mode_are_torchs(call):
    operands = call.operands((3, 4))

    def of(function, transform):
        return transform(lambda *operands: function(*operands).sin().sum())(*operands)

    for transform in (
        torch.func.grad,
        torch.func.grad_and_value,
        torch.func.jacrev,
        lambda f: torch.func.jacrev(torch.func.jacrev(f)),
        lambda f: torch.func.jacrev(torch.func.grad(f), argnums=0),
        lambda f: lambda x, *rest: torch.vmap(torch.func.grad(f), (0, *[None] * len(rest)))(x, *rest),
        lambda f: (
            lambda x, *rest: torch.vmap(torch.func.jacrev(torch.func.grad(f)), (1, *[0] * len(rest)))(
                x, *[torch.stack([each] * 4)[:, :3] for each in rest]
            )
        ),
    ):
        torch.testing.assert_close(of(call.ours, transform), of(call.theirs, transform))


@every_call
def test_a_transform_leaves_the_gradient_outside_it(call):
    """The derivative of a functional gradient by what autograd records around it."""
    found = {}
    for function in (call.ours, call.theirs):
        leaves = as_leaves(call.operands((3, 4)))
        slopes = torch.func.grad(lambda *x, f=function: f(*x).sin().sum())(*leaves)
        found[function] = torch.autograd.grad(slopes.pow(2).sum(), leaves)
    for pair in zip(*found.values(), strict=True):
        torch.testing.assert_close(*pair)


@every_call
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)], ids=str)
def test_vmap_over_every_axis_gives_the_bits_of_a_loop(call, shape):
    n = 4
    x, *bias = call.operands(shape, torch.bfloat16)
    xs = torch.stack([x * (i - 1.5) for i in range(n)])
    biases = [torch.stack([each * (i + 1) for i in range(n)]) for each in bias]
    axes = [*range(len(shape) + 1), None], *[[0, 1, None]] * len(bias)
    for in_dims in product(*axes):
        if all(dim is None for dim in in_dims):
            continue
        given = [
            whole[0] if dim is None else whole.movedim(0, dim)
            for whole, dim in zip([xs, *biases], in_dims, strict=True)
        ]
        each = [
            [whole[0 if dim is None else i] for whole, dim in zip([xs, *biases], in_dims, strict=True)]
            for i in range(n)
        ]
        expected = torch.stack([call.ours(*operands) for operands in each])
        assert torch.equal(torch.vmap(call.ours, in_dims)(*given), expected)
        assert torch.equal(torch.vmap(call.ours, in_dims, out_dims=-1)(*given), expected.movedim(0, -1))


@every_call
def test_vmap_of_vmap_and_of_gradients(call):
    x, *bias = call.operands((2, 3, 5))
    given = [x, *(torch.stack([each, -each, 2 * each]) for each in bias)]
    in_dims = [(0, *[None] * len(bias)), (0,) * len(given)]
    nested = [torch.vmap(torch.vmap(f, in_dims[1]), in_dims[0])(*given) for f in (call.ours, call.theirs)]
    torch.testing.assert_close(*nested)

    def gradients(function):
        leaves = as_leaves(given)
        out = torch.vmap(function, in_dims=(1, *[0] * len(bias)))(*leaves)
        return torch.autograd.grad(out.sin().sum(), leaves)

    for pair in zip(gradients(call.ours), gradients(call.theirs), strict=True):
        torch.testing.assert_close(*pair)
    (batch,) = torch.autograd.grad(
        call.ours(*(leaves := as_leaves(call.operands((3, 5))))),
        leaves[0],
        torch.eye(15, dtype=torch.float64).reshape(15, 3, 5),
        is_grads_batched=True,
    )
    assert batch.shape == (15, 3, 5)


@every_call
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_in_one_graph(call, dynamic):
    torch._dynamo.reset()

    def step(*operands):
        return call.ours(*operands).mul(2)

    compiled = torch.compile(step, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for shape in [(3, 4), (5, 4), (6, 7)]:
        ours, theirs = as_leaves(call.operands(shape)), as_leaves(call.operands(shape))
        found, expected = compiled(*ours), step(*theirs)
        assert torch.equal(found, expected)
        found.sin().sum().backward()
        expected.sin().sum().backward()
        assert all(torch.equal(a.grad, b.grad) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("call", ELEMENTWISE, ids=str)
def test_compiled_in_place(call):
    if "-" in call.name:
        return  # its gradient needs the input
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: call.ours(2 * x, inplace=True), fullgraph=True, backend="aot_eager")
    ours, theirs = as_leaves(call.operands((3, 4)) * 2)
    found, expected = compiled(ours), call.ours(2 * theirs)
    assert torch.equal(found, expected)
    found.sin().sum().backward()
    expected.sin().sum().backward()
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated")  # torch's own
def test_inductor_compiles_functions_and_their_gradients():
    torch._dynamo.reset()

    def function(x, bias):
        return F.leaky_relu(F.bias_selu(x, bias) - 0.1, 0.2).sum()

    leaves = as_leaves([torch.linspace(-2, 2, 12).reshape(3, 4), torch.ones(4)])
    expected = torch.autograd.grad(function(*leaves), leaves)
    found = torch.autograd.grad(torch.compile(function, fullgraph=True)(*leaves), leaves)
    for pair in zip(found, expected, strict=True):
        torch.testing.assert_close(*pair)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own first use of jvp
@every_call
def test_compiled_under_a_transform(call):
    torch._dynamo.reset()
    operands = call.operands((3, 4))
    function = torch.vmap(torch.func.grad(lambda *x: call.ours(*x).sin().sum()), (0, None)[: len(operands)])
    assert torch.equal(torch.compile(function, backend="aot_eager")(*operands), function(*operands))
    tangents = tuple(map(torch.ones_like, operands))
    forward = torch.compile(lambda *x: torch.func.jvp(call.ours, x, tangents)[1], backend="aot_eager")
    with pytest.raises(Exception, match="derivative in forward mode"):
        forward(*operands)


@every_call
def test_an_exported_program_has_the_operation(call):
    class Module(torch.nn.Module):
        def forward(self, *operands):
            return call.ours(*operands)

    operands = tuple(call.operands((3, 4)))
    rows = torch.export.Dim("rows", min=2, max=100)
    shapes = ({0: rows}, *[{}] * (len(operands) - 1))
    program = torch.export.export(Module(), operands, dynamic_shapes=(shapes,))
    assert f"fastinit.{call.name.split()[0]}" in program.graph_module.code
    more = tuple(call.operands((7, 4)))
    assert torch.equal(program.module()(*more), call.ours(*more))

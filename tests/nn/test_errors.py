"""Refused calls: the class of the error, and a message that names both sides."""

import re

import numpy as np
import pytest
from activations import BIAS, DTYPES, FUNCTIONS, NOTHING, WORDS, P

from fastinit import _activations, _fused_bias, nn
from fastinit._dispatch import ACTIVATIONS
from fastinit.random import default_rng

every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=str)


def operands_of(function, shape=(4, 3), tag="f32"):
    return function.operands(np.random.default_rng(1), shape, tag)


def numpys_class(call):
    """Return the class of the error of NumPy's ufunc for the same call."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    return TypeError if isinstance(caught.value, TypeError) else ValueError


@every_function
@pytest.mark.parametrize(
    "wrong", [np.float64, np.float16, np.int32, np.uint16, bool], ids=lambda d: d.__name__
)
def test_an_output_of_another_dtype(function, wrong):
    """NumPy refuses what it can't cast to safely; here nothing is cast."""
    expected = numpys_class(lambda: np.exp(np.zeros((4, 3), "f4"), out=np.zeros((4, 3), "i4")))
    out = np.ones((4, 3), wrong)
    with pytest.raises(expected) as caught:
        function.call(*operands_of(function), out=out)
    assert np.dtype(wrong).name in str(caught.value)
    assert "float32" in str(caught.value)
    assert (out == 1).all()


@every_function
@pytest.mark.parametrize("shape", [(4, 2), (3, 4), (12,), (5, 3), ()])
def test_an_output_of_another_shape(function, shape):
    expected = numpys_class(lambda: np.exp(np.zeros((4, 3)), out=np.zeros(shape)))
    out = np.ones(shape, "f4")
    with pytest.raises(expected) as caught:
        function.call(*operands_of(function), out=out)
    assert str(shape) in str(caught.value)
    assert "(4, 3)" in str(caught.value)
    assert (out == 1).all()


@every_function
@pytest.mark.parametrize("wrong", ["i4", "u1", "?", "c8", "U3", "O", "M8[s]"])
def test_an_input_of_another_dtype(function, wrong):
    operands = operands_of(function)
    for i in range(len(operands)):
        changed = [*operands]
        changed[i] = np.zeros(changed[i].shape, wrong)
        with pytest.raises(TypeError) as caught:
            function.call(*changed)
        assert str(changed[i].dtype) in str(caught.value)
        assert "float32" in str(caught.value)


@pytest.mark.skipif(np.dtype(np.longdouble) == np.float64, reason="long double is float64 here")
def test_long_double_is_no_dtype_of_ours():
    with pytest.raises(TypeError, match=str(np.dtype(np.longdouble))):
        nn.relu(np.zeros(3, np.longdouble))


@pytest.mark.parametrize("function", [each for each in FUNCTIONS if each.tall + each.bias > 1], ids=str)
@pytest.mark.parametrize("tag", DTYPES)
def test_operands_of_two_dtypes(function, tag):
    other = "f64" if tag != "f64" else "f16"
    operands = operands_of(function, tag=tag)
    for i in range(len(operands)):
        changed = [*operands]
        changed[i] = changed[i].astype(DTYPES[other])
        with pytest.raises(TypeError) as caught:
            function.call(*changed)
        assert DTYPES[tag].name in str(caught.value)
        assert DTYPES[other].name in str(caught.value)


@pytest.mark.parametrize("function", [each for each in FUNCTIONS if each.tall > 1], ids=str)
@pytest.mark.parametrize("shape", [(4, 2), (3, 4), (12,), (5, 3)])
def test_operands_of_two_shapes(function, shape):
    expected = numpys_class(lambda: np.add(np.zeros((4, 3)), np.zeros(shape)))
    operands = operands_of(function)
    operands[1] = np.zeros(shape, "f4")
    with pytest.raises(expected) as caught:
        function.call(*operands)
    assert str(shape) in str(caught.value)
    assert "(4, 3)" in str(caught.value)


@pytest.mark.parametrize("function", [each for each in FUNCTIONS if each.bias], ids=str)
@pytest.mark.parametrize("shape", [(4,), (2,), (1,), (), (1, 3), (4, 3), (4, 1)])
def test_a_bias_that_does_not_fit(function, shape):
    operands = operands_of(function)
    operands[-1] = np.zeros(shape, "f4")
    with pytest.raises(ValueError, match="bias") as caught:
        function.call(*operands)
    assert str(shape) in str(caught.value)
    assert "(4, 3)" in str(caught.value)


@pytest.mark.parametrize("function", [each for each in FUNCTIONS if each.name.startswith("bias")], ids=str)
def test_a_bias_needs_an_axis(function):
    operands = [np.zeros((), "f4")] * function.tall + [np.zeros(1, "f4")] * function.bias
    with pytest.raises(ValueError, match=r"\(\)"):
        function.call(*operands)


@every_function
def test_a_read_only_output(function):
    expected = numpys_class(lambda: np.exp(np.zeros(3), out=np.broadcast_to(0.0, 3)))
    for out in (np.broadcast_to(np.float32(1), (4, 3)), memoryview(bytes(48)).cast("f", (4, 3))):
        with pytest.raises(expected, match="read-only"):
            function.call(*operands_of(function), out=out)


@every_function
@pytest.mark.parametrize("out", [[0.0] * 12, 3.0, "text", ()], ids=lambda out: type(out).__name__)
def test_an_output_that_is_no_array(function, out):
    expected = numpys_class(lambda: np.exp(np.zeros(12), out=[0.0] * 12))
    with pytest.raises(expected, match=type(out).__name__):
        function.call(*operands_of(function), out=out)


DROPOUTS = {
    "alpha_dropout": lambda p, rng: nn.alpha_dropout(np.zeros(3), p, rng),
    "alpha_dropout_backward": lambda p, rng: nn.alpha_dropout_backward(np.zeros(3), p, rng),
    "selu": lambda p, rng: nn.selu(np.zeros(3), dropout_p=p, rng=rng),
    "selu_backward": lambda p, rng: nn.selu_backward(np.zeros(3), np.zeros(3), dropout_p=p, rng=rng),
    "selu_backward x=": lambda p, rng: nn.selu_backward(np.zeros(3), x=np.zeros(3), dropout_p=p, rng=rng),
}


@pytest.mark.parametrize("name", DROPOUTS)
@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan, np.inf, -np.inf])
def test_a_probability_that_is_none(name, p):
    with pytest.raises(ValueError, match=str(p)):
        DROPOUTS[name](p, default_rng(1))


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_needs_a_generator(name):
    with pytest.raises(TypeError, match="rng"):
        DROPOUTS[name](P, None)


@pytest.mark.parametrize("name", DROPOUTS)
def test_a_refused_dropout_leaves_the_generator_where_it_stood(name):
    rng = default_rng(1)
    before = rng.bit_generator.state
    with pytest.raises(ValueError, match="probability"):
        DROPOUTS[name](2.0, rng)
    with pytest.raises(TypeError):
        nn.alpha_dropout(np.zeros(3), P, rng, out=np.zeros(3, "f4"))
    with pytest.raises(TypeError):
        nn.selu(np.zeros(3, int), dropout_p=P, rng=rng)
    assert rng.bit_generator.state == before


def test_selu_backward_takes_one_of_y_and_x():
    grad = np.zeros(3)
    for given in ({}, {"y": grad, "x": grad}):
        with pytest.raises(TypeError, match=r"y.*x"):
            nn.selu_backward(grad, **given)


@pytest.mark.parametrize("slope", ["0.1", None, 1j])
def test_a_slope_that_is_no_number(slope):
    for call in (
        lambda: nn.leaky_relu(np.zeros(3), slope),
        lambda: nn.leaky_relu_backward(np.zeros(3), np.zeros(3), slope),
        lambda: nn.bias_leaky_relu(np.zeros(3), np.zeros(3), slope),
        lambda: nn.bias_leaky_relu_backward(np.zeros(3), np.zeros(3), np.zeros(3), slope),
    ):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("slope", [1e300, -1e39, 3.4028235e38])
def test_a_slope_that_overflows_float32(slope):
    """Slopes are valid as in torch, including infinity and NaN."""
    for tag in DTYPES:
        x, bias = np.zeros((2, 3), DTYPES[tag]), np.zeros(3, DTYPES[tag])
        for layout in (np.asarray, lambda x: x[:, ::-1]):
            out = np.ones_like(x)
            for call in (
                lambda x, out: nn.leaky_relu(x, slope, out=out),
                lambda x, out: nn.leaky_relu_backward(x, x, slope, out=out),
                lambda x, out, bias=bias: nn.bias_leaky_relu(x, bias, slope, out=out),
                lambda x, out, bias=bias: nn.bias_leaky_relu_backward(x, x, bias, slope, out=out),
            ):
                if tag == "f64":
                    call(layout(x), out)
                    continue
                with pytest.raises(OverflowError, match=f"negative_slope {re.escape(str(slope))}"):
                    call(layout(x), out)
                assert (out == 1).all()
    assert nn.leaky_relu(np.float32([-1]), np.float32(-3.4028235e38)) == np.float32(3.4028235e38)


#: By operands, extra and sums: what runs such an operation.
RUNNERS = {
    (1, NOTHING, 0): lambda op, x, bias: _activations.elementwise(op, x),
    (2, NOTHING, 0): lambda op, x, bias: _activations.elementwise(op, x, x),
    (1, WORDS, 0): lambda op, x, bias: _activations.dropout(op, x, None, None, P, default_rng(1), False),
    (2, WORDS, 0): lambda op, x, bias: _activations.dropout(op, x, x, None, P, default_rng(1), False),
    (2, BIAS, 0): lambda op, x, bias: _fused_bias.with_bias(op, x, bias, None),
    (2, NOTHING, 1): lambda op, x, bias: _fused_bias.with_bias_backward(op, x, x, None, None),
    (3, NOTHING, 1): lambda op, x, bias: _fused_bias.with_bias_backward(op, x, x, bias, None),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_operation_runs_with_its_own_operands_alone(name):
    """It would read an operand that is not passed."""
    op, *kind = ACTIVATIONS[name]
    x, bias = np.zeros((4, 3), "f4"), np.zeros(3, "f4")
    RUNNERS[tuple(kind)](op, x, bias)
    for other, runner in RUNNERS.items():
        if other != tuple(kind):
            with pytest.raises(SystemError, match=f"{name} is another kind"):
                runner(op, x, bias)

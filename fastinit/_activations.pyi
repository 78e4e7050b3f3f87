from typing import Any

from fastinit._generator import Generator

RELU: int
LEAKY_RELU: int
SELU: int
SIGMOID: int
TANH: int
ALPHA_DROPOUT: int
SELU_DROPOUT: int
BIAS_LEAKY_RELU: int
BIAS_SELU: int
RELU_BACKWARD: int
LEAKY_RELU_BACKWARD: int
SELU_BACKWARD: int
SELU_BACKWARD_X: int
SIGMOID_BACKWARD: int
TANH_BACKWARD: int
ALPHA_DROPOUT_BACKWARD: int
SELU_DROPOUT_BACKWARD: int
SELU_DROPOUT_BACKWARD_X: int
BIAS_LEAKY_RELU_BACKWARD: int
BIAS_SELU_BACKWARD: int

def elementwise(op: int, x: Any, y: Any = None, out: Any = None, slope: float = 0.0) -> Any: ...
def dropout(op: int, x: Any, y: Any, out: Any, p: float, generator: Generator, moves: bool) -> Any: ...
def with_bias(op: int, x: Any, bias: Any, out: Any, slope: float = 0.0) -> Any: ...
def with_bias_backward(
    op: int, grad: Any, y: Any, bias: Any, out: Any, slope: float = 0.0
) -> tuple[Any, Any]: ...

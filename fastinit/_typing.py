"""Types that the annotations of several modules share. No module imports it when it runs."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Float64: TypeAlias = (
    type[float] | type[np.float64] | np.dtype[np.float64] | Literal["float64", "f8", "<f8", "=f8", "d"]
)
Float32: TypeAlias = type[np.float32] | np.dtype[np.float32] | Literal["float32", "f4", "<f4", "=f4", "f"]
Float16: TypeAlias = type[np.float16] | np.dtype[np.float16] | Literal["float16", "f2", "<f2", "=f2", "e"]

FanMode: TypeAlias = Literal["fan_in", "fan_out"]
Mode: TypeAlias = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Nonlinearity: TypeAlias = Literal[
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "sigmoid", "tanh", "relu", "leaky_relu", "selu", "gelu", "silu",
]  # fmt: skip

#: An array of any dtype, which is returned as the type that it has.
Out = TypeVar("Out", bound=npt.NDArray[Any])

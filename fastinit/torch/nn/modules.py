"""The modules of `torch.nn`, with the functions of `fastinit.torch.nn.functional`."""

from __future__ import annotations

import torch

from . import functional

__all__ = ["SELU", "LeakyReLU"]


class LeakyReLU(torch.nn.LeakyReLU):
    """`torch.nn.LeakyReLU`, computed by `fastinit.torch.nn.functional.leaky_relu`.

    Examples
    --------
    >>> LeakyReLU(0.5)(torch.tensor([-2.0, 3.0]))
    tensor([-1.,  3.])
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(input, self.negative_slope, self.inplace)


class SELU(torch.nn.SELU):
    """`torch.nn.SELU`, computed by `fastinit.torch.nn.functional.selu`.

    Examples
    --------
    >>> SELU()(torch.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.selu(input, self.inplace)

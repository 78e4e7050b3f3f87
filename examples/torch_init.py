"""
Initial weights of torch's layers
=================================

``fastinit.torch.init`` stands where ``torch.nn.init`` stood.

Xavier's for tanh and sigmoid, He's for ReLU and its kin, LeCun's for SELU: each keeps the
size of a signal through ten layers. With another pair it vanishes or explodes.
"""

import math

import torch
from torch import nn

import fastinit.torch.init as init  # the only line that is not torch's: import torch.nn.init as init

SLOPE = 0.1


def xavier_by_hand(layer):
    """Xavier's uniform weights from their bound, and biases of zero."""
    if isinstance(layer, nn.Linear):
        n_out, n_in = layer.weight.shape
        bound = math.sqrt(6.0 / (n_in + n_out))
        init.uniform_(layer.weight, -bound, bound)
        init.zeros_(layer.bias)


def xavier(layer):
    """The same by name, for tanh."""
    if isinstance(layer, nn.Linear):
        init.xavier_uniform_(layer.weight, gain=init.calculate_gain("tanh"))
        init.zeros_(layer.bias)


def he(layer):
    """He's, for LeakyReLU."""
    if isinstance(layer, nn.Linear):
        init.kaiming_normal_(
            layer.weight, a=SLOPE, mode="fan_in", nonlinearity="leaky_relu"
        )
        init.zeros_(layer.bias)


def lecun(layer):
    """LeCun's, for SELU: torch has no name for them."""
    if isinstance(layer, nn.Linear):
        _, n_in = layer.weight.shape
        init.normal_(layer.weight, mean=0.0, std=1 / math.sqrt(n_in))
        init.zeros_(layer.bias)


class MLP(nn.Module):
    """784-256-10 with a LeakyReLU, and He's weights."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 256)
        self.fc2 = nn.Linear(256, 10)
        self.act = nn.LeakyReLU(SLOPE)
        init.kaiming_normal_(
            self.fc1.weight, mode="fan_in", nonlinearity="leaky_relu", a=SLOPE
        )
        init.kaiming_uniform_(
            self.fc2.weight, mode="fan_out", nonlinearity="leaky_relu", a=SLOPE
        )

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


def stack(activation, width=256, depth=10):
    """Return so many layers with an activation after each."""
    return nn.Sequential(
        *(
            layer
            for _ in range(depth)
            for layer in (nn.Linear(width, width), activation)
        )
    )


PAIRS = {
    "tanh, Xavier": (nn.Tanh(), xavier),
    "LeakyReLU, He": (nn.LeakyReLU(SLOPE), he),
    "SELU, LeCun": (nn.SELU(), lecun),
    "LeakyReLU, Xavier by hand": (nn.LeakyReLU(SLOPE), xavier_by_hand),
}


@torch.no_grad()
def sizes():
    """Return the root mean square of each stack's output for an input of size 1."""
    torch.manual_seed(7)
    x = torch.randn(512, 256)
    made = {
        name: stack(activation).apply(how)(x)
        for name, (activation, how) in PAIRS.items()
    }
    return {name: float(y.square().mean().sqrt()) for name, y in made.items()}


def main():
    from matplotlib import pyplot as plt

    found = sizes()
    for name, size in found.items():
        print(f"{name:<26} {size:.3f} after ten layers")
    print("MLP", tuple(MLP()(torch.randn(2, 784)).shape))
    _, at = plt.subplots(figsize=(7, 2.5), layout="constrained")
    at.barh(list(found), found.values())
    at.set_title("size after ten layers, of an input of size 1")
    plt.show()


if __name__ == "__main__":
    main()

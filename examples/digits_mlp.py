"""
A net for handwritten digits in NumPy alone
===========================================

Weights are by ``fastinit.init``, activations by ``fastinit.nn``.

784-256-10, twice: LeakyReLU with He's weights, SELU with LeCun's. scikit-learn's digits
are 8 x 8 pixels; each pixel becomes 3 x 3, and with a margin of two that is 28 x 28:
MNIST's size, for which such nets are drawn.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from fastinit import init, nn
from fastinit.random import default_rng

SLOPE = 0.1


class LeakyReLU:
    """The hidden layer's activation, with the bias before it; and its gradients."""

    weights = init.get("kaiming_normal", a=SLOPE)

    def forward(self, x, bias):
        self.x, self.bias = x, bias
        return nn.bias_leaky_relu(x, bias, SLOPE)

    def backward(self, grad):
        return nn.bias_leaky_relu_backward(grad, self.x, self.bias, SLOPE, out=grad)


class SELU:
    """Likewise; the gradient needs the output only, which takes the place of the input."""

    weights = init.get("lecun_normal")

    def forward(self, x, bias):
        self.y = nn.bias_selu(x, bias, out=x)
        return self.y

    def backward(self, grad):
        return nn.bias_selu_backward(grad, self.y, out=grad)


class MLP:
    """Two layers with an activation between them, trained by gradient descent with momentum."""

    def __init__(self, activation, sizes=(784, 256, 10), seed=0):
        n_in, n_hidden, n_out = sizes
        rng = default_rng(seed)
        self.activation = activation
        self.parameters = [
            activation.weights((n_hidden, n_in), rng=rng.fold_in("hidden.weight")),
            np.zeros(n_hidden, np.float32),
            activation.weights((n_out, n_hidden), rng=rng.fold_in("output.weight")),
            np.zeros(n_out, np.float32),
        ]
        self._velocities = [np.zeros_like(each) for each in self.parameters]

    def forward(self, x):
        """The logits of each row."""
        hidden, hidden_bias, output, output_bias = self.parameters
        self._x = x
        self._y = self.activation.forward(x @ hidden.T, hidden_bias)
        return self._y @ output.T + output_bias

    def gradients(self, x, labels):
        """Of the cross entropy's mean, in the order of the parameters."""
        grad = softmax(self.forward(x))
        grad[np.arange(len(x)), labels] -= 1
        grad /= len(x)
        grad_hidden, grad_hidden_bias = self.activation.backward(
            grad @ self.parameters[2]
        )
        return [
            grad_hidden.T @ self._x,
            grad_hidden_bias,
            grad.T @ self._y,
            grad.sum(0),
        ]

    def train(
        self, x, labels, *, epochs=20, batch=64, rate=0.02, momentum=0.9, seed=1
    ):
        rng = default_rng(seed)
        for _ in range(epochs):
            for rows in np.array_split(rng.permutation(len(x)), len(x) // batch):
                for parameter, velocity, grad in zip(
                    self.parameters,
                    self._velocities,
                    self.gradients(x[rows], labels[rows]),
                    strict=True,
                ):
                    velocity *= momentum
                    velocity -= rate * grad
                    parameter += velocity

    def accuracy(self, x, labels):
        return float(np.mean(self.forward(x).argmax(1) == labels))


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def digits(seed=0):
    """Images to train on and to test, in rows of 784 with mean 0 and variance 1, as LeCun's weights want."""
    bunch = load_digits()
    images = np.pad(
        np.kron(bunch.images, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2))
    )
    images = (
        ((images - images.mean()) / images.std())
        .astype(np.float32)
        .reshape(-1, 784)
    )
    order = default_rng(seed).permutation(len(images))
    train, test = np.split(order, [len(order) * 3 // 4])
    return (images[train], bunch.target[train]), (images[test], bunch.target[test])


def main():
    """Print both accuracies, and show what 12 hidden units of each net look for."""
    from matplotlib import pyplot as plt

    train, test = digits()
    _, axes = plt.subplots(2, 12, figsize=(9, 2), layout="constrained")
    for row, activation in zip(axes, (LeakyReLU(), SELU()), strict=True):
        net = MLP(activation)
        print(
            f"{type(activation).__name__:<9} untrained {net.accuracy(*test):.1%}",
            end=", ",
        )
        start = net.parameters[0].copy()
        net.train(*train)
        print(
            f"trained {net.accuracy(*test):.1%} of {len(test[0])} images never seen"
        )
        for at, learned in zip(row, net.parameters[0] - start, strict=False):
            at.imshow(learned.reshape(28, 28), cmap="RdBu")
            at.axis("off")
    plt.show()


if __name__ == "__main__":
    main()

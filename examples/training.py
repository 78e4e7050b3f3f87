"""
What it means for training
==========================

Twenty ReLU layers learn digits, from He's weights, Xavier's, torch's default and a fixed
std of 0.01. What differs is only the start. Where the signal and the gradient vanish,
nothing is learned.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fastinit import init, nn, random
from measuring import larger

# %%
# 64-64-...-64-10 by gradient descent with momentum, with fastinit's activations and NumPy
# alone.

STARTS = {
    "He": "kaiming_normal(nonlinearity=relu)",
    "Xavier": "xavier_normal",
    "torch's default": f"kaiming_uniform(a={5**0.5})",
    "std 0.01": "normal(std=0.01)",
}
WIDTHS, SEEDS, EPOCHS = [64] * 20 + [10], 6, 10

bunch = load_digits()
images = (bunch.data - bunch.data.mean()) / bunch.data.std()
labels = bunch.target


def gradients(weights, x, target):
    """Return the gradients of the cross entropy by each weight."""
    values = [x]
    for w in weights[:-1]:
        values.append(nn.relu(values[-1] @ w.T))
    logits = values[-1] @ weights[-1].T
    e = np.exp(logits - logits.max(1, keepdims=True))
    grad = e / e.sum(1, keepdims=True)
    grad[np.arange(len(x)), target] -= 1
    grad /= len(x)
    found = [grad.T @ values[-1]]
    for w, y in zip(weights[:0:-1], values[:0:-1], strict=True):
        grad = nn.relu_backward(grad @ w, y)
        found.append(grad.T @ values[len(weights) - len(found) - 1])
    return found[::-1]


def accuracy(weights, x, target):
    for w in weights[:-1]:
        x = nn.relu(x @ w.T)
    return np.mean((x @ weights[-1].T).argmax(1) == target)


def learn(spec, seed):
    """Return the accuracy on 449 images never seen, before each epoch and at the end."""
    rng = random.default_rng(seed)
    order = rng.fold_in("split").permutation(len(images))
    train, test = order[:1348], order[1348:]
    shapes = list(zip(WIDTHS[1:], WIDTHS[:-1], strict=True))
    weights = [
        init.get(spec)(shape, rng=rng.fold_in(f"{i}.weight"), dtype="float64")
        for i, shape in enumerate(shapes)
    ]
    speeds = [np.zeros_like(w) for w in weights]
    course = [accuracy(weights, images[test], labels[test])]
    for epoch in range(EPOCHS):
        for rows in np.array_split(
            rng.fold_in(f"epoch {epoch}").permutation(train), 21
        ):
            found = gradients(weights, images[rows], labels[rows])
            for w, speed, grad in zip(weights, speeds, found, strict=True):
                speed *= 0.9
                speed -= 0.002 * grad
                w += speed
        course.append(accuracy(weights, images[test], labels[test]))
    return course


courses = {
    name: np.array([learn(spec, seed) for seed in range(SEEDS)])
    for name, spec in STARTS.items()
}

# %%
# Six seeds share their splits and orders between the starts. He's accuracy, minus that of
# the others:

for name in list(STARTS)[1:]:
    larger(
        f"He's accuracy minus that of {name}, after 10 epochs",
        courses["He"][:, -1] - courses[name][:, -1],
    )
larger("He's accuracy minus 50%, after 10 epochs", courses["He"][:, -1] - 0.5)
larger(
    "20% minus the accuracy of std 0.01, after 10 epochs",
    0.2 - courses["std 0.01"][:, -1],
)

# %%

figure, at = plt.subplots(figsize=(6, 4), layout="constrained")
for name, course in courses.items():
    [line] = at.plot(course.mean(0), label=name)
    at.fill_between(
        range(EPOCHS + 1),
        course.min(0),
        course.max(0),
        alpha=0.2,
        color=line.get_color(),
    )
at.set(
    xlabel="epoch",
    title="accuracy on images never seen: mean and range of 6 seeds",
    ylim=(0, 1),
)
at.legend()
plt.show()

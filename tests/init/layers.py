"""Every kind of layer with a weight, and its fans, counted connection by connection.

A connection is a term ``weight[index] * input[node]`` of an output node. fan_in is the number of those that
end in one output, fan_out of those that begin at one input. Kernels move over a circle, so that no node is at
a border.
"""

import functools
import itertools
from collections import Counter

import numpy as np
import torch
from torch import nn


def counted(connections, shape):
    """The fans of a layer from its connections (index, input, output), which use each weight."""
    connections = list(connections)
    assert {index for index, _, _ in connections} == set(np.ndindex(shape))
    begins = Counter(source for _, source, _ in connections)
    ends = Counter(target for _, _, target in connections)
    [fan_in], [fan_out] = set(ends.values()), set(begins.values())
    return fan_in, fan_out


def dense(ins, outs, index):
    """Each output sums all inputs; `ins` and `outs` are sizes of one axis or several."""
    for i, o in itertools.product(np.ndindex(*ins), np.ndindex(*outs)):
        yield index(i, o), i, o


def convolution(ins, outs, kernel, groups, index, transposed=False):
    """`index` takes the input's channel in its group, the output's, the group and the place in the kernel."""
    place = [5] * len(kernel)
    for at, tap in itertools.product(np.ndindex(*place), np.ndindex(*kernel)):
        other = tuple((a + (-t if transposed else t)) % n for a, t, n in zip(at, tap, place, strict=True))
        for group, i, o in np.ndindex(groups, ins // groups, outs // groups):
            yield index(i, o, group, tap), (group, i, *other), (group, o, *at)


def local(ins, outs, kernel, index):
    """A convolution with a kernel of its own at each place."""
    for at, tap, i, o in np.ndindex(5, kernel, ins, outs):
        yield index(at, tap, i, o), ((at + tap) % 5, i), (at, o)


def keras_convolution(kernel, groups=1):
    ins, outs = 2 * groups, 3 * groups
    shape = (*kernel, ins // groups, outs)

    def index(i, o, group, tap):
        return (*tap, i, group * outs // groups + o)

    return shape, convolution(ins, outs, kernel, groups, index)


def keras_transposed(kernel):
    return (*kernel, 3, 2), convolution(2, 3, kernel, 1, lambda i, o, group, tap: (*tap, o, i), True)


def flax_transposed(kernel):
    return (*kernel, 2, 3), convolution(2, 3, kernel, 1, lambda i, o, group, tap: (*tap, i, o), True)


def depthwise(kernel, ins, multiplier):
    connections = convolution(ins, ins * multiplier, kernel, ins, lambda i, o, group, tap: (*tap, group, o))
    return (*kernel, ins, multiplier), connections


def matrices(*shape, ins, outs):
    """A dense layer between axes, such as the heads of attention."""

    def index(i, o):
        found = dict(zip(ins, i, strict=True)) | dict(zip(outs, o, strict=True))
        return tuple(found[axis] for axis in range(len(shape)))

    return shape, dense([shape[axis] for axis in ins], [shape[axis] for axis in outs], index)


def separate(count, ins, outs):
    """Independent matrices, such as the experts of a mixture and the gates of a recurrent layer."""
    for each in range(count):
        yield from (((each, i, o), (each, i), (each, o)) for i, o in np.ndindex(ins, outs))


# Flax folds the kernel and the inputs into one axis.
_LOCAL = (5, 3, 2, 3), local(2, 3, 3, lambda at, tap, i, o: (at, tap, i, o))

# (kind, (shape, connections), arguments of compute_fans)
WRITTEN = [
    ("keras Dense", matrices(4, 6, ins=[0], outs=[1]), {"layout": "io"}),
    ("keras Embedding", matrices(7, 4, ins=[0], outs=[1]), {"layout": "io"}),
    ("keras EinsumDense", matrices(8, 2, 3, ins=[0], outs=[1, 2]), {"in_axis": 0, "out_axis": (1, 2)}),
    ("keras attention", matrices(2, 3, 8, ins=[0, 1], outs=[2]), {"in_axis": (0, 1), "out_axis": 2}),
    ("keras Conv1D", keras_convolution([3]), {"layout": "io"}),
    ("keras Conv2D", keras_convolution([3, 2]), {"layout": "io"}),
    ("keras Conv3D", keras_convolution([3, 2, 2]), {"layout": "io"}),
    ("keras Conv1D, grouped", keras_convolution([3], 4), {"layout": "io", "groups": 4}),
    ("keras Conv2D, grouped", keras_convolution([3, 2], 2), {"layout": "io", "groups": 2}),
    ("keras Conv1DTranspose", keras_transposed([3]), {"layout": "keras_transposed"}),
    ("keras Conv2DTranspose", keras_transposed([3, 2]), {"layout": "keras_transposed"}),
    ("keras Conv3DTranspose", keras_transposed([3, 2, 2]), {"layout": "keras_transposed"}),
    ("keras DepthwiseConv1D", depthwise([3], 4, 2), {"layout": "keras_depthwise"}),
    ("keras DepthwiseConv2D", depthwise([3, 3], 64, 1), {"layout": "keras_depthwise"}),
    ("keras SeparableConv2D depthwise", depthwise([3, 2], 4, 3), {"layout": "keras_depthwise"}),
    ("keras SeparableConv2D pointwise", keras_convolution([1, 1]), {"layout": "io"}),
    ("keras LSTM, as gates", ((4, 3, 5), separate(4, 3, 5)), {"layout": "io", "batch_axis": 0}),
    ("flax Dense", matrices(4, 6, ins=[0], outs=[1]), {"layout": "io"}),
    ("flax DenseGeneral", matrices(2, 4, 5, ins=[0], outs=[1, 2]), {"in_axis": 0, "out_axis": (1, 2)}),
    ("flax Embed", matrices(7, 4, ins=[0], outs=[1]), {"layout": "io"}),
    ("flax Conv", keras_convolution([3, 2]), {"layout": "io"}),
    ("flax Conv, feature_group_count", keras_convolution([3, 2], 3), {"layout": "io", "groups": 3}),
    ("flax ConvTranspose", flax_transposed([3, 2]), {"layout": "io"}),
    ("flax ConvTranspose, transpose_kernel", keras_transposed([3, 2]), {"layout": "keras_transposed"}),
    ("flax ConvLocal, unfolded", _LOCAL, {"layout": "io", "batch_axis": 0}),
    ("flax SimpleCell", matrices(3, 5, ins=[0], outs=[1]), {"layout": "io"}),
    ("experts", ((8, 3, 5), separate(8, 3, 5)), {"layout": "io", "batch_axis": 0}),
]  # fmt: skip


def _slopes(function, *inputs):
    """The fans of a torch layer: what of its outputs depends on what of its inputs."""
    slopes = torch.autograd.functional.jacobian(function, inputs)
    matrix = torch.cat([slope.reshape(-1, x.numel()) for slope, x in zip(slopes, inputs, strict=True)], 1)
    used = matrix != 0
    return int(used.sum(1).max()), int(used.sum(0).max())


def _filled(module):
    """A layer in float64 with weights and biases that are not zero."""
    for each in module.double().parameters():
        each.detach().uniform_(0.5, 1.0)
    return module


def torch_convolution(kind, kernel, groups):
    layer = _filled(getattr(nn, kind)(2 * groups, 3 * groups, kernel, groups=groups))
    image = torch.rand(1, 2 * groups, *[2 * size - 1 for size in kernel], dtype=torch.float64)
    return layer.weight, _slopes(layer, image)


def torch_linear():
    layer = _filled(nn.Linear(4, 6))
    return layer.weight, _slopes(layer, torch.rand(4, dtype=torch.float64))


def torch_embedding(kind):
    """A lookup is a matrix times a vector with a one."""
    layer = _filled(getattr(nn, kind)(7, 4))
    rows = layer(torch.arange(7)[:, None]).reshape(7, 4).detach()
    return layer.weight, _slopes(lambda x: x @ rows, torch.rand(7, dtype=torch.float64))


def torch_bilinear():
    """Its inputs are pairs: one of each operand."""
    layer = _filled(nn.Bilinear(3, 4, 5, bias=False))
    one, other = torch.eye(3, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    of_pairs = layer(one.repeat_interleave(4, 0), other.repeat(3, 1)).detach()
    return layer.weight, _slopes(lambda x: x @ of_pairs, torch.rand(12, dtype=torch.float64))


def torch_cell(kind, gates, name):
    """The rows of a weight are those of independent gates, so that all others are switched off."""
    layer = _filled(getattr(nn, kind)(3, 5))
    x, h, c = (torch.rand(size, dtype=torch.float64) for size in (3, 5, 5))

    def step(x, h):
        return layer(x, (h, c))[0] if kind == "LSTMCell" else layer(x, h)

    weight = getattr(layer, name).detach()
    kept, fans = weight.clone(), set()
    for gate in range(gates):
        rows = slice(5 * gate, 5 * gate + 5)
        weight.zero_()
        weight[rows] = kept[rows]
        of_x = name == "weight_ih"
        fans.add(_slopes((lambda v: step(v, h)) if of_x else (lambda v: step(x, v)), x if of_x else h))
    [found] = fans
    return weight.view(gates, 5, -1), found


def torch_attention():
    """The packed projection of query, key and value."""
    layer = _filled(nn.MultiheadAttention(4, 2))
    tokens = [torch.rand(4, dtype=torch.float64) for _ in range(3)]
    weight, bias = layer.in_proj_weight, layer.in_proj_bias
    fans = _slopes(lambda *x: torch.cat(nn.functional._in_projection_packed(*x, weight, bias)), *tokens)
    return weight.view(3, 4, 4), fans


def _torch_convolutions():
    for transpose, kernel, groups in itertools.product(
        ("", "Transpose"), ((3,), (3, 2), (2, 2, 2)), (1, 2, 3)
    ):
        kind = f"Conv{transpose}{len(kernel)}d"
        arguments = {"groups": groups} | ({"layout": "torch_transposed"} if transpose else {})
        make = functools.partial(torch_convolution, kind, kernel, groups)
        yield f"{kind}, groups={groups}", make, arguments


def _torch_cells():
    cells = {"RNNCell": 1, "GRUCell": 3, "LSTMCell": 4}.items()
    for (kind, gates), name in itertools.product(cells, ("weight_ih", "weight_hh")):
        yield f"{kind} {name}", functools.partial(torch_cell, kind, gates, name), {"batch_axis": 0}


# (kind, function that returns the weight and the fans, arguments of compute_fans)
TORCH = [
    ("Linear", torch_linear, {}),
    ("Bilinear", torch_bilinear, {"in_axis": (1, 2), "out_axis": 0}),
    ("Embedding", lambda: torch_embedding("Embedding"), {"layout": "io"}),
    ("EmbeddingBag", lambda: torch_embedding("EmbeddingBag"), {"layout": "io"}),
    ("MultiheadAttention in_proj", torch_attention, {"batch_axis": 0}),
    *_torch_cells(),
    *_torch_convolutions(),
]

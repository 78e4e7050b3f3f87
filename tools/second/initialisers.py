"""docs/contract/initialisers.md: names, spelling, fans, bounds and the values of each initialiser."""

import ast
import math
from fractions import Fraction

import mpmath
import numpy as np

REQUIRED = object()
GROUPS = {"groups": 1}
GAIN = {"gain": 1.0, **GROUPS}
KAIMING = {"a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu", **GROUPS}
DEFAULTS = {
    "variance_scaling": {
        **{"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
        **{"cut": 2.0, **GROUPS},
    },
    "xavier_uniform": GAIN,
    "xavier_normal": GAIN,
    "kaiming_uniform": KAIMING,
    "kaiming_normal": KAIMING,
    "lecun_uniform": GROUPS,
    "lecun_normal": GROUPS,
    "uniform": {"low": 0.0, "high": 1.0},
    "normal": {"mean": 0.0, "std": 1.0},
    "truncated_normal": {"mean": 0.0, "std": 1.0, "low": -2.0, "high": 2.0, "keep_std": False},
    "constant": {"value": REQUIRED},
    "zeros": {},
    "ones": {},
    "bernoulli": {"p": 0.5},
    "eye": {},
    "dirac": GROUPS,
    "sparse": {"sparsity": REQUIRED, "std": 0.01},
}
AXES = {"in_axis": None, "out_axis": None, "batch_axis": ()}
ALIASES = {
    "glorot_uniform": "xavier_uniform",
    "glorot_normal": "xavier_normal",
    "he_uniform": "kaiming_uniform",
    "he_normal": "kaiming_normal",
}
SQUARES = {
    **dict.fromkeys(["linear", "conv1d", "conv2d", "conv3d", "sigmoid"], 1.0),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], 1.0),
    "tanh": 25 / 9,
    "relu": 2.0,
    "selu": 0.5625,
    "gelu": 2.3517156140733729,
    "silu": 2.8107611240744711,
}
TAGS = {"F16": "f16", "BF16": "bf16", "F32": "f32", "F64": "f64"}


# ---- spelling ----


def parsed(text):
    """The name and all arguments of a spec string, defaults included."""
    call = ast.parse(text.strip(), mode="eval").body
    name = call.id if isinstance(call, ast.Name) else call.func.id
    name = ALIASES.get(name, name)
    given = {each.arg: value_of(each.value) for each in getattr(call, "keywords", [])}
    arguments = {}
    for key, default in {**DEFAULTS[name], **AXES}.items():
        value = given.get(key, default)
        if key in AXES:
            value = tuple(value) if isinstance(value, list) else value
        elif key == "mode":
            value = value.lower()
        elif not isinstance(default, str):
            value = type(default)(value) if key in ("groups", "keep_std") else float(value)
        arguments[key] = value
    return name, arguments


def value_of(node):
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Name):
        return f"-{node.operand.id}"
    return ast.literal_eval(node)


def spelled(text):
    """The canonical spelling."""
    name, arguments = parsed(text)
    defaults = {**DEFAULTS[name], **AXES}
    written = [f"{key}={arguments[key]}" for key in sorted(arguments) if arguments[key] != defaults[key]]
    return f"{name}({', '.join(written)})" if written else name


# ---- bounds ----


def axes_of(shape, layout, arguments):
    batch, ins, outs = (
        tuple(axis % len(shape) for axis in ([value] if isinstance(value, int) else value or ()))
        for value in (arguments[key] for key in ("batch_axis", "in_axis", "out_axis"))
    )
    if arguments["in_axis"] is None:
        rest = [axis for axis in range(len(shape)) if axis not in batch]
        ins, outs = {
            "oi": ((rest[1],), (rest[0],)),
            "io": ((rest[-2],), (rest[-1],)),
            "torch_transposed": ((rest[0],), (rest[1],)),
            "keras_transposed": ((rest[-1],), (rest[-2],)),
            "keras_depthwise": ((), (rest[-1],)),
        }[layout]
        batch += (rest[-2],) if layout == "keras_depthwise" else ()
    return ins, outs, batch


def transposed(layout, arguments):
    return arguments["in_axis"] is None and layout in ("torch_transposed", "keras_transposed")


def fans(shape, layout, arguments):
    ins, outs, batch = axes_of(shape, layout, arguments)
    kernel = math.prod(n for axis, n in enumerate(shape) if axis not in ins + outs + batch)
    inputs, outputs = (math.prod(shape[axis] for axis in axes) for axes in (ins, outs))
    if transposed(layout, arguments):
        return inputs // arguments["groups"] * kernel, outputs * kernel
    return inputs * kernel, outputs // arguments["groups"] * kernel


def fan(mode, fan_in, fan_out):
    if mode == "fan_avg":
        return (fan_in + fan_out) / 2
    if mode == "fan_geo_avg":
        return math.sqrt(float(fan_in * fan_out))
    return float(fan_in if mode == "fan_in" else fan_out)


def square(nonlinearity, a):
    return 2 / (1 + a * a) if nonlinearity == "leaky_relu" else SQUARES[nonlinearity]


def cut_std(low, high):
    """The standard deviation of the standard normal between two bounds, rounded to float64 once."""
    with mpmath.workprec(200):
        a, b = mpmath.mpf(low), mpmath.mpf(high)
        mass = mpmath.ncdf(b) - mpmath.ncdf(a)
        mean = (mpmath.npdf(a) - mpmath.npdf(b)) / mass
        edges = sum(sign * x * mpmath.npdf(x) for sign, x in ((1, a), (-1, b)) if mpmath.isfinite(x))
        return float(mpmath.sqrt(1 + edges / mass - mean**2))


def scaled(distribution, s, n, cut):
    """The distribution's parameters, in the order of docs/stream.md's rows."""
    if distribution == "uniform":
        bound = math.sqrt((3 * s) / n)
        return -bound, bound
    std = math.sqrt(s / n)
    if distribution == "normal":
        return 0.0, std
    return -cut, cut, 0.0, std / (0.87962566103423978 if cut == 2 else cut_std(-cut, cut))


def parameters(name, arguments, shape, layout):
    """The distribution that an initialiser of independent values draws from, and its parameters."""
    kind, _, distribution = name.partition("_")
    a = arguments
    if name in ("uniform", "normal"):
        return name, tuple(a[key] for key in DEFAULTS[name])
    if name == "truncated_normal":
        scale = a["std"] / cut_std(a["low"], a["high"]) if a["keep_std"] else a["std"]
        return name, (a["low"], a["high"], a["mean"], scale)
    s, mode = 1.0, "fan_in"
    if kind == "variance":
        distribution, s, mode = a["distribution"], a["scale"], a["mode"]
    elif kind == "xavier":
        s, mode = a["gain"] * a["gain"], "fan_avg"
    elif kind == "kaiming":
        s, mode = square(a["nonlinearity"], a["a"]), a["mode"]
    n = fan(mode, *fans(shape, layout, arguments))
    return distribution, scaled(distribution, s, n or 1.0, a.get("cut", 2.0))


# ---- values ----


def bits_of(value, tag):
    """The bits of a float64 rounded once to a dtype."""
    if tag == "bf16":
        return bfloat16(value)
    kind = {"f16": np.float16, "f32": np.float32, "f64": np.float64}[tag]
    with np.errstate(over="ignore"):
        return int(np.array([value], kind).view(f"u{np.dtype(kind).itemsize}")[0])


def bfloat16(value):
    """The bits of a bfloat16: the upper half of a float32 that was rounded towards zero, and what is lost."""
    fraction = Fraction(value)
    single = np.float32(value)
    if abs(Fraction(float(single))) > abs(fraction):
        single = np.nextafter(single, np.float32(0))
    half, rest = divmod(int(single.view(np.uint32)), 1 << 16)
    lost = Fraction(float(single)) != fraction
    return half + (rest > 1 << 15 or (rest == 1 << 15 and (lost or half % 2)))


def values(native, text, shape, tag, at, layout="oi"):
    """The bits of a tensor's elements in C order, as unsigned integers."""
    name, arguments = parsed(text)
    size, unsigned = math.prod(shape), f"<u{2 if 'f16' in tag else 4 if tag == 'f32' else 8}"
    one = bits_of(1.0, tag)
    if name in ("constant", "zeros", "ones"):
        value = arguments.get("value", float(name == "ones"))
        return np.full(size, bits_of(value, tag), unsigned)
    if name == "bernoulli":
        u = native.fill(at, "uniform", "f64", (0, 1), 0, size).view(np.float64)
        return np.where(u < arguments["p"], one, 0).astype(unsigned)
    if name in ("eye", "dirac"):
        return identity(name, arguments, shape, layout, one).astype(unsigned)
    if name == "sparse":
        return sparse(native, arguments, shape, tag, at)
    distribution, own = parameters(name, arguments, shape, layout)
    return native.fill(at, distribution, tag, own, 0, size)


def identity(name, arguments, shape, layout, one):
    out = np.zeros(shape, np.uint64)
    if name == "eye":
        for i in range(min(shape)):
            out[i, i] = one
        return out.ravel()
    (others,), (own,), _ = axes_of(shape, layout, arguments)
    if transposed(layout, arguments):
        others, own = own, others
    each = shape[own] // arguments["groups"]
    for channel in range(shape[own]):
        if channel % each < shape[others]:
            place = [n // 2 for n in shape]
            place[own], place[others] = channel, channel % each
            out[tuple(place)] = one
    return out.ravel()


def sparse(native, arguments, shape, tag, at):
    rows, columns = shape
    size = rows * columns
    out = native.fill(at, "normal", tag, (0, arguments["std"]), 0, size)
    words = native.words(native.after(at, "normal", tag, size), size)
    for column in range(columns):
        order = sorted(range(rows), key=lambda row: (words[row * columns + column], row))
        for row in order[: math.ceil(arguments["sparsity"] * rows)]:
            out[row * columns + column] = 0
    return out


# ---- dropout ----


def dropped_words(p):
    """The number of words that drop an element."""
    if p == 0:
        return 0
    return max(round(p * 2.0**32), 1)

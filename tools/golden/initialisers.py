"""Initialisers, the masks of dropout, and checkpoints."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from fastinit import checkpoint, init, nn

from .common import TAGS, bits, digest, empty, f64, seeded
from .fills import at_draw

NAMES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}
MODES = ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
NONLINEARITIES = ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "gelu", "silu"]
#: (spec as given, shape, layout)
SPECS = [
    *(
        (f"variance_scaling(mode={mode}, scale=0.7, distribution={distribution})", shape, "oi")
        for mode in MODES
        for distribution in ["uniform", "normal", "truncated_normal"]
        for shape in [(88, 31), (23, 5, 3, 7)]
    ),
    *((f"he_normal(nonlinearity={name}, a=0.3)", (87, 31), "oi") for name in NONLINEARITIES),
    *((f"{name}(gain=1.7)", (87, 31), "oi") for name in ["xavier_uniform", "glorot_normal"]),
    ("kaiming_uniform(a=2.23606797749979)", (64, 3, 7, 7), "oi"),
    ("kaiming_uniform(mode=FAN_OUT, nonlinearity='relu')", (3, 3, 5, 17), "io"),
    ("lecun_uniform", (3, 3, 5, 17), "io"),
    ("lecun_normal(batch_axis=[0])", (4, 9, 5), "oi"),
    ("lecun_normal(in_axis=-1, out_axis=(0, 1))", (4, 9, 5), "oi"),
    ("lecun_normal(groups=2)", (4, 3, 3), "torch_transposed"),
    ("he_uniform(groups=2, mode=fan_out)", (4, 3, 3), "torch_transposed"),
    ("xavier_normal(groups=3)", (6, 2, 5), "oi"),
    ("xavier_normal", (3, 3, 5, 7), "keras_transposed"),
    ("xavier_normal", (3, 3, 64, 2), "keras_depthwise"),
    ("variance_scaling(cut=3, batch_axis=0)", (4, 9, 5), "io"),
    ("truncated_normal(std=0.02, low=-1, high=3, keep_std=True)", (5, 3), "oi"),
    ("truncated_normal(low=0.5, high=inf, keep_std=True)", (5, 3), "oi"),
    ("uniform", (5, 3), "oi"),
    ("uniform(high=2, low=-2)", (5, 3), "oi"),
    ("normal(std=2e-2)", (5, 3), "oi"),
    ("normal(mean=-0.0, std=1e-05)", (5, 3), "oi"),
    ("truncated_normal(std=0.02, low=-inf)", (5, 3), "oi"),
    ("constant(value=-0.1)", (5,), "oi"),
    ("zeros()", (5,), "oi"),
    ("ones", (5,), "oi"),
    ("bernoulli(p=0.25)", (50, 3), "oi"),
    ("eye", (3, 4), "oi"),
    ("dirac(groups=2)", (4, 3, 4), "oi"),
    ("dirac", (3, 4, 2, 5), "io"),
    ("dirac(groups=2)", (4, 3, 4), "torch_transposed"),
    ("sparse(sparsity=0.4)", (6, 3), "oi"),
    ("sparse(sparsity=0.1, std=1)", (5, 3), "oi"),
    ("sparse(sparsity=0.9)", (2, 4), "oi"),
    ("sparse(sparsity=0.07)", (100, 1), "oi"),  # 0.07 * 100 rounds to more than 7
]


#: Numbers, words and axes whose spelling has a rule of its own.
SPELLED = [
    "normal(mean=1e16, std=123456789012345680)",
    "normal(mean=0.0001, std=0.00001)",
    "normal(std=0.1000000000000000055511151231257827)",
    "truncated_normal(low=-inf, high=inf)",
    "he_uniform(mode='Fan_In', a=0, nonlinearity=\"leaky_relu\")",
    "glorot_uniform(gain=1)",
    "lecun_normal(batch_axis=[0, -1])",
    "lecun_normal(batch_axis=(0,), in_axis=2, out_axis=[1])",
    "lecun_normal(batch_axis=[])",
    "dirac(groups=2.0)",
    "variance_scaling(groups=2, cut=3)",
    "truncated_normal(keep_std=True, low=-1)",
    "truncated_normal(keep_std=False)",
]


def initialisers():
    for text, shape, layout in SPECS:
        one = init.get(text)
        plan = one.plan(shape, layout=layout)
        filled = {}
        for tag in TAGS:
            filled[tag] = empty(shape, tag)
            one.plan(shape, layout=layout, dtype=NAMES[tag]).fill_all(filled[tag], seeded())
        yield {
            "given": text,
            "spelled": one.spec,
            "shape": shape,
            "layout": layout,
            "distribution": plan.distribution,
            "parameters": [f64(each) for each in plan.parameters],
            "bit_generator": "PCG64",
            "seed": "7",
            "values": {tag: bits(values.ravel()[:3]) for tag, values in filled.items()},
            "all": {tag: digest(values) for tag, values in filled.items()},
        }


def spellings():
    for text in SPELLED:
        yield {"given": text, "spelled": init.get(text).spec}


def gains():
    for name in NONLINEARITIES:
        yield {"nonlinearity": name, "slope": f64(0.3), "gain": f64(init.calculate_gain(name, 0.3))}


def kept(p, rng, n):
    """Which of n elements dropout keeps."""
    return nn.alpha_dropout_backward(np.ones(n, np.float32), p, rng) != 0


def dropouts():
    """Which elements are dropped: those whose words are below a number, which bisection finds."""
    for p in [2.0**-40, 2.0**-33 * 3, 0.1, 0.3, 0.5, 1 - 2.0**-20, 1 - 2.0**-40]:
        dropped, some = 0, 2**32
        while some - dropped > 1:
            word = (dropped + some) // 2
            if kept(p, at_draw(word), 1)[0]:
                some = word
            else:
                dropped = word
        mask = (~kept(p, seeded(), 1 << 20)).astype(np.uint8)
        row = {"p": f64(p), "words": str(some), "bit_generator": "PCG64", "seed": "7", "n": mask.size}
        yield {**row, "dropped": int(mask.sum()), "mask": digest(mask)}


TENSORS = {
    "embed.weight": ("F32", [300, 1000]),
    "norm.größe": ("BF16", [7]),
    "h.0.weight": ("F64", [33, 9, 3]),
    "h.1.weight": ("F16", [3, 3, 8, 16]),
    "h.1.bias": ("F32", [16]),
    "position_ids": ("I64", [1, 12]),
    "mask": ("BOOL", [1, 4, 4]),
    "codes": ("U8", [3]),
    "empty": ("F32", [0, 4]),
    "gate": ("F32", [12, 5]),
    "head.weight": ("F32", [300, 1000]),
    "tied.1.weight": ("F32", [3, 5]),
    "rotary": ("F64", [2, 48]),
    "rotary.half": ("BF16", [32]),
    "table": ("F64", [2, 2]),
    "counts": ("BF16", [600]),
}
RULES = [
    {"match": "*.größe", "init": "ones()"},
    {"match": "position_ids", "init": "arange"},
    {"match": "mask", "init": "tril"},
    {"match": "codes", "init": "constant(value=7)"},
    {"match": "never", "init": "ones"},
    {"match": "head.weight", "init": "normal(std=0.02)", "padding_idx": 1, "same_as": "embed.weight"},
    {"match": r"/^tied\.(\d+)/", "init": "normal(std=0.5)", "same_as": r"from.\1.größe"},
    {"match": "rotary", "init": "inv_freq(base=10000)"},
    {"match": "rotary.half", "init": "inv_freq"},
    {"match": "table", "init": "data", "data": "F64:eNpjYEAGH+wh9IP9oWBw1R4AMYQF4Q=="},
    {"match": "counts", "init": "arange"},
    {"match": "embed.*", "init": "normal(std=2e-2)", "padding_idx": 1, "layout": "oi"},
    {
        "match": "/^h\\.\\d+\\.weight/",
        "init": "he_uniform(nonlinearity=gelu, mode=fan_out)",
        "layout": "io",
        "min_ndim": 4,
    },
    {"match": "/^h/", "init": "variance_scaling(mode=FAN_AVG, scale=2)", "layout": "oi", "min_ndim": 2},
    {"match": "gate", "init": "sparse(sparsity=0.25)"},
    {"match": "*", "init": "truncated_normal(low=-1, std=0.5)"},
]


def checkpoints():
    listed = {name: {"dtype": dtype, "shape": shape} for name, (dtype, shape) in TENSORS.items()}
    for most in [5 * 10**9, 3_000]:
        with tempfile.TemporaryDirectory() as folder:
            done = checkpoint.generate(
                listed, folder, seed=2**70, init=RULES, max_shard_size=most, digest=True
            )
            # The version of fastinit is in the metadata; without it, the bytes stay the same.
            files = {path.name: plain(path) for path in sorted(done.files)}
        yield {
            "tensors": [[name, dtype, shape] for name, (dtype, shape) in TENSORS.items()],
            "rules": RULES,
            "seed": str(2**70),
            "max_bytes": str(most),
            "labels": {each.spec.name: each.label for each in planned(listed)},
            "recipe": done.recipe_digest,
            "data": done.digest,
            "files": files,
        }


def planned(listed):
    return checkpoint.plan(listed, init=RULES).recipe.choices


def plain(path: Path):
    """The digest of a file whose metadata says version 0."""
    import fastinit

    data = path.read_bytes()
    if path.suffix == ".json":
        return hashlib.blake2b(data, digest_size=16).hexdigest()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip(b" ")
    version = f'"fastinit.version":"{fastinit.__version__}"'.encode()
    header = header.replace(version, b'"fastinit.version":"0"')
    header += b" " * (-(8 + len(header)) % 64)
    return hashlib.blake2b(
        len(header).to_bytes(8, "little") + header + data[8 + length :], digest_size=16
    ).hexdigest()

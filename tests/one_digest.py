"""One list of tensors, and the digest of its values, which every framework must give. Programs import this.

`NAMED` is of a model: each tensor has the stream of its name. `SEEDED` is of what has no names: each tensor
begins the stream of one seed.
"""

import hashlib

import numpy as np

from fastinit import init
from fastinit.checkpoint import Rule
from fastinit.random import PCG64, Generator, default_rng

SEED = 7
DTYPES = {"F32": "float32", "BF16": "bfloat16"}
SHAPES = {"matrix": (13, 10), "kernel": (5, 3, 4), "vector": (7,), "wide": (1, 33), "empty": (0, 6)}

#: Laws that any shape takes, and laws with fans, which take two axes or more.
ANY = {
    "uniform": "uniform(low=-0.5, high=2.0)",
    "normal": "normal(mean=0.1, std=0.02)",
    "truncated": "truncated_normal(std=0.02, low=-0.03, high=0.04)",
    "bernoulli": "bernoulli(p=0.3)",
    "constant": "constant(value=0.3)",
    "ones": "ones",
}
WITH_FANS = {
    "xavier_uniform": "xavier_uniform(gain=2)",
    "xavier_normal": "xavier_normal",
    "kaiming_uniform": "kaiming_uniform(a=2.23606797749979)",
    "kaiming_normal": "kaiming_normal(mode=fan_out)",
    "lecun_normal": "lecun_normal",
    "he": "variance_scaling(scale=2.0, distribution=truncated_normal)",
}
#: Laws of a matrix alone.
OF_MATRICES = {"eye": "eye", "sparse": "sparse(sparsity=0.3)"}


def _rows():
    for law, spec in (ANY | WITH_FANS | OF_MATRICES).items():
        for kind, shape in SHAPES.items():
            fits = law in ANY or (
                (len(shape) > 1 and 0 not in shape) and (law in WITH_FANS or kind == "matrix")
            )
            for dtype in DTYPES if fits else ():
                yield f"{law}_{kind}_{dtype.lower()}", dtype, shape, spec


ROWS = list(_rows())
MANIFEST = {name: {"dtype": dtype, "shape": list(shape)} for name, dtype, shape, _ in ROWS}
# A step, a row of zeros and a stream of another name are parts of rules, too.
STEPS = {"normal_matrix_f32": ("* 0.5", "[2] = zeros"), "uniform_matrix_bf16": ("[:, 3:6] = zeros",)}
RULES = [Rule(name, spec, then=STEPS.get(name, ())) for name, _, _, spec in ROWS]
NAMED = "bb37867a0f6e6e90e0e88790891bb7dc"

LAWS = {
    "GlorotUniform": (1.0, "fan_avg", "uniform"),
    "GlorotNormal": (1.0, "fan_avg", "truncated_normal"),
    "HeNormal": (2.0, "fan_in", "truncated_normal"),
    "LecunUniform": (1.0, "fan_in", "uniform"),
}
SEEDED_ROWS = [
    (law, shape, dtype) for law in LAWS for shape in ((13, 10), (3, 3, 4, 5)) for dtype in DTYPES.values()
]
SEEDED = "ffa31abc520f74ae784c0dfd196c7e46"


def digest(arrays):
    """Return the digest of arrays by name, whatever their order: names, shapes and bytes."""
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.shape} {array.dtype.itemsize}\n".encode() + array.tobytes())
    return found.hexdigest()


def of_init():
    """Return the arrays of `NAMED` by NumPy's side of fastinit alone."""
    arrays = {}
    for name, dtype, shape, spec in ROWS:
        rng = Generator(PCG64(SEED)).fold_in(name)
        arrays[name] = init.get(spec)(shape, dtype=DTYPES[dtype], rng=rng)
    arrays["normal_matrix_f32"] *= np.float32(0.5)
    arrays["normal_matrix_f32"][2] = 0
    arrays["uniform_matrix_bf16"][:, 3:6] = 0
    return arrays


def of_seed(made):
    """Return the digest of `SEEDED`; ``made(law, shape, dtype)`` gives each array."""
    return digest({f"{law} {shape} {dtype}": made(law, shape, dtype) for law, shape, dtype in SEEDED_ROWS})


def by_init(law, shape, dtype):
    """Return an array of `SEEDED` by NumPy's side of fastinit alone."""
    scale, mode, distribution = LAWS[law]
    scaled = init.get("variance_scaling", scale=scale, mode=mode, distribution=distribution)
    return scaled(shape, layout="io", dtype=dtype, rng=default_rng(SEED))

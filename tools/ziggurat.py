"""``python -m tools.ziggurat``: writes src_c/ziggurat_*.inc.h, the tables of NumPy's ziggurats.

Marsaglia and Tsang, "The ziggurat method for generating random variables", 2000, with 256 layers: a draw
gives the number i of a layer and an integer r. The value is r w[i], and it is accepted at once if r < k[i].
With the layers' right edges x[i], equal areas v and R = x[255],

    w[i] = x[i] / 2^bits          k[i] = 2^bits x[i-1] / x[i]           x[i-1] = f^-1(v / x[i] + f(x[i]))
    w[0] = v / f(R) / 2^bits      k[0] = 2^bits R f(R) / v              k[1] = 0

A draw of another layer than 0 that is not accepted at once is accepted if f(r w[i]) is above a uniform value
between the heights f(x[i]) and f(x[i-1]), x[0] being 0.

The formula gives NumPy's tables but for their last digits, up to 80 units of them in the normals' float64
widths, as NumPy's were made in float64. So each entry is asked of NumPy's own functions: r w[i] is what they
return for a draw that they accept, and k[i] is found by bisection. Heights are f(2^bits w[i]), which NumPy's
tables have to the last digits, too.
"""

import ctypes
import math
from pathlib import Path

import numpy as np

#: The file of each distribution's tables.
TABLES = {
    name: Path(__file__).parents[1] / "src_c" / f"ziggurat_{name}.inc.h" for name in ("normal", "exponential")
}

#: Table's name: NumPy's function, its type, the C type of k, the bits of r, the draw of r and i.
KINDS = {
    "normal_f64": ("random_standard_normal", ctypes.c_double, "uint64_t", 52, lambda r, i: r << 9 | i),
    "normal_f32": ("random_standard_normal_f", ctypes.c_float, "uint32_t", 23, lambda r, i: r << 9 | i),
    "exponential_f64": (
        *("random_standard_exponential", ctypes.c_double, "uint64_t", 53),
        lambda r, i: (r << 8 | i) << 3,
    ),
    "exponential_f32": (
        *("random_standard_exponential_f", ctypes.c_float, "uint32_t", 23),
        lambda r, i: (r << 8 | i) << 1,
    ),
}


class _Bitgen(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("state", "uint64", "uint32", "double", "raw")]


class Asked:
    """One of NumPy's functions, asked with draws of our choice."""

    def __init__(self, kind: str) -> None:
        name, kind_of_value, _, self.bits, self.draw = KINDS[kind]
        library = ctypes.CDLL(np.random._generator.__file__)
        self._function = getattr(library, name)
        self._function.restype = kind_of_value
        self._draws: list[int] = []
        self._taken = 0
        types = (ctypes.c_uint64, ctypes.c_uint32, ctypes.c_double, ctypes.c_uint64)
        asked = (self._next64, self._next32, self._next_double, self._next64)
        self._callbacks = [ctypes.CFUNCTYPE(t, ctypes.c_void_p)(f) for t, f in zip(types, asked, strict=True)]
        self._bitgen = _Bitgen(None, *(ctypes.cast(each, ctypes.c_void_p) for each in self._callbacks))

    def _next64(self, _: object) -> int:
        self._taken += 1
        return self._draws[min(self._taken, len(self._draws)) - 1]

    def _next32(self, _: object) -> int:
        return self._next64(_) & 0xFFFFFFFF

    def _next_double(self, _: object) -> float:
        self._taken += 1
        return 0.5

    def accepts(self, draw: int) -> bool:
        """Whether a draw is accepted at once."""
        self._draws, self._taken = [draw, self.draw(5, 200)], 0
        self._function(ctypes.byref(self._bitgen))
        return self._taken == 1

    def __call__(self, r: int, layer: int) -> float | None:
        """Return the value of a draw, or None if it is not accepted at once."""
        accepted = self.draw(5, 200)
        self._draws, self._taken = [self.draw(r, layer), accepted], 0
        value = self._function(ctypes.byref(self._bitgen))
        return value if self._taken == 1 else None

    def bound(self, layer: int) -> int:
        """Return k of a layer: the first r that is not accepted."""
        low, high = 0, 1 << self.bits
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self(middle, layer) is not None else (low, middle)
        return low

    def width(self, layer: int, bound: int) -> float:
        """Return w of a layer."""
        if bound < 2:  # the function at w[1] is above its lowest height
            self._draws, self._taken = [self.draw(1, layer)], 0
            value, taken = self._function(ctypes.byref(self._bitgen)), self._taken
            assert taken == 2
            assert value < 1e-5
            return value
        r = 1 << (bound - 1).bit_length() - 1
        value = self(r, layer)
        assert value is not None
        return value / r  # exact: r is a power of two


def tables(kind: str) -> tuple[list[int], list[float]]:
    """Return k and w of each layer."""
    asked = Asked(kind)
    bounds = [asked.bound(layer) for layer in range(256)]
    return bounds, [asked.width(layer, bound) for layer, bound in enumerate(bounds)]


def text(distribution: str) -> str:
    """Return the text of a distribution's header."""
    lines = [
        f"/* The tables of NumPy's {distribution} ziggurats, written by tools/ziggurat.py, which has their",
        " * formula: k and w of each layer, and the function at each layer's right edge. */",
        "/* clang-format off */",
    ]

    def table(declaration: str, entries: list[str], per: int) -> None:
        lines.append(f"static const {declaration}[256] = {{")
        lines.extend("    " + ", ".join(entries[i : i + per]) + "," for i in range(0, 256, per))
        lines.append("};")

    for tag in ("f64", "f32"):
        bounds, widths = tables(f"{distribution}_{tag}")
        shortest = [str(float(w)) if tag == "f64" else f"{np.float32(w)}f" for w in widths]
        pairs = [f"{{{bound:#x}u, {w}}}" for bound, w in zip(bounds, shortest, strict=True)]
        table(f"layer_{tag} {distribution}_{tag}_layers", pairs, 2 if tag == "f64" else 3)
        if tag == "f64":
            edges = [0.0, *(2.0 ** KINDS[f"{distribution}_f64"][3] * w for w in widths[1:])]
            logarithms = [-x * x / 2 if distribution == "normal" else -x for x in edges]
            table(f"double {distribution}_heights", [str(math.exp(each)) for each in logarithms], 4)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for distribution, path in TABLES.items():
        path.write_text(text(distribution))

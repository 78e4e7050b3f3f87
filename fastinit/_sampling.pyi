from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from fastinit._generator import Generator

_Array = npt.NDArray[Any]

def fill(rng: Generator, out: _Array, distribution: str, tag: str, *parameters: float) -> None: ...
def check(rng: Generator, distribution: str) -> None: ...
def fill_at(
    rng: Generator, out: _Array, start: int, distribution: str, tag: str, *parameters: float
) -> None: ...
def fill_block(
    rng: Generator,
    out: _Array,
    shape: tuple[int, ...],
    block: Sequence[tuple[int, int, int]],
    distribution: str,
    tag: str,
    *parameters: float,
) -> None: ...
def consume(rng: Generator, n: int, distribution: str, tag: str) -> None: ...
def words_at(rng: Generator, out: _Array, start: int) -> None: ...

from typing import Any

from fastinit._generator import Generator

def __getattr__(name: str) -> int: ...  # RELU and so on: the rows of src_c/activations.def
def elementwise(op: int, x: Any, y: Any = None, out: Any = None, slope: float = 0.0) -> Any: ...
def dropout(op: int, x: Any, y: Any, out: Any, p: float, generator: Generator, moves: bool) -> Any: ...

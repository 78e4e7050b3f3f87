from collections.abc import Callable
from typing import TypeVar

_F = TypeVar("_F", bound=Callable[..., object])

SIZE: int

def kept(function: _F) -> _F: ...

"""Sources that stand for a model of a library, not for a list of tensors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["LIBRARIES", "config_of", "is_model"]

#: What comes before the colon in ``timm:NAME`` and so on.
LIBRARIES = ("diffusers", "py", "timm", "torchvision")

_WEIGHTS = (".safetensors", ".bin", ".index.json", ".pt", ".ckpt")


def is_model(source: Any) -> bool:
    """Whether a source stands for a model: ``timm:NAME`` and so on, or the config of a transformers model.

    Examples
    --------
    >>> is_model("timm:resnet18"), is_model("model.safetensors")
    (True, False)
    """
    if not isinstance(source, (str, os.PathLike)):
        return False
    library, colon, _ = str(source).partition(":")
    return bool(colon and library in LIBRARIES) or config_of(source) is not None


def config_of(source: str | os.PathLike[str]) -> Path | None:
    """Return the config of a transformers model, if `source` is that, or a folder with it and no weights."""
    path = Path(source)
    if path.is_dir():
        if any(name.endswith(_WEIGHTS) for name in os.listdir(path)):
            return None
        path = path / "config.json"
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return None
    return path if isinstance(content, dict) and content.keys() & {"model_type", "architectures"} else None

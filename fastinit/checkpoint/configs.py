"""Sources that stand for a model of a library, not for a list of tensors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import formats
from .errors import BadInput
from .manifest import MODELS
from .spec import parse_json
from .storage import DTYPES, dtype_name

__all__ = ["LIBRARIES", "beside", "config_of", "is_model", "named", "with_dtype"]

#: What comes before the colon in ``timm:NAME`` and so on.
LIBRARIES = ("diffusers", "py", "timm", "torchvision")

_WEIGHTS = (".safetensors", ".bin", ".index.json", ".pt", ".ckpt")


def is_model(source: Any, target: str | os.PathLike[str] | None = None) -> bool:
    """Whether a source stands for a model: ``timm:NAME`` and so on, or the config of a transformers model.

    A folder that is its own `target` stays a model after fastinit has written weights to it. BadInput if a
    folder holds no weights, and a config.json of no model.

    Examples
    --------
    >>> is_model("timm:resnet18"), is_model("model.safetensors")
    (True, False)
    """
    if not isinstance(source, (str, os.PathLike)):
        return False
    library, colon, _ = str(source).partition(":")
    if colon and library in LIBRARIES:
        return True
    if config_of(source) is not None:
        return not _has_weights(Path(source), target)
    path = Path(source) / "config.json"
    if os.path.isfile(path) and not _has_weights(Path(source), None):  # a folder that can only be a model
        parse_json(path.read_bytes(), str(path))
        raise BadInput(
            f"{path}: names neither model_type nor architectures, and there are no weights beside it"
        )
    return False


def named(source: Any, target: str | os.PathLike[str] | None = None) -> Any:
    """Return the list that has a model's name, such as ``"gpt2"``; `source` itself if it is something else.

    A file of that name, or a folder of it with a model or weights, is something else, unless the folder is
    the `target` and fastinit wrote the weights.

    Examples
    --------
    >>> named("gpt2").name, named("./gpt2")
    ('gpt2.json', './gpt2')
    """
    if not isinstance(source, str) or source not in MODELS:
        return source
    path = Path(source)
    is_path = os.path.isfile(path) or config_of(path) is not None or _has_weights(path, target)
    return source if is_path else MODELS[source]


def config_of(source: str | os.PathLike[str]) -> Path | None:
    """Return the config of a transformers model, if `source` is that, or a folder with it."""
    path = Path(source)
    path = path / "config.json" if os.path.isdir(path) else path
    if path.suffix != ".json" or not os.path.isfile(path):
        return None
    return path if _content(path).keys() & {"model_type", "architectures"} else None


def _has_weights(source: Path, target: str | os.PathLike[str] | None) -> bool:
    """Whether a folder holds weights. Those that fastinit wrote don't count if it is its own target."""
    if not os.path.isdir(source):
        return False
    weights = [source / name for name in os.listdir(source) if name.endswith(_WEIGHTS)]
    if target is None or source.resolve() != Path(target).resolve():
        return bool(weights)
    return not all(map(_is_ours, weights))


def _is_ours(path: Path) -> bool:
    """Whether fastinit wrote a file of weights. An index is as its shards are."""
    try:
        return path.name.endswith(".index.json") or "fastinit.recipe" in formats.read(path)[1]
    except BadInput:
        return False


def beside(source: Any) -> dict[str, Any]:
    """Return what the config.json beside a checkpoint's files says: model_type, initializer_range and so on.

    Values that are not of config.json's kind are left out, and so is all if there is no config.json.
    """
    if not isinstance(source, (str, os.PathLike)):
        return {}
    path = Path(source)
    if not (os.path.isdir(path) or path.name.endswith((".safetensors", ".safetensors.index.json"))):
        return {}
    content = _content((path if os.path.isdir(path) else path.parent) / "config.json")
    valid: dict[str, Callable[[Any], bool]] = {
        "model_type": lambda value: isinstance(value, str),
        "initializer_range": lambda value: type(value) in (int, float) and 0 <= value < 1e6,
        "pad_token_id": lambda value: value is None or type(value) is int,
        "tie_word_embeddings": lambda value: type(value) is bool,
    }
    return {key: content[key] for key, test in valid.items() if key in content and test(content[key])}


def with_dtype(files: Mapping[str, str], dtype: Any) -> dict[str, str]:
    """Return files with a dtype in place of each that ``config.json`` says, in torch's spelling."""
    if dtype is None or "config.json" not in files:
        return dict(files)
    name = DTYPES[dtype_name(dtype)].numpy_name

    def changed(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kinds = ("dtype", "torch_dtype")
        return {k: name if k in kinds and isinstance(v, str) else changed(v) for k, v in value.items()}

    text = files["config.json"]
    content = changed(json.loads(text))
    return {**files, "config.json": json.dumps(content, indent=2) + "\n"[: text.endswith("\n")]}


def _content(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or nothing if there is none."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}

"""Models of other libraries: how they are built, and what their own code saves."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import io
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from fastinit.checkpoint import BadInput
from fastinit.checkpoint.configs import config_of

__all__ = ["Model", "Saved", "model_of", "quiet", "saved_by"]


class Model(NamedTuple):
    """A model that can be built.

    Attributes
    ----------
    build : callable
        Returns the module.
    save : callable
        Saves a module to a folder as its library does.
    """

    build: Callable[[], nn.Module]
    save: Callable[[Any, str], object]


class Saved(NamedTuple):
    """What a library saves: tensors by their names on disk, the start of the files' names, other files."""

    tensors: dict[str, torch.Tensor]
    stem: str
    files: dict[str, str]


def model_of(source: str | os.PathLike[str], arguments: Mapping[str, Any]) -> Model:
    """Return the model that an argument of the command stands for.

    Parameters
    ----------
    source : str or path
        ``timm:NAME``, ``torchvision:NAME``, ``diffusers:FOLDER``, ``py:package.module:callable``, or the
        ``config.json`` of a transformers model, or the folder that holds it.
    arguments : mapping
        Given to the library's constructor.

    Raises
    ------
    BadInput
        The library is missing, or has no such model.
    """
    for key in ("checkpoint_path", "pretrained", "weights", "weights_backbone"):
        if arguments.get(key):
            raise BadInput(f"{source}: {key} asks for trained weights, and fastinit makes initial ones")
    kind, _, name = str(source).partition(":")
    loader, argument = (_LIBRARIES[kind], name) if kind in _LIBRARIES else (_transformers, source)
    try:
        return loader(argument, arguments)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _EXTRAS:
            raise
        raise BadInput(f"{source}: needs {library}: pip install 'fastinit-engine[{library}]'") from None


def saved_by(model: Model, module: nn.Module) -> Saved | None:
    """Return what a library's own code saves of a module, also on the meta device; None if nothing."""
    tensors: dict[str, torch.Tensor] = {}
    names: list[str] = []

    def capture(shard: Mapping[str, torch.Tensor], filename: Any, metadata: object = None) -> None:
        tensors.update(shard)
        names.append(os.path.basename(filename))

    with tempfile.TemporaryDirectory() as folder, _save_file(capture):
        model.save(module, folder)
        files = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(folder).glob("*.json"))}
    if not names:
        return None
    stem = names[0].partition(".safetensors")[0].partition("-00001-of")[0]
    return Saved(tensors, stem, {name: text for name, text in files.items() if ".safetensors" not in name})


@contextlib.contextmanager
def _save_file(instead: Callable[..., object]) -> Iterator[None]:
    """Context in which libraries that write safetensors files call another function instead."""
    safetensors = importlib.import_module("safetensors.torch")
    original = safetensors.save_file
    places = [
        (module, name)
        for module in list(sys.modules.values())
        for name in ("save_file", "safe_save_file")
        if getattr(module, "__dict__", {}).get(name) is original
    ]
    for module, name in places:
        setattr(module, name, instead)
    try:
        yield
    finally:
        for module, name in places:
            setattr(module, name, original)


def _transformers(source: str | os.PathLike[str], arguments: Mapping[str, Any]) -> Model:
    path = config_of(source)
    if path is None:
        raise BadInput(f"{source}: holds no config of a transformers model")
    content = json.loads(path.read_bytes())
    if "auto_map" in content:
        raise BadInput(
            f"{path}: its model is code beside it (auto_map), which is never run: give it as"
            " py:package.module:callable"
        )
    transformers = importlib.import_module("transformers")
    config = _config(transformers, path, arguments)
    architectures = config.architectures or []
    name = architectures if isinstance(architectures, str) else next(iter(architectures), None)
    if not isinstance(name, str):
        raise BadInput(f"{path}: names no class under architectures")
    chosen: Any = getattr(transformers, name, None)
    if chosen is None:
        raise BadInput(f"{path}: transformers {transformers.__version__} has no class {name}")
    is_model = isinstance(chosen, type) and issubclass(chosen, transformers.PreTrainedModel)
    if not is_model:
        raise BadInput(f"{path}: {name} under architectures is no class of a model")

    def build() -> nn.Module:
        try:
            module: nn.Module = chosen._from_config(config)
        except AttributeError as error:  # another model's config lacks something
            raise BadInput(f"{name} does not take a {type(config).__name__}: {error}") from None
        return module

    return Model(build, lambda module, folder: module.save_pretrained(folder))


def _config(transformers: Any, path: Path, arguments: Mapping[str, Any]) -> Any:
    """Return the config in a file, changed by arguments. BadInput if fastinit can't make what it says."""
    try:
        with quiet():
            config, unused = transformers.AutoConfig.from_pretrained(
                str(path), **arguments, return_unused_kwargs=True
            )
    except Exception as error:  # whatever the config's own checks raise
        raise BadInput(f"{path}: {error}") from None
    _check_known(f"{path}: {type(config).__name__}", unused, vars(config))
    if getattr(config, "quantization_config", None):
        raise BadInput(
            f"{path}: quantization_config asks for quantized weights, and fastinit makes plain ones: --arg"
            " quantization_config=null"
        )
    vars(config).pop("quantization_config", None)
    return config


def _check_known(owner: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadInput, which guesses what is meant, if there is a name that is not known."""
    known = [*known]
    unknown = sorted(set(names) - set(known))
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, 1)
        raise BadInput(f"{owner} has no {unknown[0]}" + (f"; is {near[0]} meant?" if near else ""))


def _timm(name: str, arguments: Mapping[str, Any]) -> Model:
    timm = importlib.import_module("timm")
    if not timm.is_model(name):
        raise BadInput(f"timm {timm.__version__} has no model {name!r}")

    def save(module: Any, folder: str) -> None:
        hub = importlib.import_module("timm.models")
        hub.save_for_hf(module, folder, safe_serialization=True)

    return Model(lambda: timm.create_model(name, **{"pretrained": False, **arguments}), save)


def _torchvision(name: str, arguments: Mapping[str, Any]) -> Model:
    models = importlib.import_module("torchvision.models")
    if name not in models.list_models():
        raise BadInput(f"torchvision has no model {name!r}")
    # These would be fetched, the backbone's by default.
    taken = inspect.signature(models.get_model_builder(name)).parameters
    fixed = {key: None for key in ("weights", "weights_backbone") if key in taken}
    return Model(lambda: models.get_model(name, **{**fixed, **arguments}), _save_if_it_can)


def _diffusers(folder: str, arguments: Mapping[str, Any]) -> Model:
    path = Path(folder)
    path = path / "config.json" if path.is_dir() else path
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"{path}: is not valid JSON: {error}") from None
    diffusers = importlib.import_module("diffusers")
    name = content.get("_class_name")
    if not isinstance(name, str) or not hasattr(diffusers, name):
        raise BadInput(f"{path}: diffusers {diffusers.__version__} has no class {name}")
    chosen = getattr(diffusers, name)
    _check_known(f"{path}: {name}", arguments, inspect.signature(chosen.__init__).parameters)
    return Model(
        lambda: chosen.from_config({**content, **arguments}),
        lambda module, folder: module.save_pretrained(folder),
    )


def _save_if_it_can(module: Any, folder: str) -> None:
    """Save a module that knows how. The names of others are their tensors'."""
    if callable(getattr(module, "save_pretrained", None)):
        module.save_pretrained(folder)


def _python(name: str, arguments: Mapping[str, Any]) -> Model:
    module_name, _, attribute = name.partition(":")
    if not attribute:
        raise BadInput(f"py:{name}: give py:package.module:callable")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"py:{name}: {error}") from None
    except (Exception, SystemExit) as error:  # whatever the module raises
        raise BadInput(f"py:{name}: {type(error).__name__}: {error}") from None
    if isinstance(found, nn.Module):
        raise BadInput(f"py:{name}: is a module; give a callable that returns one")
    if not callable(found):
        raise BadInput(f"py:{name}: is no callable, but {type(found).__name__}")

    def build() -> nn.Module:
        module = found(**arguments)
        if not isinstance(module, nn.Module):
            raise BadInput(f"returned no torch.nn.Module, but {type(module).__name__}")
        return module

    return Model(build, _save_if_it_can)


_LIBRARIES: dict[str, Callable[[Any, Mapping[str, Any]], Model]] = {
    "diffusers": _diffusers,
    "py": _python,
    "timm": _timm,
    "torchvision": _torchvision,
}
# Each has an extra of its name.
_EXTRAS = ("diffusers", "timm", "torchvision", "transformers")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Context without what libraries print, warn and log while they build a model."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        printed = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(printed),
            contextlib.redirect_stdout(printed),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

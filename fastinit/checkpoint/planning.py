"""Plans of checkpoints: all that `generate` does before it writes."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy.typing as npt

from . import formats, sizes
from .configs import beside, with_dtype
from .errors import BadInput
from .manifest import read, select
from .recipe import Recipe, resolve
from .recording import Recording, recording_of
from .remote import Place, place
from .spec import TensorSpec

#: A path, ``"-"`` for standard input, a mapping, or a recording.
Manifest = str | os.PathLike[str] | Mapping[str, Any] | Recording

#: The default limit of a file's data in a folder, which is Hugging Face's.
MAX_SHARD_SIZE = "5GB"


class CheckpointPlan(NamedTuple):
    """A checkpoint that can be written.

    Attributes
    ----------
    recipe : Recipe
        The tensors and their plans (`Recipe.choices`), the rules (`Recipe.rules`) and their source
        (`Recipe.rules_from`), the seed, and a digest of all these.
    format : module
        The module of ``fastinit.checkpoint.formats`` that lays out the files.
    folder : Path or Url
        The folder of the files.
    stem : str
        The start of their names.
    shards : dict of str to list of TensorSpec
        The tensors of each file that has tensors, by its name. Empty if there is no target.
    beside : mapping of str to str
        The text of other files, by name, such as ``config.json``. Only a folder as target has any.
    """

    recipe: Recipe
    format: ModuleType
    folder: Place
    stem: str
    shards: dict[str, list[TensorSpec]]
    beside: Mapping[str, str] = {}

    @property
    def files(self) -> list[Place]:
        """The files. If several have tensors, the last is their index."""
        index = [self.format.index_name(self.stem)] if len(self.shards) > 1 else []
        return [self.folder / file for file in (*self.shards, *index)]

    @property
    def tensors(self) -> int:
        """The number of tensors."""
        return len(self.recipe.choices)

    @property
    def parameters(self) -> int:
        """The number of elements."""
        return sum(choice.spec.size for choice in self.recipe.choices)

    @property
    def bytes(self) -> int:
        """The number of bytes of data, without headers."""
        return sum(choice.spec.nbytes for choice in self.recipe.choices)

    def facts(self) -> dict[str, Any]:
        """Return the attributes that `Summary` shares."""
        return {
            **{key: getattr(self, key) for key in ("files", "tensors", "parameters", "bytes")},
            "rules_from": self.recipe.rules_from,
            "recipe_digest": self.recipe.digest,
        }


def plan(
    manifest: Manifest,
    target: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    init: Any = "auto",
    dtype: npt.DTypeLike | None = None,
    max_shard_size: int | str | None = None,
    only: str | Sequence[str] = (),
) -> CheckpointPlan:
    """Plan how to fill each tensor of a checkpoint, and in which file. Nothing is written.

    Parameters
    ----------
    manifest : path, ``"-"``, mapping or Recording
        The list of tensors; see ``fastinit.checkpoint.manifest.read``. A recording, or the file of one, also
        has the rules, which ``"auto"`` takes.
    target : path or URL, optional
        A name that ends in ``.safetensors``, or else a folder. A folder gets ``model.safetensors``, or, if
        there is more data than `max_shard_size`, shards and an index with Hugging Face's names.
    seed : int, optional
        The seed of all tensors.
    init : str, path or list of Rule, optional
        The rules for filling tensors: a preset's name, ``"auto"``, a TOML file, or the rules. An initialiser
        such as ``"normal(std=0.02)"`` makes all matrices. ``"dummy"`` makes any tensor, for load tests.
        Presets take `initializer_range` and padding from a ``config.json`` beside a checkpoint, and
        ``"auto"`` takes its `model_type`. If the family is not known, ``"auto"`` warns.
    dtype : str or dtype, optional
        The dtype that all floating-point tensors get: F64, F32, F16, BF16, F8_E4M3 or F8_E5M2.
    max_shard_size : int or str, optional
        The most bytes of data in a file, such as ``"500MB"``. A larger tensor gets its own file. The default
        is 5GB for a folder, and no limit for a single file.
    only : str or sequence of str, optional
        Globs. Only tensors whose names match one are taken, with the values of the full model.

    Raises
    ------
    BadInput
        An argument, or a file that it names, cannot be used.

    Examples
    --------
    >>> from fastinit import checkpoint
    >>> model = {"fc.weight": {"dtype": "F32", "shape": [10, 784]}}
    >>> planned = checkpoint.plan(model, "out.safetensors", init="he")
    >>> [(each.spec.name, each.label, each.fans) for each in planned.recipe.choices]
    [('fc.weight', 'kaiming_normal(nonlinearity=relu) layout=oi', (784, 10))]
    >>> planned.recipe.rules_from, [str(path) for path in planned.files], planned.bytes
    ('he', ['out.safetensors'], 31360)
    """
    recording = recording_of(manifest)
    if recording is not None and isinstance(init, str) and init == "auto":
        init = recording
    source: Any = manifest if recording is None else recording.manifest()
    specs = read(source, dtype)
    selected = select(specs, only)
    # Rules see all tensors, even if only some are selected, as they may depend on the depth of the model.
    recipe = resolve(specs, init, seed, beside(manifest), wanted=selected).of(selected)
    if target is None:
        return CheckpointPlan(recipe, formats.FORMATS[0], Path(), "", {})
    stem = "model" if recording is None else recording.stem
    planned = CheckpointPlan(recipe, *_destination(selected, target, stem, max_shard_size))
    if recording is not None and planned.folder == place(target):
        planned = planned._replace(beside=with_dtype(recording.files, dtype))
    if isinstance(planned.folder, Path):
        _check_folder(planned.folder)
        check_names(planned.folder, {path.name for path in planned.files})
    else:
        planned.folder.check()
    return planned


def _destination(
    specs: Sequence[TensorSpec],
    target: str | os.PathLike[str],
    stem: str,
    max_shard_size: int | str | None,
) -> tuple[ModuleType, Place, str, dict[str, list[TensorSpec]]]:
    """Return a target's format, folder and stem, and the tensors of each file."""
    folder = place(checked_target(target))
    format = formats.of(folder)
    there = os.path.isdir(folder) if isinstance(folder, Path) else folder.is_dir()
    is_folder = there or os.fspath(target).endswith(os.sep)
    if folder.suffix == format.SUFFIX and not is_folder:
        folder, stem = folder.parent, folder.stem
    elif max_shard_size is None:
        max_shard_size = MAX_SHARD_SIZE
    limit = None if max_shard_size is None else sizes.parse(max_shard_size)
    return format, folder, stem, format.split(specs, stem, limit)


def checked_target(target: Any) -> str | os.PathLike[str]:
    """Return a path. BadInput for anything else."""
    if not isinstance(target, (str, os.PathLike)):
        raise BadInput(f"the target must be a path, not {target!r:.200}")
    if not os.fspath(target):
        raise BadInput("the target is empty; . is the current folder")
    if target == "-":
        raise BadInput("-: a checkpoint cannot be a stream, as its index comes last; give a file or a folder")
    return target


def _check_folder(folder: Path) -> None:
    """Raise BadInput if files cannot be written to the folder, and it cannot be made."""
    first = folder if os.path.lexists(folder) else folder.parent
    try:
        mode = os.stat(first).st_mode
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror}") from None
    if not stat.S_ISDIR(mode):
        raise BadInput(f"{folder}: cannot be written: is no folder, nor can it become one")
    try:  # permissions don't tell all: root may write to any folder, but not to /proc
        with tempfile.TemporaryFile(dir=first):
            pass
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror}") from None


def check_names(folder: Path, files: Collection[str]) -> None:
    """Raise BadInput if one of these names in a folder can't be that of a file.

    The folder is listed once. To look for each of thousands of names, from each of thousands of ranks, would
    be millions of requests to a file server.
    """
    longest = max(files, key=lambda file: len(os.fsencode(file)))
    there = folder if folder.exists() else folder.parent
    try:
        with contextlib.suppress(FileNotFoundError):
            os.lstat(there / longest)
        with os.scandir(there) as entries:
            named = [each for each in entries if each.name in files and there == folder]
    except OSError as error:
        raise BadInput(f"{folder / longest}: {error.strerror}") from None
    for each in named:
        if not (each.is_file(follow_symlinks=False) or each.is_symlink()):
            kind = "a folder" if each.is_dir(follow_symlinks=False) else "a pipe or a device"
            raise BadInput(f"{folder / each.name}: is {kind}, where a file must go")

"""The safetensors format: headers, indexes and file names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import BadInput, Damaged
from ..spec import MAX_HEADER, TensorSpec, checked, opened, parse_json, read_bytes
from .layout import Shard, Stored

SUFFIX = ".safetensors"
_INDEX_SUFFIX = ".safetensors.index.json"
# Data begins at a multiple of a cache line, so that a reader can map tensors into memory and use them there.
_ALIGNMENT = 64
# fastinit's first files, like those of the safetensors package, begin their data at a multiple of 8 bytes.
_OLD_ALIGNMENT = 8
# The libraries' names of a checkpoint in a folder, and the variants that they insert, such as fp16.
_STEMS = ("model", "diffusion_pytorch_model", "adapter_model")
_VARIANT = re.compile(rf"({'|'.join(_STEMS)})(\.\w+)?\.safetensors(\.index(\.\w+)?\.json)?")


def read(path: Path) -> tuple[list[Stored], dict[str, str]]:
    """Read the tensors' offsets and the metadata of a checkpoint.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file, the ``.index.json`` of a sharded checkpoint, or a folder that holds one of
        them: ``model``, ``diffusion_pytorch_model`` or ``adapter_model``, or else a variant such as
        ``model.fp16``.

    Returns
    -------
    tensors : list of Stored
        In the order of the header or of the index.
    metadata : dict of str
        The ``__metadata__`` of the file, or of the first shard.

    Raises
    ------
    BadInput
        A file cannot be read, or violates the format; `Damaged` if one is missing or cut short, or if an
        index lists a file that is no such file.
    """
    if os.path.isdir(path):
        path = _in_folder(path)
    if path.suffix == ".json":
        return read_index(path)
    return _read_header(path)


def _in_folder(folder: Path) -> Path:
    """Return the file or the index of the checkpoint in a folder."""
    try:
        matches = [match for name in sorted(os.listdir(folder)) if (match := _VARIANT.fullmatch(name))]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read: {error.strerror}") from None
    plain = [match[0] for match in matches if not match[2] and not match[4]]
    found = plain or [match[0] for match in matches]
    if found[1:]:
        raise BadInput(f"{folder}: holds both {found[0]} and {found[1]}")
    if not found and any(family(folder, stem) for stem in _STEMS):
        raise Damaged(f"{folder}: holds shards and no index: unfinished; generate --resume continues")
    if not found:
        raise BadInput(f"{folder}: holds neither model{SUFFIX} nor model{_INDEX_SUFFIX}")
    return folder / found[0]


def is_index(entries: Mapping[str, Any]) -> bool:
    """Whether a JSON object is an index of shards."""
    weight_map = entries.get("weight_map")
    return isinstance(weight_map, dict) and all(isinstance(file, str) for file in weight_map.values())


def read_index(path: Path) -> tuple[list[Stored], dict[str, str]]:
    """Do what `read` does, for an index of any name."""
    entries = parse_json(read_bytes(path), str(path))
    if not is_index(entries):
        raise BadInput(f"{path}: is no index of shards: it has no weight_map")
    weight_map: dict[str, str] = entries["weight_map"]
    shards: dict[str, dict[str, Stored]] = {}
    metadata: dict[str, str] | None = None
    for name, file in weight_map.items():
        if os.path.basename(file) != file:
            raise BadInput(f"{path}: tensor {name!r} is said to be in {file!r}, which is no file beside it")
        if file not in shards:
            shard = path.parent / file
            if not os.path.exists(shard):  # nor a name that no file can have
                raise Damaged(
                    f"{shard}: No such file or directory; shapes are missing, as {path.name} has only names"
                )
            try:
                tensors, of_shard = _read_header(shard)
            except BadInput as error:
                raise Damaged(str(error)) from None
            shards[file] = {stored.spec.name: stored for stored in tensors}
            metadata = of_shard if metadata is None else metadata
        if name not in shards[file]:
            raise Damaged(f"{path}: tensor {name!r} is not in {file}, where it is said to be")
    # The index says what the model has. A shard may hold more.
    return [shards[file][name] for name, file in weight_map.items()], metadata or {}


def _read_header(path: Path) -> tuple[list[Stored], dict[str, str]]:
    try:
        with open(opened(path), "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            # The length in a damaged file may be any number.
            text = file.read(length) if length <= MAX_HEADER else b""
            data = os.fstat(file.fileno()).st_size - 8 - length
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    if length > MAX_HEADER:
        raise BadInput(
            f"{path}: its header is over the format's limit of {MAX_HEADER} bytes, or this is not safetensors"
        )
    if data < 0 or not text.startswith(b"{"):
        kind = Damaged if data < 0 else BadInput
        raise kind(f"{path}: is not a safetensors file, or is cut short")
    entries = parse_json(text, str(path))
    metadata = entries.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BadInput(f"{path}: its __metadata__ must hold strings")
    ranges = []
    tensors = []
    where = str(path)
    for name, entry in entries.items():
        tensor, begin, end = _entry(name, entry, where)
        ranges.append((begin, end, name))
        tensors.append(Stored(tensor, path, 8 + length + begin))
    position = 0
    for begin, end, name in sorted(ranges):
        if begin != position:
            raise BadInput(f"{path}: the data of {name!r} begins at {begin} where {position} was due")
        position = end
    if position != data:
        raise Damaged(f"{path}: holds {data} bytes of data where its header says {position}")
    return tensors, metadata


def _entry(name: str, entry: Any, where: str) -> tuple[TensorSpec, int, int]:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise BadInput(f"{where}: tensor {name!r} lacks its dtype, shape or data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    tensor = checked(name, entry["dtype"], tuple(shape) if isinstance(shape, list) else shape, where)
    if not isinstance(offsets, list) or [*map(type, offsets)] != [int, int]:
        raise BadInput(f"{where}: tensor {name!r} has data_offsets {offsets!r:.200}")
    begin, end = offsets
    if begin < 0 or end - begin != tensor.nbytes:
        raise BadInput(f"{where}: tensor {name!r} has data_offsets {offsets} for {tensor.nbytes} bytes")
    return tensor, begin, end


def split(specs: Sequence[TensorSpec], stem: str, max_bytes: int | None) -> dict[str, list[TensorSpec]]:
    """Return the tensors of each file of a checkpoint, sharded as by Hugging Face.

    Tensors stay in order, and none is split. A file holds at most `max_bytes` of data, or one larger tensor.
    A single file is named ``stem.safetensors``; several are ``stem-00001-of-0000N.safetensors``.
    """
    groups: list[list[TensorSpec]] = [[]]
    held = 0
    for tensor in specs:
        if groups[-1] and max_bytes is not None and held + tensor.nbytes > max_bytes:
            groups.append([])
            held = 0
        groups[-1].append(tensor)
        held += tensor.nbytes
    if len(groups) == 1:
        return {stem + SUFFIX: groups[0]}
    return {f"{stem}-{i:05d}-of-{len(groups):05d}{SUFFIX}": group for i, group in enumerate(groups, 1)}


def lay_out(file: str, specs: Iterable[TensorSpec], metadata: Mapping[str, str]) -> Shard:
    """Return the header of a file, and each tensor's offset."""
    # Wide dtypes first, so that each tensor is aligned to its elements without padding.
    specs = sorted(specs, key=lambda tensor: -tensor.itemsize)
    # Entry by entry, as one object takes several times the memory of its text.
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    header = bytearray(8)  # its length, set below
    header += f'{{"__metadata__":{encode(dict(metadata))}'.encode()
    begins = {}
    position = 0
    for tensor in specs:
        begins[tensor.name] = position
        end = position + tensor.nbytes
        entry = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [position, end]}
        header += f",{encode(tensor.name)}:{encode(entry)}".encode()
        position = end
    header += b"}"
    _pad(header, _ALIGNMENT)
    length = len(header) - 8
    if length > MAX_HEADER:
        raise BadInput(f"{file}: its header would be {length} bytes, over the format's limit of {MAX_HEADER}")
    offsets = {name: len(header) + begin for name, begin in begins.items()}
    return Shard(file, bytes(header), offsets, len(header) + position)


def _pad(header: bytearray, alignment: int) -> None:
    """Pad a header with spaces to a multiple of `alignment` bytes, and write its length."""
    header += b" " * (-len(header) % alignment)
    header[:8] = (len(header) - 8).to_bytes(8, "little")


def layouts(shard: Shard) -> list[Shard]:
    """Return the layouts of a file: its own, and that of earlier versions, whose header is shorter."""
    header = bytearray(shard.header.rstrip(b" "))
    _pad(header, _OLD_ALIGNMENT)
    shift = len(header) - len(shard.header)
    offsets = {name: offset + shift for name, offset in shard.offsets.items()}
    return [shard, Shard(shard.file, bytes(header), offsets, shard.nbytes + shift)] if shift else [shard]


def index_name(stem: str) -> str:
    """Return the name of a checkpoint's index."""
    return stem + _INDEX_SUFFIX


def index(specs: Sequence[TensorSpec], shards: Sequence[Shard]) -> bytes:
    """Return the index of shards, as Hugging Face writes it, with names in the order of `specs`."""
    file_of = {name: shard.file for shard in shards for name in shard.offsets}
    content = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in specs)},
        "weight_map": {tensor.name: file_of[tensor.name] for tensor in specs},
    }
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def is_shard(path: Path) -> bool:
    """Whether a file's name is that of a shard."""
    return re.search(r"-\d{5}-of-\d{5}\.safetensors$", path.name) is not None


def index_beside(path: Path) -> Path | None:
    """Return the index that lists a shard, from its folder, or None."""
    for index in sorted(path.parent.glob("*.json")):
        entries = parse_json(read_bytes(index), str(index)) if ".safetensors.index." in index.name else {}
        if is_index(entries) and path.name in entries["weight_map"].values():
            return index
    return None


def belongs(name: str, stem: str) -> bool:
    """Whether a file's name is that of a shard, the index or the only file of a checkpoint."""
    pattern = rf"{re.escape(stem)}(-\d{{5}}-of-\d{{5}})?\.safetensors(\.index\.json)?"
    return re.fullmatch(pattern, name) is not None


def family(folder: Any, stem: str) -> list[Any]:
    """Return the files in a folder that may belong to a checkpoint, its index first."""
    try:
        files = [path for path in folder.iterdir() if belongs(path.name, stem)]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read: {error.strerror}") from None
    return sorted(files, key=lambda path: (path.suffix != ".json", path.name))

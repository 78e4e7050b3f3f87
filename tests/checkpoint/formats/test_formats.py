"""A new format needs only one module and one row."""

import inspect
import json
import re
import types

import numpy as np
import pytest

from fastinit.checkpoint import TensorSpec, formats, generate, verify
from fastinit.checkpoint import inspect as inspect_checkpoint

MODEL = {
    "a.weight": {"dtype": "F32", "shape": [700, 800]},
    "a.bias": {"dtype": "BF16", "shape": [700]},
    "a.num_batches_tracked": {"dtype": "I64", "shape": []},
}


def toy():
    """A format of one file: a line of JSON, then the tensors in the order of the list."""

    def read(path):
        with path.open("rb") as file:
            text = file.readline()
        header = json.loads(text)
        stored, offset = [], len(text)
        for name, dtype, shape in header["tensors"]:
            stored.append(formats.Stored(TensorSpec(name, dtype, tuple(shape)), path, offset))
            offset += stored[-1].spec.nbytes
        return stored, header["metadata"]

    def lay_out(file, specs, metadata):
        tensors = [(spec.name, spec.dtype, spec.shape) for spec in specs]
        header = json.dumps({"metadata": metadata, "tensors": tensors}).encode() + b"\n"
        ends = np.cumsum([len(header), *(spec.nbytes for spec in specs)]).tolist()
        return formats.Shard(
            file, header, {spec.name: at for spec, at in zip(specs, ends, strict=False)}, ends[-1]
        )

    return types.SimpleNamespace(
        SUFFIX=".toy",
        read=read,
        is_index=lambda entries: False,
        read_index=pytest.fail,
        is_shard=lambda path: False,
        index_beside=pytest.fail,
        family=lambda folder, stem: [*folder.glob(f"{stem}.toy")],
        split=lambda specs, stem, max_bytes: {f"{stem}.toy": [*specs]},
        lay_out=lay_out,
        layouts=lambda shard: [shard],
        index_name=pytest.fail,
        index=pytest.fail,
    )


def test_another_format(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, toy()))
    path = tmp_path / "model.toy"
    assert generate(MODEL, path, init="he", seed=5).files == [path]
    right = generate(MODEL, tmp_path / "model.safetensors", init="he", seed=5)
    assert (
        generate(path, tmp_path / "again.safetensors", init="he", seed=5).recipe_digest == right.recipe_digest
    )
    assert verify(path).same
    assert inspect_checkpoint(path) == sorted(
        inspect_checkpoint(right.files[0]), key=lambda each: list(MODEL).index(each.name)
    )
    with pytest.raises(ValueError, match="exists"):
        generate(MODEL, path, init="he", seed=5)
    assert generate(MODEL, path, init="he", seed=5, resume=True).kept == [path]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert [each.name for each in verify(path).differences] == ["a.num_batches_tracked"]


def test_every_format_has_what_is_documented():
    documented = dict(re.findall(r"``(\w+)\(([\w, ]+)\)``", formats.__doc__))
    assert documented.keys() >= {"read", "split", "lay_out", "index"}
    for format in formats.FORMATS:
        assert format.SUFFIX.startswith(".")
        functions = [each for _, each in inspect.getmembers(format, inspect.isfunction)]
        own = [each for each in functions if each.__module__ == format.__name__ and each.__name__[0] != "_"]
        assert {each.__name__: ", ".join(inspect.signature(each).parameters) for each in own} == documented

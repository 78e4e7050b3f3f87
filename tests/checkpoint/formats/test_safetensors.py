"""The safetensors format, compared with the safetensors package."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from fastinit.checkpoint import BadInput
from fastinit.checkpoint.formats import safetensors as format
from fastinit.checkpoint.manifest import DTYPES, TensorSpec

names = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda name: name != "__metadata__")
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
specs = st.lists(
    st.builds(TensorSpec, names, st.sampled_from(sorted({*DTYPES} - {"F4"})), shapes)
    # Two elements are packed in a byte.
    | st.builds(TensorSpec, names, st.just("F4"), shapes.map(lambda shape: (*shape, 2))),
    min_size=1,
    max_size=20,
    unique_by=lambda spec: spec.name,
)


def lay_out(tensors, limit=None, metadata=()):
    files = format.split(tensors, "model", limit)
    return [format.lay_out(file, group, dict(metadata)) for file, group in files.items()]


def contents(shard):
    """Write a file with that layout and data."""
    return shard.header + bytes(shard.nbytes - len(shard.header))


@given(specs, st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_their_reader_finds_what_was_laid_out(tensors, metadata):
    [shard] = lay_out(tensors, metadata=metadata)
    found = dict(safetensors.deserialize(contents(shard)))
    assert {(s.name, s.dtype, s.shape) for s in tensors} == {
        (name, entry["dtype"], tuple(entry["shape"])) for name, entry in found.items()
    }


@given(specs)
def test_each_tensor_is_aligned_to_its_elements(tensors):
    [shard] = lay_out(tensors)
    assert len(shard.header) % 64 == 0
    assert all(shard.offsets[spec.name] % spec.storage.itemsize == 0 for spec in tensors)


@given(specs, st.integers(1, 200))
def test_shards_hold_each_tensor_once_in_order_and_no_more_than_they_may(tensors, limit):
    shards = lay_out(tensors, limit)
    assert sorted(name for shard in shards for name in shard.offsets) == sorted(spec.name for spec in tensors)
    position = 0
    for shard in shards:
        here = tensors[position : position + len(shard.offsets)]
        assert {spec.name for spec in here} == set(shard.offsets)
        size = sum(spec.nbytes for spec in here)
        assert size <= limit or len([spec for spec in here if spec.nbytes]) == 1
        position += len(here)


def test_names_are_hugging_faces():
    tensors = [TensorSpec(name, "F32", (10,)) for name in "abc"]
    assert [shard.file for shard in lay_out(tensors, 120)] == ["model.safetensors"]
    shards = lay_out(tensors, 119)
    assert [shard.file for shard in shards] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert json.loads(format.index(tensors, shards)) == {
        "metadata": {"total_size": 120},
        "weight_map": {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00001-of-00002.safetensors",
            "c": "model-00002-of-00002.safetensors",
        },
    }


def test_a_header_over_the_limit_is_not_made():
    tensors = [TensorSpec(str(i) + "x" * 1_000_000, "F32", (1,)) for i in range(100)]
    with pytest.raises(BadInput, match="header would be"):
        lay_out(tensors)


def test_their_files_are_read(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        f"t{i}": rng.random((i, 3)).astype(dtype) for i, dtype in enumerate(["f4", "f8", "i2", "f2", "u1"])
    }
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(tensors, path, {"key": "value"})
    stored, metadata = format.read(path)
    assert metadata == {"key": "value"}
    data = path.read_bytes()
    for spec, where, offset in stored:
        assert where == path
        values = np.frombuffer(data, spec.storage, spec.size, offset).reshape(spec.shape)
        np.testing.assert_array_equal(values, tensors[spec.name])


def test_every_cut_is_noticed(tmp_path):
    [shard] = lay_out([TensorSpec("a", "F32", (3,)), TensorSpec("b", "I64", ())], metadata={"k": "v"})
    whole = contents(shard)
    path = tmp_path / "x.safetensors"
    path.write_bytes(whole)
    assert len(format.read(path)[0]) == 2
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"x\.safetensors"):
            format.read(path)


def file(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BAD = {
    "no header": file(b""),
    "a length over the limit": file({}, length=100_000_001),
    "a length of 2^64 - 1": file({}, length=2**64 - 1),
    "cut JSON": file(b'{"a":{"dtype":"F32"'),
    "a list": file([]),
    "metadata that is no string": file({"__metadata__": {"seed": 0}}),
    "no offsets": file({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "one offset": file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, bytes(4)),
    "offsets the wrong way": file({"a": tensor(4, 0, [1])}, bytes(4)),
    "a negative offset": file({"a": tensor(-4, 0, [1])}, bytes(4)),
    "too few bytes for the shape": file({"a": tensor(0, 4, [2])}, bytes(4)),
    "a hole": file({"a": tensor(0, 4, [1]), "b": tensor(8, 12, [1])}, bytes(12)),
    "an overlap": file({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, bytes(12)),
    "data that nothing lists": file({"a": tensor(0, 4, [1])}, bytes(5)),
    "a shape that overflows": file({"a": tensor(0, 0, [2**62, 4, 0])}),
    "an unknown dtype": file({"a": tensor(0, 4, [1], "F31")}, bytes(4)),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_their_reader_refuses_ours_does(tmp_path, data):
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(data)
    with pytest.raises(BadInput) as error:
        format.read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_header_begins_with_its_brace(tmp_path):
    """The format requires it, though its reader accepts white space."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(file(b" " + json.dumps({"a": tensor(0, 4, [1])}).encode(), bytes(4)))
    with pytest.raises(BadInput, match="not a safetensors file"):
        format.read(path)


def test_a_name_twice_is_refused(tmp_path):
    entry = json.dumps(tensor(0, 4, [1]))
    path = tmp_path / "x.safetensors"
    path.write_bytes(file(f'{{"a":{entry},"a":{entry}}}'.encode(), bytes(4)))
    with pytest.raises(BadInput, match="'a' is there twice"):
        format.read(path)


def test_a_folder_with_both_is_refused(tmp_path):
    for name in ("model.safetensors", "model.safetensors.index.json"):
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match="both"):
        format.read(tmp_path)

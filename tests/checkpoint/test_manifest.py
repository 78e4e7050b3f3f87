"""Lists of tensors: what is read, and what is refused."""

import io
import json
import math
import os
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch

from fastinit.checkpoint import BadInput, manifest
from fastinit.checkpoint.manifest import TensorSpec

ENTRY = {"dtype": "F32", "shape": [2, 3]}

# The sizes in the models' papers and cards.
PARAMETERS = {
    "gpt2": 124_439_808,
    "bert-base": 109_514_298,
    "llama-7b": 6_738_415_616,
    "mixtral-8x7b": 46_702_792_704,
    "resnet50": 25_557_032,
    "vit-b16": 86_567_656,
}


@pytest.mark.parametrize("model", PARAMETERS)
def test_published_parameter_counts(model):
    assert sum(spec.size for spec in manifest.read(manifest.MODELS[model])) == PARAMETERS[model]


def test_there_is_no_other_list():
    assert manifest.MODELS.keys() == PARAMETERS.keys()
    assert manifest.GPT2 == manifest.MODELS["gpt2"]


def test_a_spec_counts_as_numpy_does():
    for dtype in manifest.DTYPES.keys() - {"F4"}:
        for shape in [(), (0,), (3,), (2, 0, 5), (2, 3, 4)]:
            spec = TensorSpec("x", dtype, shape)
            array = np.empty(shape, spec.storage)
            assert (spec.size, spec.itemsize, spec.nbytes) == (array.size, array.itemsize, array.nbytes)


def test_order_is_the_sources(tmp_path):
    names = ["b", "a", "c.ü.權"]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(dict.fromkeys(names, ENTRY)))
    assert [spec.name for spec in manifest.read(path)] == names
    assert manifest.read(os.fspath(path)) == manifest.read(path)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps({"x": ENTRY}).encode())))
    assert manifest.read("-") == [TensorSpec("x", "F32", (2, 3))]


def test_a_mapping_may_hold_tuples():
    assert manifest.read({"x": {"dtype": "F32", "shape": (2, 3)}}) == [TensorSpec("x", "F32", (2, 3))]


def test_a_tensor_may_be_named_weight_map():
    assert manifest.read({"weight_map": ENTRY})[0].name == "weight_map"


@pytest.mark.parametrize(
    "dtype",
    ["F16", "float16", np.float16, np.dtype("float16"), np.dtype(">f2"), torch.float16, "torch.float16"],
)
def test_a_mapping_may_hold_what_python_has(dtype):
    expected = [TensorSpec("x", "F16", (2, 3))]
    for shape in (torch.Size([2, 3]), [np.int64(2), np.uint8(3)]):
        assert manifest.read({"x": {"dtype": dtype, "shape": shape}}) == expected
    assert manifest.read({"x": TensorSpec("y", "F16", (2, 3))}) == expected
    assert manifest.read({"x": ENTRY}, dtype) == expected


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (np.int64, "I64"),
        (np.bool_, "BOOL"),
        (torch.uint8, "U8"),
        (torch.bfloat16, "BF16"),
        (ml_dtypes.bfloat16, "BF16"),
        (torch.float8_e4m3fn, "F8_E4M3"),
        (ml_dtypes.float8_e5m2, "F8_E5M2"),
        ("torch.float8_e8m0fnu", "F8_E8M0"),
        (ml_dtypes.float4_e2m1fn, "F4"),
        (np.complex64, "C64"),
        ("bf16", "BF16"),
        ("fp16", "F16"),
        ("half", "F16"),
        ("torch.float", "F32"),
        ("torch.long", "I64"),
        ("np.float64", "F64"),
        ("jnp.bfloat16", "BF16"),
        (jax.numpy.bfloat16, "BF16"),
        ("bool", "BOOL"),
    ],
)
def test_names_of_dtypes(dtype, name):
    assert manifest.read({"x": {"dtype": dtype, "shape": [2]}})[0].dtype == name


@pytest.mark.parametrize(
    "dtype", [None, "F8", "f8", "i8", "float", "long", np.complex128, torch.float8_e4m3fnuz, float, 3]
)
def test_dtypes_that_no_checkpoint_has(dtype):
    with pytest.raises(BadInput, match="has dtype"):
        manifest.read({"x": {"dtype": dtype, "shape": [2]}})


@pytest.mark.parametrize("source", [None, 3, b"x", np.zeros(3), torch.zeros(3)])
def test_what_is_no_manifest(source):
    with pytest.raises(BadInput, match="the manifest must be a path, - or a mapping"):
        manifest.read(source)


@pytest.mark.parametrize("name", ["whole.safetensors", "."])
def test_the_header_of_a_checkpoint(tmp_path, name):
    tensors = {
        "a": np.zeros((2, 3), np.float16),
        "b": np.zeros((), np.int64),
        "c": np.zeros((0, 4), np.bool_),
    }
    path = tmp_path / name
    safetensors.numpy.save_file(tensors, path / "model.safetensors" if path.is_dir() else path)
    assert {(s.name, s.dtype, s.shape) for s in manifest.read(path)} == {
        ("a", "F16", (2, 3)),
        ("b", "I64", ()),
        ("c", "BOOL", (0, 4)),
    }


def test_the_data_of_a_checkpoint_is_never_read(tmp_path):
    path = tmp_path / "huge.safetensors"
    size = 2**40
    header = json.dumps({"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(
        path, 8 + len(header) + size
    )  # a sparse file: reading it would take minutes, or too much memory
    assert manifest.read(path) == [TensorSpec("x", "U8", (size,))]


@pytest.fixture
def sharded(tmp_path):
    for number in (1, 2):
        tensors = {f"layer.{number}.weight": np.zeros((number, 5), np.float32)}
        safetensors.numpy.save_file(tensors, tmp_path / f"model-0000{number}-of-00002.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    weight_map = {f"layer.{number}.weight": f"model-0000{number}-of-00002.safetensors" for number in (2, 1)}
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def test_a_sharded_index(sharded):
    expected = [TensorSpec("layer.2.weight", "F32", (2, 5)), TensorSpec("layer.1.weight", "F32", (1, 5))]
    assert manifest.read(sharded) == expected
    assert manifest.read(sharded.parent) == expected
    renamed = sharded.with_name("list.txt")
    sharded.rename(renamed)
    assert manifest.read(renamed) == expected


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"layer.1.weight": "../model-00001-of-00002.safetensors"}, "no file beside it"),
        ({"layer.1.weight": "model-00009-of-00002.safetensors"}, "No such file"),
        ({"layer.9.weight": "model-00001-of-00002.safetensors"}, "not in model-00001"),
        ({}, "no tensor"),
    ],
)
def test_a_sharded_index_that_is_wrong(sharded, weight_map, message):
    sharded.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(BadInput, match=message):
        manifest.read(sharded)


def test_a_shard_with_tensors_that_the_index_does_not_list(sharded):
    """Among them one that is listed in the other shard, with another shape."""
    extra = {
        "layer.1.weight": np.zeros((1, 5), np.float32),
        "layer.2.weight": np.zeros((7, 7), np.float32),
        "extra": np.zeros(1, np.float32),
    }
    safetensors.numpy.save_file(extra, sharded.parent / "model-00001-of-00002.safetensors")
    expected = [TensorSpec("layer.2.weight", "F32", (2, 5)), TensorSpec("layer.1.weight", "F32", (1, 5))]
    assert manifest.read(sharded) == expected


def test_an_index_without_its_shards_has_no_shapes(sharded):
    for shard in sharded.parent.glob("*.safetensors"):
        shard.unlink()
    for source in (sharded, sharded.parent):
        with pytest.raises(BadInput, match=r"00002-of-00002.*shapes are missing.*index\.json has only names"):
            manifest.read(source)


@pytest.mark.parametrize("stem", ["model", "diffusion_pytorch_model", "adapter_model"])
def test_the_names_that_libraries_give_a_checkpoint_in_a_folder(tmp_path, sharded, stem):
    """A variant is taken only if there is no other."""
    expected = manifest.read(sharded)
    variant = sharded.rename(sharded.with_name(f"{stem}.safetensors.index.fp16.json"))
    assert manifest.read(tmp_path) == expected
    variant.rename(tmp_path / f"{stem}.safetensors.index.json")
    assert manifest.read(tmp_path) == expected
    variant.with_name(f"{stem}.safetensors.index.json").unlink()
    for name, size in ((f"{stem}.fp16.safetensors", 3), (f"{stem}.safetensors", 4)):
        safetensors.numpy.save_file({"x": np.zeros(size, np.float32)}, tmp_path / name)
        assert manifest.read(tmp_path) == [TensorSpec("x", "F32", (size,))]


def test_a_folder_with_two_checkpoints(tmp_path):
    for stem in ("model", "adapter_model"):
        safetensors.numpy.save_file({"x": np.zeros(1)}, tmp_path / f"{stem}.safetensors")
    with pytest.raises(BadInput, match=r"both adapter_model\.safetensors and model\.safetensors"):
        manifest.read(tmp_path)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_a_header_as_json_is_a_list(tmp_path, metadata):
    header = {
        "__metadata__": metadata,
        "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
        "a": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]},
    }
    path = tmp_path / "header.json"
    path.write_text(json.dumps(header))
    expected = [TensorSpec("b", "BF16", (2, 3)), TensorSpec("a", "F32", ())]
    assert manifest.read(path) == manifest.read(header) == expected
    text = path.read_bytes()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))
    assert manifest.read(path) == expected


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "torch.float8_e4m3fn", "F8_E4M3", "f8_e4m3"])
def test_spellings_of_dtypes_in_a_list(tmp_path, dtype):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"x": {"dtype": dtype, "shape": [2]}}))
    assert manifest.read(path) == [TensorSpec("x", "F8_E4M3", (2,))]


def entry(dtype="F32", shape="[1]", name='"x"'):
    return f'{{{name}: {{"dtype": "{dtype}", "shape": {shape}}}}}'


BAD = {
    "empty": ("", "not valid JSON"),
    "truncated": ('{"x": {"dtype": "F32", "sha', "not valid JSON"),
    "two objects": (entry() + entry(), "not valid JSON"),
    "a list": ("[]", "must be a JSON object"),
    "no tensor": ("{}", "no tensor"),
    "too deep": ("[" * 100_000, "not valid JSON"),
    "a name twice": (
        '{"x": {"dtype": "F32", "shape": [1]}, "x": {"dtype": "F32", "shape": [1]}}',
        "'x' is there twice",
    ),
    "a key twice": ('{"x": {"dtype": "F32", "dtype": "F16", "shape": [1]}}', "'dtype' is there twice"),
    "no name": (entry(name='""'), "name"),
    "a reserved name": (entry(name='"__metadata__"'), "__metadata__"),
    "half a surrogate pair": (entry(name='"\\ud800"'), "Unicode"),
    "metadata that is no text": ('{"__metadata__": {"a": 1}}', "__metadata__"),
    "an entry that is a list": ('{"x": ["F32", [1]]}', "'x' must be"),
    "no dtype": ('{"x": {"shape": [1]}}', "'x' must be"),
    "an unknown key": ('{"x": {"dtype": "F32", "shape": [1], "shapes": [1]}}', "'x' must be"),
    "a dtype of 8 bits": (entry(dtype="F8_E3M4"), "'F8_E3M4'; known are F64, F32, F16, BF16"),
    "half a byte": (entry(dtype="F4", shape="[3, 1]"), r"shape \[3, 1\]; F4 has 2 elements in a byte"),
    "NumPy's code of a dtype": (entry(dtype="f4"), "'f4'"),
    "a shape that is a number": (entry(shape="3"), "shape 3"),
    "a negative shape": (entry(shape="[2, -1]"), r"\[2, -1\]"),
    "a fractional shape": (entry(shape="[2.0]"), r"\[2.0\]"),
    "a boolean shape": (entry(shape="[true]"), r"\[True\]"),
    "an infinite shape": (entry(shape="[1e999]"), r"\[inf\]"),
    "a string in a shape": (entry(shape='["2"]'), "'2'"),
    "2^64 elements": (entry(shape="[4294967296, 4294967296]"), "too large"),
    "2^61 elements of 4 bytes": (entry(shape=f"[{2**61}]"), "too large"),
    "overflow beside a zero": (entry(shape=f"[{2**62}, 4, 0]"), "too large"),
    "a number of 5000 digits": (entry(shape="[" + "9" * 5000 + "]"), "not valid JSON"),
    "65 dimensions": (entry(shape=str([1] * 65)), "too large"),
    "together over 2^63 bytes": (
        json.dumps({name: {"dtype": "U8", "shape": [2**62]} for name in "ab"}),
        "together",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_is_refused(tmp_path, text, message):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        manifest.read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "list.json"
    path.write_bytes(b'{"\xff": 1}')
    with pytest.raises(BadInput, match=r"list\.json"):
        manifest.read(path)


def test_a_list_over_the_limit(tmp_path):
    path = tmp_path / "list.json"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(BadInput, match="limit of 100000000 bytes"):
        manifest.read(path)


@pytest.mark.parametrize("name", ["missing.json", "missing.safetensors"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(BadInput, match=f"{name}: No such file"):
        manifest.read(tmp_path / name)


def test_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(BadInput, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        manifest.read(tmp_path)


def test_a_folder_of_shards_without_an_index_is_unfinished(sharded):
    sharded.unlink()
    with pytest.raises(BadInput, match="no index: unfinished; generate --resume continues"):
        manifest.read(sharded.parent)


def test_a_list_with_a_byte_order_mark(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps({"x": ENTRY}), "utf-8-sig")
    assert manifest.read(tmp_path / "list.json") == [TensorSpec("x", "F32", (2, 3))]


def test_the_largest_that_is_allowed():
    shape = (2**30, 2**33 - 1)
    assert TensorSpec("x", "U8", shape).nbytes == math.prod(shape)

"""Checkpoints: what is in them."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from generated import DTYPES, MODEL, OTHER, RULES, load, names, same
from safetensors.torch import load_file

from fastinit import checkpoint, init
from fastinit.checkpoint import BadInput, generate, manifest
from fastinit.random import PCG64, Generator


def test_values_are_the_contracts(tmp_path, rules):
    summary = generate(MODEL, tmp_path, seed=5, init=rules)
    found = load(summary)
    assert list(map(str, summary.files)) == [str(tmp_path / "model.safetensors")]
    for name, entry in MODEL.items():
        tensor = found[name]
        assert tensor.dtype == getattr(torch, DTYPES[entry["dtype"]])
        assert list(tensor.shape) == entry["shape"]
        if tensor.dtype == torch.int64:
            continue
        spec, layout = next(rule for match, rule in RULES.items() if Path(name).match(match))
        rng = Generator(PCG64(5)).fold_in(name)
        expected = init.get(spec)(
            entry["shape"], layout=layout or "oi", dtype=DTYPES[entry["dtype"]], rng=rng
        )
        np.testing.assert_array_equal(tensor.double().numpy(), expected.astype(np.float64))
    assert found["position_ids"].tolist() == [list(range(512))]
    assert found["norm.num_batches_tracked"].item() == 0


def test_gpt2_from_the_packaged_list(tmp_path):
    summary = generate(manifest.GPT2, tmp_path, only=["*.h.0.*", "*.wpe.*"])
    found = load(summary)
    assert summary.tensors == len(found) == 13
    assert summary.parameters == sum(tensor.numel() for tensor in found.values())
    assert summary.bytes == sum(tensor.numel() * tensor.element_size() for tensor in found.values())
    for name, std in [("attn.c_attn", 0.02), ("attn.c_proj", 0.02 / 24**0.5), ("mlp.c_proj", 0.02 / 24**0.5)]:
        weight = found[f"transformer.h.0.{name}.weight"]
        # Five standard errors of a standard deviation of n normals.
        assert abs(weight.std().item() / std - 1) < 5 / (2 * weight.numel()) ** 0.5
    assert torch.equal(found["transformer.h.0.ln_1.weight"], torch.ones(768))
    assert not found["transformer.h.0.attn.c_attn.bias"].any()


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("size", ["300KB", "3MB", 1])
def test_neither_threads_nor_shards_show(tmp_path, rules, once, threads, size):
    summary = generate(MODEL, tmp_path, seed=5, init=rules, threads=threads, max_shard_size=size, digest=True)
    assert len(summary.files) > 2
    assert same(load(summary), load(once))
    assert (summary.digest, summary.tensor_digests) == (once.digest, once.tensor_digests)
    assert summary.recipe_digest == once.recipe_digest


def test_no_instruction_set_shows(tmp_path, rules, once, isa):
    assert generate(MODEL, tmp_path, seed=5, init=rules, digest=True).digest == once.digest


def test_the_file_is_the_same_every_time(tmp_path, rules, once):
    summary = generate(MODEL, tmp_path / "other.safetensors", seed=5, init=rules, threads=3)
    assert summary.files[0].read_bytes() == once.files[0].read_bytes()


def test_the_digest_is_the_documented_one(once):
    def blake2b(data):
        return hashlib.blake2b(data, digest_size=32)

    tensors = []
    for name, data in sorted(safetensors.deserialize(once.files[0].read_bytes())):
        pieces = [data["data"][i : i + 2**20] for i in range(0, len(data["data"]), 2**20)]
        digest = blake2b(b"".join(blake2b(piece).digest() for piece in pieces)).hexdigest()
        assert once.tensor_digests[name] == digest
        tensors.append([name, data["dtype"], data["shape"], digest])
    assert once.digest == blake2b(json.dumps(tensors, separators=(",", ":")).encode()).hexdigest()


def test_the_recipe_follows_what_the_bytes_follow(tmp_path, rules, once):
    def recipe(model=MODEL, **arguments):
        number = len(names(tmp_path))
        arguments = {"seed": 5, "init": rules, **arguments}
        return generate(model, tmp_path / str(number), **arguments).recipe_digest

    assert recipe(dict(reversed(MODEL.items()))) == once.recipe_digest
    others = [
        recipe(seed=6),
        recipe(init=OTHER),
        recipe(dtype="F16"),
        recipe(only=["embed.*"]),
        recipe({**MODEL, "embed.weight": {"dtype": "F32", "shape": [1001, 700]}}),
    ]
    assert len({once.recipe_digest, *others}) == 6


def test_metadata(once, rules):
    with safetensors.safe_open(once.files[0], "np") as file:
        metadata = file.metadata()
    assert metadata.pop("fastinit.version") == sys.modules["fastinit"].__version__
    used = json.loads(metadata.pop("fastinit.rules"))
    assert {"match": "half.*", "init": "xavier_normal", "layout": "io"} in used
    assert metadata == {
        "format": "pt",
        "fastinit.contract": "1",
        "fastinit.seed": "5",
        "fastinit.bit_generator": "PCG64",
        "fastinit.recipe": once.recipe_digest,
    }


def test_only_changes_no_value(tmp_path, rules, once):
    summary = generate(MODEL, tmp_path, seed=5, init=rules, only=["fc.*", "[hn]*.weight"])
    all_of_them = load(once)
    expected = ["fc.weight", "fc.bias", "half.weight", "norm.weight"]
    assert same(load(summary), {name: all_of_them[name] for name in expected})


def test_dtype_changes_floats_alone(tmp_path, rules):
    found = load(generate(MODEL, tmp_path, init=rules, dtype="bfloat16"))
    assert {name for name, tensor in found.items() if tensor.dtype == torch.int64} == {
        "norm.num_batches_tracked",
        "position_ids",
    }
    assert {tensor.dtype for tensor in found.values()} == {torch.int64, torch.bfloat16}


def test_tensors_are_the_same(rules, once):
    found = load(once)
    made = dict(checkpoint.tensors(MODEL, seed=5, init=rules))
    assert list(made) == list(MODEL)
    for name, array in made.items():
        assert str(array.dtype) == DTYPES[MODEL[name]["dtype"]]
        assert array.shape == found[name].shape
        np.testing.assert_array_equal(array.astype(np.float64), found[name].double().numpy())


def test_tensors_refuses_at_once():
    with pytest.raises(BadInput):
        checkpoint.tensors({})


def test_a_checkpoint_is_a_manifest(tmp_path, rules, once):
    summary = generate(once.files[0], tmp_path, seed=5, init=rules, max_shard_size="1MB", digest=True)
    again = generate(summary.files[-1], tmp_path / "again", seed=5, init=rules, digest=True)
    assert once.digest == summary.digest == again.digest


def test_an_index_is_hugging_faces(tmp_path, rules):
    summary = generate(MODEL, tmp_path, init=rules, max_shard_size="1MB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert list(index["weight_map"]) == list(MODEL)
    assert index["metadata"] == {"total_size": summary.bytes}
    for file in set(index["weight_map"].values()):
        held = {name for name, where in index["weight_map"].items() if where == file}
        assert held == load_file(tmp_path / file).keys()


def test_what_is_a_folder(tmp_path, rules):
    (tmp_path / "there.safetensors").mkdir()
    for target in ("new", "there.safetensors", "slash.safetensors/", ".safetensors"):
        [path] = generate(MODEL, f"{tmp_path}/{target}", init=rules, only="fc.bias").files
        assert path == tmp_path / target / "model.safetensors"


def test_a_file_is_one_unless_a_size_is_given(tmp_path, rules):
    path = tmp_path / "mine.safetensors"
    assert generate(MODEL, path, init=rules).files == [path]
    path.unlink()
    summary = generate(MODEL, path, init=rules, max_shard_size="3MB")
    assert names(tmp_path) == sorted(path.name for path in summary.files)
    assert summary.files[0].name == f"mine-00001-of-0000{len(summary.files) - 1}.safetensors"
    assert summary.files[-1].name == "mine.safetensors.index.json"


def test_progress_counts_every_byte(tmp_path, rules):
    told = []
    summary = generate(
        MODEL, tmp_path, init=rules, max_shard_size="1MB", progress=lambda *done: told.append(done)
    )
    assert told == sorted(told)
    assert told[-1] == (summary.bytes, summary.bytes)


def as_earlier(path):
    """Rewrite a file as earlier versions did: data began at a multiple of 8 bytes."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    text = data[8:end].rstrip()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])
    return path.stat().st_size < len(data)


def test_files_of_earlier_versions_are_kept_and_verified(tmp_path, rules):
    options = {"seed": 5, "init": rules, "max_shard_size": "1MB"}
    summary = generate(MODEL, tmp_path, **options)
    new = {path: path.read_bytes() for path in summary.files}
    shards = summary.files[:-1]
    assert any([as_earlier(path) for path in shards])
    earlier = {path: path.read_bytes() for path in summary.files}
    assert checkpoint.verify(tmp_path).same
    assert generate(MODEL, tmp_path, **options, resume=True).kept == shards
    assert {path: path.read_bytes() for path in summary.files} == earlier
    shards[0].write_bytes(earlier[shards[0]][:-1] + b"?")
    assert generate(MODEL, tmp_path, **options, resume=True).kept == shards[1:]
    assert shards[0].read_bytes() == new[shards[0]]


@pytest.mark.parametrize("source", ["folder", "index", "shard"])
def test_only_in_the_folder_that_was_read_removes_no_shard(tmp_path, rules, source):
    summary = generate(MODEL, tmp_path, init=rules, max_shard_size="1MB")
    before = {path: path.read_bytes() for path in summary.files}
    source = {"folder": tmp_path, "index": summary.files[-1], "shard": summary.files[0]}[source]
    with pytest.raises(BadInput, match=r"would stay beside model\.safetensors.*give a file's name"):
        generate(source, tmp_path, init=OTHER, only="embed.weight", force=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    made = generate(source, tmp_path / "part.safetensors", init=OTHER, only="embed.weight")
    assert made.files == [tmp_path / "part.safetensors"]
    assert {path: path.read_bytes() for path in summary.files} == before
    made.files[0].unlink()
    # Without --only, the new checkpoint replaces the old one.
    generate(MODEL, tmp_path, init=OTHER, force=True)
    assert names(tmp_path) == ["model.safetensors"]


def test_only_in_another_folder_replaces_what_is_there(tmp_path, rules):
    for target in ("a", "b"):
        generate(MODEL, tmp_path / target, init=rules, max_shard_size="1MB")
    generate(tmp_path / "a", tmp_path / "b", init=OTHER, only="embed.weight", force=True)
    assert names(tmp_path / "b") == ["model.safetensors"]

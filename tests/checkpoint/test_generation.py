"""Checkpoints: what is in them, and what is left where something went wrong."""

import errno
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import load_file

from fastinit import checkpoint, init
from fastinit.checkpoint import BadInput, generate, manifest
from fastinit.checkpoint.pieces import PIECE
from fastinit.checkpoint.rules import Rule
from fastinit.random import PCG64, Generator

MODEL = {
    "embed.weight": {"dtype": "F32", "shape": [700, 1001]},
    "fc.weight": {"dtype": "BF16", "shape": [1000, 601]},
    "fc.bias": {"dtype": "BF16", "shape": [1000]},
    "wide.weight": {"dtype": "F64", "shape": [300, 501]},
    "half.weight": {"dtype": "F16", "shape": [3, 5, 7]},
    "turn.weight": {"dtype": "F32", "shape": [30, 20]},
    "thin.weight": {"dtype": "F32", "shape": [600, 501]},
    "norm.weight": {"dtype": "F32", "shape": [64]},
    "norm.num_batches_tracked": {"dtype": "I64", "shape": []},
    "position_ids": {"dtype": "I64", "shape": [1, 512]},
    "empty.bias": {"dtype": "F32", "shape": [0, 4]},
}
RULES = {
    "norm.num_batches_tracked": ("zeros", None),
    "position_ids": ("arange", None),
    "norm.*": ("ones", None),
    "*.bias": ("zeros", None),
    "fc.weight": ("kaiming_uniform", "oi"),
    "wide.*": ("truncated_normal(std=0.02)", None),
    "half.*": ("xavier_normal", "io"),
    "turn.*": ("orthogonal", None),
    "thin.*": ("sparse(sparsity=0.5)", None),
    "*": ("normal(std=0.02)", None),
}
OTHER = [Rule("*", "zeros")]
# One tensor holds more than a piece, and no tensor a whole number of them.
assert 700 * 1001 * 4 > 2 * PIECE

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "rules.toml"
    blocks = []
    for match, (spec, layout) in RULES.items():
        blocks.append(
            f'[[rule]]\nmatch = "{match}"\ninit = "{spec}"\n' + (f'layout = "{layout}"\n' if layout else "")
        )
    path.write_text("\n".join(blocks))
    return path


def load(summary):
    """A checkpoint as safetensors' own package and torch see it."""
    found = {}
    for path in summary.files:
        if path.suffix == ".safetensors":
            found.update(load_file(path))
    return found


def same(a, b):
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a
    )


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


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


@pytest.fixture(scope="module")
def once(tmp_path_factory, rules):
    return generate(MODEL, tmp_path_factory.mktemp("once"), seed=5, init=rules, threads=1, digest=True)


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "negative"),
        ({"seed": 1.5}, "integer"),
        ({"dtype": "F8"}, "F64, F32, F16, BF16"),
        ({"dtype": "int64"}, "F64, F32, F16, BF16"),
        ({"init": "nonsense"}, "nonsense"),
        ({"only": ["x*", "y"]}, r"no tensor matches 'x\*' or 'y'"),
        ({"threads": 0}, "threads"),
        ({"max_shard_size": "5 parsecs"}, "5 parsecs"),
        ({"threads": 1.5}, "threads"),
        ({"max_shard_size": "0"}, "size '0'"),
        ({"max_shard_size": 0}, "size 0"),
        ({"max_shard_size": ""}, "size ''"),
        ({"target": None}, "target"),
        ({"target": 3}, "target"),
        ({"manifest": {}}, "no tensor"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path, rules, arguments, message):
    target = tmp_path / "new"
    with pytest.raises(BadInput, match=message):
        generate(**{"manifest": MODEL, "init": rules, "target": target, **arguments})
    assert not target.exists()


@pytest.mark.parametrize(
    "target", ["missing/folder", "file/model", "file/x.safetensors", "/proc/x.safetensors"]
)
def test_a_target_that_cannot_be_written(tmp_path, target):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        generate(MODEL, tmp_path / target, init=OTHER)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("arguments", [{}, {"force": True}, {"resume": True}, {"max_shard_size": 1}])
@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json"])
def test_a_folder_where_a_file_must_go(tmp_path, arguments, name):
    (tmp_path / name).mkdir()
    with pytest.raises(BadInput, match=r"exists|is a folder"):
        generate(MODEL, tmp_path, init=OTHER, **arguments)
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("target", ["closed", "closed/new", "closed/x.safetensors"])
def test_a_folder_without_permission(tmp_path, target):
    generate(MODEL, tmp_path / "closed", init=OTHER)  # and all modules are loaded
    (tmp_path / "closed").chmod(0)
    user = os.geteuid()
    try:
        if user == 0:  # to whom nothing is closed
            os.seteuid(65534)
        with pytest.raises(BadInput, match="Permission denied"):
            generate(MODEL, tmp_path / target, init=OTHER, force=True)
    finally:
        os.seteuid(user)
        (tmp_path / "closed").chmod(0o755)
    assert names(tmp_path / "closed") == ["model.safetensors"]


def test_long_names(tmp_path):
    """Whatever the file system allows, and where it doesn't, nothing is written."""
    longest = "x" * (255 - len(".safetensors")) + ".safetensors"
    generate(MODEL, tmp_path / longest, init=OTHER)
    assert names(tmp_path) == [longest]
    for arguments in (
        {"target": tmp_path / f"x{longest}"},
        {"target": tmp_path / longest, "max_shard_size": 1},
    ):
        with pytest.raises(BadInput, match="File name too long"):
            generate(MODEL, init=OTHER, force=True, **arguments)
    assert names(tmp_path) == [longest]


def test_a_file_that_cannot_be_read_is_not_resumed(tmp_path, rules):
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"model\.safetensors: No such file"):
        generate(MODEL, tmp_path, init=rules, resume=True)
    summary = generate(MODEL, tmp_path, init=rules, resume=True, force=True)
    assert load(summary).keys() == MODEL.keys()


def test_what_has_no_room_is_not_begun(tmp_path):
    model = {"x": {"dtype": "F32", "shape": [2**26, 2**26]}}
    with pytest.raises(BadInput, match=r"needs 18\.0 PB, [0-9.]+ .B are free"):
        generate(model, tmp_path / "new", init=OTHER)
    assert names(tmp_path) == []


def test_what_is_there_counts_as_room(tmp_path, rules, once, monkeypatch):
    """A file system that the checkpoint fills."""
    arguments = {"seed": 5, "init": rules, "max_shard_size": "1MB"}
    generate(MODEL, tmp_path, **arguments)
    system = os.statvfs(tmp_path)
    full = os.statvfs_result([*system[:4], 0, *system[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(BadInput, match="0 bytes are free"):
        generate(MODEL, tmp_path / "new", init=rules)
    assert same(load(generate(MODEL, tmp_path, **arguments, resume=True)), load(once))


def test_a_target_that_is_there_is_refused(tmp_path, rules):
    generate(MODEL, tmp_path, init=rules, only=["fc.*"])
    before = (tmp_path / "model.safetensors").read_bytes()
    for size in (None, "1MB"):
        with pytest.raises(BadInput, match="exists"):
            generate(MODEL, tmp_path, init=rules, max_shard_size=size)
    assert names(tmp_path) == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert generate(MODEL, tmp_path, init=rules, force=True).tensors == len(MODEL)


@pytest.mark.parametrize(("first", "second"), [("1MB", "3MB"), ("1MB", None), (None, "1MB")])
def test_force_leaves_nothing_of_the_old(tmp_path, rules, once, first, second):
    (tmp_path / "model.txt").touch()
    generate(MODEL, tmp_path, init=rules, seed=4, max_shard_size=first)
    summary = generate(MODEL, tmp_path, init=rules, seed=5, max_shard_size=second, force=True)
    assert names(tmp_path) == sorted(["model.txt", *(path.name for path in summary.files)])
    assert same(load(summary), load(once))


def test_resume_keeps_what_is_right_and_mends_the_rest(tmp_path, rules, once):
    arguments = {"seed": 5, "init": rules, "max_shard_size": "1MB", "digest": True}
    summary = generate(MODEL, tmp_path, **arguments)
    flipped, cut, barely, empty, longer, lost, *kept, index = summary.files
    damage(flipped)
    longer.write_bytes(longer.read_bytes() + b"\0")
    os.truncate(cut, cut.stat().st_size - 1)
    os.truncate(barely, 100)  # in its header
    os.truncate(empty, 0)
    lost.unlink()
    index.unlink()
    before = {path: path.stat().st_ino for path in kept}
    told = []
    resumed = generate(
        MODEL, tmp_path, **arguments, resume=True, progress=lambda done, total: told.append((done, total))
    )
    assert resumed.kept == kept
    assert told[-1] == (summary.bytes, summary.bytes)
    assert {path: path.stat().st_ino for path in kept} == before
    assert resumed.digest == once.digest
    assert same(load(resumed), load(once))


def test_resume_with_force_mends_the_files_of_another_command(tmp_path, rules, once):
    """Of shards that hold one tensor each, some are zeros whatever the seed: their headers differ."""
    arguments = {"init": rules, "max_shard_size": 1}
    generate(MODEL, tmp_path, **arguments, seed=4)
    right = generate(MODEL, tmp_path / "right", **arguments, seed=5).files[1]
    os.replace(right, tmp_path / right.name)
    summary = generate(MODEL, tmp_path, **arguments, seed=5, resume=True, force=True)
    assert summary.kept == [tmp_path / right.name]
    assert same(load(summary), load(once))


def damage(path):
    """Change the last bit of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("arguments", [{"seed": 6}, {"init": OTHER}, {"max_shard_size": "1MB"}])
def test_resume_refuses_the_file_of_another_command(tmp_path, rules, arguments):
    common = {"seed": 5, "init": rules, "only": ["fc.*", "wide.*"]}
    generate(MODEL, tmp_path, **common)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(BadInput, match="another command"):
        generate(MODEL, tmp_path, **{**common, **arguments}, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_short_writes_are_continued(tmp_path, rules, once, monkeypatch):
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:4099], offset))
    assert same(load(generate(MODEL, tmp_path, seed=5, init=rules)), load(once))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_full_disk(tmp_path, rules, monkeypatch, threads):
    generate(MODEL, tmp_path, init=rules, max_shard_size="2MB")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    left = 5_000_000
    pwrite = os.pwrite

    def full(fd, data, offset):
        nonlocal left
        left -= len(data)
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    arguments = {"seed": 1, "init": rules, "max_shard_size": "2MB", "threads": threads}
    with pytest.raises(OSError, match="No space left"):
        generate(MODEL, tmp_path, **arguments, force=True)
    assert "model.safetensors.index.json" not in names(tmp_path)
    assert set(names(tmp_path)) < set(before)
    for path in tmp_path.iterdir():
        load_file(path)
    left = 10**12
    summary = generate(MODEL, tmp_path, **arguments, force=True, resume=True)
    assert 0 < len(summary.kept) < len(summary.files)
    monkeypatch.undo()
    assert same(load(summary), load(generate(MODEL, tmp_path / "other", seed=1, init=rules)))


def test_a_folder_made_for_nothing_is_removed(tmp_path, rules, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        generate(MODEL, tmp_path / "new", init=rules)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("first", "second"), [("1MB", "1MB"), ("1MB", "2MB"), (None, "1MB"), ("1MB", None)])
def test_two_at_once_do_not_mix(tmp_path, rules, once, first, second):
    """Whatever they cut, and between any two files."""
    refused = 0

    def interfere(*_):
        nonlocal refused
        with pytest.raises(BadInput, match="model: is being written by another process"):
            generate(MODEL, tmp_path, seed=6, init=rules, force=True, max_shard_size=second)
        refused += 1

    arguments = {"seed": 5, "init": rules, "threads": 1, "max_shard_size": first}
    summary = generate(MODEL, tmp_path, **arguments, progress=interfere)
    assert refused > len(summary.files)
    assert names(tmp_path) == sorted(path.name for path in summary.files)
    assert same(load(summary), load(once))


def test_two_checkpoints_in_one_folder_do_not_wait_for_each_other(tmp_path, rules):
    def other(*_):
        generate(MODEL, tmp_path / "b.safetensors", init=rules, force=True)

    generate(MODEL, tmp_path / "a.safetensors", init=rules, threads=1, only="fc.bias", progress=other)
    assert names(tmp_path) == ["a.safetensors", "b.safetensors"]


def test_progress_counts_every_byte(tmp_path, rules):
    told = []
    summary = generate(
        MODEL, tmp_path, init=rules, max_shard_size="1MB", progress=lambda *done: told.append(done)
    )
    assert told == sorted(told)
    assert told[-1] == (summary.bytes, summary.bytes)

"""Checkpoints: what is refused, and what is left if something goes wrong."""

import contextlib
import errno
import os

import pytest
from generated import MODEL, OTHER, load, names, same
from safetensors.torch import load_file

from fastinit.checkpoint import BadInput, generate


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
    generate(MODEL, tmp_path / "closed", init=OTHER)  # this also loads all modules
    (tmp_path / "closed").chmod(0)
    user = os.geteuid()
    try:
        if user == 0:  # root may write everywhere
            os.seteuid(65534)
        with pytest.raises(BadInput, match="Permission denied"):
            generate(MODEL, tmp_path / target, init=OTHER, force=True)
    finally:
        os.seteuid(user)
        (tmp_path / "closed").chmod(0o755)
    assert names(tmp_path / "closed") == ["model.safetensors"]


def test_long_names(tmp_path):
    """Any name that the file system allows works. For any other, nothing is written."""
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


@pytest.mark.parametrize(("free", "fits"), [(400, True), (399, False)])
def test_room_is_counted_in_bytes(tmp_path, monkeypatch, free, fits):
    system = os.statvfs(tmp_path)
    left = os.statvfs_result([system[0], 1, *system[2:4], free, *system[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: left)
    refused = contextlib.nullcontext() if fits else pytest.raises(BadInput, match="needs 400 bytes, 399")
    with refused:
        generate({"x": {"dtype": "F32", "shape": [100]}}, tmp_path / "new", init=OTHER)


def test_what_is_there_counts_as_room(tmp_path, rules, once, monkeypatch):
    """A file system that is too small for the checkpoint."""
    arguments = {"seed": 5, "init": rules, "max_shard_size": "1MB"}
    generate(MODEL, tmp_path, **arguments)
    system = os.statvfs(tmp_path)
    full = os.statvfs_result([*system[:4], 0, *system[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    for target, more in ((tmp_path / "new", {}), (tmp_path, {"force": True})):
        with pytest.raises(BadInput, match="0 bytes are free; an old checkpoint stays until the new one is"):
            generate(MODEL, target, **arguments, **more)
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
    """Each shard holds one tensor, and some are zeros for every seed: only their headers differ."""
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
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    left = 5_000_000
    with pytest.raises(OSError, match="No space left"):
        generate(MODEL, tmp_path / "new", **arguments)
    assert "model.safetensors.index.json" not in names(tmp_path / "new")
    for path in (tmp_path / "new").iterdir():
        load_file(path)
    left = 10**12
    summary = generate(MODEL, tmp_path / "new", **arguments, resume=True)
    assert 0 < len(summary.kept) < len(summary.files)
    summary = generate(MODEL, tmp_path, **arguments, force=True)
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
    """A signal may come at any write, or between any two files."""
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

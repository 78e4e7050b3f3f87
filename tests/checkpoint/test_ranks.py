"""Ranks: processes that share the shards of a checkpoint."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from generated import MODEL, OTHER, load, names, same

from fastinit.checkpoint import BadInput, Recording, Rule, TensorSpec, generate, verify
from fastinit.checkpoint.writer import part_of

COMMAND = [sys.executable, "-m", "fastinit", "generate"]
CUT = {"seed": 5, "max_shard_size": "1MB"}
# LAPACK takes 20 ms or more for one of 4 tensors in each of 12 shards, so that a kill finds a rank at work.
SLOW = {f"{number}": {"dtype": "F32", "shape": [500, 500]} for number in range(48)}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def times(folder):
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, rules):
    """The checkpoint as one process writes it."""
    folder = tmp_path_factory.mktemp("whole")
    generate(MODEL, folder, init=rules, **CUT)
    return folder


@pytest.fixture
def ranks(tmp_path, rules):
    """What runs a rank, or returns its command, for the same checkpoint."""
    (tmp_path / "list.json").write_text(json.dumps(MODEL))
    folder = tmp_path / "shared"

    def run(rank, world, **more):
        return generate(MODEL, folder, **{"init": rules, **CUT, **more}, rank=rank, world=world)

    def command(rank, world, *more):
        options = ["--init", rules, "--seed", 5, "--max-shard-size", "1MB", "-o", folder, *more]
        given = [] if rank is None else ["--rank", rank, "--world", world]
        return [*COMMAND, *map(str, [tmp_path / "list.json", *options, *given])]

    run.folder, run.command = folder, command
    return run


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_processes_in_any_order_write_what_one_writes(whole, ranks, world):
    order = random.Random(world).sample(range(world), world)
    for rank in order:
        assert not (ranks.folder / "model.safetensors.index.json").exists()
        subprocess.run(ranks.command(rank, world, "--quiet"), check=True)
    assert content(ranks.folder) == content(whole)


def test_processes_at_once_write_what_one_writes(whole, ranks):
    """Two of the four have the same rank."""
    running = [subprocess.Popen(ranks.command(rank, 3, "--quiet")) for rank in (0, 1, 2, 1)]
    assert [process.wait() for process in running] == [0] * 4
    assert content(ranks.folder) == content(whole)


def test_each_rank_writes_its_shards(whole, ranks):
    *shards, index = sorted(names(whole))
    written = set()
    for rank in range(3):
        summary = ranks(rank, 3)
        assert set(names(ranks.folder)) - written - {index} == set(shards[rank::3])
        written |= set(shards[rank::3])
        left = {shard for shard in shards if shard not in written}
        assert {path.name for path in summary.missing} == (left | {index} if left else set())
        assert summary.kept == []
        assert [path.name for path in summary.files] == [*shards, index]


def test_more_ranks_than_shards(whole, ranks):
    world = len(names(whole)) + 3
    for rank in reversed(range(world)):
        ranks(rank, world)
    assert content(ranks.folder) == content(whole)


def test_a_repeat_writes_nothing(ranks):
    first = [ranks(rank, 2) for rank in range(2)]
    before = times(ranks.folder)
    for rank, resume in itertools.product(range(2), (False, True)):
        again = ranks(rank, 2, resume=resume)
        assert again.kept == first[0].files[:-1][rank::2]
        assert again.missing == []
    assert times(ranks.folder) == before


def test_whoever_sees_all_shards_writes_the_index(whole, ranks):
    for rank in range(2):
        ranks(rank, 2)
    index = ranks.folder / "model.safetensors.index.json"
    for rank in range(2):
        index.unlink()
        ranks(rank, 2)
        assert index.read_bytes() == (whole / index.name).read_bytes()


def test_the_digest_is_that_of_one_process(ranks, once, rules):
    for rank in range(3):
        ranks(rank, 3)
    summary = generate(MODEL, ranks.folder, init=rules, **CUT, resume=True, digest=True)
    assert len(summary.kept) == len(summary.files) - 1
    assert (summary.digest, same(load(summary), load(once))) == (once.digest, True)
    assert verify(ranks.folder).same


@pytest.mark.parametrize(
    "more",
    [{"seed": 6}, {"init": OTHER}, {"max_shard_size": "2MB"}, {"max_shard_size": None}, {"only": "fc.*"}],
)
def test_the_files_of_another_command_are_refused(ranks, more):
    ranks(0, 2)
    before = times(ranks.folder)
    for rank in range(2):
        with pytest.raises(BadInput, match="was written by another command; remove it first"):
            ranks(rank, 2, **more)
    assert times(ranks.folder) == before


def test_another_seed_has_status_2(ranks):
    ranks(0, 2)
    done = subprocess.run([*ranks.command(1, 2), "--seed", "6"], capture_output=True, text=True, check=False)
    first = ranks.folder / "model-00001-of-00007.safetensors"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fastinit: error: {first}: was written by another command; remove it first\n"


def test_a_file_of_another_command_that_came_meanwhile_gets_no_index(ranks, tmp_path, rules):
    generate(MODEL, tmp_path / "other", init=rules, **{**CUT, "seed": 6})
    second = "model-00002-of-00007.safetensors"

    def interfere(*_):
        (ranks.folder / second).write_bytes((tmp_path / "other" / second).read_bytes())

    ranks(1, 2)
    with pytest.raises(BadInput, match=f"{second}: was written by another command"):
        ranks(0, 2, progress=interfere)
    assert "model.safetensors.index.json" not in names(ranks.folder)


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_shard_that_is_cut_short_is_written_again(whole, ranks, size):
    ranks(0, 2)
    cut, kept, *_ = [path for path in sorted(ranks.folder.iterdir())]
    os.truncate(cut, cut.stat().st_size - 1 if size < 0 else size)
    assert len(ranks(1, 2).missing) == 2  # it and the index
    assert kept in ranks(0, 2).kept
    assert content(ranks.folder) == content(whole)


def test_resume_compares_the_bytes_of_the_ranks_own_shards(whole, ranks):
    for rank in range(2):
        ranks(rank, 2)
    first, second, *_ = sorted(ranks.folder.iterdir())
    for path in (first, second):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert first in ranks(0, 2).kept
    assert first not in ranks(0, 2, resume=True).kept
    assert first.read_bytes() == (whole / first.name).read_bytes()
    assert second.read_bytes() != (whole / second.name).read_bytes()


@pytest.mark.parametrize("resume", [False, True])
def test_a_rank_whose_unfinished_file_is_removed_goes_on(whole, ranks, resume):
    """At each write of a rank, the same rank runs from beginning to end, and removes the other's file."""
    runs = 0

    def interfere(*_):
        nonlocal runs
        runs += 1
        ranks(0, 1, resume=resume)

    ranks(0, 1, progress=interfere, threads=1)
    assert runs
    assert content(ranks.folder) == content(whole)


def test_a_damaged_shard_is_mended_though_another_rank_takes_it_for_whole(whole, ranks):
    ranks(0, 1)
    first = min(ranks.folder.iterdir())
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    removed = []

    def interfere(*_):
        if not removed and (parts := [*ranks.folder.glob(".*.part")]):
            ranks(0, 1)
            removed.extend(path for path in parts if not path.exists())

    ranks(0, 1, resume=True, threads=1, progress=interfere)
    assert len(removed) == 1
    assert content(ranks.folder) == content(whole)


def test_a_killed_rank_goes_on_and_leaves_nothing(tmp_path):
    """Each of three ranks is killed while it writes, and run again. A file is left by another host, too."""
    (tmp_path / "list.json").write_text(json.dumps(SLOW))
    (tmp_path / "rules.toml").write_text('[[rule]]\nmatch = "*"\ninit = "orthogonal"\n')
    folder, one = tmp_path / "shared", tmp_path / "one"
    command = ["env", "OPENBLAS_NUM_THREADS=1", *COMMAND, "--quiet", "--max-shard-size", "4MB"]
    command += ["--threads", "1", str(tmp_path / "list.json"), "--init", str(tmp_path / "rules.toml")]
    subprocess.run([*command, "-o", one], check=True)
    folder.mkdir()
    foreign = folder / ".model-00002-of-00012.safetensors.node-7.1.0123abcd.part"
    foreign.write_bytes(b"half")
    for rank in range(3):
        with subprocess.Popen([*command, "-o", folder, "--rank", str(rank), "--world", "3"]) as process:
            parts = folder.glob(f".*.{process.pid}.*.part")
            while not any(path.stat().st_size >= 2_000_000 for path in parts):
                assert process.poll() is None
                time.sleep(0.001)
                parts = folder.glob(f".*.{process.pid}.*.part")
            process.kill()
        assert process.returncode == -signal.SIGKILL
    left = [name for name in names(folder) if name.endswith(".part")]
    assert len(left) == 4
    host = re.escape(os.uname().nodename.replace(".", "-"))
    ours = re.compile(rf"\.model-\d{{5}}-of-00012\.safetensors\.{host}\.\d+\.\w+\.part")
    assert len([name for name in left if ours.fullmatch(name)]) == 3
    for name, data in content(folder).items():
        assert name in left or data == (one / name).read_bytes()
    subprocess.run([*command, "-o", folder, "--rank", "0", "--world", "3"], check=True)
    assert foreign.exists()  # its shard is not whole yet
    later = [name for name in left if not (folder / name[1:].rsplit(".", 4)[0]).exists()]
    assert [name for name in names(folder) if name.endswith(".part")] == later
    assert len(later) == 3
    running = [
        subprocess.Popen([*command, "-o", folder, "--rank", str(rank), "--world", "3"]) for rank in (2, 1)
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert content(folder) == content(one)


def test_a_signal_leaves_no_unfinished_file(ranks):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ranks(0, 2, progress=interrupt)
    assert names(ranks.folder) == []


@pytest.mark.parametrize("how", [{"resume": True}, {"force": True}])
def test_one_process_goes_on_where_ranks_were_killed(whole, ranks, rules, how):
    ranks(1, 2)
    for file in ("model-00001-of-00007.safetensors", "model-00009-of-00009.safetensors"):
        part_of(ranks.folder / file).write_bytes(b"half")
    (ranks.folder / ".other-00001-of-00002.safetensors.h.1.00000000.part").touch()
    generate(MODEL, ranks.folder, init=rules, **CUT, **how)
    (ranks.folder / ".other-00001-of-00002.safetensors.h.1.00000000.part").unlink()
    assert content(ranks.folder) == content(whole)


def test_one_file_is_written_by_rank_0(tmp_path, once, rules):
    for target in (tmp_path / "folder", tmp_path / "mine.safetensors"):
        options = {"seed": 5, "init": rules, "world": 2}
        other = generate(MODEL, target, **options, rank=1)
        assert other.missing == other.files
        assert not other.files[0].exists()
        assert generate(MODEL, target, **options, rank=0).missing == []
        assert other.files[0].read_bytes() == once.files[0].read_bytes()
        assert generate(MODEL, target, **options, rank=1).missing == []


def test_files_beside_come_with_the_index(tmp_path):
    specs = [TensorSpec(f"layers.{n}.weight", "F32", (8, 4)) for n in range(2)]
    recording = Recording.of(specs, [Rule("*", "normal")], files={"config.json": '{"model_type": "x"}'})
    options = {"max_shard_size": 1, "world": 2}
    generate(recording, tmp_path, **options, rank=1)
    assert names(tmp_path) == ["model-00002-of-00002.safetensors"]
    generate(recording, tmp_path, **options, rank=0)
    assert (tmp_path / "config.json").read_text() == '{"model_type": "x"}'
    before = times(tmp_path)
    generate(recording, tmp_path, **options, rank=1)
    assert times(tmp_path) == before
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match=r"config\.json: differs from that of this model; remove it first"):
        generate(recording, tmp_path, **options, rank=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank needs world"),
        ({"world": 2}, "world needs rank"),
        ({"rank": 2, "world": 2}, "rank must be from 0 to 1, as world is 2, not 2"),
        ({"rank": -1, "world": 2}, "rank must be from 0 to 1, as world is 2, not -1"),
        ({"rank": 0, "world": 0}, "world must be 1 or more, not 0"),
        ({"rank": 0, "world": 1.5}, "must be integers, not 0 and 1.5"),
        ({"rank": "first", "world": 2}, "must be integers, not 'first' and 2"),
        ({"rank": "auto", "world": 2}, "leave out world"),
        ({"rank": 0, "world": 2, "force": True}, "rank excludes force"),
        ({"rank": 0, "world": 2, "digest": True}, "rank excludes digest"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path, arguments, message):
    with pytest.raises(BadInput, match=message):
        generate(MODEL, tmp_path / "new", init=OTHER, **arguments)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, 1),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, 0),
        ({"RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, 1),
        ({"RANK": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, 0),
    ],
)
def test_a_rank_from_the_environment(ranks, whole, monkeypatch, variables, rank):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ranks("auto", None)
    assert names(ranks.folder) == sorted(names(whole)[:-1][rank::2])


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "RANK and WORLD_SIZE or SLURM_PROCID and SLURM_NTASKS in the environment"),
        ({"RANK": "1"}, "RANK and WORLD_SIZE or"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK and WORLD_SIZE must be numbers, not 'x' and '2'"),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "2"}, "rank must be from 0 to 1"),
    ],
)
def test_an_environment_without_a_rank(ranks, tmp_path, monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=message):
        ranks("auto", None)
    assert not ranks.folder.exists()


def test_progress_counts_the_bytes_of_the_rank(ranks):
    told = []
    for again in range(2):
        summary = ranks(0, 2, progress=lambda *done: told.append(done))
        own = [path for path in summary.files[:-1][0::2] if path.stat().st_size]
        assert told[-1][0] == told[-1][1] < summary.bytes
        assert [each for each in told if each[0] > each[1]] == []
        assert len(summary.kept) == again * len(own)


def test_unfinished_files_of_others_count_as_room(ranks, monkeypatch):
    ranks(0, 2)
    system = os.statvfs(ranks.folder)
    full = os.statvfs_result([*system[:4], 0, *system[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(BadInput, match=r"needs 3\.\d MB, 0 bytes are free"):
        ranks(1, 2)
    for path in sorted(ranks.folder.iterdir()):
        part_of(path).write_bytes(bytes(10_000_000))
    assert ranks(1, 2).missing == []


def test_a_name_too_long_for_an_unfinished_file_is_refused(tmp_path):
    target = tmp_path / f"{'x' * 240}.safetensors"
    with pytest.raises(BadInput, match="File name too long"):
        generate(MODEL, target, init=OTHER, rank=0, world=1)
    assert names(tmp_path) == []

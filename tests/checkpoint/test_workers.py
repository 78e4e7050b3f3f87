"""Dask: shards as tasks of a cluster of four worker processes."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from dask.distributed import Client, LocalCluster
from generated import MODEL, OTHER, load, names, same

from fastinit.checkpoint import BadInput, Rule, generate
from fastinit.checkpoint.remote import place
from fastinit.cli import main
from fastinit.dask import clusters

CUT = {"seed": 5, "max_shard_size": "1MB"}
# LAPACK takes 20 ms or more for one of 4 tensors in each of 12 shards, so that a kill finds a worker at work.
SLOW = {f"{number}": {"dtype": "F32", "shape": [500, 500]} for number in range(48)}


@pytest.fixture(scope="module")
def client():
    """Four worker processes of one thread each."""
    sizes = {"n_workers": 4, "threads_per_worker": 1, "processes": True}
    with LocalCluster(**sizes, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


class Here:
    """A client whose workers are threads of this process."""

    def __init__(self, work=lambda function, *arguments: function(*arguments)):
        self.cancelled, self._work, self._pool = [], work, ThreadPoolExecutor(1)

    def submit(self, *call, pure):
        assert not pure
        return self._pool.submit(self._work, *call)

    def cancel(self, futures):
        self.cancelled += futures


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_workers_write_what_one_process_writes(tmp_path, client, rules, once, monkeypatch):
    """The target is relative to a folder that is not the workers'."""
    monkeypatch.chdir(tmp_path)
    generate(MODEL, "one", init=rules, **CUT)
    told = []
    how = {"init": rules, **CUT, "client": client, "progress": lambda *done: told.append(done)}
    summary = generate(MODEL, "many", **how, digest=True)
    assert content(tmp_path / "many") == content(tmp_path / "one")
    assert (summary.digest, summary.tensor_digests) == (once.digest, once.tensor_digests)
    assert (summary.kept, summary.missing) == ([], [])
    assert told == sorted(told)
    assert told[-1] == (summary.bytes, summary.bytes)
    before = {path: path.stat().st_mtime_ns for path in summary.files}
    for more, digest in (({}, None), ({"resume": True}, None), ({"digest": True}, once.digest)):
        again = generate(MODEL, "many", **how, **more)
        assert (again.kept, again.digest) == (summary.files[:-1], digest)
    assert {path: path.stat().st_mtime_ns for path in summary.files} == before


def test_the_shard_of_a_killed_worker_is_written_again(tmp_path, client):
    folder, killed = tmp_path / "many", []
    command = {"init": [Rule("*", "orthogonal")], "max_shard_size": "4MB", "client": client}
    workers = set(client.run(os.getpid).values())

    def kill():
        while not killed:
            for path in folder.glob(".*.part"):
                pid = int(path.name.split(".")[-3])
                if pid in workers and path.stat().st_size >= 2_000_000:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(path)
                    return
            time.sleep(0.001)

    killer = threading.Thread(target=kill)
    killer.start()
    generate(SLOW, folder, **command)
    killer.join()
    assert len(workers) == 4
    assert killed
    assert content(folder) == content(generate(SLOW, tmp_path / "one", **command).files[0].parent)
    assert len(names(folder)) == 13


def test_old_files_are_refused_or_replaced(tmp_path, client, rules, once):
    generate(MODEL, tmp_path, init=rules, **{**CUT, "seed": 6})
    before = content(tmp_path)
    with pytest.raises(BadInput, match="was written by another command; --force replaces it"):
        generate(MODEL, tmp_path, init=rules, **CUT, client=client)
    assert content(tmp_path) == before
    for resume, kept in ((False, 0), (True, 7), (False, 0)):
        summary = generate(MODEL, tmp_path, init=rules, **CUT, client=client, force=True, resume=resume)
        assert len(summary.kept) == kept
        assert same(load(summary), load(once))
    generate(MODEL, tmp_path, init=rules, **{**CUT, "max_shard_size": "2MB"}, client=client, force=True)
    assert {name[-17:] for name in names(tmp_path)} == {"of-00004.safetensors"[-17:], "ensors.index.json"}


def test_resume_mends_what_differs(tmp_path, rules):
    summary = generate(MODEL, tmp_path, init=rules, **CUT)
    path, right = summary.files[0], summary.files[0].read_bytes()
    path.write_bytes(right[:-1] + b"?")
    assert path in generate(MODEL, tmp_path, init=rules, **CUT, client=Here()).kept
    assert path not in generate(MODEL, tmp_path, init=rules, **CUT, client=Here(), resume=True).kept
    assert path.read_bytes() == right


def test_a_worker_that_fails_ends_all(tmp_path, rules, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    client = Here()
    with pytest.raises(OSError, match="No space left"):
        generate(MODEL, tmp_path / "new", init=rules, **CUT, client=client)
    assert len(client.cancelled) == 7
    monkeypatch.undo()
    assert generate(MODEL, tmp_path / "new", init=rules, **CUT, client=Here()).missing == []
    assert [name for name in names(tmp_path / "new") if name.startswith(".")] == []


def test_workers_must_share_the_folder(tmp_path, rules):
    elsewhere = Here(lambda *_: (False, None))
    with pytest.raises(OSError, match="was written by a worker that doesn't share it"):
        generate(MODEL, tmp_path, init=rules, **CUT, client=elsewhere)


def test_workers_write_to_urls(tmp_path, rules):
    url = f"memory://{tmp_path.name}/model"
    generate(MODEL, tmp_path, init=rules, **CUT)
    assert generate(MODEL, url, init=rules, **CUT, client=Here()).kept == []
    found = {path.name: path.read_bytes() for path in place(url).iterdir()}
    assert found == content(tmp_path)
    assert len(generate(MODEL, url, init=rules, **CUT, client=Here()).kept) == len(found) - 1


def test_a_rank_has_no_client(tmp_path):
    with pytest.raises(BadInput, match="rank excludes client"):
        generate(MODEL, tmp_path, init=OTHER, rank=0, world=1, client=Here())


def test_the_command(tmp_path, client, capsys, monkeypatch):
    address = client.scheduler.address
    command = ["generate", "--only", "*.h.0.ln_*", "--max-shard-size", "3KB", "--quiet"]
    for folder, more in (("one", []), ("many", ["--dask", address])):
        assert main([*command, "-o", str(tmp_path / folder), *more]) == 0
    assert content(tmp_path / "many") == content(tmp_path / "one")
    assert main([*command, "-o", str(tmp_path / "many"), "--dask", address, "--seed", "1", "--dry-run"]) == 2
    assert "was written by another command" in capsys.readouterr().err
    for wrong in ("tcp://127.0.0.1:nowhere", "foo", "", "tcp://", "http://x:1"):
        assert main([*command, "-o", str(tmp_path / "new"), "--dask", wrong]) == 2
        error = capsys.readouterr().err
        assert (
            error
            == f"fastinit: error: {wrong!r} is no address of a Dask scheduler, such as tcp://host:8786\n"
        )
    assert (
        main([*command, "-o", str(tmp_path / "new"), "--dask", address, "--rank", "0", "--world", "2"]) == 2
    )
    assert "rank excludes" in capsys.readouterr().err

    def silent(*_, **__):
        raise TimeoutError("no answer")

    monkeypatch.setattr(clusters, "Client", silent)
    assert main([*command, "-o", str(tmp_path / "new"), "--dask", address]) == 1
    assert capsys.readouterr().err == f"fastinit: error: {address}: no Dask scheduler answers: no answer\n"
    assert not (tmp_path / "new").exists()


def test_without_distributed_the_extra_is_named(tmp_path):
    script = (
        "import sys; sys.modules['dask.distributed'] = None; from fastinit.cli import main; sys.exit(main())"
    )
    command = [
        sys.executable,
        "-c",
        script,
        "generate",
        "-o",
        tmp_path / "new",
        "--dask",
        "tcp://127.0.0.1:1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("a Dask cluster needs distributed: pip install 'fastinit-engine[dask]'\n")
    assert not (tmp_path / "new").exists()

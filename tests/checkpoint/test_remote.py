"""URLs as targets: file systems of fsspec, and stores that show an object once all of it is there."""

import pickle
import subprocess
import sys

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from fsspec.spec import AbstractBufferedFile
from generated import MODEL, OTHER, names

from fastinit.checkpoint import BadInput, Recipe, Recording, Rule, TensorSpec, generate, planning
from fastinit.checkpoint.remote import Url, place
from fastinit.cli import main

CUT = {"seed": 5, "max_shard_size": "1MB"}


class Object(AbstractBufferedFile):
    """An object that is sent in parts, as to S3."""

    def _initiate_upload(self):
        self.parts = []

    def _upload_chunk(self, final=False):
        self.parts.append(self.buffer.getvalue())
        if final:
            self.fs.store[self.path] = MemoryFile(self.fs, self.path, b"".join(self.parts))
            self.fs.complete.append(self.path)
        return True

    def discard(self):
        self.fs.discarded.append(self.path)


class Store(MemoryFileSystem):
    protocol = "store"
    store, pseudo_dirs, complete, discarded, listings = {}, [""], [], [], {}
    failure = None

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("store://"))

    def ls(self, path, detail=True, **options):
        """List a folder as it was when it was listed first."""
        if path not in self.listings:
            self.listings[path] = super().ls(path, detail=False)
        return super().ls(path, **options) if detail else self.listings[path]

    def invalidate_cache(self, path=None):
        self.listings.clear()

    def _open(self, path, mode="rb", **options):
        if mode == "rb":
            return super()._open(path, mode)
        if self.failure is not None:
            raise self.failure
        return Object(self, path, mode, block_size=1 << 18)


@pytest.fixture(params=["memory", "store"])
def url(request, tmp_path):
    """A folder's URL that no other test has."""
    fsspec.register_implementation("store", Store, clobber=True)
    Store.complete.clear()
    Store.discarded.clear()
    return f"{request.param}://{tmp_path.name}/model"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, rules):
    folder = tmp_path_factory.mktemp("whole")
    generate(MODEL, folder, init=rules, **CUT)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def content(url):
    system, path = fsspec.url_to_fs(url)
    system.invalidate_cache()
    return {name.rpartition("/")[2]: system.cat_file(name) for name in system.ls(path, detail=False)}


def stored(url):
    """The identity of each object, which a further write changes."""
    system, path = fsspec.url_to_fs(url)
    return {name: id(system.store[name]) for name in system.ls(path, detail=False)}


@pytest.mark.parametrize("threads", [1, 3])
def test_objects_are_the_files(url, rules, whole, once, threads):
    told = []
    summary = generate(
        MODEL, url, init=rules, **CUT, threads=threads, digest=True, progress=lambda *done: told.append(done)
    )
    assert content(url) == whole
    assert [*map(str, summary.files)] == [f"{url.replace('://', ':///')}/{name}" for name in sorted(whole)]
    assert summary.digest == once.digest
    assert told == sorted(told)
    assert told[-1] == (summary.bytes, summary.bytes)
    assert [path.rpartition("/")[2] for path in Store.complete[-1:]] in ([], [max(whole)])  # the index


@pytest.mark.parametrize("target", ["memory", "file"])
def test_one_thread_makes_an_object(tmp_path, rules, monkeypatch, target):
    """Several threads would make its pieces in another order."""
    seen = []
    produce = Recipe.produce
    monkeypatch.setattr(Recipe, "produce", lambda self, *made: seen.append(made[2]) or produce(self, *made))
    url = f"{target}://{tmp_path}/new"
    generate(MODEL, url, init=rules, **CUT, threads=3)
    generate(MODEL, url, init=rules, **CUT, threads=3, resume=True)
    assert set(seen) == {1 if target == "memory" else 3}


def test_one_object(url, rules, once):
    for target in (url, f"{url}/mine.safetensors"):
        [path] = generate(MODEL, target, seed=5, init=rules).files
        assert path.read_bytes() == once.files[0].read_bytes()
    assert [*content(url)] == ["mine.safetensors", "model.safetensors"]


def test_ranks_in_any_order(url, rules, whole):
    for rank in (2, 0, 1):
        assert max(whole) not in ([] if rank == 2 else content(url))
        summary = generate(MODEL, url, init=rules, **CUT, rank=rank, world=3)
        assert bool(summary.missing) == (rank != 1)
    assert content(url) == whole
    before = stored(url)
    for rank in range(3):
        assert generate(MODEL, url, init=rules, **CUT, rank=rank, world=3).missing == []
    assert stored(url) == before


def test_an_object_that_is_cut_short_is_written_again(url, rules, whole):
    generate(MODEL, url, init=rules, **CUT)
    system, path = fsspec.url_to_fs(f"{url}/{min(whole)}")
    system.pipe_file(path, whole[min(whole)][:-1])
    for rank in range(2):
        generate(MODEL, url, init=rules, **CUT, rank=rank, world=2)
    assert content(url) == whole


def test_what_is_there_is_refused_compared_or_replaced(url, rules, whole):
    generate(MODEL, url, init=rules, **{**CUT, "seed": 6})
    before = stored(url)
    for more in ({}, {"resume": True}, {"rank": 0, "world": 2}):
        with pytest.raises(BadInput, match=r"exists; --force|was written by another command"):
            generate(MODEL, url, init=rules, **CUT, **more)
    assert stored(url) == before
    generate(MODEL, url, init=rules, **CUT, force=True)
    assert content(url) == whole
    system, path = fsspec.url_to_fs(f"{url}/{min(whole)}")
    system.pipe_file(path, whole[min(whole)][:-1] + b"?")
    summary = generate(MODEL, url, init=rules, **CUT, resume=True)
    assert len(summary.kept) == len(whole) - 2
    assert content(url) == whole
    generate(MODEL, url, init=rules, seed=5, force=True)
    assert [*content(url)] == ["model.safetensors"]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_failure_leaves_no_object(url, rules, threads):
    def fail(*_):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        generate(MODEL, url, init=rules, **CUT, threads=threads, progress=fail)
    assert not [name for name in fsspec.url_to_fs(url)[0].store if name.startswith(f"/{url[9:]}")]
    assert Store.complete == []
    assert bool(Store.discarded) == url.startswith("store")


def test_a_failure_spares_what_another_process_made(url, rules, whole):
    """One thread: those who write one object in memory at once share it, as no store has them do."""

    def interfere(*_):
        generate(MODEL, url, init=rules, **CUT, rank=0, world=1)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        generate(MODEL, url, init=rules, **CUT, rank=0, world=1, threads=1, progress=interfere)
    assert content(url) == whole


@pytest.mark.parametrize("failure", [PermissionError("Forbidden"), RuntimeError("no\ncredentials")])
def test_an_error_of_the_store_is_one_line(url, rules, monkeypatch, capsys, failure):
    monkeypatch.setattr(Store, "failure", failure)
    url = url.replace("memory://", "store://")
    command = ["generate", "--only", "*ln_f*", "--quiet", "-o", url]
    assert main(command) == 1
    text = str(failure).replace("\n", " ")
    assert (
        capsys.readouterr().err
        == f"fastinit: error: {url.replace('://', ':///')}/model.safetensors: {text}\n"
    )


def test_a_store_that_cannot_be_read_is_refused(url, rules, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("Unable to locate credentials")

    monkeypatch.setattr(MemoryFileSystem, "ls", fail)
    with pytest.raises(BadInput, match=r"model: cannot be used: Unable to locate credentials"):
        planning.plan(MODEL, url, init=OTHER)


def test_files_beside_come_before_the_index(url):
    specs = [TensorSpec(f"layers.{n}.weight", "F32", (8, 4)) for n in range(2)]
    recording = Recording.of(specs, [Rule("*", "normal")], files={"config.json": "{}"})
    generate(recording, url, max_shard_size=1)
    assert content(url)["config.json"] == b"{}"
    assert [path.rpartition("/")[2] for path in Store.complete[2:]] in (
        [],
        ["config.json", "model.safetensors.index.json"],
    )


def test_the_command(url, capsys):
    command = ["generate", "--only", "*ln_f*", "-o", url]
    assert main([*command, "--dry-run"]) == 0
    shown = f"{url.replace('://', ':///')}/model.safetensors"
    assert capsys.readouterr().out.splitlines()[-1] == f"files   {shown}"
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[0] == shown
    assert main([*command, "--dry-run"]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"files   {shown}, which is there"
    assert err == f"fastinit: error: {shown}: exists; --force replaces it, --resume keeps what is right\n"


def test_a_local_url_is_a_path(tmp_path, rules, whole):
    for rank in range(2):
        summary = generate(MODEL, f"file://{tmp_path}/new", init=rules, **CUT, rank=rank, world=2)
    assert summary.files[0].parent == tmp_path / "new"
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == whole


def test_a_place_can_be_sent(url):
    here = place(url)
    assert pickle.loads(pickle.dumps(here)) == here
    assert {here, Url(here.system, f"{here.path}/")} == {here}
    assert (here.name, (here / "x.y").suffix, (here / "x.y").stem, (here / "x.y").parent) == (
        "model",
        ".y",
        "x",
        here,
    )


def test_a_folder_is_listed_as_it_is_now(url):
    here = place(url)
    for number in range(2):
        path = f"{here.path}/{number}"
        here.system.store[path] = MemoryFile(here.system, path)  # as by another host: no listing is cleared
        assert len([*here.iterdir()]) == number + 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nonsense://x/y", "nonsense://x/y: cannot be used: Protocol not known: nonsense"),
        ("s3://x/y", "s3fs"),
    ],
)
def test_a_file_system_that_is_not_there(monkeypatch, target, message):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(BadInput, match=message):
        generate(MODEL, target, init=OTHER)


def test_without_fsspec_the_extra_is_named(tmp_path):
    script = "import sys; sys.modules['fsspec'] = None; from fastinit import cli; sys.exit(cli.main())"
    command = [sys.executable, "-c", script, "generate", "-o", "memory://x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    error = "fastinit: error: memory://x: a URL needs fsspec: pip install 'fastinit-engine[fsspec]'\n"
    assert (done.returncode, done.stderr) == (2, error)
    assert names(tmp_path) == []

"""Files that get their names when they are complete: what others put into the folder meanwhile."""

import fcntl
import os

import pytest

from fastinit.checkpoint import BadInput
from fastinit.checkpoint.writer import Locked, Output


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    return path


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path, victim):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / ".model.lock").symlink_to(victim)
    with pytest.raises(BadInput, match="Too many levels of symbolic links"), Locked(folder, "model"):
        pass
    assert victim.read_bytes() == b"precious"


def test_a_link_in_the_place_of_an_unfinished_file_is_not_followed(tmp_path, victim):
    with Locked(tmp_path / "out", "model") as output:
        (output.folder / ".model.part").symlink_to(victim)
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            output.begin("model.safetensors")
    assert victim.read_bytes() == b"precious"


def test_what_is_in_the_place_of_an_unfinished_file_goes(tmp_path):
    with Locked(tmp_path / "out", "model") as output:
        (output.folder / ".model.part").write_bytes(b"more than what is written")
        output.begin("model.safetensors")
        output.write(b"new", 0)
        output.finish()
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == b"new"


def test_an_unfinished_file_of_another_process_is_not_opened(tmp_path, victim, monkeypatch):
    monkeypatch.setattr("fastinit.checkpoint.writer.part_of", lambda _: victim)
    with Output(tmp_path) as output, pytest.raises(FileExistsError):
        output.begin("model.safetensors")


def test_a_lock_whose_file_was_removed_is_none(tmp_path, monkeypatch):
    """Another run ends, and removes its lock, between this one's open and flock."""
    flock, folder = fcntl.flock, tmp_path / "out"

    def late(fd, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        (folder / ".model.lock").unlink()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with Locked(folder, "model"):
        assert os.listdir(folder) == [".model.lock"]
        with pytest.raises(BadInput, match="is being written by another process"), Locked(folder, "model"):
            pass

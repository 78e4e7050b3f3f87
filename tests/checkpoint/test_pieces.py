"""Pieces of tensors: each is processed once, by the requested number of threads."""

import threading

import pytest

import fastinit
from fastinit.checkpoint import BadInput, TensorSpec
from fastinit.checkpoint.pieces import PIECE, Progress, number_of_threads, ranges


@pytest.mark.parametrize("dtype", ["F64", "BF16", "BOOL"])
def test_pieces_follow_each_other(dtype):
    spec = TensorSpec("a", dtype, (1001, 1000))
    pieces = [*ranges(spec)]
    assert [start for start, _ in pieces] == [0, *(stop for _, stop in pieces[:-1])]
    assert pieces[-1][1] == spec.size
    assert {(stop - start) * spec.itemsize for start, stop in pieces[:-1]} <= {PIECE}


def test_an_empty_tensor_has_none():
    assert [*ranges(TensorSpec("a", "F32", (0, 3)))] == []


def test_the_number_of_threads():
    assert number_of_threads(None) == fastinit.get_num_threads()
    assert number_of_threads(3) == 3
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(BadInput, match="threads must be an integer of 1 or more"):
            number_of_threads(wrong)


def test_progress_counts_what_all_threads_add():
    told = []
    progress = Progress(4000, lambda *step: told.append(step))
    threads = [threading.Thread(target=lambda: [progress.add(1) for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [(done, 4000) for done in range(1, 4001)]

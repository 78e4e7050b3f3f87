"""Work split over threads."""

import threading
import time

import pytest

from fastinit.checkpoint.parallel import for_each


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_each_job_is_done_once(threads):
    done = []
    for_each(lambda: done.append, range(1000), threads)
    assert sorted(done) == list(range(1000))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_worker_belongs_to_one_thread(threads):
    workers = []

    def worker():
        seen = set()
        workers.append(seen)

        def function(_):
            time.sleep(0.001)
            seen.add(threading.get_ident())

        return function

    for_each(worker, range(30), threads)
    assert len(workers) == threads
    assert all(len(seen) <= 1 for seen in workers)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_ends_all(threads):
    begun = []
    before = threading.active_count()

    def function(job):
        begun.append(job)
        if job == 10:
            raise ZeroDivisionError(job)

    with pytest.raises(ZeroDivisionError, match="10"):
        for_each(lambda: function, iter(range(10**9)), threads)
    assert len(begun) < 10**6
    assert threading.active_count() == before


def test_an_error_of_the_jobs_themselves():
    def jobs():
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        for_each(lambda: abs, jobs(), 3)

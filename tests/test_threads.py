import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fastinit
from fastinit import _threads


@pytest.fixture(autouse=True)
def same_number_afterwards():
    before = fastinit.get_num_threads()
    yield
    fastinit.set_num_threads(before)


@pytest.fixture(params=[1, 2, 7])
def threads(request):
    fastinit.set_num_threads(request.param)
    return request.param


def python(program, **environment):
    """Return the output of a new interpreter, without the warning of a fork beside threads."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.strip()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_every_piece_runs_once(threads, count):
    seen = []
    _threads.run(seen.append, range(count))
    assert sorted(seen) == list(range(count))


def test_pieces_run_at_the_same_time(threads):
    together = threading.Barrier(threads)
    _threads.run(lambda _: together.wait(30), range(threads))


def test_first_exception_is_raised_after_every_piece_ended(threads):
    running = set()
    failed = threading.Event()

    def piece(i):
        running.add(i)
        if i == 0:
            failed.set()
            raise LookupError("piece 0")
        failed.wait(30)
        time.sleep(0.01)
        running.remove(i)

    with pytest.raises(LookupError, match="piece 0"):
        _threads.run(piece, range(20))
    assert running == {0}


def test_pieces_left_after_an_exception_do_not_begin():
    begun = []

    def piece(i):
        begun.append(i)
        raise LookupError(i)

    fastinit.set_num_threads(1)
    with pytest.raises(LookupError):
        _threads.run(piece, range(20))
    assert begun == [0]


def test_an_exception_keeps_no_array_alive(threads):
    import gc
    import weakref

    array = np.zeros(3)
    watch = weakref.ref(array)

    def piece(array):
        raise LookupError

    gc.disable()
    try:
        with pytest.raises(LookupError) as caught:
            _threads.run(piece, [array])
        del array, caught
        assert watch() is None
    finally:
        gc.enable()


def test_pieces_may_call_run_themselves(threads):
    total = []
    _threads.run(lambda i: _threads.run(lambda j: total.append((i, j)), range(9)), range(9))
    assert sorted(total) == [(i, j) for i in range(9) for j in range(9)]


def test_a_piece_is_taken_when_a_thread_is_free_for_it(threads):
    taken, done, ahead = [], [], []

    def pieces():
        for i in range(50):
            taken.append(i)
            yield i

    def piece(i):
        ahead.append(len(taken) - len(done))
        time.sleep(0.0005)
        done.append(i)

    _threads.run(piece, pieces())
    assert sorted(done) == list(range(50))
    assert max(ahead) <= threads


@pytest.mark.parametrize("asked", [1, 3, 9])
def test_a_call_may_have_a_number_of_threads_of_its_own(threads, asked):
    together = threading.Barrier(asked)
    idents = set()

    def piece(_):
        together.wait(30)
        idents.add(threading.get_ident())

    _threads.run(piece, iter(range(asked)), asked)
    assert len(idents) == asked
    assert fastinit.get_num_threads() == threads


def test_an_exception_ends_an_endless_iterable(threads):
    begun = []

    def piece(i):
        begun.append(i)
        if i == 10:
            raise LookupError("piece 10")

    with pytest.raises(LookupError, match="piece 10"):
        _threads.run(piece, iter(range(10**9)))
    ended = len(begun)
    assert ended < 10**6
    time.sleep(0.01)
    assert len(begun) == ended


def test_an_exception_of_the_iterable_is_raised(threads):
    def pieces():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        _threads.run(abs, pieces())


def test_many_callers_at_once_while_the_number_changes(threads):
    sums = [[] for _ in range(8)]

    def caller(mine):
        for _ in range(50):
            _threads.run(mine.append, range(10))

    callers = [threading.Thread(target=caller, args=[mine]) for mine in sums]
    for thread in callers:
        thread.start()
    while any(thread.is_alive() for thread in callers):
        for n in (1, 4, 2):
            fastinit.set_num_threads(n)
    assert [sum(mine) for mine in sums] == [50 * 45] * 8


def test_set_num_threads_is_what_get_num_threads_says(threads):
    assert fastinit.get_num_threads() == threads
    fastinit.set_num_threads(np.int64(5))
    assert fastinit.get_num_threads() == 5


@pytest.mark.parametrize("n", [0, -3, 2**40])
def test_a_number_of_threads_out_of_range_is_refused(n):
    with pytest.raises(ValueError, match=f"from 1 to 65536, not {n}"):
        fastinit.set_num_threads(n)


@pytest.mark.parametrize("n", [True, 2.0, "2", None, np.True_])
def test_a_number_of_threads_that_is_no_integer_is_refused(n):
    with pytest.raises(TypeError, match="integer"):
        fastinit.set_num_threads(n)


SAY_NUMBER = "import fastinit; print(fastinit.get_num_threads())"


def test_the_environment_sets_the_number():
    assert python(SAY_NUMBER, FASTINIT_NUM_THREADS="6") == "6"


def test_the_default_is_the_cpus_that_the_process_may_use():
    pin = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.environ.pop("FASTINIT_NUM_THREADS", None)
"""
    assert python(pin + SAY_NUMBER) == "1"


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "²"])
def test_a_bad_environment_is_an_error_that_names_the_variable(text):
    report = "import fastinit\ntry: fastinit.get_num_threads()\nexcept ValueError as error: print(error)"
    said = python(report, FASTINIT_NUM_THREADS=text)
    assert said == f"FASTINIT_NUM_THREADS must be a whole number from 1 to 65536, not {text!r}"


SUM = """
import os, sys, threading
from fastinit import _threads, set_num_threads
set_num_threads(4)
def total():
    seen = []
    together = threading.Barrier(4)
    def piece(i):
        together.wait(30)  # passes only if four threads really run
        seen.append(i)
    _threads.run(piece, range(4))
    return sum(seen)
"""


def test_the_pool_is_rebuilt_after_a_fork():
    fork = """
assert total() == 6
child = os.fork()
if child == 0:
    os._exit(total())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), total())
"""
    assert python(SUM + fork) == "6 6"


def test_a_fork_while_another_thread_holds_the_lock():
    fork = """
_threads._lock.acquire()
def in_thread():
    child = os.fork()
    if child == 0:
        os._exit(total())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
"""
    assert python(SUM + fork) == "6"


@pytest.mark.parametrize("warm", [True, False])
def test_run_works_while_the_interpreter_ends(warm):
    last = """
import atexit
from fastinit import _threads, set_num_threads
set_num_threads(4)
seen = []
def late():
    _threads.run(seen.append, range(5))
    print(sorted(seen))
atexit.register(late)
"""
    assert python(last + ("_threads.run(abs, range(5))" if warm else "")) == "[0, 1, 2, 3, 4]"


@pytest.mark.parametrize(
    "then",
    [
        "raise KeyboardInterrupt",
        # In `Thread.start`, Ctrl-C may come where the way out releases a lock that is not held.
        "try: raise KeyboardInterrupt\n    finally: threading.Lock().release()",
    ],
)
def test_control_c_while_a_thread_starts_leaves_no_thread_that_is_waited_for(then):
    interrupted = f"""
start = threading.Thread.start
def interrupted(self):
    start(self)
    {then}
threading.Thread.start = interrupted
try:
    _threads.run(abs, range(5))
except KeyboardInterrupt:
    print("interrupted")
"""
    assert python(SUM + interrupted) == "interrupted"


def test_a_thread_that_was_lost_ends_with_the_others():
    lost = "_threads.run(time.sleep, [0.01] * 20)\ndel _threads._pool._threads[0]\nprint('end')"
    assert python(SUM + "import time\n" + lost) == "end"


@pytest.mark.long
def test_control_c_at_any_moment_is_heard_and_breaks_nothing():
    """The process hangs if a thread is lost: python() has a limit of time."""
    program = """
import random, signal
listening, heard = False, 0
def hear(*_):
    if listening:  # a signal may come late
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, hear)
for number in range(20_000):
    threads = _threads._pool.end()
    [thread.join() for thread in threads if thread.is_alive()]
    try:
        listening = True
        signal.setitimer(signal.ITIMER_REAL, random.random() * 5e-4 + 1e-6)
        _threads.run(abs, range(16), 4)
        listening = False
    except KeyboardInterrupt:
        listening, heard = False, heard + 1
    made = []
    _threads.run(made.append, range(7), 4)
    assert sorted(made) == [*range(7)]
print("heard" if heard > 200 else heard)
"""
    assert python(SUM + program) == "heard"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "damaged"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_the_quota_of_a_container_limits_the_default(monkeypatch, tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("fastinit._threads._CGROUPS", str(tmp_path))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(4))
    monkeypatch.delenv("FASTINIT_NUM_THREADS", raising=False)
    assert fastinit._threads._default_number() == (quota or 4)

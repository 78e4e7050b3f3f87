"""Threads, signals, forks and the caller's floating-point modes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from activations import BY_NAME, DTYPES, KINDS, SEED, assert_same
from test_floating_point_modes import CONTROL, MODES, hostile, modes
from test_threads import python

import fastinit
from fastinit import nn
from fastinit.random import default_rng

every_kind = pytest.mark.parametrize("function", KINDS, ids=str)
SHARED = (1 << 18) + 4097  # enough values for more than one thread
FEW_LEFT = ((1 << 18) // 3 + 1, 3)  # one thread's last part has two values, fewer than a vector


@pytest.fixture
def threads():
    before = fastinit.get_num_threads()
    yield fastinit.set_num_threads
    fastinit.set_num_threads(before)


@every_kind
@pytest.mark.parametrize("tag", DTYPES)
def test_the_number_of_threads_changes_no_bit(function, tag, threads):
    for shape in [(5 * SHARED,), (SHARED // 30, 150), FEW_LEFT]:
        operands = function.operands(np.random.default_rng(1), (1 << 16,), tag)[:1]
        operands = [np.resize(operands[0], each) for each in function.shapes(shape)]
        threads(1)
        expected = function.call(*operands)
        for n in (2, 7):
            threads(n)
            assert_same(function.call(*operands), expected)


def test_more_threads_than_one_take_part(threads):
    """Each thread's own clock shows whether it worked."""
    threads(2)
    x = np.ones(1 << 22)
    nn.tanh(x)
    worker = next(each for each in threading.enumerate() if each.name.startswith("fastinit"))
    clock = time.pthread_getcpuclockid(worker.ident)
    before = time.clock_gettime_ns(clock)
    for _ in range(20):
        nn.tanh(x)
    assert time.clock_gettime_ns(clock) - before > 1_000_000


def test_callers_in_many_threads(threads):
    threads(2)
    x = np.random.default_rng(2).standard_normal(SHARED)
    expected = nn.selu(x)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: nn.selu(x), range(40)):
            assert_same(result, expected)


def test_callers_in_many_threads_share_one_generator(threads):
    """Each thread takes its own words; together they are those of one call."""
    threads(2)
    rng, n = default_rng(SEED), 1000
    with ThreadPoolExecutor(8) as pool:
        masks = [*pool.map(lambda _: nn.alpha_dropout(np.ones(n), 0.5, rng) < 0, range(50))]
    whole = nn.alpha_dropout(np.ones(50 * n), 0.5, default_rng(SEED)) < 0
    assert sorted(map(bytes, masks)) == sorted(map(bytes, whole.reshape(50, n)))


LONG = """
import mmap, os, signal, threading, time
import numpy as np
import fastinit
from fastinit import nn, random

fastinit.set_num_threads({threads})
rows, columns = 3000, 3000  # most of a second if a fused multiply-add is a call
memory = mmap.mmap(-1, 8 * rows * columns)  # shared with a child
x, bias, out = np.full((rows, columns), -0.5), np.zeros(columns), np.frombuffer(memory).reshape(rows, columns)
rng = random.default_rng(1)
strided_x, strided_out = x[::-1, ::-1], out.T
wide_x, wide_out = x.reshape(2, -1)[:, ::-1], out.reshape(2, -1)[:, ::-1]

def written():
    return np.count_nonzero(out[::100, ::100]) / out[::100, ::100].size

def wait_for_the_first():
    while not written():
        time.sleep(0.001)

def call():
    {call}
"""
INTERRUPTED = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # though these tests run in the background
if os.fork() == 0:
    wait_for_the_first()
    os.kill(os.getppid(), signal.SIGINT)
    os._exit(0)
try:
    call()
    print("it went on to the end")
except KeyboardInterrupt:
    print("some was left" if written() < 1 else "nothing was left")
"""
WATCHED = """
seen = []
def watch():
    wait_for_the_first()
    seen.append(written())
watcher = threading.Thread(target=watch)
watcher.start()
call()
watcher.join()
print("the other thread ran" if seen[0] < 1 else "the other thread waited")
"""

long_call = pytest.mark.parametrize(
    "call",
    [
        "nn.tanh(x, out=out)",
        "nn.selu(strided_x, out=strided_out)",
        "nn.bias_selu(x, bias, out=out)",
        "nn.bias_selu(strided_x, bias, out=strided_out)",
        "nn.selu_backward(x, x=x, out=out)",
        "nn.selu(x, dropout_p=0.5, rng=rng, out=out)",
        "nn.bias_leaky_relu_backward(strided_x, x, bias, out=strided_out)",
        "nn.bias_selu_backward(wide_x, wide_x, out=wide_out)",
    ],
)


@pytest.mark.parametrize("threads", [1, 2])
@long_call
def test_control_c_ends_a_long_call(call, threads):
    """A signal sent after the first values ends the call before the last ones, without a clock."""
    program = (LONG + INTERRUPTED).replace("{call}", call).replace("{threads}", str(threads))
    assert python(program, FASTINIT_ISA=isas()[0]) == "some was left"


@long_call
def test_other_threads_run_during_a_long_call(call):
    program = (LONG + WATCHED).replace("{call}", call).replace("{threads}", "1")
    assert python(program, FASTINIT_ISA=isas()[0]) == "the other thread ran"


def isas():
    config = fastinit.show_config(mode="dicts")
    return [isa for isa in config["built"] if isa in config["supported"]]


HANDLED = """
import signal
import numpy as np
from fastinit import nn

count = 0
def handler(*_):
    global count
    count += 1
signal.signal(signal.SIGALRM, handler)
x = np.linspace(-5, 5, 3_000_001)
expected = nn.selu(x)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
same = True
while count < 20:
    same &= np.array_equal(nn.selu(x), expected) and np.array_equal(nn.selu(x[::-1]), expected[::-1])
signal.setitimer(signal.ITIMER_REAL, 0)
print(same)
"""


def test_a_signal_that_is_handled_changes_nothing():
    assert python(HANDLED) == "True"


FORKED = """
import os
import numpy as np
import fastinit
from fastinit import nn

fastinit.set_num_threads(4)
x = np.linspace(-5, 5, 3_000_001)
expected = nn.selu(x)
def same():
    return np.array_equal(nn.selu(x), expected)
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(same())
    os._exit(same() and os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1 and same())
"""


def test_a_fork_after_threads_worked():
    assert python(FORKED) == "True"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tag", DTYPES)
@every_kind
def test_the_callers_floating_point_modes_change_nothing_and_come_back(function, tag, mode):
    small, large = (function.operands(np.random.default_rng(3), (n,), tag) for n in (999, 4999))
    rows = function.operands(np.random.default_rng(4), (40, 33), tag)
    tiny = [(x.astype(np.float64) * 2.0**-140).astype(x.dtype) for x in small]
    transposed = [x.T.copy().T for x in rows]
    calls = [small, large, rows, tiny, transposed]
    expected = [function.call(*operands) for operands in calls]
    with hostile(mode):
        before = modes()
        got = [function.call(*operands) for operands in calls]
        after = modes()
    assert after == before == MODES[mode] & CONTROL
    for found, wanted in zip(got, expected, strict=True):
        assert_same(found, wanted)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tag", DTYPES)
def test_sums_are_the_same_in_the_callers_modes(tag, mode, threads):
    threads(2)
    x = BY_NAME["selu"].operands(np.random.default_rng(5), (4000, 70), tag)[0]
    expected = nn.bias_selu_backward(x, x)
    with hostile(mode):
        got = nn.bias_selu_backward(x, x)
    for found, wanted in zip(got, expected, strict=True):
        assert_same(found, wanted)

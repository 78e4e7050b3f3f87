"""Models' own initialisation, as a user has it: the model is built and filled, against torch's own way."""

import ctypes
import gc
import json
import math

import numpy as np
import pytest

from .bench_processes import python
from .peers import SEED

torch = pytest.importorskip("torch")
built = pytest.importorskip("bench.own_models", reason="transformers is missing").built

from fastinit.torch import by_name, init, initialize, skip_init  # noqa: E402

_MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -4, -3, -1  # of glibc's malloc.h


def on_meta(name):
    with torch.device("meta"):
        return built(name)


def skipped(name):
    with skip_init():
        return built(name)


def own_code(name):
    module = skipped(name)
    with by_name(module, SEED):
        module.initialize_weights()
    return module


def patched(name):
    with init.patch(SEED):
        return built(name)


WAYS = {
    "initialize from meta": lambda name: initialize(on_meta(name), SEED),
    "skip_init, by_name": own_code,
    "skip_init, gpt2": lambda name: initialize(skipped(name), SEED, "gpt2"),
    "constructor under patch": patched,
}


@pytest.fixture(params=["touched", "fresh"])
def memory(request):
    """Memory that is mapped anew for each tensor, as in a new process, or that malloc keeps."""
    malloc = ctypes.CDLL(None)
    fresh = {_MMAP_MAX: 1 << 16, _MMAP_THRESHOLD: 1 << 17, _TRIM_THRESHOLD: 1 << 17}
    for option, value in (fresh if request.param == "fresh" else {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}).items():
        malloc.mallopt(option, value)
    yield request.param
    gc.collect()
    for option, value in fresh.items():
        malloc.mallopt(option, value)
    malloc.malloc_trim(0)


def moments(module):
    """Return the size, mean and std of each parameter."""
    found = ((key, each.detach()) for key, each in module.named_parameters())
    return {key: (each.numel(), float(each.mean()), float(each.std())) for key, each in found}


def check(name, make):
    """Compare a model's tensors with those of the library's own."""
    ours, theirs = moments(make(name)), moments(built(name))
    assert ours.keys() == theirs.keys()
    for key, (size, mean, std) in theirs.items():
        error = 6 / math.sqrt(size)
        assert abs(ours[key][1] - mean) <= 2 * std * error, key
        assert ours[key][2] == pytest.approx(std, rel=error), key


def compare(race, name, memory, ways, bounds, rounds):
    torch.set_num_threads(1)
    for way in ways:
        check(name, WAYS[way])
    calls = {way: lambda way=way: WAYS[way](name) for way in ways}
    race.run(calls | {"torch": lambda: built(name)}, gc.collect, rounds)
    for way, bound in zip(ways, bounds, strict=True):
        line = f"{name}: {way}, {memory} memory", f"{np.median(race.times[way]):.3g} s", "torch"
        race.record(*line, race.ratio("torch", way), at_least=bound if memory == "touched" else None)


def test_gpt2(race, memory):
    compare(race, "GPT-2", memory, list(WAYS), (6, 5, 7, 2.5), rounds=9)


@pytest.mark.long
def test_llama(race, memory):
    compare(race, "TinyLlama-1.1B", memory, ["initialize from meta"], (2.5,), rounds=3)


# The seconds, and the peak of memory above that before, in MB.
RECORD = """
import json, sys, time
from bench import own_models
from fastinit.torch import record

def kibibytes(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))

own_models.class_of(sys.argv[1]), own_models.config_of(sys.argv[1])
before, began = kibibytes("VmRSS:"), time.perf_counter()
recording = record(lambda: own_models.built(sys.argv[1]))
seconds = time.perf_counter() - began
assert len(recording.specs) == 291
print(json.dumps([seconds, (kibibytes("VmHWM:") - before) * 1024 / 1e6]))
"""


def test_record(race):
    found = []

    def process():
        found.append(json.loads(python("-c", RECORD, "Llama-7B")))

    race.run({"record": process}, rounds=5)
    seconds, memory = np.array(found).T
    line = "record Llama-7B, in a new process", f"{np.median(seconds):.2f} s"
    race.record(*line, "time", seconds, unit=" s", at_most=1)
    race.record(*line, "memory above the imports", memory, unit=" MB", at_most=100)

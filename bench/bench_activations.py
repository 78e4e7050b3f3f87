"""Activations against torch and others, with one and two threads, and against a copy of as many bytes."""

import numpy as np
import pytest

import fastinit

from . import limits
from .activations import ACTIVATIONS, by_compiled_torch, by_others, by_torch, check, operands_of
from .peers import tensor, torch

SIZES = {"16 Ki": 1 << 14, "16 Mi": 1 << 24}
FRESH = "{}, fresh array"

#: The lowest speed of float32 that is wanted, over a peer's.
FLOORS = {
    ("leaky_relu", "16 Ki"): {"torch": 1.0},
    ("leaky_relu", "16 Mi"): {"torch": 1.4},
    ("leaky_relu_backward", "16 Ki"): {"torch": 1.2},
    ("leaky_relu_backward", "16 Mi"): {"torch": 1.4},
    ("selu", "16 Ki"): {"torch": 3, "NumPy": 15},
    ("selu", "16 Mi"): {"torch": 3.5, "NumPy": 25},
    ("selu_backward", "16 Ki"): {"torch": 1.0},
    ("selu_backward", "16 Mi"): {"torch": 1.5},
    ("bias_selu", "16 Ki"): {"torch": 3, "torch.compile": 3},
    ("bias_selu", "16 Mi"): {"torch": 4, "torch.compile": 4},
    **{(name, size): {"torch": 1.0} for name in ("sigmoid", "tanh") for size in SIZES},
}
#: The lowest speed of `fastinit.torch.nn`, forward and backward at 1 Mi, over torch's.
THROUGH_TORCH = {"64": 64, "1 Mi": 1 << 20}
WANTED_THROUGH_TORCH = {"leaky_relu": 0.75, "selu": 1.4, "bias_selu": 1.8}
OTHERS = [pytest.param(tag, marks=pytest.mark.long) for tag in ("f64", "f16", "bf16")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tag", ["f32", *OTHERS])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(race, name, tag, size):
    run(race, name, tag, SIZES[size], others=tag == "f32")
    floors = (
        {"torch": 1.0} if tag in ("f16", "bf16") else FLOORS.get((name, size), {}) if tag == "f32" else {}
    )
    record(race, name, tag, size, SIZES[size], floors)


@pytest.mark.long
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_two_threads(race, name):
    fastinit.set_num_threads(2)
    if torch:
        torch.set_num_threads(2)
    try:
        run(race, name, "f32", SIZES["16 Mi"])
    finally:
        if torch:
            torch.set_num_threads(1)
    record(race, name, "f32", "16 Mi, 2 threads", SIZES["16 Mi"], {})


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_small(race, name):
    """64 elements into a new array, to time the call itself."""
    run(race, name, "f32", 64)
    ours = FRESH.format("fastinit")
    nanoseconds = 1e9 * np.median(race.times[ours])
    ratio = race.ratio(ours, FRESH.format("torch"))
    race.record(f"{name} f32, 64", f"{nanoseconds:.0f} ns", "torch, time", ratio, at_most=1.5)


@pytest.mark.parametrize("size", THROUGH_TORCH)
@pytest.mark.parametrize("name", WANTED_THROUGH_TORCH)
def test_through_torch(race, name, size):
    """Forward and backward by `fastinit.torch.nn`, against torch's functions on the same tensors."""
    pytest.importorskip("torch")
    from fastinit.torch.nn import functional

    operands = [tensor(x).requires_grad_() for x in operands_of(name, THROUGH_TORCH[size], "f32")]
    grad = torch.ones_like(operands[0])
    functions = {"fastinit": getattr(functional, name), "torch": ACTIVATIONS[name].torch}

    def both_ways(function):
        return torch.autograd.grad(function(*operands), operands, grad)

    for ours, theirs in zip(*map(both_ways, functions.values()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-3)
    repeats = max(1, (1 << 15) // THROUGH_TORCH[size])
    calls = {who: lambda f=f: both_ways(f) for who, f in functions.items()}
    calls |= {f"{who}, forward": lambda f=f: f(*operands) for who, f in functions.items()}
    race.run({who: _repeated(call, repeats) for who, call in calls.items()})
    for way, bound in ((", forward", None), ("", WANTED_THROUGH_TORCH[name] if size == "1 Mi" else None)):
        microseconds = 1e6 * np.median(race.times[f"fastinit{way}"]) / repeats
        what = f"{name} f32, {size}, {'forward' if way else 'forward and backward'} through torch"
        ratio = race.ratio(f"torch{way}", f"fastinit{way}")
        race.record(what, f"{microseconds:.3g} us", "torch", ratio, at_least=bound)


def run(race, name, tag, size, others=False):
    """Check all values, then time all in turns; `race.times` are those of one call."""
    operands = operands_of(name, size, tag)
    out = np.zeros_like(operands[0])
    ours = ACTIVATIONS[name].ours
    calls = {
        "fastinit": lambda: ours(*operands, out=out),
        FRESH.format("fastinit"): lambda: ours(*operands),
        **by_torch(name, operands, out),
    }
    if others:
        calls |= by_others(name, operands, out)
        calls |= by_compiled_torch(operands, out) if name == "bias_selu" else {}
    race.peers = dict.fromkeys(who.partition(",")[0] for who in calls)
    calls = {who: call for who, call in calls.items() if call}
    for call in calls.values():
        out[:] = 9
        check(name, tag, operands, out if (found := call()) is None else found)
    calls["copy"] = lambda: limits.copy(out, operands[0])
    repeats = max(1, (1 << 18) // size)
    race.run({who: _repeated(call, repeats) for who, call in calls.items()})
    race.times = {who: turns / repeats for who, turns in race.times.items()}


def _repeated(call, times):
    def calls():
        for _ in range(times):
            call()

    return calls


def record(race, name, tag, size, values, floors):
    """Record a line for each peer, and one for the share of the speed of a copy."""
    fresh = FRESH.format("fastinit")
    speeds = [values / np.median(race.times[who]) / 1e9 for who in ("fastinit", fresh)]
    line = f"{name} {tag}, {size}", "{:.2f} ({:.2f}) Gv/s".format(*speeds)
    for peer in race.peers:
        if peer == "fastinit":
            continue
        own = peer if peer == "NumPy" else FRESH.format(peer)  # NumPy's expression always makes new arrays
        ratios = race.ratio(peer, "fastinit"), race.ratio(own, fresh)
        race.record(*line, peer, *ratios, at_least=floors.get(peer))
    passes = ACTIVATIONS[name].passes / 2  # a copy reads once and writes once
    shares = (100 * passes * race.ratio("copy", who) for who in ("fastinit", fresh))
    race.record(*line, "copy", *shares, unit="%")

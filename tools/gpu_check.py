"""Compare a GPU's fills with the CPU's, and their speed with a memset's and torch's own.

``python tools/gpu_check.py`` needs fastinit and torch with CUDA, and takes under three minutes.
The exit status is 1 if a bit differs.
"""

import hashlib
import sys
import time

import numpy as np
import torch

import fastinit
from fastinit._dtypes import of
from fastinit.init.plans import Sampled
from fastinit.random import PCG64, PCG64DXSM, Generator
from fastinit.torch import gpu

LAWS = {
    "uniform": (0.0, 1.0),
    "normal": (0.0, 0.02),
    "truncated_normal": (-2.0, 2.0, 0.0, 0.02),
}
NAMES = ["float16", "bfloat16", "float32", "float64"]
SMALL, LARGE = 10_000_019, 1 << 30  # elements that are compared; bytes that are timed


def digest(array):
    return hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()


def stored(tensor):
    return tensor.cpu().view(getattr(torch, f"int{8 * tensor.element_size()}")).numpy()


def compare(bits, law, name, start, device):
    """Whether a part of a stream, written into every second element, is the CPU's."""
    dtype = of(name)
    plan = Sampled((2**40,), dtype, law, LAWS[law])
    rng = Generator(bits(7))
    rng.integers(0, 9, 1, np.uint32)  # leaves a buffered half
    expected = np.empty(SMALL, dtype.storage)
    plan.fill(expected, rng, start)
    whole = torch.zeros(SMALL + 1, dtype=getattr(torch, name), device=device)
    gpu.fill(whole[start % 2 :][:SMALL], plan, rng, start)
    spread = torch.zeros(2 * SMALL, dtype=whole.dtype, device=device)
    gpu.fill(spread[::2], plan, rng, start)
    made = {digest(stored(part.contiguous())) for part in (whole[start % 2 :][:SMALL], spread[::2])}
    return made == {digest(expected)}


def seconds(run, times=20):
    """The least time of a call, by the clock and after the GPU's work."""
    best = float("inf")
    for _ in range(times):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begin)
    return best


def main():
    device = torch.device("cuda", torch.cuda.current_device())
    properties = torch.cuda.get_device_properties(device)
    print(f"{properties.name}, sm_{properties.major}{properties.minor}, torch {torch.__version__}, "
          f"fastinit {fastinit.__version__}")  # fmt: skip
    begin = time.perf_counter()
    gpu.fill(
        torch.empty(1, device=device),
        Sampled((1,), of("float32"), "uniform", (0.0, 1.0)),
        Generator(PCG64(1)),
    )
    torch.cuda.synchronize()
    print(f"first fill, compilation included if it was not in the cache: {time.perf_counter() - begin:.2f} s")

    wrong = 0
    for bits in (PCG64, PCG64DXSM):
        for law in LAWS:
            for name in NAMES:
                for start in (0, 1_234_567, 2**36 + 1):
                    if not compare(bits, law, name, start, device):
                        wrong += 1
                        print(f"DIFFERENT: {bits.__name__} {law} {name} from {start}")
    print(f"{2 * len(LAWS) * len(NAMES) * 3} fills of {SMALL:,} values: {wrong} differ from the CPU's")

    rng = Generator(PCG64(7))
    print(f"{'':26}{'GB/s':>8}{'Gvalues/s':>11}{'of memset':>11}{'of torch':>10}")
    for name in NAMES:
        dtype = of(name)
        tensor = torch.empty(LARGE // dtype.storage.itemsize, dtype=getattr(torch, name), device=device)
        memset = seconds(tensor.zero_)
        for law, parameters in LAWS.items():
            plan = Sampled((tensor.numel(),), dtype, law, parameters)
            ours = seconds(lambda: gpu.fill(tensor, plan, rng))  # noqa: B023
            theirs = {"uniform": tensor.uniform_, "normal": tensor.normal_}.get(law)
            ratio = f"{seconds(theirs) / ours:.2f}" if theirs else ""
            print(f"{law:17} {name:8}{LARGE / ours / 1e9:8.0f}{tensor.numel() / ours / 1e9:11.1f}"
                  f"{memset / ours:11.2f}{ratio:>10}")  # fmt: skip
    small = torch.empty(1024, device=device)
    plan = Sampled((1024,), of("float32"), "normal", (0.0, 1.0))
    print(f"a fill of 1,024 values: {seconds(lambda: gpu.fill(small, plan, rng), 200) * 1e6:.0f} us; "
          f"torch: {seconds(small.normal_, 200) * 1e6:.0f} us")  # fmt: skip
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

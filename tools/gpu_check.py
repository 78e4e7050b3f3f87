"""Compare a GPU's fills with the CPU's, and their speed with a memset's and torch's own.

``python tools/gpu_check.py`` needs fastinit and torch with CUDA, and takes under three minutes.
The exit status is 1 if a bit differs.
"""

import concurrent.futures
import hashlib
import sys
import time

import numpy as np
import torch

import fastinit
from fastinit._dtypes import of
from fastinit.init.plans import Sampled
from fastinit.random import PCG64, PCG64DXSM, Generator
from fastinit.torch import fill_, gpu

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


def normals(device, name="float32", n=SMALL, run=lambda tensor, fill: fill()):
    """Whether the last values of a fill of n normals, which `run` makes, are the CPU's."""
    dtype, last = of(name), min(n, 1 << 20)
    plan = Sampled((n,), dtype, "normal", (0.0, 1.0))
    expected = np.empty(last, dtype.storage)
    plan.fill(expected, Generator(PCG64(7)), n - last)
    tensor = torch.zeros(n, dtype=getattr(torch, name), device=device)
    run(tensor, lambda: gpu.fill(tensor, plan, Generator(PCG64(7))))
    return digest(stored(tensor[-last:])) == digest(expected)


def in_a_thread(tensor, fill):
    """Fill in a thread that has not called CUDA."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(fill).result()


def on_a_stream(tensor, fill):
    """Fill on a stream whose other work, if the fill overtook it, would erase the values."""
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        tensor.zero_()
        fill()
    stream.synchronize()


def blocks(device):
    """Whether a block of rows, which is one run, and one of columns are the CPU's."""
    whole, same = fill_(torch.empty(512, 1024), "normal", 7), True
    for block in ((slice(100, 356), slice(None)), (slice(None), slice(7, 107))):
        part = torch.zeros(whole[block].shape, device=device)
        same &= torch.equal(fill_(part, "normal", 7, shape=(512, 1024), block=block).cpu(), whole[block])
    return same


def seconds(run, before=lambda: None, times=20):
    """The least time of a call, by the clock and after the GPU's work, and that of the GPU's work by itself.

    `before` keeps the GPU busy while the CPU prepares the work.
    """
    best = [float("inf")] * 2
    for _ in range(times):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        call = time.perf_counter() - begin
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before()
        start.record()
        run()
        end.record()
        end.synchronize()
        best = [*map(min, best, (call, start.elapsed_time(end) / 1000))]
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

    devices = [torch.device("cuda", each) for each in range(torch.cuda.device_count())]
    checks = {
        "in a second thread": lambda: normals(device, run=in_a_thread),
        "on a stream of its own": lambda: normals(device, run=on_a_stream),
        "of 2^32 + 11 elements": lambda: normals(device, "bfloat16", 2**32 + 11),
        "of blocks": lambda: blocks(device),
        **{f"on {each}": lambda each=each: normals(each) for each in devices if each != device},
        **{
            f"on {each}, in a thread": lambda each=each: normals(each, run=in_a_thread)
            for each in devices[1:]
        },
    }
    for what, check in checks.items():
        same = check()
        wrong += not same
        print(f"a fill {what}: {'the same' if same else 'DIFFERENT'}")
    torch.cuda.empty_cache()

    rng = Generator(PCG64(7))
    print("By the kernel's time, beside the call's:")
    print(f"{'':26}{'GB/s':>8}{'Gvalues/s':>11}{'call GB/s':>11}{'of memset':>11}{'of torch':>10}")
    for name in NAMES:
        dtype = of(name)
        tensor = torch.empty(LARGE // dtype.storage.itemsize, dtype=getattr(torch, name), device=device)
        memset = seconds(tensor.zero_, tensor.zero_)[1]
        for law, parameters in LAWS.items():
            plan = Sampled((tensor.numel(),), dtype, law, parameters)
            call, ours = seconds(lambda: gpu.fill(tensor, plan, rng), tensor.zero_)  # noqa: B023
            theirs = {"uniform": tensor.uniform_, "normal": tensor.normal_}.get(law)
            ratio = f"{seconds(theirs, tensor.zero_)[1] / ours:.2f}" if theirs else ""
            print(f"{law:17} {name:8}{LARGE / ours / 1e9:8.0f}{tensor.numel() / ours / 1e9:11.1f}"
                  f"{LARGE / call / 1e9:11.0f}{memset / ours:11.2f}{ratio:>10}")  # fmt: skip
    small = torch.empty(1024, device=device)
    plan = Sampled((1024,), of("float32"), "normal", (0.0, 1.0))
    (ours, _), (theirs, _) = (
        seconds(run, times=200) for run in (lambda: gpu.fill(small, plan, rng), small.normal_)
    )
    print(f"a fill of 1,024 values: {ours * 1e6:.0f} us; torch: {theirs * 1e6:.0f} us")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

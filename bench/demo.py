"""``make demo``: writes GPT-2's weights to a file, and again with torch if it is installed."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import fastinit
from fastinit.checkpoint import generate, manifest
from fastinit.cli.generate import describe


def main() -> None:
    """Write both files, and print their speeds."""
    with tempfile.TemporaryDirectory() as folder:
        print("fastinit generate -o model.safetensors\n")
        summary = generate(manifest.GPT2, Path(folder, "model.safetensors"))
        print(describe(summary).replace(folder + os.sep, ""))
        isa, threads = (fastinit.show_config(mode="dicts")[key] for key in ("isa", "threads"))
        print(f"\nfastinit  {summary.seconds:.2f} s  made and on the disk ({isa}, {threads} threads)")
        try:
            made, saved, threads = by_torch(Path(folder, "torch.safetensors"))
        except ImportError:
            print("torch     missing, so nothing to compare with: pip install torch safetensors")
            return
    both = made + saved
    print(
        f"torch     {both:.2f} s  normal_ {made:.2f} s, save_file and fsync {saved:.2f} s ({threads} threads)"
    )
    print(f"\n{both / summary.seconds:.1f} times as fast")


def by_torch(file: Path) -> tuple[float, float, int]:
    """Fill GPT-2's shapes with normals and save them. Return the seconds of each, and the threads."""
    import torch
    from safetensors.torch import save_file

    specs = manifest.read(manifest.GPT2)
    began = time.perf_counter()
    tensors = {spec.name: torch.empty(spec.shape).normal_(0, 0.02) for spec in specs}
    filled = time.perf_counter()
    save_file(tensors, file)
    with file.open("rb") as written:
        os.fsync(written.fileno())
    return filled - began, time.perf_counter() - filled, torch.get_num_threads()


if __name__ == "__main__":
    main()

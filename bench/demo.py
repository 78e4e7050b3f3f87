"""``make demo``: writes GPT-2's weights to build/demo, and again with torch if it is installed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import fastinit
from fastinit.checkpoint import generate, manifest
from fastinit.cli.generate import describe


def main(folder: Path = Path("build/demo"), model: Any = "gpt2") -> None:
    """Write both files, print their speeds, and keep fastinit's in a folder, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"fastinit generate gpt2 -o {folder}\n")
    summary = generate(model, folder)
    print(describe(summary))
    isa, threads = (fastinit.show_config(mode="dicts")[key] for key in ("isa", "threads"))
    print(f"\nfastinit  {summary.seconds:.2f} s  made and on the disk ({isa}, {threads} threads)")
    try:
        made, saved, threads = by_torch(model, folder / "torch.safetensors")
    except ImportError:
        print("torch     missing, so nothing to compare with: pip install torch safetensors")
    else:
        both = made + saved
        steps = f"normal_ {made:.2f} s, save_file and fsync {saved:.2f} s ({threads} threads)"
        print(f"torch     {both:.2f} s  {steps}\n\n{both / summary.seconds:.1f} times as fast")
    print("\nThe checkpoint stays there. To look into it, and to load it by safetensors and transformers:\n")
    print(*("    " + line for line in opening(folder)), sep="\n")


def opening(folder: Path) -> list[str]:
    """Return the commands that open the checkpoint. The last ones need safetensors, and transformers."""
    command = os.path.join(os.path.dirname(sys.executable), "fastinit")
    file = str(folder / "model.safetensors")
    loading = "from transformers import GPT2Config, GPT2LMHeadModel as Model"
    loading += f"; GPT2Config().save_pretrained({str(folder)!r}); Model.from_pretrained({str(folder)!r})"
    return [
        f"{os.path.relpath(command)} inspect {folder}",
        f'python -c "from safetensors.numpy import load_file; print(load_file({file!r}))"',
        f'python -c "{loading}"',
    ]


def by_torch(model: Any, file: Path) -> tuple[float, float, int]:
    """Fill the shapes of a list with normals and save them. Return the seconds of each, and the threads."""
    import torch
    from safetensors.torch import save_file

    specs = manifest.read(manifest.MODELS.get(model, model) if isinstance(model, str) else model)
    began = time.perf_counter()
    tensors = {spec.name: torch.empty(spec.shape).normal_(0, 0.02) for spec in specs}
    filled = time.perf_counter()
    try:
        save_file(tensors, file)
        with file.open("rb") as written:
            os.fsync(written.fileno())
        return filled - began, time.perf_counter() - filled, torch.get_num_threads()
    finally:
        file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()

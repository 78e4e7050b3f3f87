"""``python -m bench.first_losses``: losses of untrained models, by their library's init and by generate's.

transformers builds each model with three seeds, and reads what ``fastinit generate config.json`` writes with
``from_pretrained``. The tokens are random, and the same for all. So the loss of a model that prefers no token
is the logarithm of the size of its vocabulary. The last column is the loss if the preset `torch` guesses from
the names of the tensors.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from fastinit.checkpoint import BadInput
from fastinit.cli import main as command
from fastinit.torch import initialize

from .own_models import built, class_of, config_of

MODELS = "GPT-2", "OPT-125M", "RoBERTa-base", "T5-small", "Pythia-160M"
SEEDS = 3
WITHIN = 0.1  # of the library's own


def loss_of(model: Any) -> float:
    """Return the loss of a model on 512 random tokens."""
    vocabulary = model.config.vocab_size
    tokens = torch.from_numpy(np.random.default_rng(0).integers(3, vocabulary - 300, (2, 256)))
    with torch.no_grad():
        return float(model.eval()(input_ids=tokens, labels=tokens).loss)


def own(name: str) -> list[float]:
    """Return the loss by the library's own init, for each seed."""
    losses = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        losses.append(loss_of(built(name)))
    return losses


def generated(name: str) -> float:
    """Return the loss of a checkpoint that the command writes. RuntimeError if a key is amiss."""
    with tempfile.TemporaryDirectory() as folder:
        config_of(name).save_pretrained(folder)
        arguments = ["generate", f"{folder}/config.json", "-o", f"{folder}/out", "--quiet"]
        if command(arguments):
            raise RuntimeError(f"{name}: fastinit {' '.join(arguments)} failed")
        model, told = class_of(name).from_pretrained(Path(folder, "out"), output_loading_info=True)
        if any(told.values()):
            raise RuntimeError(f"{name}: from_pretrained reports {told}")
        return loss_of(model)


def guessed(name: str) -> str:
    """Return the loss if names alone say how tensors are filled."""
    try:
        return f"{loss_of(initialize(built(name), 0, 'torch')):.2f}"
    except BadInput:
        return "an error"


def main() -> int:
    """Print the table. Return 1 if a difference is too large."""
    headings = "first loss", "own", "generate", "difference", "--init torch"
    table, far = Table(*headings), []
    for name in MODELS:
        losses, ours = own(name), generated(name)
        difference = ours - float(np.mean(losses))
        spread = f"{np.mean(losses):.3f} ({min(losses):.3f} to {max(losses):.3f})"
        table.add_row(name, spread, f"{ours:.3f}", f"{difference:+.3f}", guessed(name))
        far += [name] if abs(difference) > WITHIN else []
    Console().print(table)
    print(f"further than {WITHIN} from the library's own: {', '.join(far) or 'none'}")
    return 1 if far else 0


if __name__ == "__main__":
    raise SystemExit(main())

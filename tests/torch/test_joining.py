"""Recordings of tensors that lie side by side on disk, and apart in memory."""

import numpy as np
import safetensors.torch
import torch
from torch import nn

from fastinit.checkpoint import tensors
from fastinit.torch import initialize, record
from fastinit.torch.models import Model
from fastinit.torch.recorder import record_model


class Fused(nn.Module):
    """A model whose tensors lie side by side on disk."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, size, bias=False) for size in (8, 4, 4))
        for each in (self.q, self.k, self.v):
            nn.init.normal_(each.weight, std=0.02)

    def on_disk(self):
        q, k, v = (each.weight.data for each in (self.q, self.k, self.v))
        rotary = q.view(2, 2, 2, 8).transpose(1, 2).reshape(8, 8)
        fused = {"qkv": torch.cat([rotary, k[2:], v]), "wide": torch.cat([k.T, q, v.T], dim=-1)}
        return {**fused, "experts": torch.stack([k, v], 1)}

    def save_pretrained(self, folder):
        safetensors.torch.save_file(self.on_disk(), f"{folder}/model.safetensors")


def test_tensors_that_are_rearranged_and_fused(tmp_path):
    recording = record_model(Model(Fused, Fused.save_pretrained))
    made = dict(tensors(recording, seed=5))
    expected = initialize(Fused(), 5, record(Fused)).on_disk()
    assert made.keys() == expected.keys() == {"qkv", "wide", "experts"}
    assert all(np.array_equal(made[name], expected[name].numpy()) for name in made)

"""Rules for a part of a model, which see the whole."""

import pytest
import torch
from torch import nn

from fastinit import checkpoint
from fastinit.checkpoint import BadInput, Rule
from fastinit.torch import initialize, manifest, record

DEEP = [Rule("*.weight", "normal(std={0.02/sqrt(2*layers)})"), Rule("*", "zeros")]


class Whole(nn.Module):
    def __init__(self, layers=range(4)):
        super().__init__()
        self.h = nn.ModuleDict({str(number): nn.Linear(6, 6) for number in layers})
        self.register_buffer("steps", torch.arange(3), persistent=False)


def values(module):
    return {name: tensor.tolist() for name, tensor in module.state_dict().items()}


def of_the_whole(module, whole):
    """A part's values where the whole has them."""
    found = values(whole)
    return {name: found[name] for name in module.state_dict()}


@pytest.mark.parametrize("layers", [(0, 1), (2,), (3,)])
def test_a_stage_has_the_values_of_the_whole(layers, tmp_path):
    whole = initialize(Whole(), 7, DEEP)
    stage = Whole(layers)
    assert values(initialize(stage, 7, DEEP, manifest=manifest(whole))) == of_the_whole(stage, whole)
    assert values(initialize(stage, 7, DEEP)) != of_the_whole(stage, whole) or 3 in layers
    path = tmp_path / "whole.safetensors"
    checkpoint.generate(manifest(whole), path, init=DEEP, seed=7)
    assert values(initialize(stage, 7, DEEP, manifest=path)) == of_the_whole(stage, whole)
    assert stage.steps.tolist() == [0, 1, 2]


def test_a_recording_of_the_whole_is_a_manifest_with_rules(tmp_path):
    recording = record(Whole)
    whole, stage = initialize(Whole(), 7), Whole((1, 2))
    recording.save(tmp_path / "whole.json")
    for given in (recording, tmp_path / "whole.json"):
        initialize(stage, 8, DEEP)
        initialize(stage, 7, "auto", manifest=given)
        assert values(stage) == of_the_whole(stage, whole)


@pytest.mark.parametrize("init", [None, DEEP])
def test_what_is_not_the_whole_s_is_refused(init):
    stage = Whole((1, 7))
    before = values(stage)
    with pytest.raises(BadInput, match=r"h\.7\.weight is not in the manifest"):
        initialize(stage, 7, init, manifest=manifest(Whole()))
    other = manifest(Whole((1, 7))) | {"h.7.weight": {"dtype": "F32", "shape": [6, 5]}}
    with pytest.raises(BadInput, match=r"h\.7\.weight has shape \(6, 6\), but in the manifest \(6, 5\)"):
        initialize(stage, 7, init, manifest=other)
    assert values(stage) == before
    assert values(initialize(stage, 7, init, manifest=manifest(Whole(range(8))))) != before

"""Stand-ins for the tensors of a module."""

import pytest
import torch
from torch import nn

from fastinit.torch.standins import stand_ins
from fastinit.torch.tracker import Tracker


class Sharded:
    """Stands for the class that FSDP2 puts before a module's own."""

    def _get_fsdp_state(self):
        return None


class ShardedLinear(Sharded, nn.Linear):
    pass


def tied():
    module = nn.ModuleDict({"one": nn.Linear(3, 3), "two": ShardedLinear(3, 3), "norm": nn.BatchNorm1d(3)})
    module["two"].weight = module["one"].weight
    module["one"].weight.mark = "kept"
    return module


@pytest.mark.parametrize("fails", [False, True])
def test_all_is_as_before_afterwards(fails):
    module, tracker = tied(), Tracker()
    before = [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]
    with pytest.raises(KeyError) if fails else stand_ins(module, tracker):
        if fails:
            with stand_ins(module, tracker):
                raise KeyError
        one, two = module["one"].weight, module["two"].weight
        assert one is two
        assert (one.is_meta, one.shape, one.mark, type(one)) == (True, (3, 3), "kept", nn.Parameter)
        assert type(module["two"]) is nn.Linear
        assert module["norm"].running_var.is_meta
    after = [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]
    assert [name for name, _ in after] == [name for name, _ in before]
    assert all(new is old for (_, new), (_, old) in zip(after, before, strict=True))
    assert type(module["two"]) is ShardedLinear


def test_a_buffer_s_values_are_known():
    module, tracker = tied(), Tracker()
    with stand_ins(module, tracker):
        history = tracker.history(module["norm"].running_var)
        assert torch.equal(history[0].args[0].tensor, torch.ones(3))
        assert not tracker.filled(module["norm"].running_var)

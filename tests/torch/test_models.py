"""What libraries' own code draws, compared with what is recorded of it."""

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from models import MODELS

from fastinit import checkpoint
from fastinit.torch import initialize, record

SEEDS = 3

# Only the constructor fills some of their tensors, so that `initialize` needs init=record(constructor).
BY_CONSTRUCTOR = {"CLIP:Model", "Longformer:ForMaskedLM", "Nystromformer:ForMaskedLM", "Rwkv:ForCausalLM"}
OWN_CODE = [
    (library, name)
    for library, name in MODELS
    if library in ("transformers", "torch") and name not in BY_CONSTRUCTOR
]


@pytest.fixture(autouse=True)
def quiet():
    """Libraries warn of what they will do away with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module", params=MODELS, ids=":".join)
def model(request):
    """A model's constructor and recording."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MODELS[request.param], record(MODELS[request.param])


def state(module):
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}


def same(one, other):
    """Whether two arrays have the same bits; a NaN equals itself."""
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def test_a_model_has_the_values_that_its_recording_has(model):
    make, recording = model
    tensors = dict(checkpoint.tensors(recording, seed=5))
    filled = state(initialize(make(), 5, recording))
    assert [key for key, array in tensors.items() if not same(array, filled[key])] == []


@pytest.mark.parametrize("model", OWN_CODE, ids=":".join)
def test_own_code_gives_what_is_recorded_of_it(model):
    with torch.device("meta"):
        module = MODELS[model]()
    tensors = dict(checkpoint.tensors(record(module), seed=5))
    filled = state(initialize(module, 5))
    assert [key for key, array in tensors.items() if not same(array, filled[key])] == []


def test_the_recording_is_what_the_library_draws(model):
    make, recording = model
    made = dict(checkpoint.tensors(recording, seed=5))
    drawn = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        drawn.append(state(make()))
    assert len(made) == len({id(tensor) for tensor in make().state_dict(keep_vars=True).values()})
    for key, array in made.items():
        problem = difference(array, [each[key] for each in drawn])
        assert problem is None, f"{key}: {problem}"


def difference(made, drawn):
    """Return how an array differs from draws of one law, or None."""
    if made.shape != drawn[0].shape or made.dtype != drawn[0].dtype:
        return f"{made.dtype} {made.shape}, not {drawn[0].dtype} {drawn[0].shape}"
    if not made.size:
        return None
    fixed = np.logical_and.reduce([each == drawn[0] for each in drawn])
    if fixed.all() or fixed.mean() > 0.005:  # constants and slices; a few draws meet by chance
        if not np.array_equal(made[fixed], drawn[0][fixed], equal_nan=True):
            return "its constants"
    if fixed.all():
        return None
    ours = made[~fixed].astype(np.float64)
    theirs = np.stack([each[~fixed] for each in drawn]).astype(np.float64).reshape(-1)
    error = math.sqrt(theirs.var() * (1 / ours.size + 1 / theirs.size))
    if abs(ours.mean() - theirs.mean()) > 6 * error:
        return f"mean {ours.mean()}, not {theirs.mean()}"
    kurtosis = _kurtosis(theirs)
    error = theirs.std() * math.sqrt(max(kurtosis - 1, 0.1) / 4 * (1 / ours.size + 1 / theirs.size))
    if abs(ours.std() - theirs.std()) > 6 * error:
        return f"std {ours.std()}, not {theirs.std()}"
    if ours.size >= 1000:
        # The kurtosis of a normal has the standard error sqrt(24 / n), that of narrower laws a smaller one.
        error = math.sqrt(24 * (1 / ours.size + 1 / theirs.size)) * max(1.0, (kurtosis / 3) ** 2)
        if abs(_kurtosis(ours) - kurtosis) > 6 * error:
            return f"kurtosis {_kurtosis(ours)}, not {kurtosis}"
        if kurtosis < 2.5 and abs(ours).max() > abs(theirs).max() * (1 + 20 / ours.size) + 1e-6:
            return f"bound {abs(ours).max()}, not {abs(theirs).max()}"
    return None


def _kurtosis(values):
    centred = values - values.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2)


def test_a_difference_is_seen():
    """The comparison itself: each of its parts finds an array of another law."""
    rng = np.random.default_rng(0)
    drawn = [rng.normal(0, 0.02, (100, 50)).astype(np.float32) for _ in range(SEEDS)]
    for each in drawn:
        each[3] = 0
    right = rng.normal(0, 0.02, (100, 50)).astype(np.float32)
    assert difference(right, drawn) == "its constants"
    right[3] = 0
    assert difference(right, drawn) is None
    assert difference(right * np.float32(1.1), drawn).startswith("std")
    shifted = right + np.float32(0.004)
    shifted[3] = 0
    assert difference(shifted, drawn).startswith("mean")
    uniform = rng.uniform(-0.02 * 3**0.5, 0.02 * 3**0.5, (100, 50)).astype(np.float32)
    uniform[3] = 0
    assert difference(uniform, drawn).startswith("kurtosis")
    assert difference(right[:50], drawn).startswith("float32 (50, 50)")


def test_the_page_lists_these_models():
    page = (Path(__file__).parents[2] / "docs" / "own_init.md").read_text()
    listed = dict(re.findall(r"^\| (\w+) \| (.*) \|$", page.partition("## Models tested")[2], re.MULTILINE))
    names = {library: [] for library, _ in MODELS}
    for library, name in MODELS:
        names[library].append(name.replace(":", ""))
    assert listed == {"library": "models", **{key: ", ".join(each) for key, each in names.items()}}

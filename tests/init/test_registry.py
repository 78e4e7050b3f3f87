"""The functions that `register` makes from one: an array form, an in-place form, and their types."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fastinit import init
from fastinit.init.initializer import OPTIONS, OPTIONS_IN_PLACE

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # tools is no part of what is installed

from tools import stubs  # noqa: E402

TORCHS = sorted(name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_")
FORMS = sorted(name for name in init.__all__ if f"{name}_" in init.__all__)


@pytest.mark.parametrize("path", stubs.STUBS, ids=lambda path: path.name)
def test_a_stub_is_current(path):
    assert path.read_text() == stubs.STUBS[path](), "`python -m tools.stubs` renews it"


@pytest.mark.parametrize("name", FORMS)
def test_both_forms_have_signatures_of_their_own(name):
    array_form, in_place = getattr(init, name), getattr(init, f"{name}_")
    parameters = [*inspect.signature(array_form).parameters.values()]
    assert parameters[0].name == "shape"
    assert parameters[-len(OPTIONS) :] == OPTIONS
    own = [each.default for each in parameters[1 : -len(OPTIONS)]]
    twins = [*inspect.signature(in_place).parameters.values()]
    assert twins[0].name == "tensor"
    if twins[-len(OPTIONS_IN_PLACE) :] == OPTIONS_IN_PLACE:
        del twins[-len(OPTIONS_IN_PLACE) :]
    assert [each.default for each in twins[1:] if each.name != "generator"] == own
    assert array_form.__doc__
    assert array_form.__name__ in in_place.__doc__


@pytest.mark.parametrize(
    "name", sorted(name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_")
)
def test_forms_in_place_take_torchs_arguments_in_torchs_order(name):
    torchs = list(inspect.signature(getattr(torch.nn.init, name)).parameters)
    ours = list(inspect.signature(getattr(init, name)).parameters)
    assert ours[: len(torchs)] == torchs
    more = inspect.signature(getattr(init, name)).parameters.values()
    assert all(each.kind is each.KEYWORD_ONLY for each in list(more)[len(torchs) :])


@pytest.mark.parametrize(
    "call",
    [
        lambda: init.xavier_uniform((3, 4), 2.0),  # gain is a keyword
        lambda: init.xavier_uniform((3, 4), gian=2.0),
        lambda: init.xavier_uniform(),
        lambda: init.constant((3, 4)),
        lambda: init.constant((3, 4), 1.0, value=2.0),
        lambda: init.xavier_uniform_(np.zeros((3, 4), np.float32), gian=2.0),
        lambda: init.sparse_(np.zeros((3, 4), np.float32)),
        lambda: init.ones_(np.zeros(3, np.float32), 1.0),
    ],
)
def test_arguments_that_do_not_fit_are_type_errors(call):
    with pytest.raises(TypeError, match=r"argument|positional"):
        call()

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastinit.checkpoint.views import View


@st.composite
def views(draw):
    """A shape, and an array's view without a copy, as users take them."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    array = np.arange(math.prod(shape)).reshape(shape)
    for kind in draw(st.lists(st.sampled_from(["index", "slice", "swap", "flatten"]), max_size=4)):
        axis = draw(st.integers(0, max(array.ndim - 1, 0)))
        before = (slice(None),) * axis
        if kind == "index" and array.ndim:
            array = array[(*before, draw(st.integers(0, array.shape[axis] - 1)))]
        elif kind == "slice" and array.ndim:
            start = draw(st.integers(0, array.shape[axis] - 1))
            array = array[(*before, slice(start, None, draw(st.integers(1, 3))))]
        elif kind == "swap" and array.ndim:
            array = array.swapaxes(0, axis)
        elif kind == "flatten" and isinstance(array, np.ndarray) and array.flags.c_contiguous:
            array = array.reshape(-1)
        array = np.asarray(array)
    return shape, array


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_view_has_the_places_that_its_strides_have(data):
    shape, array = data.draw(views())
    wanted = array.reshape(-1)  # each element of the base is its place
    strides = [stride // array.itemsize for stride in array.strides]
    view = View.of_strides(shape, array.shape, strides, int(wanted[0]))
    assume(view is not None)
    assert (view.places(0, view.size) == wanted).all()
    again = View.parse(view.text(shape), shape)
    assert (again.places(0, again.size) == wanted).all()
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, math.prod(shape))] * 2)))
    mask = np.zeros(stop - start, bool)
    mask[view.inside(start, stop)] = True
    assert (mask == np.isin(np.arange(start, stop), wanted)).all()


def test_most_views_by_slices_have_a_text():
    weight = np.arange(24).reshape(2, 3, 4)
    for array in (
        weight[1],
        weight[:, 1],
        weight[..., 2:],
        weight.transpose(2, 0, 1),
        weight.reshape(6, 4)[2:5],
    ):
        strides = [stride // 8 for stride in array.strides]
        assert View.of_strides((2, 3, 4), array.shape, strides, int(array.reshape(-1)[0])) is not None


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("[1]", [4, 5, 6, 7]),
        ("[:, 1]", [1, 5, 9]),
        ("[1:3, ::2]", [4, 6, 8, 10]),
        ("[2:9]", [8, 9, 10, 11]),
        ("(12)[3:5]", [3, 4]),
        ("(3, 2, 2)[:, 1].transpose(1, 0)", [2, 6, 10, 3, 7, 11]),
        ("[1:1]", []),
    ],
)
def test_the_text_of_a_view(text, places):
    view = View.parse(text, (3, 4))
    assert view.places(0, view.size).tolist() == places
    assert view.size == len(places)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[3]", "index 3 is outside an axis of 3"),
        ("[0, 0, 0]", "too many axes"),
        ("[::-1]", "is not a view"),
        ("(5, 2)[0]", "another number of elements"),
        ("[:].transpose(0, 1, 2)", "not the axes that are left"),
        ("0:3", "is not a view"),
        ("[x]", "is not a view"),
        ("[0]; import os", "is not a view"),
        ("", "is not a view"),
    ],
)
def test_a_bad_view_says_what_is_wrong(text, error):
    with pytest.raises(ValueError, match=error):
        View.parse(text, (3, 4))


def test_a_view_without_a_shape_needs_one():
    with pytest.raises(ValueError, match="must begin with the shape"):
        View.parse("[0]")


def test_a_diagonal_is_no_view():
    assert View.of_strides((4, 4), (4,), (5,), 0) is None

"""Tables keep what a pure function returned, and nobody can tell."""

import enum
import gc
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastinit._tables import SIZE, kept

ZEROS = [0, 0.0, -0.0, False, np.float64(0), np.float64(-0.0), np.int64(0), np.bool_(False)]
ONES = [1, 1.0, True, np.float32(1), np.str_("1"), "1", enum.IntEnum("One", "A").A]
ALIKE = [*ZEROS, *ONES, None, "", (), "None", 5e-324, 1e-323, 2**53, float(2**53)]


def spelled(*arguments, **keywords):
    """What a function can tell of its arguments."""
    return repr([(type(each), each) for each in (*arguments, *keywords.items())])


def test_equal_arguments_are_told_apart_at_any_depth():
    table = kept(spelled)
    once = [((each,), {}) for each in ALIKE] + [((), {"a": each}) for each in ALIKE]
    twice = [((each, other), {}) for each, other in itertools.product(ZEROS, ONES)]
    nested = [(((each,),), {}) for each in ALIKE] + [(((1, (each,)), 2), {}) for each in ALIKE]
    for arguments, keywords in [*once, *twice, *nested] * 2:
        assert table(*arguments, **keywords) == spelled(*arguments, **keywords)


def test_a_function_runs_once_for_plain_arguments_and_again_for_others():
    calls = []
    table = kept(lambda *arguments: calls.append(arguments))
    for plain in (1, "a", 0.5, None, True, (1, (2.0, "a"))):
        table(plain)
        table(plain)
    assert len(calls) == 6
    for other in ([1], np.float64(1), np.str_("a"), np.zeros(2), {}, (1, [2]), (1, (np.int64(2),))):
        before = len(calls)
        table(other)
        table(other)
        assert len(calls) == before + 2


def test_a_method_stands_for_its_object_and_not_for_an_equal_one():
    class Equal:
        def __init__(self, value):
            self.value = value

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

        def get(self):
            return self.value

    table = kept(lambda method: method())
    objects = [Equal(1), Equal(2)]
    assert [table(each.get) for each in objects * 2] == [1, 2, 1, 2]


def test_a_table_is_bounded():
    class Result:
        pass

    table = kept(lambda _: Result())
    for i in range(3 * SIZE):
        table(i)
    gc.collect()
    assert sum(type(each) is Result for each in gc.get_objects()) <= SIZE


def test_an_error_is_not_kept():
    rooms = iter([ValueError("full"), "made"])

    def make(_):
        found = next(rooms)
        if isinstance(found, Exception):
            raise found
        return found

    table = kept(make)
    with pytest.raises(ValueError, match="full"):
        table(1)
    assert table(1) == table(1) == "made"


def test_many_threads_call_at_once():
    table = kept(spelled)
    arguments = [(kind(i), i) for i in range(2 * SIZE) for kind in (int, float)]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda _: [table(*each) for each in arguments], range(8))
        assert all(each == [spelled(*each) for each in arguments] for each in found)

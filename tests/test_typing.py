"""What type checkers are told is so when it runs. `make lint` has mypy, pyright and stubtest check it."""

import ast
import runpy
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import fastinit
from fastinit import _typing, init, random
from fastinit.init import fans, schemes


def test_the_typed_program_runs():
    runpy.run_path(str(Path(__file__).with_name("typed_program.py")), run_name="__main__")


def test_words_are_those_that_are_known():
    assert set(get_args(_typing.Nonlinearity)) == fans._SQUARED_GAINS.keys()
    assert set(get_args(_typing.Mode)) == schemes._MODES.keys()
    for mode in get_args(_typing.FanMode):
        assert init.get("kaiming_normal", mode=mode).arguments["mode"] == mode


@pytest.mark.parametrize("name", ["Float16", "Float32", "Float64"])
def test_a_dtype_is_written_in_these_ways(name):
    *_, codes = get_args(getattr(_typing, name))
    for code in get_args(codes):
        assert np.dtype(code) == np.dtype(name.lower())
        assert random.default_rng(7).random(2, code).dtype == name.lower()
        assert init.ones(2, dtype=code).dtype == name.lower()


def test_the_package_has_what_its_stub_says():
    stub = ast.parse(Path(fastinit.__file__).with_suffix(".pyi").read_text())
    imported = [
        alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert {name for name in imported if name} == {
        *fastinit._SUBMODULES,
        *fastinit._FUNCTIONS,
        "get_num_threads",
        "set_num_threads",
    }


def test_a_name_that_is_not_there_is_an_error():
    for module in (fastinit, random, init):
        with pytest.raises(AttributeError, match="typo"):
            module.typo  # noqa: B018

"""The examples in the docstrings of the Cython modules, which pytest does not collect."""

import doctest
import importlib

import pytest

from fastinit import random


@pytest.mark.parametrize("name", ["_bit_generator", "_generator", "_inherited", "_copies"])
def test_examples(name, capsys):
    module = importlib.import_module(f"fastinit.{name}")
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0, capsys.readouterr().out
    assert tried > 1


def test_every_public_name_has_an_example():
    own = [vars(random.Generator)[name] for name in vars(random.Generator) if not name.startswith("_")]
    for public in (random.PCG64, random.Generator, random.default_rng, *own):
        assert ">>>" in public.__doc__

"""Every input of every function, on every instruction set. `make test` compares some of them (test_c.py)."""

import json

import pytest
from checkkernels import build
from digests import PATH, differing, made, supported

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digests")
    build(folder, ["digests", "golden"])
    return folder


@pytest.mark.parametrize("name", json.loads(PATH.read_text()))
def test_all_inputs_have_the_digests_of_the_file(name, folder):
    assert [(isa, differing(folder / "digests", isa, name)) for isa in supported(folder)] == [
        (isa, []) for isa in supported(folder)
    ]


def test_a_digest_depends_on_each_input(folder):
    program = folder / "digests"
    parts = [f"{i}/{2**20}" for i in range(64)]
    for name in json.loads(PATH.read_text()):
        if "uniform" not in name:  # 256 neighbouring words have one value
            assert len(set(made(program, "baseline", name, parts))) == len(parts), name

"""The second implementation, tools/second, gives every golden value, and the rows notice each misreading."""

import json
import math
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # tools are no part of what is installed

import fastinit  # noqa: E402
from fastinit import checkpoint  # noqa: E402
from tools.second import misreadings, rows, whole  # noqa: E402
from tools.second.native import Native  # noqa: E402

VECTORS = json.loads(rows.VECTORS.read_text())

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed")


@pytest.fixture(scope="module")
def second():
    return rows.Second(native=Native(optimise="-O3"))


@pytest.mark.parametrize("check", rows.CHECKS, ids=lambda check: check.__name__)
def test_every_row_is_what_the_text_says(check, second):
    assert list(rows.differences(second, VECTORS, checks=(check,))) == []


@pytest.mark.parametrize("misreading", misreadings.MISREADINGS, ids=lambda misreading: misreading.what)
def test_the_rows_notice_a_misreading(misreading):
    assert misreadings.noticed(misreadings.changed(misreading), misreading.where, VECTORS)


@pytest.mark.parametrize("name", misreadings.COEFFICIENTS)
def test_the_rows_notice_the_last_digit_of_a_coefficient(name):
    assert misreadings.unnoticed_digits(name, VECTORS) == []


@pytest.mark.parametrize("case", whole.RANGES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_samples_of_whole_ranges_are_equal(case, second):
    _, kind, cases, tag, blocks = case
    for distribution, own in cases:
        for block in (0, blocks // 3, blocks - 1):
            start = block * whole.BLOCK
            at = whole.position(kind)
            assert whole.compare(second.native, at, distribution, own, tag, start, 4096) is None


GPT2 = {
    "wte.weight": ("F32", [50, 12]),
    "wpe.weight": ("F32", [16, 12]),
    **{
        f"h.{block}.{name}": (dtype, shape)
        for block in range(3)
        for name, dtype, shape in [
            ("ln_1.weight", "F32", [12]),
            ("ln_1.bias", "F32", [12]),
            ("attn.bias", "BOOL", [1, 1, 16, 16]),
            ("attn.c_attn.weight", "F32", [12, 36]),
            ("attn.c_attn.bias", "BF16", [36]),
            ("attn.c_proj.weight", "F16", [12, 12]),
            ("attn.c_proj.bias", "F64", [12]),
        ]
    },
}


@pytest.mark.parametrize("most", [5 * 10**9, 2000])
@pytest.mark.parametrize("init", ["gpt2", "torch", "he", "xavier"])
def test_a_checkpoint_can_be_written_from_the_text(init, most, second, tmp_path):
    listed = {name: {"dtype": dtype, "shape": shape} for name, (dtype, shape) in GPT2.items()}
    done = checkpoint.generate(listed, tmp_path, seed=2**70, init=init, max_shard_size=most, digest=True)
    planned = checkpoint.plan(listed, init=init).recipe
    tensors = [(name, dtype, shape) for name, (dtype, shape) in GPT2.items()]
    tables = [rule.table() for rule in planned.rules]
    files, digest = second.checkpoint.files(
        second.native, tensors, tables, 2**70, fastinit.__version__, most=most
    )
    assert sorted(files) == sorted(path.name for path in done.files)
    assert [path.name for path in done.files if path.read_bytes() != files[path.name]] == []
    assert digest == done.digest


def test_optimisations_change_no_bit(second):
    plain, at = misreadings.RIGHT(), whole.position("PCG64")
    for distribution, own in [("normal", (0, 1, 0, 0)), ("truncated_normal", (-1, math.inf, 0, 1))]:
        for tag in ("f16", "f64"):
            one, two = (each.fill(at, distribution, tag, own, 0, 5000) for each in (plain, second.native))
            assert (one == two).all()

"""inspect: its numbers equal NumPy's, and its marks show the changes made to a file."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fastinit import _threads
from fastinit.checkpoint import Rule, formats, generate, inspect, matching
from fastinit.checkpoint.pieces import PIECE

RNG = np.random.default_rng(9)
ARRAYS = {
    "F64": RNG.normal(3, 2, (300, 700)),
    "F32": RNG.normal(-3, 0.01, (700, 901)).astype(np.float32),
    "F16": RNG.normal(0, 1, (900, 701)).astype(np.float16),
    "BF16": RNG.normal(0, 1, (900, 701)).astype(ml_dtypes.bfloat16),
    "I64": RNG.integers(-(2**40), 2**40, 200_001),
    "I8": RNG.integers(-128, 128, PIECE + 1).astype(np.int8),
    "U16": RNG.integers(0, 2**16, (3, 5)).astype(np.uint16),
    "BOOL": RNG.random((40, 30)) < 0.2,
    "scalar": np.array(-7.5, np.float32),
    "far": 1e8 + RNG.normal(0, 1e-3, 300_000),
    "zeros": RNG.normal(0, 1, 300_000).astype(np.float32) * (RNG.random(300_000) < 0.7),
}


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    path = tmp_path_factory.mktemp("arrays") / "arrays.safetensors"
    save_file(ARRAYS, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("generated") / "model.safetensors"
    model = {
        "fc.weight": {"dtype": "F32", "shape": [600, 700]},
        "fc.bias": {"dtype": "BF16", "shape": [600]},
        "half.weight": {"dtype": "BF16", "shape": [600, 700]},
        "norm.weight": {"dtype": "F16", "shape": [600]},
        "token_embed.weight": {"dtype": "F32", "shape": [600, 100]},
        "position_ids": {"dtype": "I64", "shape": [1, 600]},
        "one.weight": {"dtype": "F32", "shape": [1, 1]},
    }
    generate(model, path, init="torch", seed=4)
    return path


def by_name(path, **options):
    return {each.name: each for each in inspect(path, **options)}


def changed(path, target, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, target, formats.read(path)[1])
    return by_name(target)


def test_numbers_are_numpys(arrays):
    statistics = by_name(arrays)
    assert set(statistics) == set(ARRAYS)
    for name, array in ARRAYS.items():
        found, values = statistics[name], array.astype(np.float64)
        assert found.shape == array.shape
        # longdouble keeps NumPy's own rounding out of the way of "far", whose std is 10^-11 of its mean.
        wide = values.astype(np.longdouble)
        assert found.mean == pytest.approx(float(wide.mean()), rel=1e-14, abs=1e-14 * np.abs(values).max()), (
            name
        )
        assert found.std == pytest.approx(float(wide.std()), rel=1e-8), name
        assert (found.min, found.max) == (values.min(), values.max()), name
        assert found.zeros == np.mean(values == 0), name
        assert (found.nan, found.inf) == (0, 0)
        assert (found.expected_mean, found.expected_std, found.marked) == (None, None, False)


def test_neither_threads_nor_their_order_matter(arrays, monkeypatch):
    first = inspect(arrays, threads=1)
    assert first == inspect(arrays, threads=5)
    run = _threads.run
    monkeypatch.setattr(_threads, "run", lambda measure, jobs, n: run(measure, [*jobs][::-1], n))
    assert first == inspect(arrays, threads=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_what_is_not_finite_is_counted_and_left_out(tmp_path, dtype):
    values = np.linspace(-4, 4, 2 * PIECE // np.dtype(dtype).itemsize + 5).astype(dtype)
    values[[0, 7, values.size // 2]] = np.nan
    values[[3, 12, -1]] = [np.inf, -np.inf, np.inf]
    save_file({"a": values, "none": np.full(3, np.nan, dtype)}, tmp_path / "a.safetensors")
    found = by_name(tmp_path / "a.safetensors")
    finite = values.astype(np.float64)[np.isfinite(values.astype(np.float64))]
    assert (found["a"].nan, found["a"].inf, found["a"].marked) == (3, 3, True)
    assert found["a"].mean == pytest.approx(finite.mean(), abs=1e-12)
    assert found["a"].std == pytest.approx(finite.std(), rel=1e-12)
    assert (found["a"].min, found["a"].max) == (finite.min(), finite.max())
    assert (found["none"].mean, found["none"].std, found["none"].min, found["none"].nan) == (
        None,
        None,
        None,
        3,
    )


def test_what_was_generated_is_as_expected(checkpoint):
    found = by_name(checkpoint)
    assert not any(each.marked for each in found.values())
    assert found["fc.weight"].expected_std == pytest.approx(1 / np.sqrt(3 * 700))
    assert (found["norm.weight"].expected_mean, found["norm.weight"].expected_std) == (1, 0)
    assert found["position_ids"].expected_std is None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("fc.weight", lambda values: values * np.float32(1.02)),
        ("half.weight", lambda values: (values.astype(np.float32) + np.float32(3e-4)).astype(values.dtype)),
        ("norm.weight", lambda values: values * np.float16(0)),
        ("fc.bias", lambda values: values * values.dtype.type(2)),
        ("fc.bias", lambda values: values * values.dtype.type(0)),
        ("token_embed.weight", lambda values: np.where(np.arange(100) < 9, np.float32(0), values)),
        ("fc.weight", lambda values: np.where(np.arange(700) + values * 0 == 3, np.float32(np.nan), values)),
    ],
)
def test_what_was_changed_is_marked(checkpoint, tmp_path, name, change):
    found = changed(
        checkpoint, tmp_path / "a.safetensors", lambda tensors: tensors.update({name: change(tensors[name])})
    )
    assert [each.name for each in found.values() if each.marked] == [name]


@pytest.mark.parametrize(
    "spec",
    [
        "sparse(sparsity=0.95)",
        "eye",
        "orthogonal",
        "uniform",
        "constant(value=0.1)",
        "truncated_normal(low=0, high=1)",
        "normal(mean=1, std=0.02)",  # all are 1 in float8
    ],
)
@pytest.mark.parametrize("dtype", ["F64", "BF16", "F8_E4M3"])
def test_nothing_that_is_right_is_marked(tmp_path, spec, dtype):
    model = {f"{i}": {"dtype": dtype, "shape": [40, 30]} for i in range(50)}
    generate(model, tmp_path / "a.safetensors", init=[Rule("*", spec)])
    found = inspect(tmp_path / "a.safetensors")
    assert not any(each.marked for each in found)
    assert all(each.expected_std is not None for each in found)


def test_padding_is_expected(tmp_path):
    generate(
        {"e": {"dtype": "F32", "shape": [3, 5000]}},
        tmp_path / "a.safetensors",
        init=[Rule("*", "normal(mean=1, std=0.1)", padding_idx=1)],
    )
    (found,) = inspect(tmp_path / "a.safetensors")
    assert found.zeros == pytest.approx(1 / 3)
    assert not found.marked
    assert found.expected_std == pytest.approx(found.std, rel=0.01)


def test_of_an_added_tensor_nothing_is_expected(checkpoint, tmp_path):
    found = changed(checkpoint, tmp_path / "a.safetensors", lambda tensors: tensors.update(extra=np.zeros(3)))
    assert found["extra"].expected_std is None
    assert found["fc.weight"].expected_std is not None


def test_shards(tmp_path):
    model = {name: {"dtype": "F32", "shape": [100, 100]} for name in ("a.weight", "b.weight", "c.weight")}
    generate(model, tmp_path / "whole.safetensors", init="xavier")
    generate(model, tmp_path / "shards", init="xavier", max_shard_size=50_000)
    assert inspect(tmp_path / "shards") == inspect(tmp_path / "whole.safetensors")


def test_what_is_expected_of_many_biases_is_looked_up(tmp_path, monkeypatch):
    """Each was recorded with its own rule."""
    shapes = {"weight": [4, 4], "bias": [4]}
    model = {
        f"{i}.fc.{name}": {"dtype": "F32", "shape": shape}
        for i in range(300)
        for name, shape in shapes.items()
    }
    generate(model, tmp_path, init="torch")
    compiled = []
    matcher = matching.matcher
    monkeypatch.setattr(matching, "matcher", lambda match: compiled.append(match) or matcher(match))
    statistics = inspect(tmp_path)
    assert all(each.expected_std is not None for each in statistics)
    assert len(compiled) < 10


def test_infinities_are_marked_unless_a_rule_gives_them(tmp_path):
    model = {name: {"dtype": "F32", "shape": [4]} for name in ("mask", "other")}
    generate(
        model, tmp_path / "a.safetensors", init=[Rule("mask", "constant(value=-inf)"), Rule("*", "ones")]
    )

    def spoil(tensors):
        tensors["other"][2] = np.inf

    found = changed(tmp_path / "a.safetensors", tmp_path / "b.safetensors", spoil)
    assert {name: each.marked for name, each in found.items()} == {"mask": False, "other": True}


@pytest.mark.parametrize("damage", [None, np.nan, np.inf])
def test_small_neighbours_have_their_own_statistics(tmp_path, damage):
    """They share a piece if their dtypes and sizes are equal. Some runs are longer than a piece."""
    rng = np.random.default_rng(3)
    sizes = [*[3] * 500, 7, 1, 1, 0, *[100_000] * 4, *[3] * 2]
    arrays = {f"{i:04}": rng.random(size, np.float32) for i, size in enumerate(sizes)}
    if damage is not None:
        arrays["0007"][1] = damage
    save_file(arrays, tmp_path / "x.safetensors")
    for each in inspect(tmp_path / "x.safetensors", threads=2):
        values = arrays[each.name].astype(np.float64)
        finite = values[np.isfinite(values)]
        assert each.nan + each.inf == values.size - finite.size
        if finite.size:
            assert (each.min, each.max) == (finite.min(), finite.max())
            assert each.mean == pytest.approx(finite.mean(), rel=1e-12)
            assert each.std == pytest.approx(finite.std(), rel=1e-9)
        else:
            assert each.mean is None


def test_draws_far_in_a_tail_are_not_marked(tmp_path):
    """Their kurtosis is about 9, so their std has twice the standard error of a normal's."""
    path = tmp_path / "tails.safetensors"
    model = {str(i): {"dtype": "F64", "shape": [10, 10]} for i in range(2000)}
    generate(model, path, init=[Rule("*", "truncated_normal(low=20, high=inf)")], seed=1)
    assert [each.name for each in inspect(path) if each.marked] == []

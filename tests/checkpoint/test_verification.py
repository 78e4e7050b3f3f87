"""verify: what is equal, what differs at which index, and what can't be determined."""

import ml_dtypes
import numpy as np
import pytest
from checkpoints import MODEL, altered
from safetensors.numpy import load_file, save_file

from fastinit.checkpoint import BadInput, Rule, formats, generate, verify

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "BOOL": np.bool_,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    generate(MODEL, path, seed=11, init="he")
    return path


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    generate(MODEL, folder, seed=11, init="he", max_shard_size="9MB")
    assert len(list(folder.glob("*.safetensors"))) == 4
    return folder


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_what_was_generated_is_the_same(checkpoint, threads):
    seen = []
    found = verify(checkpoint, threads=threads, progress=lambda done, total: seen.append((done, total)))
    assert found.same
    assert found.same_recipe
    assert (found.differences, found.rounded, found.seed, found.rules_from) == ([], [], 11, "as recorded")
    assert found.tensors == len(MODEL)
    assert seen[-1] == (found.bytes, found.bytes)
    assert seen == sorted(seen)


def test_shards_together_and_alone(sharded):
    assert verify(sharded).tensors == len(MODEL)
    assert verify(sharded).same
    assert verify(sharded / "model.safetensors.index.json").same
    for shard in sharded.glob("*.safetensors"):
        assert verify(shard).same


@pytest.mark.parametrize(("tensor", "dtype"), [(name, name.split(".")[0]) for name in list(MODEL)[:6]])
def test_the_first_of_several_changes_is_found(checkpoint, tmp_path, tensor, dtype):
    values = load_file(checkpoint)[tensor]
    last = tuple(size - 1 for size in values.shape)
    middle = tuple(size * 2 // 3 for size in values.shape)
    replaced = {
        at: np.asarray(not values[at] if dtype == "BOOL" else 7, DTYPES[dtype]) for at in (last, middle)
    }
    path = altered(checkpoint, tmp_path / "altered.safetensors", {tensor: replaced})
    for threads in (1, 3):
        found = verify(path, threads=threads)
        assert not found.same
        (difference,) = found.differences
        assert (difference.name, difference.count, difference.index) == (tensor, 2, middle)
        assert difference.size == values.size
        assert (difference.expected, difference.actual) == (values[middle], replaced[middle])


def test_a_bit_is_enough(checkpoint, tmp_path):
    ones = np.asarray(np.nextafter(np.float32(0.5), np.float32(1)))
    replaced = {"F32.weight": {(0, 0): np.asarray(np.float32(0.5))}}
    path = altered(checkpoint, tmp_path / "half.safetensors", replaced)
    other = altered(path, tmp_path / "ulp.safetensors", {"F32.weight": {(0, 0): ones}})
    assert [verify(each).differences[0].actual for each in (path, other)] == [0.5, ones]


def test_zeros_have_signs_and_nan_is_a_value(tmp_path):
    path = tmp_path / "model.safetensors"
    generate({"a": {"dtype": "F32", "shape": [4]}}, path, init=[Rule("*", "zeros")])
    signed = altered(path, tmp_path / "signed.safetensors", {"a": {(2,): np.asarray(np.float32(-0.0))}})
    nan = altered(path, tmp_path / "nan.safetensors", {"a": {(1,): np.asarray(np.float32(np.nan))}})
    assert verify(signed).differences[0].index == (2,)
    assert np.isnan(verify(nan).differences[0].actual)


def test_tensors_are_listed_in_the_files_order(checkpoint):
    found = verify(checkpoint, seed=12)
    random = [
        tensor.spec.name for tensor in formats.read(checkpoint)[0] if tensor.spec.name.endswith(".weight")
    ]
    assert [difference.name for difference in found.differences] == [n for n in random if n != "empty.weight"]
    assert [difference.index for difference in found.differences] == [(0, 0)] * 4
    assert all(difference.count > 0.9 * difference.size for difference in found.differences)


def test_rules_may_be_given(checkpoint):
    assert verify(checkpoint, seed=11, init="he").rules_from == "he"
    assert verify(checkpoint, init="he").same
    assert len(verify(checkpoint, init="lecun").differences) == 4


def test_a_checkpoint_without_metadata(checkpoint, tmp_path):
    path = tmp_path / "bare.safetensors"
    save_file(load_file(checkpoint), path)
    with pytest.raises(BadInput, match="no seed in its metadata: say with --seed"):
        verify(path, init="he")
    with pytest.raises(BadInput, match="no rules in its metadata: say with --init"):
        verify(path, seed=11)
    assert verify(path, seed=11, init="he").same


def test_a_tensor_that_was_taken_away_is_missed(checkpoint, tmp_path):
    tensors, (_, metadata) = load_file(checkpoint), formats.read(checkpoint)
    del tensors["F16.weight"]
    path = tmp_path / "less.safetensors"
    save_file(tensors, path, metadata)
    found = verify(path)
    assert not found.same_recipe
    assert not found.same
    assert found.differences == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fastinit.contract": "2"}, "was made under stream contract 2; this fastinit has 1"),
        ({"fastinit.seed": "-3"}, "seed '-3', which is no number"),
        ({"fastinit.rules": "{}"}, "rules must be a list"),
        ({"fastinit.rules": '[{"match":"*.weight","init":"zeros"}]'}, "no rule matches tensor"),
    ],
)
def test_metadata_that_cannot_be_used(checkpoint, tmp_path, changes, message):
    path = tmp_path / "changed.safetensors"
    save_file(load_file(checkpoint), path, formats.read(checkpoint)[1] | changes)
    with pytest.raises(BadInput, match=message):
        verify(path)


@pytest.mark.parametrize("dtype", ["F64", "F32", "BF16"])
def test_orthogonal_is_compared_to_rounding(tmp_path, dtype):
    path = tmp_path / "model.safetensors"
    generate({"q": {"dtype": dtype, "shape": [60, 90]}}, path, init=[Rule("*", "orthogonal")])
    found = verify(path)
    assert found.same
    assert found.rounded == ["q"]
    value = load_file(path)["q"][3, 4]
    ulp = np.asarray(np.nextafter(value, DTYPES[dtype](np.inf)))
    assert ulp != value
    assert verify(altered(path, tmp_path / "ulp.safetensors", {"q": {(3, 4): ulp}})).same
    more = np.asarray(DTYPES[dtype](float(value) + 0.1))
    assert verify(altered(path, tmp_path / "more.safetensors", {"q": {(3, 4): more}})).differences[
        0
    ].index == (3, 4)


@pytest.fixture
def deep(tmp_path):
    """Two layers in two shards with an index, made by rules that count layers."""
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nmatch = "*"\ninit = "normal(std={1 / layers})"\n')
    model = {f"layers.{n}.weight": {"dtype": "F32", "shape": [20, 20]} for n in range(2)}
    generate(model, tmp_path / "deep", init=rules, max_shard_size=1600)
    return tmp_path / "deep", rules


@pytest.mark.parametrize("number", [1, 2])
def test_layers_of_a_shard_are_counted_in_the_index_beside_it(deep, number):
    folder, rules = deep
    shard = folder / f"model-0000{number}-of-00002.safetensors"
    assert verify(shard, init=rules).same
    assert verify(shard, init=rules).tensors == 1


@pytest.mark.parametrize("missing", ["model.safetensors.index.json", "model-00002-of-00002.safetensors"])
def test_layers_of_a_shard_that_cannot_be_counted(deep, missing):
    folder, rules = deep
    (folder / missing).unlink()
    shard = folder / "model-00001-of-00002.safetensors"
    with pytest.raises(BadInput, match=r"layers, which cannot be counted: .*index") as error:
        verify(shard, init=rules)
    assert "\n" not in str(error.value)
    assert verify(shard).same  # by the rules in its metadata
    assert len(verify(shard, init=[Rule("*", "zeros")]).differences) == 1  # which count nothing

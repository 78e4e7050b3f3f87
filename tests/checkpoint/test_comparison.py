"""compare: what it says of two checkpoints is what NumPy and SciPy say of their arrays."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import stats

from fastinit.checkpoint import BadInput, Rule, TensorSpec, compare, generate

RNG = np.random.default_rng(4)


def saved(path, arrays):
    save_file(arrays, path)
    return path


def by_name(one, other, **options):
    return {each.name: each for each in compare(one, other, **options)}


@pytest.fixture(scope="module")
def trained():
    """A model of another's making, before and after some training."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(500, 400), torch.nn.ReLU(), torch.nn.Linear(400, 10))
    before = {name: value.detach().numpy().copy() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    x, y = torch.randn(256, 500), torch.randint(0, 10, (256,))
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return before, {name: value.detach().numpy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_trained_model_and_its_beginning(trained, tmp_path, dtype):
    before, after = ({name: each.astype(dtype) for name, each in arrays.items()} for arrays in trained)
    found = by_name(saved(tmp_path / "a.safetensors", before), saved(tmp_path / "b.safetensors", after))
    assert list(found) == sorted(before)
    for name, each in found.items():
        a, b = (arrays[name].astype(np.float64).ravel() for arrays in (before, after))
        assert each.equal == np.mean(a == b)
        assert each.means == pytest.approx((a.mean(), b.mean()), abs=1e-9)
        assert each.stds == pytest.approx((a.std(), b.std()), rel=1e-9)
        assert each.std_ratio == pytest.approx(b.std() / a.std(), rel=1e-9)
        ks = stats.ks_2samp(a, b, method="asymp").statistic
        assert each.ks - 1e-12 <= ks <= each.ks + each.ks_slack + 1e-12
        assert (each.ks_slack > 0) == (a.size > 1 << 14 and dtype != ml_dtypes.bfloat16)
        assert not each.same


def test_what_is_the_same_is_said_to_be(tmp_path):
    arrays = {
        "a": RNG.normal(size=(300, 1001)).astype(np.float32),
        "nan": np.array([np.nan, 1, -0.0], np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "b": RNG.random(50) < 0.5,
    }
    path = saved(tmp_path / "a.safetensors", arrays)
    for each in compare(path, path):
        assert each.same
        assert each.ks in (0.0, None)
        assert each.std_ratio in (1.0, None)
    arrays["nan"] = np.array([np.nan, 1, 0.0], np.float32)
    found = by_name(path, saved(tmp_path / "b.safetensors", arrays))
    assert found["nan"].equal == pytest.approx(2 / 3)  # a zero's sign is a bit
    assert sorted(name for name, each in found.items() if each.same) == ["a", "b", "empty"]


def test_shards_are_a_checkpoint(tmp_path):
    model = {f"{name}.weight": {"dtype": "F32", "shape": [100, 200]} for name in "abc"}
    generate(model, tmp_path / "one.safetensors", init=[Rule("*", "normal")])
    generate(model, tmp_path / "shards", init=[Rule("*", "normal")], max_shard_size=90_000)
    assert all(each.same for each in compare(tmp_path / "one.safetensors", tmp_path / "shards"))
    shards = sorted((tmp_path / "shards").glob("*.safetensors"))
    with pytest.raises(BadInput, match="shards of one checkpoint are read by their index"):
        compare(shards[0], shards[1])


def test_what_only_one_has_and_what_differs_in_shape_or_dtype(tmp_path):
    values = RNG.normal(size=(200, 300))
    one = {"gone": values, "shape": values, "dtype": values.astype(np.float32), "same": values[:2]}
    other = {
        "shape": values[:, :150].copy(),
        "dtype": values.astype(ml_dtypes.bfloat16),
        "same": values[:2],
        "new": values,
    }
    found = by_name(saved(tmp_path / "a.safetensors", one), saved(tmp_path / "b.safetensors", other))
    assert found["gone"].specs == (TensorSpec("gone", "F64", (200, 300)), None)
    assert found["new"].specs == (None, TensorSpec("new", "F64", (200, 300)))
    assert found["new"].ks is None
    assert {name for name, each in found.items() if each.same} == {"same"}
    for name in ("shape", "dtype"):
        assert found[name].equal is None
        a, b = (arrays[name].astype(np.float64).ravel() for arrays in (one, other))
        ks = stats.ks_2samp(a, b, method="asymp").statistic
        assert found[name].ks - 1e-12 <= ks <= found[name].ks + found[name].ks_slack
        assert found[name].std_ratio == pytest.approx(b.std() / a.std())
    assert [
        each.name for each in compare(tmp_path / "a.safetensors", tmp_path / "b.safetensors", only="s*")
    ] == [
        "same",
        "shape",
    ]


def test_packed_and_complex_elements(tmp_path):
    model = {name: {"dtype": dtype, "shape": [2, 40]} for name, dtype in (("four", "F4"), ("complex", "C64"))}
    for name, value in (("a", 1), ("b", 2)):
        rules = [Rule("*", f"constant(value={value})")]
        generate(model, tmp_path / f"{name}.safetensors", init=rules)
    found = by_name(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert {each.equal for each in found.values()} == {0.0}
    assert {each.means for each in found.values() if each.name == "four"} == {(1.0, 2.0)}
    assert found["four"].ks == 1.0


def test_histograms_have_one_range(trained, tmp_path):
    before, after = trained
    found = by_name(
        saved(tmp_path / "a.safetensors", before), saved(tmp_path / "b.safetensors", after), histograms=True
    )
    for name, each in found.items():
        one, other = each.histograms
        assert one.edges == other.edges
        for histogram, arrays in ((one, before), (other, after)):
            counts = np.histogram(arrays[name].astype(np.float64), np.asarray(histogram.edges))[0]
            assert counts.tolist() == histogram.counts.tolist()


def test_threads_do_not_matter(tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for seed, path in enumerate(paths):
        rng = np.random.default_rng(seed)
        saved(path, {str(i): rng.normal(size=700_000).astype(np.float32) for i in range(4)})
    assert compare(*paths, threads=1, histograms=True) == compare(*paths, threads=4, histograms=True)


def test_values_are_those_of_the_file(tmp_path):
    """Some elements are changed, in the last piece only."""
    path = tmp_path / "a.safetensors"
    generate({"a": {"dtype": "F32", "shape": [600_000]}}, path, init=[Rule("*", "normal")])
    arrays = load_file(path)
    arrays["a"][-3:] = 7
    (found,) = compare(path, saved(tmp_path / "b.safetensors", arrays))
    assert found.equal == 1 - 3 / 600_000

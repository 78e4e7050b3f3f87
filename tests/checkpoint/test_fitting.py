"""Laws and p-values: those of SciPy; right tensors pass, uniformly, and wrong ones are found."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import stats

from fastinit.checkpoint import Rule, TensorSpec, compare, fitting, formats, generate, inspect
from fastinit.checkpoint.fitting import Law, chi_square, corrected
from fastinit.checkpoint.sketches import Counter

LAWS = {
    "normal(mean=1, std=0.5)": stats.norm(1, 0.5),
    "uniform(low=-3, high=0.5)": stats.uniform(-3, 3.5),
    "truncated_normal(low=-2, high=2, mean=0.1, std=0.02)": stats.truncnorm(-2, 2, 0.1, 0.02),
    "truncated_normal(low=-1, high=3, mean=0, std=1)": stats.truncnorm(-1, 3),
    "truncated_normal(low=6, high=9, mean=0, std=1)": stats.truncnorm(6, 9),
    "truncated_normal(low=-inf, high=-12, mean=0, std=1)": stats.truncnorm(-np.inf, -12),
}


def made(folder, spec, dtype, shape, count, seed=0, **options):
    model = {str(i): {"dtype": dtype, "shape": list(shape)} for i in range(count)}
    generate(model, folder, init=[Rule("*", spec, **options)], seed=seed)
    return inspect(folder, histograms=True)


@pytest.mark.parametrize("text", LAWS)
def test_laws_are_scipys(tmp_path, text):
    (found,) = made(tmp_path, text, "F64", (10, 10), 1)
    law, outsider = found.law, LAWS[text]
    assert str(law) == text
    shares = np.linspace(0.01, 0.99, 99)
    places = outsider.ppf(shares)
    np.testing.assert_allclose(law.quantiles(shares), places, rtol=1e-9)
    np.testing.assert_allclose(law.cumulative(places), shares, atol=1e-12)
    assert law.cumulative(np.array([-100.0, 100.0])).tolist() == [0.0, 1.0]
    low, high = law.extent
    assert outsider.cdf(high) - outsider.cdf(low) > 0.99


@pytest.mark.parametrize("freedom", [2, 10, 64, 200])
def test_chi_square_is_scipys(freedom):
    for statistic in (0.0, 0.5, freedom, 2 * freedom, 5 * freedom, 3000.0):
        assert chi_square(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, freedom), rel=1e-11)


def test_holms_correction():
    """As in R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.5), "holm")."""
    assert corrected([0.5, 0.04, 0.03, None, 0.02, 0.01]) == pytest.approx(
        [0.5, 0.09, 0.09, None, 0.08, 0.05]
    )
    assert corrected([None]) == [None]
    assert corrected([0.0, 1.0]) == [0.0, 1.0]


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"])
@pytest.mark.parametrize(
    "spec", ["normal(std=0.02)", "uniform(low=-0.1, high=0.1)", "truncated_normal(std=0.02)"]
)
def test_p_values_of_right_tensors_are_uniform(tmp_path, spec, dtype):
    """Half of the tensors are sketched by all of their values, half by cells."""
    for folder, shape, count in (("few", (40, 50), 100), ("many", (170, 100), 100)):
        found = made(tmp_path / folder, spec, dtype, shape, count, seed=5)
        values = [each.p_value for each in found]
        assert stats.kstest(values, "uniform").pvalue > 1e-3
        assert not any(each.marked for each in found)
        assert min(each.p_corrected for each in found) > 1e-3


def test_the_p_value_is_scipys():
    """Of its cells, by SciPy's law and SciPy's test."""
    values = np.random.default_rng(3).standard_normal(50_000).astype(np.float32)
    for size in (500, 50_000):
        spec = TensorSpec("x", "F32", (size,))
        counter = Counter(spec)
        counter.add(values[:size])
        law, sketch = Law("normal", (0.0, 1.02)), counter.sketch()
        edges, _ = fitting._cells(law, "F32", min(65, size // 20), sketch.celled)
        counts = np.histogram(values[:size], [-np.inf, *edges, np.inf])[0]
        expected = np.diff(stats.norm(0, 1.02).cdf(edges), prepend=0, append=1) * size
        wanted = stats.chisquare(counts, expected)
        assert fitting.p_value(law, sketch, spec) == pytest.approx(wanted.pvalue, rel=1e-6)
        assert expected.min() > 9


@pytest.mark.parametrize(("size", "factor"), [(3_000_000, 1.005), (400_000, 1.012), (4_000, 1.15)])
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_a_wrong_std_is_found(tmp_path, dtype, size, factor):
    model = {name: {"dtype": dtype, "shape": [size]} for name in ("right", "wrong")}
    generate(model, tmp_path, init=[Rule("*", "normal(std=0.02)")])
    path = tmp_path / "model.safetensors"
    tensors, metadata = load_file(path), formats.read(path)[1]
    tensors["wrong"] = np.random.default_rng(1).normal(0, 0.02 * factor, size).astype(tensors["wrong"].dtype)
    save_file(tensors, path, metadata)
    found = {each.name: each for each in inspect(path, histograms=True)}
    assert found["wrong"].p_value < 1e-6
    assert found["wrong"].marked
    assert found["right"].p_value > 1e-3
    assert not found["right"].marked


def test_another_shape_of_the_same_moments_is_found(tmp_path):
    path = tmp_path / "model.safetensors"
    generate({"a": {"dtype": "F32", "shape": [10_000]}}, path, init=[Rule("*", "normal(std=1)")])
    wrong = np.random.default_rng(0).uniform(-(3**0.5), 3**0.5, 10_000).astype(np.float32)
    save_file({"a": wrong}, path, formats.read(path)[1])
    assert not inspect(path)[0].marked
    assert inspect(path, histograms=True)[0].marked


def test_what_has_no_closed_law(tmp_path):
    rules = [
        Rule("steps", "normal", then=("* 2",)),
        Rule("row", "normal", padding_idx=1),
        Rule("orthogonal", "orthogonal"),
        Rule("sparse", "sparse(sparsity=0.5)"),
        Rule("far", "truncated_normal(low=50, high=60)"),
        Rule("few", "normal"),
    ]
    model = {rule.match: {"dtype": "F32", "shape": [30, 30]} for rule in rules}
    model["few"]["shape"] = [5, 11]
    generate(model, tmp_path, init=rules)
    found = {each.name: each for each in inspect(tmp_path, histograms=True)}
    assert {name for name, each in found.items() if each.law is not None} == {"few"}
    assert all(each.p_value is None and not each.marked for each in found.values())
    assert {name for name, each in found.items() if each.histogram is None} == {"few"}


@pytest.mark.parametrize("dtype", ["F32", "BF16", "I8"])
def test_a_constant_fits_or_does_not(tmp_path, dtype):
    model = {name: {"dtype": dtype, "shape": [8, 10]} for name in "abc"}
    path = tmp_path / "model.safetensors"
    value = 3 if dtype == "I8" else 0.1
    generate(model, path, init=[Rule("*", f"constant(value={value})")])
    tensors, metadata = load_file(path), formats.read(path)[1]
    tensors["b"] = tensors["b"].copy()
    tensors["b"][1, 1] = 4
    save_file(tensors, path, metadata)
    found = {each.name: each for each in inspect(path, histograms=True)}
    assert [found[name].p_value for name in "abc"] == [1.0, 0.0, 1.0]
    assert found["b"].marked
    assert str(found["a"].law) == f"constant(value={value})"


@pytest.mark.parametrize("spoiled", [np.nan, np.inf])
def test_of_what_is_not_finite_nothing_is_tested(tmp_path, spoiled):
    for size in (1000, 100_000):
        path = tmp_path / f"{size}.safetensors"
        generate({"a": {"dtype": "F32", "shape": [size]}}, path, init=[Rule("*", "normal")])
        tensors = load_file(path)
        tensors["a"][7] = spoiled
        save_file(tensors, path, formats.read(path)[1])
        (found,) = inspect(path, histograms=True)
        assert found.p_value is None
        assert found.marked
        assert sum(found.histogram.counts) + found.histogram.below + found.histogram.above == size - 1


def test_neither_threads_nor_their_order_matter(tmp_path):
    made(tmp_path, "normal", "F32", (500, 900), 5)
    assert inspect(tmp_path, histograms=True, threads=1) == inspect(tmp_path, histograms=True, threads=4)


def test_init_says_what_is_expected_of_others_files(tmp_path):
    """torch makes a tensor with its own generator; the rule knows its law."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save

    torch.manual_seed(0)
    tensors = {"fc.weight": torch.empty(300, 400), "half.weight": torch.empty(300, 400, dtype=torch.bfloat16)}
    for each in tensors.values():
        torch.nn.init.kaiming_normal_(each)
    save(tensors, tmp_path / "a.safetensors")
    path = tmp_path / "a.safetensors"
    assert all(each.law is None and each.histogram is not None for each in inspect(path, histograms=True))
    right = inspect(path, init=[Rule("*", "kaiming_normal")], histograms=True)
    assert all(each.p_value > 1e-3 and not each.marked for each in right)
    wrong = inspect(path, init=[Rule("*", "xavier_normal")], histograms=True)
    assert all(each.p_value < 1e-6 and each.marked for each in wrong)


@pytest.mark.parametrize("tag", ["BOOL", "I64", "U16", "F4", "F8_E8M0", "C64", "empty"])
def test_dtypes_without_laws_have_histograms(tmp_path, tag):
    rng = np.random.default_rng(2)
    arrays = {
        "BOOL": rng.random(300) < 0.3,
        "I64": rng.integers(-(2**62), 2**62, 50_000),
        "U16": rng.integers(0, 2**16, 300).astype(np.uint16),
        "C64": (rng.normal(size=20_000) + 1j * rng.normal(size=20_000)).astype(np.complex64),
        "empty": np.zeros((0, 100), np.float32),
    }
    if tag in arrays:
        save_file({"a": arrays[tag]}, tmp_path / "a.safetensors")
        count = arrays[tag].size * (2 if tag == "C64" else 1)
    else:
        generate({"a": {"dtype": tag, "shape": [300]}}, tmp_path / "a.safetensors", init=[Rule("*", "ones")])
        count = 300
    (found,) = inspect(tmp_path / "a.safetensors", histograms=True)
    if tag == "empty":
        assert found.histogram is None
        return
    histogram = found.histogram
    assert sum(histogram.counts) + histogram.below + histogram.above == count
    assert not found.marked


def test_the_largest_and_smallest_numbers_have_histograms(tmp_path):
    rng = np.random.default_rng(0)
    wide = np.where(rng.random(200) < 0.5, -1.7e308, 1.7e308)
    arrays = {
        "wide": wide,
        "ends": np.array([-np.finfo(np.float64).max, np.finfo(np.float64).max] * 50),
        "subnormal": np.array([5e-324, -5e-324] * 50),
        "zero": np.full(100, -0.0, np.float32),
        "single": np.full(100_000, 3.4028235e38, np.float32),
        "integers": rng.integers(-(2**63), 2**63 - 1, 100),
        "half": np.full(100, 65504, np.float16),
    }
    save_file(arrays, tmp_path / "a.safetensors")
    for each in inspect(tmp_path / "a.safetensors", histograms=True):
        histogram = each.histogram
        # No edge is above the largest float64.
        assert sum(histogram.counts) + histogram.above * (each.name == "ends") == arrays[each.name].size
        assert np.isfinite(histogram.densities).all()
    many = {"beyond float32": np.tile(wide, 100)}
    save_file(many, tmp_path / "b.safetensors")
    assert inspect(tmp_path / "b.safetensors", histograms=True)[0].histogram is None
    (found,) = compare(tmp_path / "b.safetensors", tmp_path / "b.safetensors", histograms=True)
    assert (found.equal, found.ks) == (1.0, None)

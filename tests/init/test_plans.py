"""Plans: blocks and ranges equal the tensor; matrices, moments and definitions equal other libraries'."""

import math
import pickle

import ml_dtypes
import mpmath
import numpy as np
import pytest
import torch
from cases import DTYPES, SPECS, position, same, shape_of

from fastinit import init, random


def test_every_initialiser_is_among_the_cases():
    functions = {name for name in init.__all__ if hasattr(init, name + "_")}
    aliases = {name for name in functions if name.startswith(("glorot", "he_"))}
    assert {init.get(spec).name for spec in SPECS} == (functions - aliases) | {"truncated_normal"}


@pytest.mark.parametrize("layout", ["oi", "io"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", SPECS)
def test_blocks_and_ranges_are_parts_of_the_tensor(spec, dtype, layout):
    initializer, shape = init.get(spec), shape_of(spec)
    if layout == "io":
        shape = shape[::-1]
    rng = random.default_rng(5)
    rng.random(3, np.float32)  # leaves a buffered half word
    start = pickle.dumps(rng)
    full = initializer(shape, layout=layout, dtype=dtype, rng=rng)
    end = position(rng)
    assert full.dtype == np.dtype(dtype)
    assert full.shape == shape
    assert np.isfinite(full.astype(np.float64)).all()

    pick = np.random.default_rng(6)
    plan = initializer.plan(shape, layout=layout, dtype=dtype)
    rng = pickle.loads(start)
    for _ in range(4):
        first, last = sorted(pick.integers(0, full.size + 1, 2))
        out = np.empty(last - first, dtype)
        plan.fill(out, rng, int(first))
        same(out, full.reshape(-1)[first:last])
    assert position(rng) == position(pickle.loads(start))
    plan.consume(rng)
    assert position(rng) == end

    for step in (None, 1, -1, 2, -3, 3):
        # from a corner to the opposite one and beyond, so that no axis of the block is empty
        corners = [sorted(pick.integers(-1, size + 2, 2).tolist()) for size in shape]
        block = tuple(
            slice(first or None, last, step) if (step or 1) > 0 else slice(last, first or None, step)
            for first, last in corners
        )
        rng = pickle.loads(start)
        same(initializer(shape, layout=layout, dtype=dtype, rng=rng, block=block), full[block])
        assert position(rng) == end


def test_blocks_are_written_as_slices_are():
    full = init.normal((4, 5, 6), rng=1)
    same(init.normal((4, 5, 6), rng=1, block=(slice(1, 3),)), full[1:3])
    same(init.normal((4, 5, 6), rng=1, block=slice(None, None, -1)), full[::-1])
    same(init.normal((4, 5, 6), rng=1, block=(..., slice(2))), full[..., :2])
    same(init.normal((), rng=1, block=()), init.normal((), rng=1))
    same(init.normal((4, 5, 6), rng=1, block=(slice(2, 2), slice(9, 1))), full[2:2, 9:1])
    for block in ((1,), (slice(1),) * 4, (..., ...), ([0, 1],)):
        with pytest.raises(ValueError, match="tuple of slices"):
            init.normal((4, 5, 6), rng=1, block=block)
    with pytest.raises(ValueError, match="block= needs an rng"):
        init.normal((4, 5), block=(slice(2),))
    same(init.eye((4, 5), block=(slice(2),)), init.eye((4, 5))[:2])


def test_a_block_of_a_tensor_larger_than_memory():
    shape, rng = (2**28, 2**28), random.default_rng(3)
    block = init.kaiming_normal(shape, rng=rng, block=(slice(2**27, 2**27 + 4), slice(-4, None)))
    row = init.kaiming_normal(shape, rng=3, block=(slice(2**27 + 1, 2**27 + 2), slice(-4, None)))
    same(block[1:2], row)
    same(init.eye(shape, block=(slice(2**27, 2**27 + 2), slice(2**27, 2**27 + 2))), init.eye((2, 2)))


@pytest.mark.parametrize(
    ("low", "high"), [(-2, 2), (1, math.inf), (8, 9), (-math.inf, 3), (3, 3.0000001), (-40, -38)]
)
def test_truncated_moments_are_their_integrals(low, high):
    plan = init.get("truncated_normal", mean=0.5, std=3.0, low=low, high=high).plan((1,))
    with mpmath.workdps(25):
        ends = max(low, -20), min(high, 20)  # the density is negligible beyond, unless a bound is there
        cut = mpmath.linspace(*(ends if ends[0] < ends[1] else (low, high)), 101)
        moments = [mpmath.quad(lambda z, k=k: z**k * mpmath.npdf(z), cut) for k in range(3)]
        mean, square = moments[1] / moments[0], moments[2] / moments[0]
        std = mpmath.sqrt(square - mean**2)
        fourth = mpmath.quad(lambda z: (z - mean) ** 4 * mpmath.npdf(z), cut) / moments[0]
        kurtosis = fourth / std**4
    assert plan.mean == pytest.approx(float(0.5 + 3 * mean), rel=1e-5)
    assert plan.std == pytest.approx(float(3 * std), rel=1e-5)
    assert plan.kurtosis == pytest.approx(float(kurtosis), rel=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", SPECS)
def test_mean_and_std_are_the_expected_ones(spec, dtype):
    """Moments are within five standard errors of n draws, plus the dtype's rounding."""
    shape = {
        "eye": (400, 300),
        "sparse": (400, 300),
        "dirac": (64, 48, 3, 3),
        "delta_orthogonal": (64, 48, 3, 3),
    }.get(init.get(spec).name, (512, 256))
    plan = init.get(spec).plan(shape)
    values = init.get(spec)(shape, dtype=dtype, rng=11).astype(np.float64)
    centred = values - values.mean()
    spread = values.std()
    kurtosis = (centred**4).mean() / spread**4 if spread else 1.0
    rounding = 2.0 ** -(7 if dtype is ml_dtypes.bfloat16 else 10) * (abs(plan.mean) + plan.std)
    assert values.mean() == pytest.approx(plan.mean, abs=5 * plan.std / math.sqrt(values.size) + rounding)
    error = 2.5 * plan.std * math.sqrt(max(kurtosis - 1, 0) / values.size)
    assert spread == pytest.approx(plan.std, abs=error + rounding)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", [(8, 2, 3), (8, 5, 4, 3), (4, 9, 1, 2, 5), (8, 0, 3)])
def test_dirac_is_torchs(shape, groups):
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    same(init.dirac(shape, groups=groups), expected)
    if len(shape) == 3:
        same(init.dirac(shape[::-1], groups=groups, layout="io"), expected.transpose())


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (0, 3), (1, 1)])
def test_eye_is_numpys(shape):
    same(init.eye(shape), np.eye(*shape, dtype=np.float32))


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3), (2, 4, 3, 3), (0, 4), (4, 0)])
def test_orthogonal_is_haars(shape):
    matrix = init.orthogonal(shape, gain=3.0, dtype=np.float64, rng=4).reshape(shape[0], math.prod(shape[1:]))
    q = matrix / 3.0
    rows, columns = q.shape
    assert np.allclose(q @ q.T if rows <= columns else q.T @ q, np.eye(min(rows, columns)), atol=1e-12)
    # uniform because Q'A is upper triangular with a positive diagonal, A being the same generator's normals
    normals = random.default_rng(4).standard_normal(q.shape)
    r = q.T @ normals if rows >= columns else (normals @ q.T).T
    assert np.allclose(np.tril(r, -1), 0, atol=1e-12)
    assert (np.diagonal(r) > 0).all()


def test_orthogonal_by_layout_and_batch():
    oi = init.orthogonal((6, 4, 3, 3), rng=1)
    same(
        init.orthogonal((3, 3, 4, 6), rng=1, layout="io"),
        init.orthogonal((6, 3, 3, 4), rng=1).transpose(1, 2, 3, 0),
    )
    stack = init.orthogonal((2, 6, 4, 3, 3), rng=1, batch_axis=0)
    same(stack[0], oi)
    second = stack[1].reshape(6, 36).astype(np.float64)
    assert np.allclose(second @ second.T, np.eye(6), atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 4, 4, 2), (5, 5, 1, 2, 3)])
def test_delta_orthogonal_is_jaxs(shape):
    full = init.delta_orthogonal(shape, gain=2.0, dtype=np.float64, rng=1)
    middle = tuple((size - 1) // 2 for size in shape[2:])
    matrix = full[(slice(None), slice(None), *middle)]
    same(matrix, init.orthogonal(shape[:2], gain=2.0, dtype=np.float64, rng=1))
    assert np.count_nonzero(full) == matrix.size
    io = init.delta_orthogonal(
        (*shape[2:], shape[1], shape[0]), gain=2.0, dtype=np.float64, rng=1, layout="io"
    )
    same(io[middle], matrix.T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sparsity", [0.0, 0.01, 0.5, 1.0])
def test_sparse_is_its_definition(sparsity, dtype):
    rows, columns = 40, 13
    rng = random.default_rng(8)
    rng.random(1, np.float32)
    values = init.sparse((rows, columns), sparsity, std=0.5, dtype=dtype, rng=rng)

    peer = random.default_rng(8)
    peer.random(1, np.float32)
    expected = init.normal((rows, columns), std=0.5, dtype=dtype, rng=peer)
    words = peer.integers(
        0, 2**32, (rows, columns), dtype=np.uint32
    )  # NumPy's: one buffered 32-bit word each
    for column in range(columns):
        order = sorted(range(rows), key=lambda row: (words[row, column], row))
        expected[order[: math.ceil(sparsity * rows)], column] = 0
    same(values, expected)
    assert position(rng) == position(peer)


def test_of_two_equal_words_of_sparse_the_upper_row_counts_as_smaller():
    rows = 1 << 18
    rng = random.default_rng(8)
    rng.normal(size=rows, dtype=np.float32)
    words = rng.integers(0, 2**32, rows, dtype=np.uint32)
    order = np.argsort(words, kind="stable")
    [tied] = np.flatnonzero(np.diff(words[order].astype(np.int64)) == 0)[:1]
    upper, lower = sorted(order[tied : tied + 2])
    sparsity = (tied + 1) / rows  # the tied words are those next to the limit
    full = init.sparse((rows, 1), sparsity, rng=random.default_rng(8))
    block = init.sparse((rows, 1), sparsity, rng=random.default_rng(8), block=(slice(None), slice(1)))
    for values in (full, block):
        assert np.count_nonzero(values == 0) == tied + 1
        assert values[upper] == 0
        assert values[lower] != 0


def test_a_fill_outside_the_tensor_is_refused():
    plan = init.get("normal").plan((3, 4))
    for start, size in ((-1, 2), (10, 3), (13, 0)):
        with pytest.raises(ValueError, match="are outside the 12 of shape"):
            plan.fill(np.empty(size, np.float32), random.default_rng(1), start)
    with pytest.raises(TypeError, match="float64, but float32 is wanted"):
        plan.fill(np.empty(3), random.default_rng(1))


def test_plans_say_what_can_be_cut_and_what_is_exact():
    for spec in SPECS:
        plan = init.get(spec).plan(shape_of(spec), dtype="bfloat16")
        assert plan.exact is ("orthogonal" not in spec)
        assert plan.addressable is not ("orthogonal" in spec or "sparse" in spec)
        assert (plan.fans is not None) is any(
            word in spec for word in ("scaling", "xavier", "kaiming", "lecun")
        )
    assert init.get("normal").plan((3,), layout=None).size == 3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "spec",
    [
        "uniform(low=0, high=1e39)",
        "uniform(low=-1e39, high=0)",
        "normal(std=1e39)",
        "truncated_normal(std=1e39)",
        "xavier_uniform(gain=1e39)",
    ],
)
def test_bounds_beyond_the_dtype_are_refused(spec, dtype):
    if dtype == "float16":
        spec = spec.replace("1e39", "1e6")
    with pytest.raises(ValueError, match=f"too large for {dtype}"):
        init.get(spec).plan((3, 4), dtype=dtype)
    init.get(spec).plan((3, 4), dtype="float64")


def test_bounds_at_the_end_of_the_dtype_are_fine():
    values = init.get("uniform(low=-65504, high=65504)")((1000,), dtype="f2", rng=0)
    assert np.isfinite(values).all()
    narrow = init.get("truncated_normal(std=1e5, low=-0.1, high=0.1)")
    assert np.isfinite(narrow((99,), dtype="f2", rng=0)).all()


@pytest.mark.parametrize("spec", ["orthogonal", "delta_orthogonal", "normal", "eye", "sparse(sparsity=0.5)"])
@pytest.mark.parametrize("part", [slice(-3, None, -1), slice(5, 2), slice(None, None, -1), slice(1, None, 2)])
def test_blocks_that_go_backwards_or_hold_nothing(spec, part):
    shape = (4, 2, 3) if spec == "delta_orthogonal" else (4, 2)
    full = init.get(spec)(shape, rng=0)
    block = (slice(None), part)
    assert (init.get(spec)(shape, rng=0, block=block) == full[block]).all()
    assert init.get(spec)(shape, rng=0, block=block).shape == full[block].shape

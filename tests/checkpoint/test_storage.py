"""The dtypes that only files have, against ml_dtypes, torch and the safetensors package."""

import json
import re

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from fastinit.checkpoint import BadInput, Rule, TensorSpec, generate, inspect, plan, tensors, verify
from fastinit.checkpoint.storage import DTYPES

# Each spans several pieces and is a multiple of none.
SHAPE = [1501, 1400]
NORMAL = [Rule("*", "normal(std=0.02)")]
FLOAT8 = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}
CONSTANTS = {"F8_E8M0": ml_dtypes.float8_e8m0fnu, "F4": ml_dtypes.float4_e2m1fn, "C64": np.complex64}


def made(model, init, seed=7):
    return dict(tensors(model, init=init, seed=seed))


@pytest.mark.parametrize("dtype", FLOAT8)
@pytest.mark.parametrize(
    "init", ["normal(std=3.0)", "uniform", "truncated_normal(std=0.02)", "xavier_normal"]
)
def test_float8_values_are_those_of_float32_rounded_once(dtype, init):
    found, wide = ({"w": {"dtype": each, "shape": SHAPE}} for each in (dtype, "F32"))
    found, wide = (made(model, [Rule("*", init)])["w"] for model in (found, wide))
    assert str(found.dtype) == str(FLOAT8[dtype]).removeprefix("torch.")
    # torch rounds once, too, and nothing here is too large.
    expected = torch.from_numpy(wide).to(FLOAT8[dtype]).view(torch.uint8)
    assert torch.equal(torch.from_numpy(found.view(np.uint8)), expected)


@pytest.mark.parametrize("init", ["orthogonal", "sparse(sparsity=0.5)", "eye", "constant(value=0.3)"])
def test_every_plan_makes_float8(init):
    wide = made({"w": {"dtype": "F64", "shape": [40, 30]}}, [Rule("*", init)])["w"]
    found = made({"w": {"dtype": "F8_E4M3", "shape": [40, 30]}}, [Rule("*", init)])["w"]
    if init.startswith("sparse"):  # its normals have other draws in float64
        wide = made({"w": {"dtype": "F32", "shape": [40, 30]}}, [Rule("*", init)])["w"]
    assert (found == wide.astype(ml_dtypes.float8_e4m3fn)).all()


def test_values_that_are_too_large_saturate():
    model = {"w": {"dtype": "F8_E4M3", "shape": SHAPE}}
    for init in ("normal(std=1e6)", "constant(value=-1e9)", "constant(value=inf)"):
        found = made(model, [Rule("*", init)])["w"].astype(np.float32)
        assert np.abs(found).max() == 448
        assert not np.isnan(found).any()


@pytest.mark.parametrize("dtype", FLOAT8)
def test_a_float8_checkpoint_is_made_verified_and_inspected(tmp_path, dtype):
    model = {
        "w.weight": {"dtype": "F32", "shape": SHAPE},
        "scale": {"dtype": "F8_E8M0", "shape": [3]},
        "n": {"dtype": "I64", "shape": []},
    }
    init = [Rule("n", "zeros"), Rule("scale", "ones"), *NORMAL]
    path = tmp_path / "model.safetensors"
    summary = generate(model, path, init=init, dtype=dtype, digest=True)
    assert generate(path, tmp_path / "same.safetensors", init=init, digest=True).digest == summary.digest
    assert generate(path, path, init=init, resume=True).kept == [path]
    assert path.read_bytes() == (tmp_path / "same.safetensors").read_bytes()
    with safetensors.safe_open(path, "pt") as file:
        weight = file.get_tensor("w.weight")
    assert weight.dtype == FLOAT8[dtype]
    assert torch.equal(weight.view(torch.uint8), torch.from_numpy(made(path, init, 0)["w.weight"].view("u1")))
    assert verify(path).same
    found = {each.name: each for each in inspect(path)}
    assert found["w.weight"].std == pytest.approx(weight.double().std(correction=0).item(), rel=1e-12)
    assert not any(each.marked for each in found.values())
    assert found["scale"].mean == found["scale"].expected_mean == 1.0

    data = bytearray(path.read_bytes())
    data[-2] ^= 0x80
    path.write_bytes(data)
    (difference,) = verify(path).differences
    assert (difference.count, difference.size) == (1, difference.size)


def test_a_float8_tensor_below_the_step_of_its_dtype_is_not_marked(tmp_path):
    """All values of std 0.0003 round to 0 or to the smallest one, 0.00195."""
    path = tmp_path / "x.safetensors"
    generate({"w": {"dtype": "F8_E4M3", "shape": SHAPE}}, path, init=[Rule("*", "normal(std=0.0003)")])
    assert not inspect(path)[0].marked


@pytest.mark.parametrize("dtype", CONSTANTS)
@pytest.mark.parametrize("value", [1.0, 2.0, 4.0])
def test_constants_of_other_dtypes(tmp_path, dtype, value):
    init = [Rule("*", f"constant(value={value})")]
    path = tmp_path / "x.safetensors"
    model = {"x": {"dtype": dtype, "shape": [6, 4]}}
    generate(model, path, init=init)
    array = made(model, init)["x"]
    assert array.dtype == np.dtype(CONSTANTS[dtype])
    assert array.shape == (6, 4)
    assert (array.astype(np.complex64) == value).all()
    ((_, theirs),) = safetensors.deserialize(path.read_bytes())
    assert (theirs["dtype"], theirs["shape"]) == (dtype, [6, 4])
    assert len(theirs["data"]) == TensorSpec("x", dtype, (6, 4)).nbytes
    assert verify(path).same
    (found,) = inspect(path)
    assert (found.max, found.nan, found.marked) == (value, 0, False)
    assert found.zeros == (0.5 if dtype == "C64" else 0)  # the imaginary parts


def test_torch_packs_f4_and_complex_numbers_as_we_do(tmp_path):
    packed = torch.tensor([[0x42, 0x7F], [0x00, 0x9A]], dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"f4": packed, "c": torch.tensor([1 + 2j, -3j])}, path)
    found = {each.name: each for each in inspect(path)}
    assert found["f4"].shape == (2, 4)
    # 0x2 is 1, 0x4 is 2, 0xF is -6, 0x7 is 6, 0x0 is 0, 0xA is -1 and 0x9 is -0.5.
    assert (found["f4"].min, found["f4"].max, found["f4"].zeros) == (-6, 6, 0.25)
    assert found["f4"].mean == pytest.approx((1 + 2 - 6 + 6 - 1 - 0.5) / 8)
    assert (found["c"].min, found["c"].max, found["c"].mean, found["c"].zeros) == (-3, 2, 0, 0.25)


@pytest.mark.parametrize(
    ("dtype", "index", "expected", "actual"), [("F4", (2, 3), 1.0, 2.0), ("C64", (2, 3), 1 + 0j, 1 + 2j)]
)
def test_a_difference_in_a_packed_or_complex_tensor(tmp_path, dtype, index, expected, actual):
    path = tmp_path / "x.safetensors"
    generate({"x": {"dtype": dtype, "shape": [6, 4]}}, path, init=[Rule("*", "ones")])
    data = bytearray(path.read_bytes())
    at = np.ravel_multi_index(index, (6, 4))
    changed, at = (
        (b"\x42", len(data) - 12 + at // 2)
        if dtype == "F4"
        else (np.float32(2).tobytes(), len(data) - 192 + at * 8 + 4)
    )
    data[at : at + len(changed)] = changed
    path.write_bytes(data)
    (difference,) = verify(path).differences
    assert (difference.index, difference.expected, difference.actual) == (index, expected, actual)
    assert (difference.count, difference.size) == (1, 24)


@pytest.mark.parametrize(
    ("dtype", "init", "message"),
    [
        ("F8_E8M0", "zeros", "F8_E8M0 cannot hold 0.0"),
        ("F8_E8M0", "constant(value=3)", "F8_E8M0 cannot hold 3.0"),
        ("F4", "constant(value=5)", "F4 cannot hold 5.0"),
        ("F4", "constant(value=-inf)", "F4 cannot hold -inf"),
        ("C64", "constant(value=1e300)", r"C64 cannot hold 1e\+300"),
        ("F4", "normal", "normal makes floats; F4 can be zeros, ones or constant"),
        ("C64", "xavier_uniform", "xavier_uniform makes floats; C64 can be zeros, ones or constant"),
        ("F8_E8M0", "arange", "arange cannot make F8_E8M0, which can be zeros, ones or constant"),
    ],
)
def test_what_other_dtypes_are_not_filled_with(dtype, init, message):
    with pytest.raises(BadInput, match=message) as error:
        plan({"x": {"dtype": dtype, "shape": [4, 4]}}, init=[Rule("*", init)])
    assert re.search("tensor 'x', matched by", str(error.value))
    assert "\n" not in str(error.value)


def test_a_padding_row_of_a_dtype_without_zero():
    with pytest.raises(BadInput, match="F8_E8M0 takes no padding_idx"):
        plan({"x": {"dtype": "F8_E8M0", "shape": [4, 4]}}, init=[Rule("*", "ones", padding_idx=0)])


def test_a_list_of_deepseeks_kind(tmp_path):
    """A float8 weight with the float32 scales of its blocks beside it."""
    model = {
        "model.layers.0.mlp.up_proj.weight": {"dtype": "F8_E4M3", "shape": [256, 256]},
        "model.layers.0.mlp.up_proj.weight_scale_inv": {"dtype": "F32", "shape": [2, 2]},
    }
    (tmp_path / "list.json").write_text(json.dumps(model))
    init = [Rule("*_scale_inv", "ones"), *NORMAL]
    summary = generate(tmp_path / "list.json", tmp_path, init=init)
    theirs = safetensors.torch.load_file(summary.files[0])
    assert {name: tensor.dtype for name, tensor in theirs.items()} == {
        name: {"F8_E4M3": torch.float8_e4m3fn, "F32": torch.float32}[entry["dtype"]]
        for name, entry in model.items()
    }
    assert generate(tmp_path, tmp_path / "wide", init=init, dtype="BF16").bytes == 256 * 256 * 2 + 8


def test_constants_are_all_that_a_dtype_can_hold():
    for dtype in ("F8_E8M0", "F4"):
        record = DTYPES[dtype]
        codes = np.arange(16 if dtype == "F4" else 255, dtype=np.uint8)
        for value, code in zip(codes.view(CONSTANTS[dtype]).astype(float), codes, strict=True):
            assert record.word(value) == (code * 17 if dtype == "F4" else code)

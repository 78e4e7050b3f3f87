"""The examples do what they say."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fastinit import init

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # tools is no part of what is installed

from tools import claims  # noqa: E402


@pytest.fixture(scope="module")
def digits():
    example = runpy.run_path(str(ROOT / "examples" / "digits_mlp.py"))
    return example, *example["digits"]()


@pytest.mark.parametrize("activation", ["LeakyReLU", "SELU"])
def test_a_net_learns_digits(digits, activation):
    example, train, test = digits
    net = example["MLP"](example[activation]())
    assert [each.shape for each in net.parameters] == [(256, 784), (256,), (10, 256), (10,)]
    assert net.accuracy(*test) < 0.3
    net.train(*train)
    assert net.accuracy(*test) > 0.95


@pytest.mark.parametrize("activation", ["LeakyReLU", "SELU"])
def test_its_gradients_are_those_of_differences(digits, activation):
    """The gradients of the loss by each parameter."""
    example, (images, labels), _ = digits
    x, labels = images[:50].astype(np.float64), labels[:50]
    net = example["MLP"](example[activation]())
    net.parameters = [each.astype(np.float64) for each in net.parameters]

    def loss():
        chances = example["softmax"](net.forward(x.copy()))
        return -np.log(chances[np.arange(len(x)), labels]).mean()

    rng = np.random.default_rng(1)
    gradients = net.gradients(x.copy(), labels)
    for parameter, gradient in zip(net.parameters, gradients, strict=True):
        direction = rng.standard_normal(parameter.shape)
        step = 1e-6
        parameter += step * direction
        above = loss()
        parameter -= 2 * step * direction
        below = loss()
        parameter += step * direction
        assert (above - below) / (2 * step) == pytest.approx((gradient * direction).sum(), rel=1e-6)


TORCH_INIT = ROOT / "examples" / "torch_init.py"


def test_torchs_code_runs_with_another_import():
    text = TORCH_INIT.read_text()
    line = next(line for line in text.splitlines() if line.startswith("import fastinit.torch.init as init"))
    torchs = text.replace(line, "import torch.nn.init as init")
    assert "fastinit" not in torchs.partition('"""')[2].partition('"""')[2]
    for source in (text, torchs):
        names = {"__name__": "example"}
        exec(compile(source, TORCH_INIT, "exec"), names)
        *kept, by_hand = names["sizes"]().values()
        assert all(0.5 < size < 1.5 for size in kept)
        assert by_hand < 0.1
        assert names["MLP"]()(torch.zeros(2, 784)).shape == (2, 10)


def test_its_weights_are_fastinits():
    example = runpy.run_path(str(TORCH_INIT))
    layer = torch.nn.Linear(784, 256)
    torch.manual_seed(3)
    seed = int(torch.randint(0, 2**63 - 1, ()))
    for way, spec in {
        "xavier": f"xavier_uniform(gain={5 / 3})",
        "xavier_by_hand": f"uniform(low={-((6 / 1040) ** 0.5)}, high={(6 / 1040) ** 0.5})",
        "he": "kaiming_normal(a=0.1)",
        "lecun": f"normal(std={1 / 28})",
    }.items():
        torch.manual_seed(3)
        example[way](layer)
        assert np.array_equal(layer.weight.detach(), init.get(spec)((256, 784), rng=seed)), way


ROWS = list(claims.ROW.finditer(claims.PAGE.read_text()))


@pytest.mark.parametrize("example", claims.EXAMPLES)
def test_a_claim_holds_and_its_row_has_what_is_measured(example):
    """The example asserts it. The last digit of the row may differ, as BLAS adds in an order of its own."""
    found = claims.measure(example)
    rows = {row["claim"]: row for row in ROWS if row["example"] == example}
    assert list(rows) == list(found)
    for claim, measurement in found.items():
        for cell, number in zip(rows[claim]["measured"].split(" ± "), measurement, strict=False):
            digit = 10.0 ** -len(cell.partition(".")[2])
            assert float(cell) == pytest.approx(number, abs=0.6 * digit, rel=1e-6), claim
        assert rows[claim]["count"] == claims.shown(measurement)[1]


def test_torchs_code_holds_with_torchs_own_import():
    """And its claims with it, of torch's own values."""
    path = ROOT / "examples" / "torch_code.py"
    text, line = path.read_text(), "import fastinit.torch.nn as nn\n"
    code = text.partition('"""')[2].partition('"""')[2]
    assert code.count("fastinit") == code.count(line) == 1
    exec(compile(text.replace(line, "import torch.nn as nn\n"), path, "exec"), {"__name__": "torch"})
    claims.measure("torch_code")


def test_rows():
    assert len(ROWS) == len({row["claim"] for row in ROWS})
    assert {row["example"] for row in ROWS} == set(claims.EXAMPLES)
    names = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"measuring", *claims.EXAMPLES}
    assert names == {"digits_mlp", "torch_init"}


@pytest.mark.parametrize("sample", [np.arange(-100, 101) + 20.0, np.arange(-100, 101) - 50.0])
def test_a_claim_that_does_not_hold_is_noticed(sample):
    """The error of the mean of 0 is 4.1."""
    claims.measure(claims.EXAMPLES[0])
    import measuring

    measuring.claim("right", sample, sample.mean() + 20)
    with pytest.raises(AssertionError):
        measuring.claim("wrong", sample, sample.mean() + 21)
    with pytest.raises(AssertionError):
        measuring.exact("wrong", 1.0, 1.0 + 1e-9)

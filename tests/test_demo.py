"""``make demo``: what it leaves, and that it opens as it says."""

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from fastinit import checkpoint

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # bench is no part of what is installed

from bench import demo  # noqa: E402

SMALL = {"transformer.h.0.ln_1.weight": {"dtype": "F32", "shape": [3]}}
SMALL |= {"transformer.wte.weight": {"dtype": "F32", "shape": [7, 3]}}


@pytest.mark.filterwarnings("ignore:.* may be wrong")
@pytest.mark.parametrize("torch", [True, False])
def test_the_checkpoint_stays_and_opens(tmp_path, monkeypatch, capsys, torch):
    monkeypatch.chdir(tmp_path)
    if not torch:
        monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for _ in range(2):  # a second run replaces the first's
        demo.main(model=SMALL)
    folder = Path("build/demo")
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    found = load_file(folder / "model.safetensors")
    assert {name: values.tolist() for name, values in checkpoint.tensors(SMALL)} == {
        name: values.tolist() for name, values in found.items()
    }
    out = capsys.readouterr().out
    assert ("times as fast" in out) == torch
    assert ("torch     missing" in out) != torch
    inspect, load, pretrained = (line.strip() for line in out.rstrip("\n").splitlines()[-3:])
    assert "GPT2Config().save_pretrained('build/demo'); Model.from_pretrained('build/demo')" in pretrained
    assert inspect.endswith("bin/fastinit inspect build/demo")
    inspect = [sys.executable, "-m", "fastinit", *inspect.split()[1:]]
    for command in (inspect, ["sh", "-c", load.replace("python", sys.executable, 1)]):
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "transformer.wte.weight" in shown

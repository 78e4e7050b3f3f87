import json
import sys

import pytest
from command import MODEL

from fastinit.cli import main


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL))
    return str(path)


@pytest.fixture
def run(capsys):
    def run(*argv):
        status = main([str(argument) for argument in argv])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(
        "from torch import nn\n"
        "def build(width=4, bias=True):\n    return nn.Linear(3, width, bias=bias)\n"
        "class Nested:\n    build = staticmethod(lambda: nn.Linear(1, 1))\n"
        "number = 3\n"
        "def loud():\n    print('made')\n    return build()\n"
        "def wrong():\n    return 3\n"
        "def failing():\n    raise ValueError('mine')\n"
        "instance = nn.Linear(2, 2)\n"
        "def leaving():\n    raise SystemExit('bye')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("own_models", None)

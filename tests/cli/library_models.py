"""Models of other libraries for the command: configs, processes without some modules, files."""

import subprocess
import sys

from models import MODELS
from safetensors.numpy import load_file

WITHOUT = (
    "import sys; sys.modules.update(dict.fromkeys({blocked!r})); from fastinit.__main__ import run; run()"
)


def command(*argv, blocked=()):
    """Run the command in a process that lacks some modules."""
    code = WITHOUT.format(blocked=list(blocked))
    return subprocess.run([sys.executable, "-c", code, *map(str, argv)], capture_output=True, text=True)


def tensors_in(folder):
    return {k: v for path in sorted(folder.glob("*.safetensors")) for k, v in load_file(path).items()}


def config_of(name, folder):
    """Write the config of a small model of transformers, and return its module."""
    module = MODELS["transformers", name]()
    module.config.architectures = [type(module).__name__]
    module.config.save_pretrained(folder)
    return module

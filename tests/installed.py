"""An environment with a wheel of this tree, no compiler, and nothing but what its extras promise."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What a wheel is made of, and what a build left of objects, which are not made again.
SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py", "src_c", "fastinit")
BUILT = ("build/fastinit", "build/objects-*")


def wheel(folder):
    """Build the wheel in a copy of the tree, and return its path."""
    tree = folder / "tree"
    for path in (*map(ROOT.joinpath, SOURCES), *(path for each in BUILT for path in ROOT.glob(each))):
        there = tree / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, there, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy2(path, there)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "."]
    done = subprocess.run([*command, "-w", folder], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("fastinit_engine-*.whl")
    return path


class Environment:
    """A virtual environment with a wheel.

    Parameters
    ----------
    folder : Path
        Where it is made.
    path : Path
        The wheel.
    """

    def __init__(self, folder, path):
        self.folder, self._promised, self._brought = folder, folder / "promised", set()
        self._promised.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet"]
        subprocess.run([*pip, "--no-index", "--no-deps", path], check=True)
        [packages] = (folder / "env").glob("lib/python*/site-packages")
        (packages / "promised.pth").write_text(f"{self._promised}\n")
        self.promise(*PROJECT["dependencies"])

    def promise(self, *requirements):
        """Bring what pip would bring for requirements, from the environment of the tests."""
        for each in map(Requirement, requirements):
            if each.marker is not None and not each.marker.evaluate({"extra": ""}):
                continue
            if each.name == PROJECT["name"]:
                self.extras(*each.extras)
            elif each.name not in self._brought:
                self._brought.add(each.name)
                found = distribution(each.name)
                for top in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
                    if not (self._promised / top).exists():
                        (self._promised / top).symlink_to(found.locate_file(top))
                self.promise(*(found.requires or []))

    def extras(self, *names):
        """Bring what some extras of the project ask for."""
        for name in names:
            self.promise(*PROJECT["optional-dependencies"][name])

    @property
    def python(self):
        """The path of its interpreter."""
        return self.folder / "env" / "bin" / "python"

    def variables(self, home):
        """Return the variables of a process in it."""
        kept = {key: value for key, value in os.environ.items() if key.startswith(("FASTINIT_", "OMP_"))}
        own = {"PATH": f"{self.python.parent}:/usr/bin:/bin", "CC": "/bin/false", "HOME": str(home)}
        return {**kept, **own}

    def run(self, *command, cwd):
        """Run a command where nothing else is on Python's path. Return the process."""
        return subprocess.run(
            command, cwd=cwd, env=self.variables(cwd), capture_output=True, text=True, check=False
        )

"""PyPI's other fastinit: how its presence is named."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastinit
from fastinit import _namesake


@pytest.mark.parametrize(
    ("script", "warns"), [("fastinit.cli:app", True), ("fastinit.__main__:run", False), ("", True)]
)
def test_show_config_warns_if_it_is_installed_too(tmp_path, monkeypatch, script, warns):
    """Its command is at fastinit.cli:app."""
    folder = tmp_path / "fastinit-0.2.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: fastinit\nVersion: 0.2.0\n")
    if script:
        (folder / "entry_points.txt").write_text(f"[console_scripts]\nfastinit = {script}\n")
    monkeypatch.syspath_prepend(tmp_path)
    expected = pytest.warns(UserWarning, match="another project's fastinit 0.2.0 is installed")
    with expected if warns else contextlib.nullcontext():
        config = fastinit.show_config(mode="dicts")
    assert config["package"] == os.path.dirname(fastinit.__file__)


@pytest.mark.parametrize("program", [["-c", "from fastinit.cli import app"], ["-m", "fastinit", "info"]])
def test_its_files_in_the_place_of_ours_are_named(tmp_path, program):
    """It has an __init__.py, and a command that imports fastinit.cli.app."""
    (tmp_path / "fastinit").mkdir()
    for path in Path(fastinit.__file__).parent.iterdir():
        (tmp_path / "fastinit" / path.name).symlink_to(path)
    (tmp_path / "fastinit" / "__init__.py").unlink()
    (tmp_path / "fastinit" / "__init__.py").write_text('__version__ = "0.2.0"\n')
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(_namesake.REPLACED)

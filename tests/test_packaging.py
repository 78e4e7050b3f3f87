"""The source archive and its metadata, which are those of a wheel."""

import os
import re
import subprocess
import sys
import tarfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml

import fastinit

ROOT = Path(__file__).parents[1]
TESTED = "3.11", "3.12", "3.13", "3.14"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The files of the source archive, by their names in it."""
    folder = tmp_path_factory.mktemp("sdist")
    command = ["setup.py", "--quiet", "egg_info", f"--egg-base={folder}", "sdist", f"--dist-dir={folder}"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.tar.gz")
    with tarfile.open(path) as tar:
        files = {member.name.partition("/")[2]: member for member in tar if member.isfile()}
        return {name: tar.extractfile(member).read() for name, member in files.items()}


def test_metadata(archive):
    about = message_from_bytes(archive["PKG-INFO"])
    classifiers = about.get_all("Classifier")
    versions = [each for each in classifiers if re.search(r":: 3\.\d+$", each)]
    assert versions == [f"Programming Language :: Python :: {version}" for version in TESTED]
    assert "Typing :: Typed" in classifiers
    assert "fastinit/py.typed" in archive
    urls = dict(each.split(", ") for each in about.get_all("Project-URL"))
    assert urls.keys() == {"Homepage", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith("https://github.com/fastinit/fastinit") for url in urls.values())
    assert about["Author"] == "The fastinit authors"
    assert about["Version"] == fastinit.__version__
    assert about["License-Expression"] == "MIT AND Apache-2.0"


def test_wheels_are_for_the_versions_that_are_named(archive):
    named = re.findall(rb'^build = "(.*)"$', archive["pyproject.toml"], re.MULTILINE)
    assert [name.decode() for name in named[0].split()] == [
        f"cp{version.replace('.', '')}-manylinux_*" for version in TESTED
    ]


def test_citation():
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert about["version"] == fastinit.__version__
    assert {"cff-version", "message", "title", "authors"} <= about.keys()


def test_the_archive_has_all_that_builds_and_tests_read(archive):
    folders = "src_c", "fastinit", "tests", "bench", "docs", "examples", "tools"
    left_out = {"__pycache__", "build", "gallery", ".benchmarks", ".ruff_cache"}
    made = {".so", ".o", ".pyc"}
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    expected = {
        str(path.relative_to(ROOT))
        for path in files
        if not left_out & {*path.relative_to(ROOT).parts}
        and path.suffix not in made
        and ".egg-info" not in str(path)
    }
    assert len(expected) > 300
    assert sorted(expected - archive.keys()) == []
    tops = {path.name for path in ROOT.glob("*.md")} | {"CITATION.cff", "LICENSE", "Makefile", "setup.py"}
    assert sorted(tops - archive.keys()) == []
    assert [name for name in archive if Path(name).suffix in made] == []

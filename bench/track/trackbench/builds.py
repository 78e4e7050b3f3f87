"""Installs commits and wheels, each in its own environment."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from . import TrackError

_FINDS = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"


class Version(NamedTuple):
    """A commit of a repository, or a wheel."""

    label: str
    commit: str | None = None
    wheel: Path | None = None


class NotBuilt(TrackError):
    """A version that can't be installed."""

    def __init__(self, version: Version, log: list[str]):
        super().__init__("\n".join([f"{version.label} cannot be built:", *log]))
        self.version = version


def git(repository: Path, *arguments: str) -> str:
    """Return git's output, stripped. Raise a TrackError with git's message if it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise TrackError(f"cannot run git in {repository}: {error}") from None
    if done.returncode:
        raise TrackError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def is_dirty(repository: Path, *which: str) -> bool:
    """Whether the working tree has uncommitted changes, by git's status."""
    return bool(git(repository, "status", "--porcelain", *which))


def find(repository: Path, name: str) -> Version:
    """Return the wheel or commit of this name."""
    if name.endswith(".whl"):
        if not Path(name).is_file():
            raise TrackError(f"no such wheel: {name}")
        return Version(name, wheel=Path(name).resolve())  # wheels in two folders may have one file name
    try:
        commit = git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except TrackError:
        raise TrackError(f"{name!r} is neither a commit known in {repository} nor a wheel") from None
    return Version(commit[:10] if name == commit else f"{name} ({commit[:10]})", commit=commit)


def make_clone(repository: Path, clone: Path) -> None:
    """Clone the repository that has this folder, with nothing checked out."""
    root = git(repository, "rev-parse", "--show-toplevel")
    git(repository, "clone", "--quiet", "--shared", "--no-checkout", root, str(clone))


class Builds:
    """Environments, made on first use and kept under `folder`."""

    def __init__(self, repository: Path, folder: Path):
        self.repository, self.folder = repository, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._pythons: dict[str, Path] = {}

    def pythons(self, *versions: Version) -> list[Path]:
        """Return the interpreters of the versions' environments, which are built in parallel.

        If several can't be built, the last is named: only the first of A and B can be done without.
        """
        missing = {self._key(each): each for each in versions if self._key(each) not in self._pythons}
        with ThreadPoolExecutor() as pool:
            builds = {key: pool.submit(self._build, version) for key, version in missing.items()}
        for key in reversed(builds):
            self._pythons[key] = builds[key].result()
        return [self._pythons[self._key(each)] for each in versions]

    def _key(self, version: Version) -> str:
        return version.commit or str(version.wheel)

    def _build(self, version: Version) -> Path:
        home = Path(tempfile.mkdtemp(dir=self.folder))
        environment = home / "environment"
        # The package's dependencies come from this interpreter's environment, after its own packages.
        # Its .pth files are not read there, so no editable install is found.
        venv.create(environment, symlinks=True)
        python = environment / "bin" / "python"
        own = environment / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
        (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        source = version.wheel
        if source is None:
            source = home / "source"
            make_clone(self.repository, source)
            git(source, "checkout", "--quiet", "--detach", str(version.commit))
            source /= git(self.repository, "rev-parse", "--show-prefix")  # the project's folder in the clone
            self._require_backend(version, source)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
        options = ["--no-deps", "--no-build-isolation", "--no-index"]
        # A backend may run programs of its own, such as meson's ninja.
        variables = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}:{os.environ.get('PATH', '')}"}
        done = subprocess.run([*pip, *options, str(source)], env=variables, capture_output=True, text=True)
        if done.returncode:
            log = (done.stdout + done.stderr).strip().splitlines()[-15:]
            raise NotBuilt(version, log)
        return python

    def _require_backend(self, version: Version, source: Path) -> None:
        """Say in one line what pip takes fifteen for: the build backend is not installed here."""
        settings = source / "pyproject.toml"
        if not settings.is_file():
            return
        try:
            system = tomllib.loads(settings.read_text()).get("build-system", {})
        except ValueError as error:
            raise NotBuilt(version, [f"{settings.name}: {error}"]) from None
        package = str(system.get("build-backend", "setuptools")).partition(":")[0].partition(".")[0]
        if "backend-path" in system or not subprocess.run([sys.executable, "-c", _FINDS, package]).returncode:
            return
        needs = " ".join(f"'{each}'" for each in system.get("requires", [package]))
        raise NotBuilt(version, [f"its build backend {package} is not installed here: pip install {needs}"])

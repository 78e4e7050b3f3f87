"""Where a report may be written, and by which library."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from .errors import BadInput


def check_target(path: str | os.PathLike[str], suffixes: Iterable[str]) -> None:
    """Raise BadInput if a path has none of the suffixes, or its folder cannot be written to."""
    if Path(path).suffix not in suffixes:
        raise BadInput(f"{path}: a report's name ends in {', '.join(suffixes)}")
    if Path(path).is_dir():
        raise BadInput(f"{path}: is a folder")
    try:  # permissions don't tell all: root may write to any folder, but not to /proc
        with tempfile.TemporaryFile(dir=Path(path).parent):
            pass
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None


def drawing(module: str, library: str) -> Any:
    """Return a module that needs a library of the extra ``plots``. BadInput if that is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise BadInput(f"{library} is missing: pip install 'fastinit-engine[plots]'") from None

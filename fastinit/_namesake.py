"""PyPI's distribution ``fastinit``, another project with this one's import name and command.

This project's is ``fastinit-engine``. Whichever of them is installed last has its files in the other's place.
"""

from __future__ import annotations

import importlib.metadata
import warnings

_AGAIN = "pip uninstall fastinit fastinit-engine, then install fastinit-engine again"
#: What is said if its ``fastinit/__init__.py`` is in the place of ours.
REPLACED = f"another project's fastinit is in the place of fastinit-engine: {_AGAIN}"


def warn() -> None:
    """Warn if it is installed, too."""
    try:
        other = importlib.metadata.distribution("fastinit")
    except importlib.metadata.PackageNotFoundError:
        return
    if any(script.value.startswith("fastinit.__main__:") for script in other.entry_points):
        return  # a build of this project, from before it was named fastinit-engine
    warnings.warn(
        f"another project's fastinit {other.version} is installed, too, and either may replace the other's"
        f" files: {_AGAIN}",
        stacklevel=3,
    )

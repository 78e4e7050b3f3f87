"""Fast random numbers and initial weights, the same on every machine.

`fastinit.random` replaces ``numpy.random``; `fastinit.init` has fans, gains and initialisers; `fastinit.nn`
has activations and their gradients; `fastinit.checkpoint` writes models; `fastinit.propagation` shows whether
an initialisation keeps signals and gradients. Each is imported on first use.
"""

from __future__ import annotations

import os
from typing import Any

from fastinit._threads import get_num_threads, set_num_threads

__all__ = ["CONTRACT", "__version__", "get_num_threads", "set_num_threads", "show_config"]

__version__ = "0.1.0"

CONTRACT = 1
"""The version of the stream contract: equal numbers give equal bits."""

_SUBMODULES = ("checkpoint", "cli", "dask", "init", "jax", "keras", "nn", "propagation", "random", "torch")

if os.environ.get("FASTINIT_ISA"):  # check it at import
    from fastinit import _dispatch as _dispatch


_FUNCTIONS = {"propagate": "propagation"}  # each with its submodule


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES or name in _FUNCTIONS:
        from importlib import import_module

        module = import_module(f"fastinit.{_FUNCTIONS.get(name, name)}")
        return getattr(module, name) if name in _FUNCTIONS else module
    raise AttributeError(f"module 'fastinit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(
        {*(name for name in globals() if name.startswith("__")), *__all__, *_SUBMODULES, *_FUNCTIONS}
    )


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print or return the versions, the instruction sets and the number of threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print, or return a dict, as `numpy.show_config` does.

    Returns
    -------
    dict or None
        ``version``, ``contract``, ``python``, ``numpy``, ``compiler``; ``built`` and ``supported``, the
        instruction sets of this build and of this CPU, slowest first; ``isa``, the one in use; ``threads``;
        ``package``, the folder that was imported.

    Raises
    ------
    ValueError
        For another mode.

    Warns
    -----
    UserWarning
        Another project's distribution ``fastinit``, which has files of the same names, is installed, too.

    Examples
    --------
    >>> import fastinit
    >>> config = fastinit.show_config(mode="dicts")
    >>> config["isa"] in config["built"] and config["isa"] in config["supported"]
    True
    """
    import sys

    import numpy as np

    from fastinit import _dispatch, _namesake

    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', not {mode!r}")
    config = {
        "version": __version__,
        "contract": CONTRACT,
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": np.__version__,
        **_dispatch.config(),
        "threads": get_num_threads(),
        "package": os.path.dirname(__file__),
    }
    _namesake.warn()
    if mode == "dicts":
        return config
    for name, value in config.items():
        print(f"{name:<10} {' '.join(value) if isinstance(value, list) else value}")
    return None

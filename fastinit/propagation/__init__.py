"""Signals and gradients in random networks: whether an initialisation keeps them, measured and predicted.

`propagate` is ``fastinit.propagate``, and ``fastinit propagate`` on the command line.
"""

from .report import Band, Report, Trace
from .running import propagate
from .verdicts import Verdict

__all__ = ["Band", "Report", "Trace", "Verdict", "propagate"]

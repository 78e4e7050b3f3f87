"""Initialisers: rules from the field for filling a weight, over this package's streams.

Each is there in three ways: ``kaiming_normal(shape, ...)`` returns an array, ``kaiming_normal_(tensor, ...)``
fills a NumPy array or a torch tensor in place with torch's name, argument order and defaults, and
``get("kaiming_normal")`` returns an `Initializer`. ``glorot_*`` and ``he_*`` are other names of ``xavier_*``
and ``kaiming_*``.

The functions' own parameters are documented with them; those that all share (`layout`, `in_axis`, `out_axis`,
`batch_axis`, `dtype`, `rng`, `out`, `block`) with `Initializer.__call__`.
"""

from . import schemes, structured
from .fans import calculate_gain, compute_fans
from .initializer import Initializer, get
from .plans import Plan
from .schemes import *  # noqa: F403
from .structured import *  # noqa: F403

__all__ = ["Initializer", "Plan", "calculate_gain", "compute_fans", "get"]
__all__ += schemes.__all__
__all__ += structured.__all__

# Pickled initialisers and documentation know it by its public name, which also fills the table on import.
get.__module__ = Initializer.__module__ = __name__

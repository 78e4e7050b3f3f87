"""Initialisers of weights.

Each has three forms: ``kaiming_normal(shape, ...)`` returns an array; ``kaiming_normal_(tensor, ...)`` fills
a NumPy array or torch tensor in place, with torch's name, argument order and defaults;
``get("kaiming_normal")`` returns an `Initializer`. ``glorot_*`` and ``he_*`` are aliases of ``xavier_*`` and
``kaiming_*``.

`Initializer.__call__` documents the parameters that all share: `layout`, `in_axis`, `out_axis`, `batch_axis`,
`dtype`, `rng`, `out` and `block`.
"""

from . import schemes, structured
from .fans import calculate_gain, compute_fans
from .initializer import Initializer, get
from .plans import Plan
from .recommendations import Recommendation, recommended
from .schemes import *  # noqa: F403
from .structured import *  # noqa: F403

__all__ = ["Initializer", "Plan", "Recommendation", "calculate_gain", "compute_fans", "get", "recommended"]
__all__ += schemes.__all__
__all__ += structured.__all__

# Pickles and documentation use the public name. Importing it fills the table.
get.__module__ = Initializer.__module__ = recommended.__module__ = Recommendation.__module__ = __name__

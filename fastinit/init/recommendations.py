"""Which initialiser fits an activation, why, and who says so."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from . import specs
from .checks import known
from .fans import calculate_gain
from .initializer import Initializer, get


class Recommendation(NamedTuple):
    """An initialiser that fits an activation.

    Attributes
    ----------
    activation : str
        The activation's name, as in ``fastinit.nn``.
    spec : str
        The initialiser, as `get` takes it.
    gain : float
        The factor on the standard deviation that `spec` has.
    keeps : str
        What it keeps from layer to layer, and what it doesn't.
    instead_of : str
        What goes wrong with the initialiser that is often taken.
    use : str
        Where it is typical.
    source : str
        The paper.
    """

    activation: str
    spec: str
    gain: float
    keeps: str
    instead_of: str
    use: str
    source: str

    @property
    def initializer(self) -> Initializer:
        """The initialiser itself."""
        return get(self.spec)


_GLOROT = "Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010"
_HE = "He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015"
_LECUN = (
    "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998;"
    " Klambauer, Unterthiner, Mayr and Hochreiter, Self-normalizing neural networks, 2017"
)
_HALF = "Xavier keeps 1/2 of the mean square in each layer"
_DERIVED = f"{_HE}: the same condition, with the mean square of this activation"


class _Row(NamedTuple):
    specs: tuple[str, ...]
    keeps: str
    instead_of: str
    use: str
    source: str


_XAVIER = ("xavier_uniform", "xavier_normal")
# The gain of He's comes from the nonlinearity in the spec; that of all others is 1.
_ROWS = {
    "linear": _Row(
        _XAVIER,
        "the variance of signals and of gradients, if fan_in = fan_out",
        "a fixed small std makes both vanish, a large one makes both explode",
        "output layers",
        _GLOROT,
    ),
    "sigmoid": _Row(
        _XAVIER,
        "the variance before the activation; a slope of at most 1/4 shrinks gradients all the same",
        "a larger std saturates the units",
        "few layers, gates, outputs",
        _GLOROT,
    ),
    "tanh": _Row(
        _XAVIER,
        "the variance of signals and of gradients while the units are near 0, where the slope is 1",
        "He doubles the variance, and the units saturate",
        "symmetric, saturating networks",
        _GLOROT,
    ),
    "relu": _Row(
        ("kaiming_normal(nonlinearity=relu)", "kaiming_uniform(nonlinearity=relu)"),
        "the mean square of signals (mode=fan_in) or the variance of gradients (mode=fan_out)",
        _HALF,
        "convolutional networks, ResNets",
        _HE,
    ),
    "leaky_relu": _Row(
        ("kaiming_normal(a={slope})", "kaiming_uniform(a={slope})"),
        "as for ReLU, by the slope; no unit dies, as a negative input keeps a small gradient",
        "Xavier keeps (1 + slope^2) / 2 of the mean square in each layer",
        "GANs and deep networks, in place of a ReLU whose units die",
        _HE,
    ),
    "selu": _Row(
        ("lecun_normal", "lecun_uniform"),
        "mean 0 and variance 1, to which SELU returns by itself",
        "He doubles the variance, and signals drift away from 1",
        "self-normalising networks",
        _LECUN,
    ),
    "gelu": _Row(
        ("kaiming_normal(nonlinearity=gelu)", "kaiming_uniform(nonlinearity=gelu)"),
        "the mean square of signals",
        "Xavier keeps less than 1/2 of the mean square in each layer",
        "transformers without normalisation",
        _DERIVED,
    ),
    "silu": _Row(
        ("kaiming_normal(nonlinearity=silu)", "kaiming_uniform(nonlinearity=silu)"),
        "the mean square of signals",
        "Xavier keeps less than 1/2 of the mean square in each layer",
        "transformers without normalisation",
        _DERIVED,
    ),
}
_ALIASES = {
    "leakyrelu": "leaky_relu",
    "identity": "linear",
    "none": "linear",
    "logistic": "sigmoid",
    "swish": "silu",
}


def activation_of(activation: Any) -> tuple[str, dict[str, Any]]:
    """Return an activation's name in fastinit and its arguments.

    Parameters
    ----------
    activation : str, callable or torch.nn.Module
        A name such as ``"relu"`` or ``"LeakyReLU"``, a spec such as ``"leaky_relu(0.1)"``, a
        function or class of torch or fastinit, or a module of torch with its slope.

    Examples
    --------
    >>> from fastinit import nn
    >>> activation_of("LeakyReLU(0.1)"), activation_of(nn.selu)
    (('leaky_relu', {'negative_slope': 0.1}), ('selu', {}))
    """
    if isinstance(activation, str):
        text = activation.strip()
        name, unnamed, arguments = (text, [], {}) if text.isidentifier() else specs.parse(text)
        if len(unnamed) > 1 or (unnamed and arguments):
            raise ValueError(f"activation {text!r:.300} has more than its slope")
        arguments |= dict(zip(["negative_slope"], unnamed, strict=False))
    elif isinstance(activation, functools.partial):
        name, arguments = activation.func.__name__, dict(activation.keywords)
    else:
        name = getattr(activation, "__name__", type(activation).__name__)
        slope = getattr(activation, "negative_slope", None)
        arguments = {} if slope is None else {"negative_slope": slope}
    lower = name.lower()
    return _ALIASES.get(lower, lower), arguments


def recommended(activation: Any) -> tuple[Recommendation, ...]:
    """Return the initialisers that fit an activation, the first choice first.

    Parameters
    ----------
    activation : str, callable or torch.nn.Module
        A name in fastinit's or torch's spelling, such as ``"relu"`` or ``"LeakyReLU"``; a spec such as
        ``"leaky_relu(negative_slope=0.1)"``; or the function, class or module itself.

    Returns
    -------
    tuple of Recommendation
        Each has the fields activation, spec, gain, keeps, instead_of, use and source.

    Raises
    ------
    ValueError
        The activation is unknown, or has other arguments than a slope.

    Examples
    --------
    >>> from fastinit import init
    >>> [each.spec for each in init.recommended("selu")]
    ['lecun_normal', 'lecun_uniform']
    >>> first, _ = init.recommended("LeakyReLU(negative_slope=0.1)")
    >>> first.spec, round(first.gain, 4)
    ('kaiming_normal(a=0.1)', 1.4072)
    >>> first.source
    'He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015'
    """
    name, arguments = activation_of(activation)
    known("activation", name, _ROWS)
    slope = arguments.pop("negative_slope", 0.01) if name == "leaky_relu" else None
    if arguments:
        raise ValueError(f"{name} has no argument {min(arguments)!r}")
    row = _ROWS[name]
    gain = 1.0 if row.source in (_GLOROT, _LECUN) else calculate_gain(name, slope)  # type: ignore[arg-type]
    return tuple(Recommendation(name, spec.format(slope=slope), gain, *row[1:]) for spec in row.specs)

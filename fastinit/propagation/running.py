"""`propagate`: run networks of every activation and initialiser over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastinit import get_num_threads, random
from fastinit import init as initialisers
from fastinit.checkpoint import BadInput

from . import activations, chains, theory, verdicts
from .chains import Layer
from .nets import QUANTITIES, Network
from .report import Report, Trace

#: What is tried if nothing is said.
ACTIVATIONS = "relu,leaky_relu,selu,tanh,sigmoid"
INITIALISERS = "xavier_normal,kaiming_normal,lecun_normal"
NORMS = ("none", "layer", "batch")

#: What helps against a sigmoid.
SIGMOID = "tanh, or fewer layers; a slope of at most 1/4 shrinks gradients, whatever the init"

# Places at which singular values are computed: a decomposition takes as long as the way there.
_DEPTHS = 10


def propagate(
    activation: Any = ACTIVATIONS,
    init: Any = INITIALISERS,
    *,
    depth: int = 50,
    width: int = 512,
    widths: Sequence[int] | None = None,
    model: Any = None,
    batch: int = 256,
    seeds: int = 8,
    seed: int = 0,
    residual: bool = False,
    norm: str = "none",
    directions: int = 128,
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Run random networks forward and backward, and say whether signals and gradients survive.

    A network is a chain of linear layers without biases, with the activation behind each. Its inputs, and the
    gradient at its output, are standard normal. All is done in float32.

    Parameters
    ----------
    activation : str, callable, torch.nn.Module, or a sequence of these
        relu, leaky_relu, selu, sigmoid, tanh or linear, in fastinit's or torch's spelling; several are
        separated by commas. ``"leaky_relu(negative_slope=0.1)"`` has an argument.
    init : str, Initializer, or a sequence of these
        As `fastinit.init.get` takes it; several are separated by commas. Each has its own default gain,
        whatever the activation: that of ``"kaiming_normal"`` is for ReLU. ``"he"``, ``"xavier"`` and
        ``"lecun"`` are those of the presets of rules. ``"recommended"`` is the first of
        `fastinit.init.recommended`, ``"own"`` is each layer's in `model`.
    depth, width : int
        The number of layers, and the units of each and of the input.
    widths : sequence of int, optional
        The input's width and each layer's, instead of `depth` and `width`.
    model : path, mapping or Recording, optional
        A list of tensors, as `fastinit.checkpoint.plan` takes it, instead of `widths`. The layers are the
        longest chain of its matrices whose fans match, in their order; `init` is ``"own"`` by default.
    batch : int
        The number of inputs; 2 or more.
    seeds : int
        The number of networks of each activation and initialiser.
    seed : int
        The seed of all. Network number i takes the streams of ``default_rng(seed).fold_in(f"seed {i}")``.
    residual : bool
        Add the input of a square layer to its output.
    norm : {"none", "layer", "batch"}
        Normalise before each activation.
    directions : int
        The columns of the input-output Jacobian whose singular values are computed: those of so many inputs.
        They are the Jacobian's own if it has no more columns.
    progress : callable, optional
        Called with the number of networks done and of all.

    Returns
    -------
    Report
        Its `traces`, one for each activation and initialiser, have what was measured, predicted, and the
        verdicts. ``save("report.html")`` writes a page.

    Raises
    ------
    BadInput
        An argument cannot be used. It is a ValueError.

    Notes
    -----
    The weights, inputs and gradients are the same on every machine. The sums of matrix products are not: BLAS
    adds in an order of its own, so digits may differ in float32's last places between machines.

    Examples
    --------
    >>> import fastinit
    >>> report = fastinit.propagate("tanh", "normal(std=0.02)", widths=[100] * 11, seeds=3)
    >>> [trace] = report.traces
    >>> trace.forward.word, round(trace.forward.factor, 1), round(trace.forward.predicted, 1)
    ('vanishes', 0.2, 0.2)
    >>> trace.backward.word, round(trace.backward.factor, 1)
    ('vanishes', 0.2)
    """
    chain = _chain(depth, width, widths, model)
    if init is INITIALISERS and model is not None:
        init = chains.OWN
    for name, count, least, most in (
        ("batch", batch, 2, 1 << 20),
        ("seeds", seeds, 1, 1 << 20),
        ("directions", directions, 0, 1 << 20),
    ):
        if not least <= count <= most:
            raise BadInput(f"{name} must be between {least} and {most}, not {count}")
    if norm not in NORMS:
        raise BadInput(f"unknown norm {norm!r}; known are {', '.join(NORMS)}")
    try:
        root = random.default_rng(seed)
    except (ValueError, TypeError) as error:
        raise BadInput(f"seed {seed!r}: {error}") from None
    networks = []
    for each in map(activations.get, listed(activation)):
        for spec in listed(init):
            made = chains.initializer_of(spec, each.spec, chain)
            label = chains.OWN if made is None else made.spec
            networks.append((label, Network(chain, each, made, norm, residual)))
    roots = [root.fold_in(f"seed {i}") for i in range(seeds)]
    depths = _depths(chain)
    traces, done = [], 0
    with _one_thread_for_blas(), ThreadPoolExecutor(min(get_num_threads(), seeds)) as pool:
        for label, network in networks:
            runs = []
            measure = partial(network.measure, batch=batch, directions=directions, depths=depths)
            for run in pool.map(measure, roots):
                runs.append(run)
                done += 1
                if progress is not None:
                    progress(done, len(networks) * seeds)
            traces.append(_trace(label, network, runs))
    settings = {
        "widths": list(traces[0].widths),
        **{"batch": batch, "seeds": seeds, "seed": seed, "residual": residual, "norm": norm},
        "directions": min(directions, chain[0].fan_in),
    }
    if model is not None:
        settings["layers"] = [layer.name for layer in chain]
    return Report(tuple(traces), settings)


def listed(given: Any) -> list[Any]:
    """Return the parts of a text between commas outside brackets, or the members of a sequence.

    Examples
    --------
    >>> listed("kaiming_normal(mode=fan_out, a=0.1), lecun_normal")
    ['kaiming_normal(mode=fan_out, a=0.1)', 'lecun_normal']
    """
    if not isinstance(given, str):
        return list(given) if isinstance(given, (list, tuple)) else [given]
    parts, depth = [""], 0
    for char in given:
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _one_thread_for_blas() -> AbstractContextManager[object]:
    """Context in which BLAS takes one thread, as each network has its own.

    Threads of both kinds wait for each other in turns: on a busy machine, they took 16 times as long. Without
    threadpoolctl, BLAS takes what its environment says, such as OPENBLAS_NUM_THREADS.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, "blas")  # type: ignore[no-any-return]


def _chain(depth: int, width: int, widths: Sequence[int] | None, model: Any) -> list[Layer]:
    if model is not None:
        if widths is not None:
            raise BadInput("widths and a model exclude each other")
        return chains.of_model(model)
    if widths is not None:
        return chains.of_widths(widths)
    if not 1 <= depth <= 10_000:
        raise BadInput(f"depth must be between 1 and 10000, not {depth}")
    return chains.of_widths([width] * (depth + 1))


def _depths(chain: Sequence[Layer]) -> list[int]:
    """Return the places whose Jacobian is decomposed, the first layer's and the last's among them."""
    return sorted({round(place) for place in np.geomspace(1, len(chain), _DEPTHS)})


def _trace(label: str, network: Network, runs: Sequence[dict[str, Any]]) -> Trace:
    trace = Trace(
        network.activation.spec,
        label,
        ("input", *(layer.name for layer in network.chain)),
        {name: np.stack([run[name] for run in runs]) for name in QUANTITIES},
        _predicted(network),
        tuple(_depths(network.chain)),
        np.stack([run["singular"] for run in runs]),
        widths=(network.chain[0].fan_in, *(layer.fan_out for layer in network.chain)),
    )
    return replace(trace, advice=_advice(network, trace))


def _predicted(network: Network) -> dict[str, Any]:
    """Return what theory says. It is of weights with mean 0 that don't depend on each other's places."""
    plans = [layer.plan(network.initializer) for layer in network.chain]
    if not all(plan.std and abs(plan.mean) < 1e-9 * plan.std for plan in plans):
        return {}
    return theory.predict(
        network.chain,
        [plan.std**2 for plan in plans],
        network.activation,
        norm=network.norm,
        residual=network.residual,
    )


def _advice(network: Network, trace: Trace) -> str:
    """Return the initialiser that theory finds stable where this one is not."""
    if all(each.word == verdicts.STABLE for each in trace.verdicts):
        return ""
    activation = network.activation
    for better in initialisers.recommended(activation.spec):
        predicted = _predicted(replace(network, initializer=better.initializer))
        signal = {name: values[None] for name, values in predicted.items()}
        both = verdicts.forward(signal, {}), verdicts.backward(signal, {}, trace.widths)
        if all(each.word == verdicts.STABLE for each in both):
            return f"{activation.spec}: {better.spec} keeps both"
    if activation.name == "sigmoid":
        return f"sigmoid: {SIGMOID}"
    return f"{activation.spec}: fewer layers, or a norm with a residual; no recommended init keeps both"

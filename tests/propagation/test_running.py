"""`fastinit.propagate`: the verdicts of the theory's pairs, streams, and bad arguments."""

import numpy as np
import pytest

import fastinit
from fastinit.checkpoint import BadInput
from fastinit.propagation import running

SMALL = {"depth": 4, "width": 16, "seeds": 2, "batch": 20}


def test_the_pairs_of_the_theory():
    """Xavier with ReLU halves the variance of each layer, He with SELU drifts, and so on."""
    report = fastinit.propagate(
        "relu,selu,tanh",
        "xavier_normal,kaiming_normal,lecun_normal",
        depth=40,
        width=128,
        seeds=3,
        directions=16,
    )
    words = {(each.activation, each.init): (each.forward.word, each.backward.word) for each in report.traces}
    assert words == {
        ("relu", "xavier_normal"): ("vanishes", "vanishes"),
        ("relu", "kaiming_normal"): ("stable", "stable"),
        ("relu", "lecun_normal"): ("vanishes", "vanishes"),
        ("selu", "xavier_normal"): ("stable", "stable"),
        ("selu", "kaiming_normal"): ("explodes", "explodes"),
        ("selu", "lecun_normal"): ("stable", "stable"),
        ("tanh", "xavier_normal"): ("stable", "stable"),
        ("tanh", "kaiming_normal"): ("stable", "stable"),
        ("tanh", "lecun_normal"): ("stable", "stable"),
    }
    advices = {each.init: each.advice for each in report.traces if each.activation == "relu"}
    assert advices["kaiming_normal"] == ""
    assert "kaiming_normal(nonlinearity=relu)" in advices["xavier_normal"]
    for each in report.traces:
        for verdict in each.verdicts:
            assert verdict.factor == pytest.approx(verdict.predicted, rel=0.02)


def test_the_mlp_of_the_theory():
    report = fastinit.propagate("relu", "recommended,xavier_uniform", widths=[784, 256, 10], seeds=4)
    assert [each.word for each in report.verdicts] == ["stable"] * 4
    he = report.traces[0]
    assert he.init == "kaiming_normal(nonlinearity=relu)"
    assert he.forward.factor == pytest.approx(1.0, abs=0.2)


def test_a_sigmoid_forgets_its_input():
    [trace] = fastinit.propagate("sigmoid", "xavier_normal", depth=20, width=64, seeds=2).traces
    assert (trace.forward.word, trace.forward.of, trace.backward.word) == ("vanishes", "spread", "vanishes")
    assert "tanh" in trace.advice


def test_a_trace_depends_on_nothing_beside_it():
    alone = fastinit.propagate("tanh", "lecun_normal", seed=5, **SMALL)
    before = fastinit.get_num_threads()
    fastinit.set_num_threads(2)
    try:
        beside = fastinit.propagate(
            "relu,tanh", ["xavier_normal", "lecun_normal"], seed=5, **{**SMALL, "seeds": 3}
        )
    finally:
        fastinit.set_num_threads(before)
    for name, values in alone.traces[0].measured.items():
        np.testing.assert_array_equal(values, beside.traces[3].measured[name][:2])
    other = fastinit.propagate("tanh", "lecun_normal", seed=6, **SMALL)
    assert (other.traces[0].measured["std"] != alone.traces[0].measured["std"]).all()


def test_theory_is_silent_if_it_doesnt_hold():
    for spec in ("uniform", "eye", "constant(value=0.1)", "zeros"):
        [trace] = fastinit.propagate("tanh", spec, **SMALL).traces
        assert trace.predicted == {}
        assert trace.forward.predicted is None


def test_a_models_layers():
    model = {"a.weight": {"dtype": "F32", "shape": [20, 30]}, "b.weight": {"dtype": "F32", "shape": [9, 20]}}
    with pytest.warns(UserWarning, match="no known family"):
        report = fastinit.propagate("relu", model=model, seeds=2)
    assert report.settings["layers"] == ["a.weight", "b.weight"]
    assert report.settings["widths"] == [30, 20, 9]
    assert report.traces[0].init == "own"
    assert report.traces[0].places == ("input", "a.weight", "b.weight")


def test_parts_of_a_text():
    assert running.listed("a, b(c=(1, 2), d=3),e[1,2]") == ["a", "b(c=(1, 2), d=3)", "e[1,2]"]


def test_progress():
    calls = []
    fastinit.propagate(
        "tanh", "lecun_normal,xavier_normal", progress=lambda *each: calls.append(each), **SMALL
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    "bad",
    [
        {"depth": 0},
        {"depth": 10**6},
        {"width": 1},
        {"widths": [3]},
        {"batch": 1},
        {"seeds": 0},
        {"seed": -1},
        {"seed": "x"},
        {"norm": "group"},
        {"directions": -1},
        {"activation": "nope"},
        {"init": ""},
        {"model": {}, "widths": [2, 2]},
    ],
    ids=str,
)
def test_bad_arguments(bad):
    with pytest.raises(BadInput):
        fastinit.propagate(**{**SMALL, **bad})

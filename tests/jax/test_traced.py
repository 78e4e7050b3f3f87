import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import fastinit.jax as fj
from fastinit import init
from fastinit.jax import traced

KEY = jax.random.key(7)
DTYPES = ["float16", "bfloat16", "float32", "float64"]
CASES = [
    (fj.he_normal(), (30, 21)),
    (fj.normal(1.0), ()),
    (fj.normal(1.0), (0, 3)),
    (fj.normal(1.0), (1 << 14,)),
    (fj.uniform(3.0), (1,)),
    (fj.glorot_uniform((0, 2), 3, 1), (4, 3, 2, 6)),
    (fj.truncated_normal(1.0, None, -1.0), (3, 5)),
    (fj.orthogonal(), (4, 6)),
    (fj.delta_orthogonal(), (3, 2, 4)),
]
by_case = pytest.mark.parametrize(("initializer", "shape"), CASES)


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@by_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_jit_gives_the_eager_bits(initializer, shape, dtype):
    eager = initializer(KEY, shape, dtype)
    for key in (KEY, jax.random.PRNGKey(7)):
        assert same(jax.jit(lambda key: initializer(key, shape, dtype))(key), eager)
        assert same(jax.jit(lambda key=key: initializer(key, shape, dtype))(), eager)


@by_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_vmap_gives_the_eager_bits(initializer, shape, dtype):
    def one(key):
        return initializer(key, shape, dtype)

    keys = jax.random.split(KEY, 6)
    eager = jnp.stack([one(key) for key in keys])
    for wrap in (lambda function: function, jax.jit):
        assert same(wrap(jax.vmap(one))(keys), eager)
        twice = wrap(jax.vmap(jax.vmap(one)))(keys.reshape(2, 3))
        assert same(twice.reshape(eager.shape), eager)
        behind = wrap(jax.vmap(lambda n, key: one(key), (0, None), -1))(jnp.arange(2), keys[0])
        assert same(behind[..., 1], eager[0])


@by_case
def test_eval_shape_fills_nothing(initializer, shape, monkeypatch):
    monkeypatch.setattr(init.Plan, "fill_all", None)
    for function, keys in [
        (lambda: initializer(KEY, shape), []),
        (lambda key: initializer(key, shape), [KEY]),
    ]:
        found = jax.eval_shape(function, *keys)
        assert (found.shape, found.dtype) == (shape, np.float64)


@pytest.mark.parametrize("name", ["threefry2x32", "rbg"])
def test_keys_of_other_sizes(name):
    key = jax.random.key(3, impl=name)
    assert same(jax.jit(lambda key: fj.normal()(key, (5,)))(key), fj.normal()(key, (5,)))


def test_each_instruction_set_makes_the_same(isa):
    law = fj.truncated_normal(1.0)
    assert same(
        jax.jit(lambda key: law(key, (999,)))(KEY), init.truncated_normal((999,), dtype="f8", rng=[0, 7])
    )


def test_on_the_cpu_no_program_calls_python():
    program = jax.jit(lambda key: fj.normal()(key, (9, 5))).lower(KEY)
    assert "fastinit_fill" in program.compile().as_text()
    assert "callback" not in program.compile().as_text()


def test_elsewhere_programs_call_the_host():
    program = jax.jit(lambda key: fj.normal()(key, (9, 5))).trace(KEY)
    with pytest.raises(ValueError, match="lowering platform cuda") as found:  # there is none here
        program.lower(lowering_platforms=("cuda",))
    assert "pure_callback_lowering" in [entry.name for entry in found.traceback]


def test_the_host_makes_the_same():
    plan = init.get("normal").plan((6, 5), dtype="bfloat16")
    words = jax.random.key_data(jax.random.split(KEY, 3))
    first = jnp.array([2]), jnp.array([1])
    found = jax.jit(lambda *operands: traced._by_host(plan, (3, 4), *operands))(words, *first)
    full = [plan_of_words(plan, each) for each in words]
    assert same(found, np.stack(full)[:, 2:5, 1:5])


def plan_of_words(plan, words):
    return init.get("normal")(plan.shape, dtype="bfloat16", rng=np.asarray(words).tolist())


def test_gradients_pass_by():
    def loss(w, key):
        return (fj.normal(1.0)(key, (3,)) * w).sum()

    expected = float(fj.normal(1.0)(KEY, (3,)).sum())
    assert float(jax.grad(loss)(2.0, KEY)) == pytest.approx(expected)
    assert float(jax.jit(jax.grad(loss))(2.0, KEY)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("result", "attributes", "message"),
    [
        (jax.ShapeDtypeStruct((3,), np.int32), {}, "no such dtype"),
        (jax.ShapeDtypeStruct((), np.float32), {}, "too few or too many axes"),
        (jax.ShapeDtypeStruct((3,), np.float32), {"distribution": np.array([99])}, "no such distribution"),
        (jax.ShapeDtypeStruct((3,), np.float32), {"distribution": 1}, "attributes are arrays"),
        (jax.ShapeDtypeStruct((3,), np.float32), {"parameters": np.zeros(3)}, "another number of parameters"),
        (
            jax.ShapeDtypeStruct((3,), np.float32),
            {"parameters": np.array([0, np.inf])},
            "parameters out of range",
        ),
        (jax.ShapeDtypeStruct((3,), np.float32), {"further": np.zeros(1)}, "the attributes are"),
    ],
)
def test_the_handler_refuses_what_it_cannot_make(result, attributes, message):
    given = {"distribution": np.array([0]), "parameters": np.array([0.0, 1.0]), "shape": np.array([3])}
    call = jax.ffi.ffi_call("fastinit_fill", result)
    with pytest.raises(jax.errors.JaxRuntimeError, match=re.escape(message)):
        jax.jit(lambda words: call(words, **(given | attributes)))(jnp.zeros(2, np.uint32))


@pytest.mark.parametrize(
    "operands", [(np.zeros((), np.uint32),), (np.zeros(2),), (np.zeros(2, np.uint32),) * 3]
)
def test_the_handler_refuses_other_operands(operands):
    call = jax.ffi.ffi_call("fastinit_fill", jax.ShapeDtypeStruct((3,), np.float32))
    given = {"distribution": np.array([0]), "parameters": np.array([0.0, 1.0]), "shape": np.array([3])}
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"words of seeds|one operand for each axis"):
        jax.jit(lambda *operands: call(*operands, **given))(*operands)

"""Run by test_keras.py: ``keras_program.py BACKEND`` checks fastinit.keras under one backend of Keras."""

import inspect
import os
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = sys.argv[1]
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import keras
import numpy as np
import one_digest
import pytest

import fastinit.keras as ours
from fastinit import init
from fastinit.random import default_rng

SCALED = {
    "GlorotUniform": (1.0, "fan_avg", "uniform"),
    "GlorotNormal": (1.0, "fan_avg", "truncated_normal"),
    "HeUniform": (2.0, "fan_in", "uniform"),
    "HeNormal": (2.0, "fan_in", "truncated_normal"),
    "LecunUniform": (1.0, "fan_in", "uniform"),
    "LecunNormal": (1.0, "fan_in", "truncated_normal"),
}
DTYPES = ["float32", "bfloat16", "float16"]


def stored(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def values_are_those_of_init():
    for name, (scale, mode, distribution) in SCALED.items():
        law = init.get("variance_scaling", scale=scale, mode=mode, distribution=distribution)
        for shape in ((30, 20), (3, 3, 4, 8), (5, 6, 7)):
            for dtype in DTYPES:
                made = getattr(ours, name)(seed=7)(shape, dtype=dtype)
                assert keras.backend.standardize_dtype(made.dtype) == dtype
                expected = law(shape, layout="io", dtype=dtype, rng=default_rng(7))
                assert (stored(made) == expected.astype(np.float32)).all()
    expected = init.normal((9,), mean=1, std=0.5, rng=default_rng(3))
    assert (stored(ours.RandomNormal(1, 0.5, 3)((9,))) == expected).all()
    expected = init.uniform((9, 2), low=-1, high=2, rng=default_rng(3))
    assert (stored(ours.RandomUniform(-1, 2, 3)((9, 2))) == expected).all()
    expected = default_rng(3).truncated_normal(-2, 2, 1, 0.5, 9, "f4")
    assert (stored(ours.TruncatedNormal(1, 0.5, 3)((9,))) == expected).all()
    matrix = stored(ours.Orthogonal(2.0, 3)((3, 3, 2, 8))).reshape(-1, 8)
    assert np.allclose(matrix.T @ matrix, 4 * np.eye(8), atol=1e-5)


def one_list_has_one_digest():
    def made(law, shape, dtype):
        values = getattr(ours, law)(seed=one_digest.SEED)(shape, dtype=dtype)
        return stored(values).astype(one_digest.by_init(law, (1, 1), dtype).dtype)

    assert one_digest.of_seed(made) == one_digest.SEEDED


def spreads_are_those_of_keras():
    """Of no axis and of one, too, and with axes of one's own."""
    for arguments in (
        {},
        {"distribution": "uniform"},
        {"mode": "fan_out", "distribution": "untruncated_normal"},
        {"mode": "fan_avg", "input_axes": [0, 2], "output_axes": [1]},
    ):
        for shape in ((), (50_000,), (300, 200), (5, 5, 40, 50)):
            if arguments.get("input_axes") and len(shape) < 3:
                continue
            one = ours.VarianceScaling(3.0, **arguments, seed=7)
            other = keras.initializers.VarianceScaling(3.0, **arguments, seed=7)
            if shape == ():
                mine, theirs = (
                    [stored(cls(seed=i)(())) for i in range(3000)] for cls in (type(one), type(other))
                )
                assert abs(np.std(mine) / np.std(theirs) - 1) < 0.1
                continue
            assert abs(stored(one(shape)).std() / stored(other(shape)).std() - 1) < 0.02


def seeds_are_keras():
    law = ours.HeNormal(seed=7)
    assert (stored(law((4, 5))) == stored(law((4, 5)))).all()
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        draws.append((stored(ours.HeNormal()((4, 5))), stored(ours.HeNormal()((4, 5)))))
    assert (draws[0][0] == draws[1][0]).all()
    assert (draws[0][1] == draws[1][1]).all()
    assert not (draws[0][0] == draws[0][1]).any()
    moving = ours.HeNormal(seed=keras.random.SeedGenerator(7))
    first, second = stored(moving((4, 5))), stored(moving((4, 5)))
    assert not (first == second).any()
    again = ours.HeNormal(seed=keras.random.SeedGenerator(7))
    assert (stored(again((4, 5))) == first).all()
    with pytest.raises(ValueError, match="seed"):
        ours.HeNormal(seed="7")
    with pytest.raises(ValueError, match="seed must be 0 or more, not -1"):
        ours.HeNormal(seed=-1)((4, 5))


def configs_clones_and_files_keep_them():
    for name in ours.__all__:
        assert inspect.signature(getattr(ours, name)) == inspect.signature(getattr(keras.initializers, name))
        one = getattr(ours, name)(seed=7)
        assert one.get_config() == getattr(keras.initializers, name)(seed=7).get_config()
        for copy in (type(one).from_config(one.get_config()), one.clone()):
            assert type(copy) is type(one)
            assert (stored(copy((4, 5))) == stored(one((4, 5)))).all()
        assert type(keras.initializers.get(f"fastinit>{name}")) is getattr(ours, name)
    layer = keras.layers.Dense(3, kernel_initializer=ours.HeNormal(seed=7))
    model = keras.Sequential([keras.layers.Input((4,)), layer])
    assert (stored(layer.kernel) == stored(ours.HeNormal(seed=7)((4, 3)))).all()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        again = keras.models.load_model(path)
    assert type(again.layers[0].kernel_initializer) is ours.HeNormal
    assert (stored(again.layers[0].kernel) == stored(layer.kernel)).all()
    assert type(keras.models.clone_model(model).layers[0].kernel_initializer) is ours.HeNormal


def other_dtypes_are_refused():
    with pytest.raises(TypeError, match="dtype must be one of"):
        ours.HeNormal(seed=7)((4, 5), dtype="int32")
    with pytest.raises(ValueError, match="two axes"):
        ours.Orthogonal(seed=7)((4,))


def devices_make_their_own_blocks():
    import jax

    devices = np.array(jax.devices())
    assert len(devices) == 8
    mesh = jax.sharding.Mesh(devices.reshape(2, 4), ("a", "b"))
    for spec in (("a", "b"), ("b", None), (None, "a"), (None, None), (("a", "b"), None)):
        layout = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))
        made = ours.HeNormal(seed=7)((16, 24), layout=layout)
        assert made.sharding == layout
        assert (stored(made) == stored(ours.HeNormal(seed=7)((16, 24)))).all()
    mesh = keras.distribution.DeviceMesh((8,), ["model"], keras.distribution.list_devices())
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*kernel"] = (None, "model")
    with keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="model").scope():
        layer = keras.layers.Dense(16, kernel_initializer=ours.HeNormal(seed=7))
        layer.build((None, 4))
    assert len(layer.kernel.value.sharding.device_set) == 8
    assert layer.kernel.value.addressable_shards[0].data.shape == (4, 2)
    assert (stored(layer.kernel) == stored(ours.HeNormal(seed=7)((4, 16)))).all()


def a_seed_generator_is_not_read_while_jax_traces():
    import jax

    moving = ours.HeNormal(seed=keras.random.SeedGenerator(7))

    def traced(state):
        with keras.StatelessScope([(moving.seed.state, state)]):
            return moving((4, 5))

    with pytest.raises(TypeError, match="traced function"):
        jax.jit(traced)(moving.seed.state.value)


CHECKS = [
    values_are_those_of_init,
    one_list_has_one_digest,
    spreads_are_those_of_keras,
    seeds_are_keras,
    configs_clones_and_files_keep_them,
    other_dtypes_are_refused,
]
ON_JAX = [devices_make_their_own_blocks, a_seed_generator_is_not_read_while_jax_traces]

if __name__ == "__main__":
    for check in CHECKS + (ON_JAX if sys.argv[1] == "jax" else []):
        check()
        print(check.__name__, flush=True)

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

import fastinit
import fastinit.jax as fj
from fastinit import init
from fastinit.jax import placing
from fastinit.random import default_rng


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 3), (), (1,), (1000, 3)])
def test_jax_takes_aligned_memory_without_a_copy(shape, dtype):
    with jax.enable_x64(True):
        values = placing.aligned(shape, np.dtype(dtype))
        assert (values.shape, values.dtype) == (shape, dtype)
        values[...] = 1
        array = jax.device_put(values)
        assert array.dtype == dtype
        assert not values.size or values.ctypes.data % 64 == 0
        assert not values.size or array.unsafe_buffer_pointer() == values.ctypes.data


def test_all_threads_fill(monkeypatch):
    parts = []
    share_out = fastinit._threads.run
    monkeypatch.setattr(
        fastinit._threads, "run", lambda job, pieces: (parts.extend(pieces), share_out(job, pieces))
    )
    before = fastinit.get_num_threads()
    fastinit.set_num_threads(3)
    try:
        plan = init.get("normal").plan((1 << 20,))
        array = placing.filled(plan, default_rng(7), None)
    finally:
        fastinit.set_num_threads(before)
    assert len(parts) == 3
    assert np.array_equal(array, init.normal((1 << 20,), rng=7))


def test_more_axes_than_the_shape_has_are_refused():
    sharding = NamedSharding(jax.make_mesh((1,), ("x",)), PartitionSpec(None, "x"))
    law = fj.normal()
    with pytest.raises(ValueError, match="more axes than the shape"):
        law(jax.random.key(7), (16,), out_sharding=sharding)
    with pytest.raises(ValueError, match="more axes than the shape"):
        jax.jit(lambda key: law(key, (16,), out_sharding=sharding))(jax.random.key(7))


def test_other_shardings_under_jit():
    sharding = SingleDeviceSharding(jax.devices()[0])
    law = fj.normal()
    made = jax.jit(lambda key: law(key, (13, 10), out_sharding=sharding))(jax.random.key(7))
    assert np.array_equal(made, law(jax.random.key(7), (13, 10)))

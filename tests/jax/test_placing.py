import jax
import numpy as np
import pytest

import fastinit
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

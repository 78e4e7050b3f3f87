"""The memory of arrays: every kind is filled and read alike, and a refusal changes nothing."""

import array

import ml_dtypes
import numpy as np
import pytest
import torch

from fastinit import init, nn
from fastinit.random import Generator, default_rng

FILLS = {
    "xavier_uniform_": lambda x: init.xavier_uniform_(x, generator=3),
    "trunc_normal_": lambda x: init.trunc_normal_(x, generator=3),
    "orthogonal_": lambda x: init.orthogonal_(x, generator=3),
    "sparse_": lambda x: init.sparse_(x, 0.5, generator=3),
    "constant_": lambda x: init.constant_(x, 0.5),
    "eye_": init.eye_,
}
#: Initialisers that take any shape, and those that take expanded memory.
TAKEN = {("constant_", why) for why in ("another dtype", "another rank", "expanded")}
TAKEN |= {("trunc_normal_", "another rank")}


class OnlyDlpack:
    """An array of another library that has only DLPack."""

    def __init__(self, memory):
        self.__dlpack__, self.__dlpack_device__ = memory.__dlpack__, memory.__dlpack_device__


def misaligned(shape):
    memory = np.zeros(4 * int(np.prod(shape)) + 1, np.uint8)
    return memory[1:].view(np.float32).reshape(shape)


def buffer(shape):
    return memoryview(array.array("f", [0.0] * int(np.prod(shape)))).cast("B").cast("f", shape)


def misaligned_tensor(shape):
    values = bytearray(4 * int(np.prod(shape)) + 1)
    return torch.frombuffer(values, dtype=torch.float32, offset=1).reshape(shape)


#: Makes memory of float32, and reads it.
HOLDERS = {
    "ndarray": (lambda shape: np.zeros(shape, np.float32), np.asarray),
    "Fortran": (lambda shape: np.zeros(shape, np.float32, order="F"), np.asarray),
    "strided": (lambda shape: np.zeros((*shape[:-1], 2 * shape[-1]), np.float32)[..., ::2], np.asarray),
    "misaligned": (misaligned, np.asarray),
    "misaligned tensor": (misaligned_tensor, lambda x: x.numpy()),
    "swapped": (lambda shape: np.zeros(shape, np.dtype(np.float32).newbyteorder()), np.asarray),
    "memmap": (lambda shape: np.zeros(shape, np.float32).view(np.memmap), np.asarray),
    "memoryview": (buffer, np.asarray),
    "DLPack": (lambda shape: OnlyDlpack(np.zeros(shape, np.float32)), lambda x: np.from_dlpack(x)),
    "tensor": (lambda shape: torch.zeros(shape), lambda x: x.numpy()),
    "transposed tensor": (lambda shape: torch.zeros(shape[::-1]).permute(1, 0), lambda x: x.numpy()),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_fill_takes_every_kind_of_memory(holder):
    make, read = HOLDERS[holder]
    expected = init.kaiming_normal((5, 7), rng=1)
    x = make((5, 7))
    assert init.kaiming_normal_(x, generator=1) is x
    assert read(x).astype(np.float32).tobytes() == expected.tobytes()


@pytest.mark.parametrize("holder", HOLDERS)
def test_an_output_and_an_operand_are_every_kind_of_memory(holder):
    make, read = HOLDERS[holder]
    x, out = make((5, 7)), make((5, 7))
    init.normal_(x, generator=2)
    assert nn.selu(x, out=out) is out
    assert read(out).astype(np.float32).tobytes() == nn.selu(init.normal((5, 7), rng=2)).tobytes()


DRAWS = {
    "random": (),
    "uniform": (-1, 2),
    "standard_normal": (),
    "normal": (1, 2),
    "truncated_normal": (-1, 2),
    "uniform of arrays": (np.arange(7.0), 9),
    "normal of arrays": (0, np.arange(7.0)),
    "truncated_normal of arrays": (-1, np.arange(7.0)),
}


def drawn(call, out):
    return getattr(default_rng(5), call.split()[0])(*DRAWS[call], dtype=out.dtype, out=out)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("call", DRAWS)
def test_a_generator_draws_into_misaligned_memory(call, dtype, order):
    if order == "F" and call not in ("random", "standard_normal"):
        return
    shape = (5, 7)[:: 1 if order == "C" else -1]
    out = np.zeros(35 * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype).reshape(shape)
    out = out if order == "C" else out.T
    assert not out.flags.aligned
    assert drawn(call, out) is out
    assert out.tobytes() == drawn(call, np.zeros((5, 7), dtype, order)).tobytes()


class Plain(np.ndarray):
    pass


def masked(memory, hard):
    mask = np.zeros(memory.shape, bool)
    mask[1, 2] = True
    return np.ma.array(memory, mask=mask, hard_mask=hard, copy=False)


SUBCLASSES = {
    "a subclass": lambda memory: memory.view(Plain),
    "matrix": lambda memory: memory.view(np.matrix),
    "recarray": lambda memory: memory.view(np.recarray),
    "memmap": lambda memory: memory.view(np.memmap),
    "masked": lambda memory: masked(memory, False),
    "hard mask": lambda memory: masked(memory, True),
}
WRITES = {call: lambda out, call=call: drawn(call, out) for call in DRAWS}
WRITES |= {
    "in place": lambda out: init.xavier_uniform_(out, generator=5),
    "sparse in place": lambda out: init.sparse_(out, 0.5, generator=5),
    "constant in place": lambda out: init.constant_(out, 0.5),
    "integers in place": lambda out: init.ones_(out),
    "out of init": lambda out: init.normal((5, 7), rng=5, dtype=out.dtype, out=out),
    "bernoulli": lambda out: init.get("bernoulli(p=0.5)")((5, 7), rng=5, dtype=out.dtype, out=out),
    "orthogonal": lambda out: init.orthogonal((5, 7), rng=5, dtype=out.dtype, out=out),
    "out of nn": lambda out: nn.sigmoid(np.linspace(-3, 3, 35, dtype="f4").reshape(5, 7), out=out),
}


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("subclass", SUBCLASSES)
@pytest.mark.parametrize("write", WRITES)
def test_a_subclass_of_ndarray_is_filled_as_its_memory(write, subclass, step):
    dtype = np.int32 if write == "integers in place" else np.float32
    memory, expected = (np.zeros((5, 7 * step), dtype)[:, ::step] for _ in range(2))
    out = SUBCLASSES[subclass](memory)
    assert np.shares_memory(out, memory)
    if step == 2 and write in DRAWS:
        with pytest.raises(ValueError, match="contiguous"):
            WRITES[write](out)
    else:
        assert WRITES[write](out) is out
        WRITES[write](expected)
    assert memory.tobytes() == expected.tobytes()
    if subclass in ("masked", "hard mask"):
        assert np.flatnonzero(np.ma.getmaskarray(out)).tolist() == [9]


@pytest.mark.parametrize("subclass", SUBCLASSES)
def test_a_subclass_of_ndarray_is_read_as_its_memory(subclass):
    memory = np.arange(35.0).reshape(5, 7)
    x = SUBCLASSES[subclass](memory)
    for call in (
        lambda x: default_rng(5).uniform(x, 99),
        lambda x: default_rng(5).normal(x, x),
        lambda x: default_rng(5).truncated_normal(-x, x + 1, x),
        nn.selu,
    ):
        assert type(call(x)) is np.ndarray
        assert call(x).tobytes() == call(memory).tobytes()
    memory[...] = 0
    memory[1, 2] = 100  # masked, if there is a mask
    with pytest.raises(ValueError, match="high - low < 0"):
        default_rng(5).uniform(x, 99)


def test_bfloat16_of_torch_and_of_numpy_have_the_same_bits():
    tensor, array = torch.zeros(5, 7, dtype=torch.bfloat16), np.zeros((5, 7), ml_dtypes.bfloat16)
    for x in (tensor, array):
        init.normal_(x, generator=4)
    assert tensor.view(torch.int16).numpy().tobytes() == array.tobytes()


REFUSED = {
    "another rank": lambda: torch.zeros(5),
    "another dtype": lambda: torch.zeros(4, 6, dtype=torch.complex64),
    "expanded": lambda: torch.zeros(4, 1).expand(4, 6),
    "another device": lambda: torch.zeros(4, 6, device="meta"),
    "another layout": lambda: torch.zeros(4, 6).to_sparse(),
}


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_fill_leaves_the_version_counter(name, why):
    x = REFUSED[why]()
    if (name, why) in TAKEN:
        FILLS[name](x)
        assert x._version == 1
        return
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        FILLS[name](x)
    assert x._version == 0


@pytest.mark.parametrize("generator", [object(), "seed", -1])
def test_a_refused_generator_leaves_the_version_counter(generator):
    x = torch.zeros(4, 6)
    with pytest.raises((TypeError, ValueError)):
        init.normal_(x, generator=generator)
    assert x._version == 0


def test_a_refused_constant_leaves_integers_as_they_were():
    x = torch.zeros(3, dtype=torch.int8)
    for value in (1000, float("nan"), float("inf")):
        with pytest.raises((ValueError, OverflowError)):
            init.constant_(x, value)
    assert x._version == 0
    assert not x.any()


def test_a_fill_is_seen_by_autograd():
    x = torch.ones(3, requires_grad=True)
    y = (x * x).sum()
    with torch.no_grad():
        init.normal_(x, generator=1)
    assert x._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_refused_output_leaves_the_version_counter_and_the_generator():
    x = torch.ones(3, 4)
    out = torch.zeros(3, 4)
    numpys = np.random.Generator(np.random.MT19937(1))
    with pytest.raises(TypeError, match="MT19937"):
        nn.alpha_dropout(x, 0.5, Generator(numpys.bit_generator), out=out)
    with pytest.raises(OverflowError):
        nn.leaky_relu(x, 1e300, out=out)
    rng = default_rng(1)
    before = rng.bit_generator.state
    with pytest.raises(ValueError, match="shape"):
        nn.alpha_dropout(x, 0.5, rng, out=torch.zeros(4, 3))
    assert rng.bit_generator.state == before
    assert out._version == 0
    nn.relu(x, out=out)
    assert out._version == 1


def test_nn_refuses_what_would_lose_a_gradient_and_init_does_not():
    x = torch.zeros(3, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match="requires grad"):
        nn.relu(x)
    with pytest.raises(RuntimeError, match="requires grad"):
        nn.relu(torch.zeros(3, 4), out=x)
    assert init.ones_(x).sum() == 12


@pytest.mark.parametrize("fill", [lambda x: nn.relu(np.ones((2, 3)), out=x), init.normal_])
def test_memory_that_elements_share_is_refused(fill):
    x = np.lib.stride_tricks.as_strided(np.zeros(3), (2, 3), (0, 8))
    with pytest.raises(ValueError, match=r"\(2, 3\) is expanded"):
        fill(x)
    assert not x.any()


def test_a_list_of_integers_is_float64():
    assert nn.relu([1, -2]).dtype == np.float64
    assert nn.relu([[1.5, -2]]).tolist() == [[1.5, 0.0]]
    with pytest.raises(TypeError, match="int64"):
        nn.relu(np.array([1, -2]))

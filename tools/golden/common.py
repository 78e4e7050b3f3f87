"""Numbers as the rows have them, and positions in the stream."""

import hashlib
import struct

import numpy as np

from fastinit import random
from fastinit._dtypes import DTYPES

BIT_GENERATORS = ["PCG64", "PCG64DXSM"]
TAGS = ["f16", "bf16", "f32", "f64"]
MODULUS = 1 << 128
MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645


def f64(number):
    """The bits of a float64."""
    return struct.pack(">d", number).hex()


def bits(values):
    """Hexadecimal digits of each value's bits."""
    values = np.ravel(np.asarray(values))
    return [f"{int(v):0{2 * values.itemsize}x}" for v in values.view(f"u{values.itemsize}")]


def digest(values):
    return hashlib.blake2b(values.astype(values.dtype.newbyteorder("<")), digest_size=16).hexdigest()


def place(rng):
    """A generator's place in the stream."""
    state = rng.bit_generator.state
    return {
        "state": f"{state['state']['state']:032x}",
        "inc": f"{state['state']['inc']:032x}",
        "has_uint32": state["has_uint32"],
        "uinteger": f"{state['uinteger']:08x}",
    }


def seeded(bit_generator="PCG64", seed=7):
    return random.Generator(getattr(random, bit_generator)(seed))


def empty(shape, tag, order="C"):
    """An array of a dtype's storage."""
    return np.empty(shape, DTYPES[tag].storage, order)


def numpy_dtype(tag):
    return DTYPES[tag].numpy

"""A model of all dtypes, and checkpoints that were damaged."""

import numpy as np

from fastinit.checkpoint import formats

# Each is larger than a piece, and no multiple of one.
SHAPE = (701, 1502)
MODEL = {
    **{f"{dtype}.weight": {"dtype": dtype, "shape": SHAPE} for dtype in ("F64", "F32", "F16", "BF16")},
    "I64.position_ids": {"dtype": "I64", "shape": SHAPE},
    "BOOL.attn.bias": {"dtype": "BOOL", "shape": [1, 1, 1100, 1100]},
    "scalar.num_batches_tracked": {"dtype": "I64", "shape": []},
    "empty.weight": {"dtype": "F32", "shape": [0, 3]},
}


def altered(path, target, changes):
    """Write a copy of a checkpoint with some elements changed."""
    data = bytearray(path.read_bytes())
    for tensor in formats.read(path)[0]:
        for index, value in changes.get(tensor.spec.name, {}).items():
            at = np.ravel_multi_index(index, tensor.spec.shape) * tensor.spec.storage.itemsize + tensor.offset
            data[at : at + tensor.spec.storage.itemsize] = value.tobytes()
    target.write_bytes(data)
    return target

"""docs/contract/checkpoints.md: a checkpoint's files and digests, from a list, rules and a seed."""

import base64
import fnmatch
import hashlib
import json
import math
import re
import zlib

import mpmath
import numpy as np

from . import initialisers, seeding
from .native import Position

KEYS = ["match", "init", "layout", "min_ndim", "max_ndim", "padding_idx", "same_as", "data"]
BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U8": 1, "BOOL": 1}


def compact(value, **how):
    return json.dumps(value, separators=(",", ":"), **how)


def blake(data):
    return hashlib.blake2b(data, digest_size=32)


def rule_of(rules, name, shape):
    """The first rule that matches."""
    for rule in rules:
        match = rule["match"]
        if not rule.get("min_ndim", 0) <= len(shape) <= rule.get("max_ndim", 64):
            continue
        if len(match) > 1 and match[0] == match[-1] == "/":
            found = re.search(match[1:-1], name)
        else:
            found = fnmatch.fnmatchcase(name, match)
        if found:
            return rule
    raise ValueError(name)


def stream_of(rule, name):
    """The name whose stream a tensor takes."""
    same = rule.get("same_as", name)
    return re.search(rule["match"][1:-1], name).expand(same) if "\\" in same else same


def label(rule, name):
    """The text of a rule in the recipe."""
    extras = [f"{key}={rule[key]}" for key in ("layout", "padding_idx") if key in rule]
    if "same_as" in rule:
        extras.append(f"same_as={stream_of(rule, name)}")
    if "data" in rule:
        digest = hashlib.blake2b(unpacked(rule["data"]).tobytes(), digest_size=8).hexdigest()
        extras.append(f"data={digest}")
    return " ".join([spelling(rule["init"]), *extras])


def is_buffer(init):
    return init in ("arange", "tril", "data") or init.startswith("inv_freq")


def spelling(init):
    return init if is_buffer(init) else initialisers.spelled(init)


def unpacked(data):
    """The elements of a table."""
    dtype, _, text = data.partition(":")
    kind = f"<{dtype[0].lower()}{BYTES[dtype]}"  # NumPy's b1 is a bool
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)


def recipe(tensors, rules, seed):
    """The digest of a recipe; tensors are (name, dtype, shape)."""
    rows = [[name, dtype, shape, label(rule_of(rules, name, shape), name)] for name, dtype, shape in tensors]
    whole = {"bit_generator": "PCG64", "contract": 1, "seed": seed, "tensors": sorted(rows)}
    return blake(compact(whole).encode()).hexdigest()


def data_of(native, tensor, rules, seed):
    """The bytes of a tensor."""
    name, dtype, shape = tensor
    rule = rule_of(rules, name, shape)
    size = math.prod(shape)
    if not size:
        return b""
    key = seeding.key_words(stream_of(rule, name))
    at = Position("PCG64", *seeding.seeded("PCG64", [seed], key))
    tag = initialisers.TAGS.get(dtype)
    if is_buffer(rule["init"]) or tag is None:
        out = buffer(rule, shape)
        out = rounded(out, tag) if tag else out.astype(f"<u{BYTES[dtype]}")
    else:
        out = initialisers.values(native, rule["init"], shape, tag, at, rule.get("layout", "oi"))
    if "padding_idx" in rule:
        out.reshape(shape)[rule["padding_idx"]] = 0
    return out.tobytes()


def rounded(values, tag):
    """The bits of float64 numbers, each rounded once."""
    bits = [initialisers.bits_of(float(value), tag) for value in values]
    return np.array(bits, f"<u{2 if 'f16' in tag else 4 if tag == 'f32' else 8}")


def buffer(rule, shape):
    """The elements of tables, and of integers and bools."""
    init, index = rule["init"], np.arange(math.prod(shape))
    if init == "data":
        return unpacked(rule["data"])
    if init == "arange":
        return index % shape[-1]
    if init == "tril":
        return index % shape[-1] <= index // shape[-1] % shape[-2]
    if init.startswith("inv_freq"):
        base, n = init[len("inv_freq(base=") : -1] or "10000", shape[-1]
        with mpmath.workdps(40):
            return np.array([float(mpmath.mpf(base) ** (-mpmath.mpf(int(i % n)) / n)) for i in index])
    name, arguments = initialisers.parsed(init)
    return np.full(index.shape, int(arguments.get("value", name == "ones")))


def digest_of(data):
    """The digest of a tensor's bytes."""
    pieces = (data[at : at + 2**20] for at in range(0, len(data), 2**20))
    return blake(b"".join(blake(piece).digest() for piece in pieces)).hexdigest()


def combined(tensors, data):
    rows = sorted([name, dtype, shape, digest_of(data[name])] for name, dtype, shape in tensors)
    return blake(compact(rows).encode()).hexdigest()


def metadata(tensors, rules, seed, version):
    used = [rule for rule in rules if any(rule_of(rules, name, shape) is rule for name, _, shape in tensors)]
    written = [
        {key: spelling(rule[key]) if key == "init" else rule[key] for key in KEYS if key in rule}
        for rule in used
    ]
    return {
        "format": "pt",
        "fastinit.version": version,
        "fastinit.contract": "1",
        "fastinit.seed": str(seed),
        "fastinit.bit_generator": "PCG64",
        "fastinit.rules": compact(written, ensure_ascii=False),
        "fastinit.recipe": recipe(tensors, rules, seed),
    }


def length(tensor):
    _, dtype, shape = tensor
    return math.prod(shape) * BYTES[dtype]


def header(tensors, meta):
    """The first bytes of a file, and the tensors in the order of their data."""
    ordered = sorted(tensors, key=lambda tensor: -BYTES[tensor[1]])
    entries, begin = {"__metadata__": meta}, 0
    for tensor in ordered:
        name, dtype, shape = tensor
        end = begin + length(tensor)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = compact(entries, ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text, ordered


def shards(tensors, stem, most):
    """The tensors of each file, by its name."""
    groups, held = [[]], 0
    for tensor in tensors:
        if groups[-1] and held + length(tensor) > most:
            groups.append([])
            held = 0
        groups[-1].append(tensor)
        held += length(tensor)
    if len(groups) == 1:
        return {f"{stem}.safetensors": groups[0]}
    total = len(groups)
    return {f"{stem}-{i:05}-of-{total:05}.safetensors": group for i, group in enumerate(groups, 1)}


def files(native, tensors, rules, seed, version, stem="model", most=5 * 10**9):
    """The bytes of each file of a checkpoint, by name, and the digest of the data."""
    meta = metadata(tensors, rules, seed, version)
    data = {tensor[0]: data_of(native, tensor, rules, seed) for tensor in tensors}
    out, where = {}, {}
    for file, group in shards(tensors, stem, most).items():
        first, ordered = header(group, meta)
        out[file] = first + b"".join(data[name] for name, _, _ in ordered)
        where |= {name: file for name, _, _ in group}
    if len(out) > 1:
        index = {
            "metadata": {"total_size": sum(map(length, tensors))},
            "weight_map": {name: where[name] for name, _, _ in tensors},
        }
        out[f"{stem}.safetensors.index.json"] = (
            json.dumps(index, ensure_ascii=False, indent=2) + "\n"
        ).encode()
    return out, combined(tensors, data)

"""``hostile.py KIND COUNT [SEED]`` gives the command COUNT inputs of a kind that strangers might; see KINDS.

Each must end within five seconds of CPU time and 500 MB, without a traceback, and an error in one line of
bounded length with status 2. The inputs are made of tokens, as most of those that did harm were; a seed
repeats them. None is a model of a library, whose import takes more memory.
"""

import contextlib
import io
import json
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time

from fastinit.cli import main

SECONDS, MEMORY, LONGEST = 5, 500 << 20, 1200
WAIT = 60  # seconds on a clock, of what waits for what never comes

NUMBERS = [
    0, 1, -1, 2, 3, 64, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**12, 10**18, 10**30, 0.5,
    -0.0, 1e308, True, None,
]  # fmt: skip
STRINGS = [
    "", "a", "a.weight", "a.bias", "layers.0.w", "model.layers.11.mlp.down_proj.weight", "F32", "BF16",
    "F64", "F4", "I64", "BOOL", "C64", "F8_E4M3", "float32", "\0", "\x1b[31m", "\ud800", "\n", "é" * 90,
    "x" * 5000, "../x", "/", "/dev/zero", ".", "*", "**", "[", "[!a]", "{", "}", "{layers}",
    "__metadata__", "a" * 60 + "!", "zeros", "normal(std=0.02)", "9" * 5000, "-", "--", "@", "%s",
    "$HOME", "a\tb", "\u202e",
]  # fmt: skip
REGEX = [
    "a", "b", ".", "\\.", "\\d", "\\w", "[ab]", "[^a]", "(", ")", "(?:", "(?P<x>", "(?=", "(?!", "(?>",
    "|", "*", "+", "?", "*?", "++", "{2}", "{2,}", "{0,99}", "{99999999999}", "^", "$", "\\1", "(?P=x)",
    "(?i)", "\\b", "(a+)+", "a?",
]  # fmt: skip
SPEC = [
    "normal", "uniform", "truncated_normal", "zeros", "constant", "he", "xavier_uniform", "orthogonal",
    "sparse", "kaiming_normal", "inv_freq", "arange", "tril", "data", "(", ")", ",", "=", "std", "mean",
    "low", "high", "gain", "value", "mode", "fan_in", "fan_out", "base", "{", "}", "layers", "sqrt", "+",
    "-", "*", "/", "**", "1", "0", "0.02", "1e999", "-inf", "nan", "1if", "0x10", "1_0", "9" * 400,
    "lambda:0", "__import__", "'", '"', "#", ":=", "[", "]", "not ", " if ", " else ", "...", "\\", "\n",
    "(" * 150, "-" * 400, "1+" * 600,
]  # fmt: skip
TOML = [
    "[[rule]]\n", "[rule]\n", "[config]\n", "[tied]\n", "match = ", "init = ", "layout = ", "then = ",
    "same_as = ", "view = ", "parts = ", "axis = ", "data = ", "min_ndim = ", "max_ndim = ",
    "padding_idx = ", "extends = ", "family = ", "sizes = ", "without = ", "\n", '"', "'", "[", "]", "{",
    "}", "=", ",", "'*'", '"io"', "'gpt2'", "'zeros'", "'normal(std=0.02)'", "['* 0.5']",
    "['[0] = zeros']", "'(4, 8)[:2]'", "'F32:eJw='", "1", "-1", "9" * 5000, "1e400", "nan", "inf",
    "true", "1979-05-27", "[" * 3000, "\\u0000", "#", "\x00",
]  # fmt: skip
INSPECT = [[], ["--json"], ["--no-histograms"], ["--init", "he"], ["model.safetensors"], ["-o", "x.html"]]
WORDS = [
    "generate", "verify", "inspect", "rules", "info", "help", "completion", "model.json",
    "model.safetensors", "-o", "out", "--seed", "--init", "--dtype", "--only", "--threads",
    "--max-shard-size", "--dry-run", "--json", "--quiet", "--resume", "--digest", "--arg", "--rank",
    "--world", "auto", "gpt2", "0", "-1", "99999999", "1e9", "BF16", "*", "bash", "", "--", "-",
    "--seed=", "--init=", "--nonsense", "models", "llama-7b",
]  # fmt: skip


def text(pick, tokens, most):
    return "".join(pick.choice(tokens) for _ in range(pick.randint(1, most)))


def value(pick, depth=0):
    kind = pick.random()
    if depth < 3 and kind < 0.15:
        return [value(pick, depth + 1) for _ in range(pick.choice([0, 1, 2, 3, 70]))]
    if depth < 3 and kind < 0.25:
        return {pick.choice(STRINGS): value(pick, depth + 1) for _ in range(pick.randint(0, 3))}
    return pick.choice(NUMBERS if kind < 0.6 else STRINGS)


def shape(pick):
    return (
        value(pick) if pick.random() < 0.2 else [pick.choice(NUMBERS[:-2]) for _ in range(pick.randint(0, 4))]
    )


def entry(pick, offsets):
    made = {"dtype": pick.choice(STRINGS[5:16]), "shape": shape(pick)}
    if offsets and pick.random() < 0.9:
        made["data_offsets"] = pick.choice([[0, 4], [0, 0], [4, 0], [0, 2**63], value(pick)])
    if pick.random() < 0.1:
        made[pick.choice(STRINGS)] = value(pick)
    return value(pick) if pick.random() < 0.05 else made


def rule(pick):
    match = pick.choice(["*", "/" + text(pick, REGEX, 12) + "/", text(pick, STRINGS, 2)])
    made = {"match": match, "init": text(pick, SPEC, 8) if pick.random() < 0.6 else "normal(std=0.02)"}
    for key in ("layout", "min_ndim", "then", "same_as", "view", "parts", "axis", "data", "padding_idx", "x"):
        if pick.random() < 0.1:
            made[key] = value(pick)
    return made


def dumps(made):
    return json.dumps(made).encode()


def header(pick):
    entries = {pick.choice(STRINGS): entry(pick, offsets=True) for _ in range(pick.randint(0, 3))}
    if pick.random() < 0.7:
        metadata = {pick.choice(STRINGS): pick.choice(STRINGS) for _ in range(pick.randint(0, 2))}
        metadata["fastinit.seed"] = pick.choice(["0", "7", "-1", "9" * 5000, "x", "1e9", "\u0663"])
        rules = [rule(pick) for _ in range(pick.randint(0, 3))]
        metadata["fastinit.rules"] = json.dumps(rules if pick.random() < 0.9 else value(pick))
        entries["__metadata__"] = metadata if pick.random() < 0.95 else value(pick)
    data = dumps(entries)
    length = len(data) if pick.random() < 0.95 else pick.choice([0, 1, 2**63, len(data) + 1, 10**8])
    write("model.safetensors", struct.pack("<Q", length) + data + b"1234"[: pick.choice([0, 4, 4, 4])])
    verb = pick.choice(
        [["inspect", *pick.choice(INSPECT)], ["verify"], ["generate", "-o", "out", "--dry-run"]]
    )
    return [*verb, "model.safetensors"]


def index(pick):
    files = [*STRINGS, "model-00001-of-00002.safetensors", "model.safetensors"]
    weights = {pick.choice(STRINGS): pick.choice(files) for _ in range(pick.randint(0, 4))}
    made = {"metadata": value(pick), "weight_map": weights if pick.random() < 0.9 else value(pick)}
    write("model.safetensors.index.json", dumps(made if pick.random() < 0.95 else value(pick)))
    return [pick.choice(["inspect", "verify"]), "model.safetensors.index.json"]


def manifest(pick):
    made = {pick.choice(STRINGS): entry(pick, offsets=False) for _ in range(pick.randint(0, 4))}
    data = dumps(made if pick.random() < 0.9 else value(pick))
    if pick.random() < 0.2:
        at = pick.randrange(len(data) + 1)
        data = data[:at] + pick.choice([b"[" * 2000, b'{"a":' * 2000, b"\xff", b"\0", b"]", b'"']) + data[at:]
    write("model.json", data)
    return [
        "generate",
        "model.json",
        "-o",
        "out",
        "--dry-run",
        "--init",
        pick.choice(["auto", "dummy", "he"]),
    ]


def toml(pick):
    write_model(pick)
    if pick.random() < 0.5:
        rules = "".join(
            "[[rule]]\n" + "".join(f"{key} = {json.dumps(each)}\n" for key, each in rule(pick).items())
            for _ in range(pick.randint(1, 3))
        )
        write("rules.toml", rules.encode("utf-8", "surrogatepass"))
    else:
        write("rules.toml", text(pick, TOML, 20).encode())
    return ["generate", "model.json", "-o", "out", "--dry-run", "--init", "rules.toml"]


def spec(pick):
    write_model(pick)
    return ["generate", "model.json", "-o", "out", "--dry-run", f"--init={text(pick, SPEC, 10)}"]


def size(pick):
    write_model(pick)
    tokens = [
        "1",
        "0",
        "9" * 400,
        ".",
        "-",
        "+",
        "e9",
        "k",
        "KB",
        "MiB",
        "GB",
        " ",
        "inf",
        "nan",
        "_",
        "\u0663",
        "T",
    ]
    option = pick.choice(["--max-shard-size", "--seed", "--threads", "--dtype"])
    return [
        "generate",
        "model.json",
        "-o",
        "out",
        "--dry-run",
        "--init=he",
        f"{option}={text(pick, tokens, 4)}",
    ]


def command(pick):
    write_model(pick)
    words = [pick.choice(WORDS if pick.random() < 0.8 else STRINGS) for _ in range(pick.randint(0, 6))]
    return [word for word in words if not {"\0", "\ud800"} & {*word}]  # no argument of a process has these


KINDS = [header, index, manifest, toml, spec, size, command]


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


def write_model(pick):
    write("model.json", dumps({"a.weight": {"dtype": "F32", "shape": [3, pick.choice([0, 4, 10**12])]}}))


class Late(BaseException):
    """The time is over. The command has an answer to each Exception."""


def late(number, _):
    raise Late(f"more than {WAIT if number == signal.SIGALRM else SECONDS} s")


@contextlib.contextmanager
def limited():
    """Context that ends after SECONDS of CPU time, or WAIT."""
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, late)
    signal.alarm(WAIT)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def problem(argv):
    """What is wrong with how the command ends, or an empty string."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with limited(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(argv)
    except SystemExit as error:
        status = error.code
    except BaseException as error:
        return f"{type(error).__name__}: {error!s:.300}"
    said = err.getvalue()
    first = said.partition("\n")[0]
    if status not in (0, 2) and (status, argv[:1], said) != (1, ["verify"], ""):  # it found a difference
        return f"status {status}: {said[:300]}"
    if not said.replace("\n", "").isprintable():
        return f"not printable: {said[:300]!r}"
    if status == 2 and not first.startswith(("fastinit: ", "usage: ")):
        return f"another line: {first[:300]}"
    longest = max(map(len, said.split("\n")))
    return f"{longest} characters in a line" if longest > LONGEST else ""


def check(kind, count, seed):
    """Return what went wrong."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    found = []
    for number in range(count):
        argv = kind(random.Random(f"{kind.__name__} {seed} {number}"))
        if said := problem(argv):
            found.append(f"{kind.__name__} {seed} {number}: {argv!r:.200}: {said}")
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return found


if __name__ == "__main__":
    kinds = [kind for kind in KINDS if sys.argv[1] in (kind.__name__, "all")]
    count, seed = int(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for kind in kinds:
            began = time.perf_counter()
            found = check(kind, count, seed)
            print(*found[:20], sep="\n", end="\n" if found else "")
            print(
                f"{kind.__name__}: {count} inputs, {len(found)} wrong, {time.perf_counter() - began:.0f} s",
                flush=True,
            )
            if found:
                sys.exit(1)

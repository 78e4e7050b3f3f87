"""Mutants of the Python and Cython modules."""

from __future__ import annotations

from . import Mutant


def _of(file: str, tests: str, *changes: tuple[str, str] | tuple[str, str, str]) -> list[Mutant]:
    return [Mutant(f"fastinit/{file}", before, after, tests, *same) for before, after, *same in changes]


VECTORS = "tests/test_vectors.py -k gives_the_file_again"
LAWS = [
    *_of(
        "_distributions.py",
        "tests/test_truncation.py",
        ("_CUT_STD = 0.87962566103423978", "_CUT_STD = 0.8796256610342399"),  # the next float64
    ),
    *_of(
        "_distributions.py",
        VECTORS,
        ("math.sqrt(3.0 * scale / fan)", "math.sqrt(3.0) * math.sqrt(scale / fan)"),
    ),
    *_of(
        "_truncation.py",
        "tests/test_truncation.py",
        ("range(-106, 107)", "range(-60, 61)"),
        ("reach = 100 /", "reach = 8 /"),
    ),
]
SCHEMES = [
    *_of(
        "init/plans.py",
        "tests/init/test_plans.py -k sparse_is_its or equal_words or dirac or delta",
        ("words.astype(np.uint64) << np.uint64(32) | rows", "words.astype(np.uint64) << np.uint64(32)"),
        ("math.ceil(sparsity * rows)", "round(sparsity * rows)"),
        ("least: Array = keys <= ", "least: Array = keys < "),
        ("size // 2) for size", "(size - 1) // 2) for size"),
        ("outputs % max(self._period, 1)", "outputs"),
    ),
    *_of(
        "init/schemes.py",
        "tests/init/test_schemes.py",
        ("(fan_in + fan_out) / 2", "(fan_in + fan_out) // 2"),
        ("math.sqrt(fan_in * fan_out)", "math.sqrt(fan_in) * math.sqrt(fan_out)"),
        ("std /= cut_std(low, high)", "std *= cut_std(low, high)"),
        ("mean + std * low < a", "mean + std * low < a - 1e-9"),
        ("_FAR = 512.0", "_FAR = 8.0"),
    ),
    *_of(
        "init/fans.py",
        "tests/init/test_fans.py",
        ("inputs // groups * kernel, outputs * kernel", "inputs * kernel, outputs * kernel"),
        ("outputs // groups * kernel", "outputs * kernel"),
        ('"selu": 9.0 / 16.0', '"selu": 1.0'),
        ("2.3517156140733729", "2.3517156140733733"),
        ("2.8107611240744711", "2.8107611240744715"),
        ("len(set(named)) < len(named)", "False"),
    ),
    *_of("init/seeds.py", "tests/init/test_seeds.py", ("0, 2**63 - 1, ()", "0, 2**31 - 1, ()")),
]
RANDOM = [
    *_of(
        "random.py",
        "tests/test_random.py tests/test_third_party.py",
        ("_numpy.default_rng = _open[-1]", "_numpy.default_rng = _open[0]"),
        ("seed if isinstance(seed, Generator) else default_rng", "default_rng"),
    ),
    *_of(
        "_sampling.pyx",
        "tests/test_sampling.py tests/test_arrays.py",
        (
            "data_of(out, FI_F32, n)\n    read_position",
            "data_of(out, FI_F32, n)\n    start += 1\n    read_position",
        ),
        (
            "width, step = len(ranges[outer]), ranges[outer].step * strides[outer]",
            "width, step = len(ranges[outer]), ranges[outer].step",
        ),
        ("at + min(last, 0),", "at,"),
    ),
    *_of(
        "_seeding.pyx",
        "tests/test_seeding.py",
        ("while 0 <= n < FI_POOL:", "while 0 <= n < FI_POOL - 1:"),
        ("if value <= 0xffffffff:", "if value < 0xffffffff:"),
    ),
    *_of("_tables.pyx", "tests/test_tables.py", ("exact.append(kind)", "exact.append(None)")),
]
FAULTS = "tests/checkpoint/test_faults.py -k loses_what_is_good"
FILES = [
    *_of(
        "checkpoint/writer.py",
        FAULTS,
        ("            os.fsync(self._fd)\n", ""),
        ("    try:\n        os.fsync(fd)\n", "    try:\n        pass\n"),
        (
            "            self._part = None\n            sync_folder(self.folder)\n",
            "            self._part = None\n",
        ),
        ("        sync_folder(self.folder)\n        if any(", "        if any("),
        ("self._made = True\n            sync_folder(self.folder.parent)", "self._made = True"),
        ("if len(self._waiting) <= 1:", "if len(self._waiting) == 0:"),
        ("                self._remove(indexes)\n", "                pass\n"),
        (
            "with held():\n            self._replace",
            "with contextlib.nullcontext():\n            self._replace",
        ),
        ("for part, _ in () if self._replacing else self._waiting", "for part, _ in self._waiting"),
        ("        self._remove([path for path in old if path.name not in content])\n", ""),
        ("                self._lockfile.unlink()\n", "                pass\n"),
    ),
    *_of(
        "checkpoint/writer.py",
        "tests/checkpoint/test_writer.py",
        ("os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flag", "os.O_RDWR | os.O_CREAT | flag"),
        ("os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666", "os.O_RDWR | os.O_CREAT, 0o666"),
        ("self._open(os.O_TRUNC)", "self._open(0)"),
        ("self._open(os.O_EXCL)", "self._open(0)"),
        ("if os.path.samestat(os.fstat(fd), os.lstat(self._lockfile)):", "if True:"),
    ),
    *_of(
        "checkpoint/generation.py",
        FAULTS,
        ("output.wait if force and old else output.finish", "output.finish"),
        ("if output.waits or not (resume and ranks.is_text(folder / file, data)):", "if True:"),
    ),
    *_of(
        "checkpoint/existing.py",
        "tests/checkpoint/test_generation_failures.py",
        ("needed <= free:", "needed < 2 * free:"),
        ("there = {path.name for path in old} if resume else ()", "there = ()"),
        ("each.startswith(found[: len(each)])", "True"),
    ),
    *_of(
        "checkpoint/patterns.py",
        "tests/checkpoint/test_patterns.py",
        ("MOST = 1 << 26", "MOST = 1 << 36"),
        ("name.find(part, at, end)", "name.find(part, at)"),
        ("if end < len(first) or not", "if not"),
        ("self._by_end.get(name[-length:], ())", "()"),
    ),
]
CHECKPOINTS = [
    *_of(
        "checkpoint/writer.py",
        "tests/checkpoint/test_generation.py tests/checkpoint/test_generation_failures.py",
        ("rest = rest[written:]", "rest = rest[len(rest):]"),
    ),
    *_of(
        "checkpoint/recipe.py",
        "tests/test_vectors.py tests/checkpoint/test_recipe.py",
        ("for start in sorted(pieces)", "for start in pieces"),
        ("specs = sorted(specs, key=lambda spec: spec.name)", "specs = list(specs)"),
        ('"seed": self.seed}', '"seed": 0}'),
    ),
    *_of(
        "checkpoint/storage.py",
        " ".join(f"tests/checkpoint/test_{name}.py" for name in ("storage", "buffers", "generation")),
        ("np.signbit(values) == np.signbit(value)", "True"),
        ("least <= value <= most and value == int(value)", "least <= value <= most"),
        ("np.arange(-127, 128)", "np.arange(-128, 127)"),
    ),
    *_of(
        "checkpoint/matching.py",
        "tests/checkpoint/test_matching.py tests/checkpoint/test_rules.py",
        ("rule.min_ndim <= len(spec.shape) <= rule.max_ndim", "rule.min_ndim <= len(spec.shape)"),
        ("return max(numbers) + 1", "return max(numbers)"),
        ("len(weight.shape) < 2", "len(weight.shape) < 3"),
    ),
    *_of(
        "checkpoint/pieces.py",
        "tests/checkpoint/test_pieces.py",
        ("min(start + step, words)", "start + step"),
    ),
]
MUTANTS = [*LAWS, *SCHEMES, *RANDOM, *FILES, *CHECKPOINTS]

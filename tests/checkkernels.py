"""Each kernel of each instruction set of this CPU, checked against the baseline's and timed in the same call.

It builds tests/c/checkkernels.c with gcc and prints a table. It needs no package but Python's own.
"""

import argparse
import ast
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
HARNESS = ROOT / "tests" / "c"


def setup_flags(*names):
    """Return setup.py's flags for the core, read from its text, as importing it would run it."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return [ast.literal_eval(values[name]) for name in names]


FLAGS, SAFE_MATH, ISA_FLAGS = setup_flags("FLAGS", "SAFE_MATH", "ISA_FLAGS")


def run(*command, **kwargs):
    """Return a command's output. Raise an AssertionError with the end of it if the command fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def build(folder, programs, compiler="gcc", extra=()):
    """Build the harness's programs in the folder, with setup.py's flags and these."""
    common = [*FLAGS, "-Wall", "-Wextra", "-Werror", *SAFE_MATH, *extra]
    x86 = run(compiler, "-dumpmachine").startswith("x86_64")

    def compile_one(source):
        isa = ISA_FLAGS.get(source.stem, []) if x86 else []
        run(compiler, *isa, *common, "-c", source, "-o", folder / f"{source.stem}.o")
        return folder / f"{source.stem}.o"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sorted((ROOT / "src_c").glob("*.c"))))
    for program in programs:
        source, options = HARNESS / f"{program}.c", ["-D_GNU_SOURCE", "-I", ROOT / "src_c"]
        run(compiler, *common, *options, source, *objects, "-lm", "-o", folder / program)


def table(output):
    """Lines of kernel, instruction set, nanoseconds a value, and how many times the baseline's speed.

    >>> print(*table("relu_f32   baseline  1.500 ns/value\\nrelu_f32   avx2   0.500 ns/value"), sep="\\n")
    kernel                              ISA            ns/value   to baseline
    relu_f32                            baseline          1.500         1.00x
    relu_f32                            avx2              0.500         3.00x
    """
    times = {}
    for line in output.splitlines():
        if line.endswith(" ns/value"):
            kernel, isa, nanoseconds, _ = line.split()
            times.setdefault(kernel, {})[isa] = float(nanoseconds)
    yield f"{'kernel':<35} {'ISA':<12} {'ns/value':>10} {'to baseline':>13}"
    for kernel, by_isa in times.items():
        for isa, nanoseconds in by_isa.items():
            ratio = f"{by_isa['baseline'] / nanoseconds:.2f}x" if "baseline" in by_isa else ""
            yield f"{kernel:<35} {isa:<12} {nanoseconds:>10.3f} {ratio:>13}".rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pattern", nargs="?", default="*", help="of the kernels, as in a shell: 'normal_*'")
    parser.add_argument("--isa", help="only this one, and the baseline")
    parser.add_argument("--rounds", default="20", help="calls of each kernel (default: 20)")
    options = parser.parse_args()
    arguments = ["--bench", "--rounds", options.rounds, "--kernel", options.pattern]
    arguments += ["--isa", options.isa] if options.isa else []
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), ["checkkernels"])
        done = subprocess.run([Path(folder) / "checkkernels", *arguments], stdout=subprocess.PIPE, text=True)
    print("".join(line for line in done.stdout.splitlines(True) if not line.endswith(" ns/value\n")), end="")
    if done.returncode == 0:
        print(*table(done.stdout), sep="\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

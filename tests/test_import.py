"""Imports go one way: cli -> checkpoint -> init -> random -> Cython -> C."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the lowest; a module imports from its own layer and earlier ones. A package stands for what it holds.
LAYERS = [
    {
        "fastinit._kernels",
        "fastinit._namesake",
        "fastinit._pages",
        "fastinit._signals",
        "fastinit._threads",
        "fastinit._typing",
    },
    {"fastinit._dispatch"},
    {"fastinit", "fastinit._distributions", "fastinit._dtypes", "fastinit._truncation"},
    {
        "fastinit._arrays",
        "fastinit._bit_generator",
        "fastinit._broadcast",
        "fastinit._copies",
        "fastinit._generator",
        "fastinit._inherited",
        "fastinit._numpy_bits",
        "fastinit._numpy_calls",
        "fastinit._numpy_methods",
        "fastinit._output",
        "fastinit._sampling",
        "fastinit._seeding",
        "fastinit._tables",
    },
    {"fastinit._activations"},
    {"fastinit._fused_bias"},
    {"fastinit.random"},
    {"fastinit.nn"},
    {"fastinit.init"},
    {"fastinit.checkpoint"},
    {"fastinit.propagation"},
    {"fastinit.dask", "fastinit.jax", "fastinit.keras", "fastinit.torch"},
    {"fastinit.cli", "fastinit.__main__"},
]

# What is imported from elsewhere besides the standard library and NumPy.
OUTSIDE = {
    "fastinit._dtypes": {"ml_dtypes"},
    "fastinit._pages": {"plotly"},
    "fastinit.checkpoint.remote": {"fsspec"},
    "fastinit.cli": {"rich", "shtab"},
    "fastinit.cli.inspect_page": {"plotly"},
    "fastinit.dask": {"dask", "distributed"},
    "fastinit.jax": {"jax"},
    "fastinit.keras": {"jax", "keras", "torch"},
    "fastinit.propagation": {"matplotlib", "plotly", "threadpoolctl"},
    "fastinit.torch": {"torch"},
}

C_HEADERS = {
    *("fenv.h", "stddef.h", "stdint.h", "stdlib.h", "string.h", "sys/mman.h"),
    *("cpuid.h", "emmintrin.h", "immintrin.h", "xmmintrin.h", "arm_neon.h"),
}

# Headers of others, each with its licence beside it.
VENDORED = {"xla/ffi/api/c_api.h"}

# Each of these is slower to import than all of fastinit's core.
SLOW = {
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "logging",
    "multiprocessing",
    "tomllib",
    "urllib.request",
}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = [
    path for suffix in ("py", "pyx", "pxd") for path in sorted((ROOT / "fastinit").rglob(f"*.{suffix}"))
]
MODULES = {module_name(path) for path in SOURCES}


def as_python(text):
    """Cython's imports as Python's, without the rest."""
    statement = r"^[ \t]*((?:from\s+[\w.]+\s+)?c?import\s+(?:\([^)]*\)|[\w., \t]+))"
    return "\n".join(
        re.sub(r"\bcimport\b", "import", line) for line in re.findall(statement, text, re.MULTILINE)
    )


def imports(path):
    """The full names that a file imports, those inside functions included."""
    text = path.read_text()
    package = module_name(path) if path.stem == "__init__" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(text if path.suffix == ".py" else as_python(text))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in MODULES else base


def layer(module):
    while module not in set().union(*LAYERS):
        module = module.rpartition(".")[0]
    return next(i for i, layer in enumerate(LAYERS) if module in layer)


def is_ours(module):
    return module.partition(".")[0] == "fastinit"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_points_to_a_higher_layer(path):
    name = module_name(path)
    assert name.count(".") > 1 or name in set().union(*LAYERS), "a new module needs a layer"
    assert [found for found in imports(path) if is_ours(found) and layer(found) > layer(name)] == []


def test_no_import_runs_in_a_circle():
    graph = {}
    for path in SOURCES:
        name = module_name(path)
        graph.setdefault(name, set()).update(
            found for found in imports(path) if is_ours(found) and found != name
        )
    assert len([*TopologicalSorter(graph).static_order()]) == len(MODULES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_comes_from_elsewhere_that_its_extra_does_not_bring(path):
    name = module_name(path)
    allowed = {"numpy", *sys.stdlib_module_names} | (
        {"cython", "cpython", "libc"} if path.suffix != ".py" else set()
    )
    for owner, extra in OUTSIDE.items():
        if name == owner or name.startswith(f"{owner}."):
            allowed |= extra
    assert {found.partition(".")[0] for found in imports(path) if not is_ours(found)} <= allowed


def includes(path):
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def test_c_includes_run_one_way_and_know_nothing_of_python():
    sources = {path.name: path for path in (ROOT / "src_c").iterdir() if path.is_file()}
    graph = {
        name: {found for quote, found in includes(path) if quote == '"'} - VENDORED
        for name, path in sources.items()
    }
    assert {*TopologicalSorter(graph).static_order()} == {*sources}, "an #include of a file outside src_c"
    assert all(found.endswith(".def") for found in graph["fastinit.h"])
    assert not [found for below in graph.values() for found in below if found.endswith(".c")]
    assert {
        found for path in sources.values() for quote, found in includes(path) if quote == "<"
    } <= C_HEADERS


def test_one_file_declares_the_c_interface_to_cython():
    headers = "|".join(re.escape(path.name) for path in (ROOT / "src_c").glob("*.h"))
    declares = re.compile(rf'cdef extern from "({headers})"')
    assert [path.name for path in SOURCES if declares.search(path.read_text())] == ["_kernels.pxd"]


def newly_imported(program):
    """The modules that a program adds to those of ``import numpy.random``."""
    program = (
        f"import numpy.random, sys; before = {{*sys.modules}}\n{program}\nprint(*sys.modules.keys() - before)"
    )
    return {*subprocess.check_output([sys.executable, "-c", program], text=True).split()}


def test_import_fastinit_imports_little():
    ours = {name for name in newly_imported("import fastinit") if is_ours(name)}
    assert ours == {"fastinit", "fastinit._threads"}


def test_the_core_imports_only_numpy_and_nothing_slow():
    found = newly_imported("import fastinit; fastinit.random, fastinit.init")
    assert {"fastinit.random", "fastinit.init"} <= found
    outside = {name.partition(".")[0] for name in found} - {"fastinit", "numpy", *sys.stdlib_module_names}
    assert all(name.startswith("_cython_") for name in outside), outside  # what Cython's modules share
    assert found & SLOW == set()


def test_submodules_are_attributes_and_others_are_not():
    import fastinit

    public = {name for name in MODULES if re.fullmatch(r"fastinit\.[a-z]\w*", name)}
    assert public == {f"fastinit.{name}" for name in fastinit._SUBMODULES}
    assert {*fastinit._SUBMODULES} <= {*dir(fastinit)}
    for name in fastinit._SUBMODULES:
        assert getattr(fastinit, name) is sys.modules[f"fastinit.{name}"]
    with pytest.raises(AttributeError, match="no attribute 'fnas'"):
        _ = fastinit.fnas

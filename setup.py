"""Builds the C core, once for each instruction set, and the Cython modules. pyproject.toml has the rest.

It needs gcc 11 or clang 14, the oldest that the tests have run with. Before gcc 11 and clang 12 there is no
-march=x86-64-v3, so only the baseline is built.
"""

import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.modified import newer_group

# Flags of each file beyond the target's baseline; dispatch.c requires the same features of the CPU.
ISA_FLAGS = {
    "isa_avx2": ["-march=x86-64-v3"],
    "isa_avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    "isa_avx512ifma": ["-march=x86-64-v4", "-mavx512ifma", "-mprefer-vector-width=512"],
    "isa_avx512bf16": ["-march=x86-64-v4", "-mavx512ifma", "-mavx512bf16", "-mprefer-vector-width=512"],
}
FLAGS = ["-std=c11", "-O3", "-fvisibility=hidden"]
# These follow the environment's CFLAGS, which may have -ffast-math. -fno-fast-math enables errno, with which
# gcc does not vectorise sqrt, so -fno-math-errno follows.
SAFE_MATH = ["-fno-fast-math", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
# The linker also gets CFLAGS. With -ffast-math, gcc's library would turn flush-to-zero on for the process.
SAFE_LINK = ["-O3", "-fno-fast-math", "-fno-unsafe-math-optimizations"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"] if os.environ.get("FASTINIT_WERROR") == "1" else []
SANITIZE = os.environ.get("FASTINIT_SANITIZE")
SANITIZERS = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-g", "-O1"] if SANITIZE else []

# Not build_temp, which is a new folder in each editable install: it would compile all again.
OBJECTS = f"build/objects-{sys.implementation.cache_tag}{'-sanitized' if SANITIZE else ''}"
CORE = sorted(Path("src_c").glob("*.c"))
GPU = [path.name for path in Path("src_c").iterdir() if path.suffix in (".cu", ".def", ".h")]
MODULES = sorted(Path("fastinit").glob("*.pyx"))


class BuildExt(build_ext):
    """Compiles each file with its own flags, and again only if what it was made from has changed."""

    def build_extension(self, extension):
        sources = [*map(Path, extension.sources), *(CORE if extension.name == "fastinit._dispatch" else [])]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [*pool.map(lambda source: self.compiled(source, extension), sources)]
        linked = copy(extension)
        linked.sources, linked.extra_objects, linked.depends = [], objects, objects
        if sys.platform == "linux" and not (self.debug or SANITIZE):  # names are a sixth of it
            linked.extra_link_args = [*linked.extra_link_args, "-Wl,--strip-all"]
        super().build_extension(linked)

    def compiled(self, source, extension):
        """The object of a source. The compiler lists what it was made from, in a file beside it."""
        [built] = self.compiler.object_filenames([str(source)], output_dir=OBJECTS)
        listed = Path(f"{built}.d")
        if listed.exists() and not self.force:
            made_from = shlex.split(listed.read_text().partition(":")[2].replace("\\\n", ""))
            if not newer_group(["setup.py", *made_from], built, missing="newer"):
                return built
        isa = self.understood(ISA_FLAGS.get(source.stem, []))
        self.compiler.compile(
            [str(source)],
            output_dir=OBJECTS,
            macros=extension.define_macros,
            include_dirs=extension.include_dirs,
            extra_postargs=[*isa, *extension.extra_compile_args, "-MMD", "-MF", str(listed)],
        )
        return built

    def understood(self, flags):
        """The flags, or none if the compiler or target lacks one: the file then makes a NULL table."""
        probe = [*self.compiler.compiler_so, *flags, "-fsyntax-only", "-x", "c", os.devnull]
        return flags if flags and subprocess.run(probe, capture_output=True).returncode == 0 else []


class BuildPy(build_py):
    """Puts the sources that the GPU's compiler reads into the package."""

    def run(self):
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib, "fastinit", "src_c")
            self.mkpath(str(folder))
            for name in GPU:
                self.copy_file(f"src_c/{name}", str(folder / name))


# The modules that call NumPy's C functions, which NumPy's wheel has for this.
CALLS_NUMPY = {"_numpy_bits", "_numpy_methods"}


def extension(module):
    return Extension(
        f"fastinit.{module.stem}",
        [str(module)],
        libraries=["npyrandom"] if module.stem in CALLS_NUMPY else [],
        library_dirs=[str(Path(numpy.random.__file__).with_name("lib"))],
        include_dirs=["src_c", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=[*FLAGS, *SAFE_MATH, *WARNINGS, *SANITIZERS],
        extra_link_args=[*SAFE_LINK, *SANITIZERS],
    )


setup(
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
    ext_modules=cythonize([extension(m) for m in MODULES], build_dir="build", language_level=3),
)

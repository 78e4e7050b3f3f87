# make demo         write GPT-2's weights to build/demo, time it, and say how to open them
# make test         all tests, including the documentation's examples
# make test-long    the tests that take minutes each: every input of every function, a billion values of each law
# make bench        speed against NumPy, torch and oneMKL, build/bench.html: about a quarter of an hour, once 2.7 GB of
#                   peers are installed, PyPI's torch with CUDA's libraries more; bench-quick with fewer rounds
# make compare      compare the speed of six kernels with the commit before
# make check-kernels  compare every kernel of this CPU with the baseline's, and time it; CHECK="--isa avx2 'normal_*'"
# make whole        compare all 2^32 words of float32 with a second implementation of docs/stream.md; about an hour
# make lint         ruff, mypy, stubtest, pyright, cython-lint, clang-format
# make docs         the documentation as a site, build/docs/index.html; every warning is an error
# make build        the extension modules, in place
# make sanitize     the tests under the address and undefined-behaviour sanitizers; SANITIZE="tests/nn" for some of them
# make mutants      wrong programs that the tests must notice; MUTANTS=vmath for those of one file
# make wheels       wheels for CPython 3.11 to 3.14, in dist; it needs Docker or Podman
# make clean

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TYPED := $(subst /,.,$(basename $(wildcard fastinit/_[a-z]*.pyi))) fastinit.init fastinit.nn fastinit.random
BUILD_REQUIRES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])

.PHONY: build test test-long bench bench-quick compare check-kernels whole lint demo docs sanitize mutants wheels clean

build: .venv/build-requires
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2

demo: .venv/installed-cli build
	$(BIN)/python -m bench.demo

docs: .venv/installed-test build
	rm -rf docs/gallery  # an example that is gone would keep its page
	$(BIN)/python -m sphinx -W --keep-going --quiet -c docs -d build/doctrees . build/docs

bench: .venv/installed-bench build
	$(BIN)/pytest bench --benchmark-json=build/bench.json $(BENCH)
	$(BIN)/python -m bench.page build/bench.json -o build/bench.html

bench-quick:
	$(MAKE) bench BENCH="-m 'not long' --benchmark-min-rounds=2 --benchmark-max-time=0.1"

# bench/conftest.py loads the peers in every process, which headline.py doesn't need.
compare: .venv/installed-test
	PYTEST_ADDOPTS=--noconftest $(BIN)/track compare --suite bench/headline.py --threshold 20 --launches 8

check-kernels:
	@$(PYTHON) tests/checkkernels.py $(CHECK)

whole: .venv/installed-test build
	$(BIN)/python -m tools.second.whole $(WHOLE)

lint: .venv/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typed_program.py
	$(BIN)/pyright --pythonpath $(BIN)/python tests/typed_program.py
	$(BIN)/stubtest $(TYPED) --mypy-config-file pyproject.toml --allowlist tools/stubtest.txt --concise
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint fastinit  # it calls pycodestyle
	$(BIN)/clang-format --dry-run -Werror $(wildcard src_c/*.[ch] tests/c/*.[ch] tools/second/*.[ch])

# Each worker begins with its share of the files, then takes from others'.
test: .venv/installed-test build
	$(BIN)/pytest --numprocesses auto --dist worksteal

test-long: .venv/installed-test build
	$(BIN)/pytest --numprocesses auto --dist worksteal --long

# test_c.py has its own sanitized build, below. torch, JAX and Keras bring libraries of their own, which aren't
# built for the sanitizers and take most of the time; the fills that they call are those of the other tests.
UNSANITIZED := tests/test_c.py tests/torch tests/jax tests/test_keras.py
SANITIZE ?= tests

# In a copy of the tree: the tests' subprocesses find its build, too.
sanitize: .venv/installed-test
	mkdir -p build/sanitize
	git ls-files -z | xargs -0 cp --parents --update --preserve=timestamps --target-directory build/sanitize
	cd build/sanitize && FASTINIT_SANITIZE=address,undefined \
		$(CURDIR)/$(BIN)/python setup.py --quiet build_ext --inplace
	cd build/sanitize && PYTHONPATH=$$PWD ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		$(CURDIR)/$(BIN)/pytest $(UNSANITIZED:%=--ignore=%) $(SANITIZE)
	$(BIN)/pytest tests/test_c.py -k sanitize

mutants: .venv/installed-test build
	$(BIN)/python -m tools.mutants $(MUTANTS)

wheels: .venv/installed-wheels
	$(BIN)/cibuildwheel --platform linux --output-dir dist

clean:
	rm -rf build fastinit/*.so

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/build-requires: pyproject.toml | $(BIN)/python
	$(PIP) $$($(BIN)/python -c '$(BUILD_REQUIRES)')
	touch $@

# bench/track is a package of its own, with its own dependencies.
.venv/installed-test .venv/installed-bench: .venv/installed-track

.venv/installed-track: bench/track/pyproject.toml .venv/build-requires
	$(PIP) --no-build-isolation --editable ./bench/track
	touch $@

# The build comes first, so that pip has nothing to compile.
.venv/installed-%: .venv/build-requires | build
	$(PIP) --no-build-isolation --editable '.[$*]'
	touch $@

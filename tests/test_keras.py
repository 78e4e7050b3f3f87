"""fastinit.keras under each backend of Keras, which is chosen before Keras is imported: so in processes."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("keras_program.py")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_all_checks_pass(backend):
    done = subprocess.run([sys.executable, PROGRAM, backend], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = [
        "values_are_those_of_init",
        "one_list_has_one_digest",
        "spreads_are_those_of_keras",
        "seeds_are_keras",
        "configs_clones_and_files_keep_them",
        "other_dtypes_are_refused",
    ]
    if backend == "jax":
        checks += ["devices_make_their_own_blocks", "a_seed_generator_is_not_read_while_jax_traces"]
    assert done.stdout.split() == checks


def test_fastinit_does_not_load_keras_and_names_its_extra():
    code = "import sys, fastinit.random, fastinit.init, fastinit.checkpoint; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    code = "import sys; sys.modules['keras'] = None; import fastinit.keras"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'fastinit-engine[keras]'" in done.stderr

"""Counts instructions by valgrind's callgrind, which does not depend on the load."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sysconfig
import uuid
from datetime import UTC, datetime
from pathlib import Path

from . import TrackError, history
from .builds import Version, git
from .turns import Failed, Suite, workers

_SWITCH = """
#include <valgrind/callgrind.h>
void start(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void stop(const char *name) { CALLGRIND_DUMP_STATS_AT(name); CALLGRIND_STOP_INSTRUMENTATION; }
"""

WARM = 2  # calls that count; one before them is cold


def make_switch(folder: Path) -> Path:
    """Return the library through which a process tells callgrind when to count."""
    if shutil.which("valgrind") is None:
        raise TrackError("valgrind is not installed; Debian's package is valgrind")
    library = folder / "switch.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    command = [*compiler, "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(library)]
    done = subprocess.run(command, input=_SWITCH, text=True, capture_output=True)
    if done.returncode:
        raise TrackError(f"valgrind's header doesn't compile:\n{done.stderr.strip()}")
    return library


def count(python: Path, version: Version, suite: Suite, folder: Path, settings: list[str]) -> dict[str, int]:
    """Return the instructions of each benchmark's cheapest warm call, by setting ("NAME=value" or "")."""
    switch = make_switch(folder)
    counts = {}
    for number, setting in enumerate(settings):
        output = folder / f"{version.commit}-{number}"
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", "--vgdb=no"]
        valgrind += [f"--callgrind-out-file={output}"]
        # Without it, the order of a set of strings, and so the work on it, differs between runs.
        environment = {"TRACK_SWITCH": str(switch), "PYTHONHASHSEED": "0"}
        environment |= dict([setting.split("=", 1)]) if setting else {}
        with workers((python, suite, version.label, valgrind, environment)) as [worker]:
            names = worker.collected()
            for name in names:
                if trouble := worker.start(name):
                    raise TrackError(f"{name}: {trouble}")
                try:
                    for _ in range(1 + WARM):
                        worker.take_turn(1)
                except Failed as failed:
                    raise TrackError(f"{name}: {failed.args[1]}") from None
                if trouble := worker.finish():
                    raise TrackError(f"{name}: {trouble}")
            worker.wait()
        found = _read(output)
        for name in names:
            counts[f"{name} {setting}".strip()] = found[name]
    return counts


def documents(counts: dict[str, int], version: Version, repository: Path, dirty: bool) -> list[dict]:
    """Return lines of the history. The machine is callgrind's, the same everywhere.

    `dirty` is whether the suite has changes: it's from the working tree, what it measures is not.
    """
    now = datetime.now(UTC).isoformat()
    saved = {
        "machine_info": {
            "system": platform.system(),
            "machine": platform.machine(),
            "python_implementation": platform.python_implementation(),
            "python_version": platform.python_version(),
            "cpu": {"brand_raw": f"callgrind on {platform.machine()}"},
        },
        "commit_info": {
            "id": version.commit,
            "time": git(repository, "show", "-s", "--format=%cI", str(version.commit)),
            "dirty": dirty,
        },
        "datetime": now,
        "benchmarks": [
            {
                "fullname": name,
                "stats": dict.fromkeys(("min", "max", "mean", "median"), number),
                "extra_info": {"unit": "instructions"},
            }
            for name, number in counts.items()
        ],
    }
    return history.documents(saved, uuid.uuid4().hex)


def _read(output: Path) -> dict[str, int]:
    """Return the least count of each name among its last files, which callgrind numbered."""
    counts: dict[str, list[int]] = {}
    numbered = (file for file in output.parent.glob(f"{output.name}.*") if file.suffix[1:].isdigit())
    for file in sorted(numbered, key=lambda each: int(each.suffix[1:])):
        text = file.read_text(errors="replace")
        name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        if name and total:
            counts.setdefault(name[1], []).append(int(total[1]))
    return {name: min(calls[-WARM:]) for name, calls in counts.items()}

"""The history: one line of JSON a benchmark, each a document in pytest-benchmark's own format.

A line is there whole or not at all: recorders lock the file, append with one write, and remove what a killed
one left unfinished. Nothing else is ever changed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

#: Schema 1 had a whole run in a line, as pytest-benchmark saves it, and neither `schema` nor `run`.
SCHEMA = 2


class Entry(NamedTuple):
    """What one benchmark gave in one run."""

    benchmark: str
    value: float
    unit: str  # "s", or "instructions"
    limit: float | None  # seconds that nothing could be faster than, measured in the same run
    run: str
    when: datetime  # the commit was made
    commit: str
    dirty: bool
    machine: str

    @property
    def cost(self) -> float:
        """The value as a multiple of the machine's limit where there's one."""
        return self.value / self.limit if self.limit else self.value


def documents(saved: dict, run: str) -> list[dict]:
    """One for each benchmark of a run that pytest-benchmark saved."""
    return [{"schema": SCHEMA, "run": run, **saved, "benchmarks": [each]} for each in saved["benchmarks"]]


def append(path: Path, lines: Iterable[dict]) -> None:
    """Add lines at the end, all or none of those of one call; safe beside other recorders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets go of it when the process ends, however it does
        whole = _end_of_last_line(file)
        os.ftruncate(file, whole)
        written = os.write(file, data)
        if written < len(data):  # the disk is full
            os.ftruncate(file, whole)
            raise OSError(f"{path}: only {written} of {len(data)} bytes could be written; none were kept")
        os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> tuple[list[Entry], list[str]]:
    """All entries in the file's order, and a sentence for each line that had to be skipped.

    An unfinished last line is none: its recorder was killed, or is at work.
    """
    entries, problems = [], []
    *lines, _ = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            entries += _entries(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{path}, line {number}: skipped: {type(error).__name__}: {error}")
    return entries, problems


def machine(info: dict) -> str:
    """What must be the same for two times to be compared."""
    cpu = info.get("cpu") or {}
    return f"{cpu.get('brand_raw') or info['machine']}, {cpu.get('count') or '?'} CPUs, {info['system']}"


def _entries(document: dict) -> Iterator[Entry]:
    if document.get("schema", 1) > SCHEMA:
        raise ValueError(f"schema {document['schema']} is newer than {SCHEMA}, the newest known here")
    commit = document["commit_info"]
    entries = []
    for each in document["benchmarks"]:
        extra = each.get("extra_info") or {}
        entries.append(
            Entry(
                benchmark=each["fullname"],
                value=float(each["stats"]["median"]),
                unit=extra.get("unit", "s"),
                limit=extra.get("limit"),
                run=document.get("run", document["datetime"]),
                when=_time(commit.get("time") or document["datetime"]),
                commit=commit["id"],
                dirty=bool(commit.get("dirty")),
                machine=machine(document["machine_info"]),
            )
        )
    yield from entries  # all of a document, or none


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _end_of_last_line(file: int) -> int:
    end = os.fstat(file).st_size
    while end > 0:
        begin = max(0, end - 65536)
        newline = os.pread(file, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0

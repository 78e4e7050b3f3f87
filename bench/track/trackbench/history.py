"""The history: one line of JSON a benchmark, each a document in pytest-benchmark's own format.

A line is complete or absent: recorders lock the file, append with one write, and remove what a killed
one left unfinished. Nothing else is ever changed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import NamedTuple

#: In schema 1 a line had all benchmarks of a run, as pytest-benchmark saves it, and no `schema` and no `run`.
SCHEMA = 2


class Entry(NamedTuple):
    """The result of one benchmark in one run."""

    benchmark: str
    value: float
    unit: str  # "s", or "instructions"
    limit: float | None  # seconds of the lower limit, measured in the same run
    run: str
    when: datetime  # the date of the commit
    commit: str
    dirty: bool
    machine: str

    @property
    def cost(self) -> float:
        """The value, divided by the machine's limit if there is one."""
        return self.value / self.limit if self.limit else self.value


def documents(saved: dict, run: str) -> list[dict]:
    """Return a line for each benchmark of a run that pytest-benchmark saved."""
    return [{"schema": SCHEMA, "run": run, **saved, "benchmarks": [each]} for each in saved["benchmarks"]]


def append(path: Path, lines: Iterable[dict]) -> None:
    """Append all lines or none. Other recorders may run at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel releases it however the process ends
        end, kept = os.fstat(file).st_size, _end_of_last_line(file)
        if _parses(os.pread(file, end - kept, kept)):  # only the end of the last line is missing
            kept, data = end, b"\n" + data
        os.ftruncate(file, kept)
        written = os.write(file, data)
        if written < len(data):  # the disk is full
            os.ftruncate(file, kept)
            raise OSError(f"{path}: only {written} of {len(data)} bytes could be written; none were kept")
        os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> tuple[list[Entry], list[str]]:
    """Return all entries in the file's order, and a sentence for each skipped line.

    An unfinished last line is one of the latter: its recorder was killed, or is at work.
    """
    entries, problems = [], []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entries += _entries(json.loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            problems.append(f"{path}, line {number}: skipped: {type(error).__name__}: {error}")
    return entries, problems


def machine(info: dict) -> str:
    """Return what two runs must share for their times to be comparable."""
    cpu = info.get("cpu") or {}
    about = [cpu.get("brand_raw") or info["machine"], f"{cpu.get('count') or '?'} CPUs", info["system"]]
    if python := info.get("python_version"):
        about.append(f"{info.get('python_implementation', 'Python')} {'.'.join(python.split('.')[:2])}")
    if isa := (info.get("bench") or {}).get("ISA"):  # the suite names the instruction set that it used
        about.append(isa)
    return ", ".join(map(str, about))


def _entries(document: dict) -> Iterator[Entry]:
    if document.get("schema", 1) > SCHEMA:
        raise ValueError(f"schema {document['schema']} is newer than {SCHEMA}, the newest known here")
    commit = document["commit_info"]
    entries = []
    for each in document["benchmarks"]:
        extra = each.get("extra_info") or {}
        entries.append(
            Entry(
                benchmark=_text(each["fullname"]),
                value=_above_zero(each["stats"]["median"]),
                unit=_text(extra.get("unit", "s")),
                limit=None if extra.get("limit") is None else _above_zero(extra["limit"]),
                run=_text(document.get("run", document["datetime"])),
                when=_time(commit.get("time") or document["datetime"]),
                commit=_text(commit["id"]),
                dirty=bool(commit.get("dirty")),
                machine=_text(machine(document["machine_info"])),
            )
        )
    yield from entries  # all of a document or none


def _text(value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # or no page can hold it
    return value


def _above_zero(value) -> float:
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{value!r} is not above 0")
    return float(value)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _parses(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _end_of_last_line(file: int) -> int:
    end = os.fstat(file).st_size
    while end > 0:
        begin = max(0, end - 65536)
        newline = os.pread(file, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0

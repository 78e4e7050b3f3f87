"""What `track record` stores and says."""

import json
import re
import subprocess
import sys
import textwrap

import pytest
from track_projects import SETUP, SUITE

from trackbench import TrackError, builds, history, record


def test_record(project, tmp_path):
    commit = project.commit(quick=1, slow=2)
    (project.folder / ".gitignore").write_text("*")  # bytecode isn't a change
    storage = tmp_path / "storage"
    for _ in range(2):
        recorded = record.record(project.folder, "bench_toy.py", storage, ["-q"])
        assert len(recorded.medians) == 2
        assert (recorded.commit, recorded.dirty) == (commit, False)
    entries, problems = history.read(storage / "history.jsonl")
    assert problems == []
    assert [each.benchmark for each in entries] == [
        f"bench_toy.py::test_it[{n}]" for n in ("quick", "slow")
    ] * 2
    assert {each.commit for each in entries} == {commit}
    assert len({each.run for each in entries}) == 2
    assert all(0.001 <= each.value < 0.1 for each in entries)
    command = ["-m", "pytest", "-q", "bench_toy.py", "--benchmark-compare", "--benchmark-storage"]
    read = subprocess.run(
        [sys.executable, *command, f"file://{storage}"], cwd=project.folder, capture_output=True, text=True
    )
    assert "(0002_" in read.stdout  # pytest-benchmark compares with what was recorded


def test_record_walks_a_range_of_commits(project, tmp_path, capfd):
    first = project.commit(it=1)
    project.write("setup.py", "raise SystemExit('it does not build')")
    broken = project.commit(it=1)
    project.write("setup.py", SETUP)
    last = project.commit(it=3)
    storage = ["--suite", "bench_toy.py", "--storage", tmp_path / "storage"]
    assert project.track("record", *storage, f"{first}..{last}", "--", "-q") == 0
    said = capfd.readouterr().out
    assert f"1 of 2: left out: {broken[:10]} cannot be built" in said
    assert re.search(rf"2 of 2: 1 benchmarks of {last[:10]}\n  \S+::test_it\[it\]: 0\.\d+ s\n", said)
    [entry], problems = history.read(tmp_path / "storage" / "history.jsonl")
    assert (entry.commit, entry.dirty, problems) == (last, False, [])
    assert entry.when.isoformat() == builds.git(project.folder, "show", "-s", "--format=%cI", last)
    [saved] = tmp_path.glob("storage/*/*.json")
    assert json.loads(saved.read_text())["commit_info"]["id"] == last
    assert project.track("record", *storage, "HEAD..HEAD") == 2
    assert builds.git(project.folder, "rev-parse", "HEAD") == last


def test_record_says_what_it_measured(project, tmp_path, capfd):
    commit = project.commit(it=1)
    project.write("bench_toy.py", textwrap.dedent(SUITE) + "# changed\n")
    assert project.track("record", "--suite", "bench_toy.py", "--storage", tmp_path, "--", "-q") == 0
    said = capfd.readouterr().out
    about = f"1 benchmarks of {commit[:10]} with changes that no commit has"
    assert re.search(rf"{about}\n  bench_toy.py::test_it\[it\]: 0\.\d+ s\n", said)
    assert said.endswith(f"{tmp_path / 'history.jsonl'}\n")


def test_a_suite_that_fails_records_nothing(project, tmp_path):
    project.commit(quick=1)
    project.write("bench_toy.py", "def test_it(benchmark): benchmark(int); assert False")
    with pytest.raises(TrackError, match="nothing was recorded"):
        record.record(project.folder, "bench_toy.py", tmp_path, ["-q"])
    assert not (tmp_path / "history.jsonl").exists()

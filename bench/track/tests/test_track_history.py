"""The tracker on known numbers: its verdicts, its history and its page."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from trackbench import history, report, verdicts
from trackbench.__main__ import main

# Verdicts and changes


@pytest.mark.parametrize(
    ("true", "noise", "verdict"),
    [(1.05, 0.005, "slower"), (1.0, 0.005, "no difference"), (0.9, 0.01, "faster"), (1.0, 0.2, "unclear")],
)
def test_verdict(true, noise, verdict):
    rng = np.random.default_rng(3)
    found = [
        verdicts.ratio([*np.log(true) + noise * rng.standard_normal(10)]).verdict(0.03) for _ in range(20)
    ]
    assert found.count(verdict) >= 19


def test_one_launch_supports_nothing():
    assert verdicts.ratio([np.log(2)]).verdict(0.03) == "unclear"


def points(costs, dirty=()):
    return [report.Point(f"{i:02}", cost, i in dirty) for i, cost in enumerate(costs)]


def test_changes_are_found_where_they_are():
    rng = np.random.default_rng(1)
    levels = np.repeat([1.0, 1.08, 0.5], 15) * np.exp(0.01 * rng.standard_normal(45))
    assert [each.commit for each in report.changes("it", points(levels))] == ["15", "30"]


LEVELS = {
    "a step at the newest": ([1] * 9 + [1.1], [("09", 1.1, False)]),
    "a step at the newest but one": ([1] * 8 + [1.1] * 2, [("08", 1.1, True)]),
    "a step at the oldest": ([1.1] + [1] * 9, [("01", 1 / 1.1, False)]),
    "a spike": ([1] * 5 + [1.5] + [1] * 4, []),
    "a spike down": ([1] * 2 + [0.5] + [1] * 7, []),
    "a step": ([1] * 5 + [1.1] * 5, [("05", 1.1, True)]),
    "a spike just before a step": ([1] * 4 + [1.5] + [1.1] * 5, [("05", 1.1, True)]),
    "two steps": ([1] * 4 + [1.2] + [1.5] * 5, [("04", 1.2, False), ("05", 1.25, False)]),
}


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("noise", [0, 0.004])
def test_the_right_commit_is_named_at_the_ends_too(levels, noise):
    costs, expected = LEVELS[levels]
    for seed in range(10):
        noisy = costs * np.exp(noise * np.random.default_rng(seed).standard_normal(len(costs)))
        found = report.changes("it", points(noisy))
        assert [(each.commit, each.confirmed) for each in found] == [(c, sure) for c, _, sure in expected]
        for each, (_, ratio, _) in zip(found, expected, strict=True):
            assert each.ratio == pytest.approx(ratio, rel=5 * noise + 1e-9)


def test_noise_has_no_changes():
    rng = np.random.default_rng(2)
    found = [report.changes("it", points(np.exp(0.02 * rng.standard_normal(40)))) for _ in range(50)]
    assert sum(map(bool, found)) <= 2


def test_changed_trees_are_no_commits():
    assert report.changes("it", points([1, 1, 1, 1, 2, 2, 2, 2], dirty=range(4, 8))) == []


# The history


def document(
    benchmark="it",
    commit="c" * 40,
    cpu="A CPU",
    when="2026-01-01T00:00:00+00:00",
    median=1.0,
    extra=None,
    **machine,
):
    saved = {
        "machine_info": {"system": "Linux", "machine": "x86_64", "cpu": {"brand_raw": cpu, "count": 2}}
        | machine,
        "commit_info": {"id": commit, "time": when, "dirty": False},
        "datetime": when,
        "benchmarks": [{"fullname": benchmark, "stats": {"median": median}, "extra_info": extra}],
    }
    [line] = history.documents(saved, "run")
    return line


def test_read_what_was_appended(tmp_path):
    path = tmp_path / "new" / "history.jsonl"
    history.append(path, [document("a", median=2.0), document("b")])
    before = path.read_bytes()
    history.append(path, [document("c")])
    assert path.read_bytes().startswith(before)
    entries, problems = history.read(path)
    assert [each.benchmark for each in entries] == ["a", "b", "c"]
    assert entries[0].value == 2.0
    assert problems == []


def test_what_a_killed_recorder_left_is_none(tmp_path):
    path = tmp_path / "history.jsonl"
    history.append(path, [document("a")])
    path.write_bytes(path.read_bytes() + b'{"schema":2,"run"' + b"x" * 100_000)
    entries, [problem] = history.read(path)
    assert [each.benchmark for each in entries] == ["a"]
    assert "line 2: skipped" in problem
    history.append(path, [document("b")])
    assert [each.benchmark for each in history.read(path)[0]] == ["a", "b"]
    assert len(path.read_bytes().splitlines()) == 2


def test_a_line_that_lacks_nothing_but_its_end(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps(document("a")))
    assert [each.benchmark for each in history.read(path)[0]] == ["a"]
    history.append(path, [document("b")])
    entries, problems = history.read(path)
    assert [each.benchmark for each in entries] == ["a", "b"]
    assert problems == []


@pytest.mark.parametrize(
    "other",
    [
        {"python_implementation": "CPython", "python_version": "3.12.1"},
        {"python_implementation": "PyPy", "python_version": "3.11.9"},
        {"python_implementation": "CPython", "python_version": "3.11.2", "bench": {"ISA": "avx2"}},
    ],
)
def test_what_is_unlike_is_another_machine(tmp_path, other):
    path = tmp_path / "history.jsonl"
    same = {"python_implementation": "CPython", "python_version": "3.11.2"}
    history.append(path, [document(**same), document(**same | {"python_version": "3.11.9"}), document()])
    history.append(path, [document(**other)])
    one, patch, old, another = (each.machine for each in history.read(path)[0])
    assert one == patch == "A CPU, 2 CPUs, Linux, CPython 3.11"
    assert old == "A CPU, 2 CPUs, Linux"
    assert another not in (one, old)


APPEND_FOREVER = """
import json, sys
from pathlib import Path
from trackbench import history
line = json.loads(sys.argv[2])
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    history.append(Path(sys.argv[1]), [{**line, "run": f"{sys.argv[4]}-{number}", "pad": "x" * 50_000}] * 3)
"""


def start_recorder(path, times, name):
    command = [sys.executable, "-c", APPEND_FOREVER, path, json.dumps(document()), str(times), name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_lines_are_whole_after_a_kill(tmp_path):
    path = tmp_path / "history.jsonl"
    for _ in range(3):
        with start_recorder(path, 1_000_000, "a") as process:
            while not path.exists() or path.stat().st_size < 1_000_000:
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
        history.append(path, [document("mine")])
        entries, problems = history.read(path)
        assert problems == []
        assert entries[-1].benchmark == "mine"
        path.unlink()


def test_two_recorders_dont_mix(tmp_path):
    path = tmp_path / "history.jsonl"
    recorders = [start_recorder(path, 40, name) for name in "ab"]
    for each in recorders:
        each.communicate()
        assert each.returncode == 0
    entries, problems = history.read(path)
    assert problems == []
    runs = [each.run for each in entries]
    assert sorted(runs) == sorted(
        f"{name}-{number}" for name in "ab" for number in range(40) for _ in range(3)
    )
    assert all(len({*runs[i : i + 3]}) == 1 for i in range(0, len(runs), 3))


def test_the_schema_before_had_a_run_in_a_line(tmp_path):
    old = document("a")
    del old["schema"], old["run"]
    old["benchmarks"] += document("b")["benchmarks"]
    path = tmp_path / "history.jsonl"
    history.append(path, [old])
    assert [(each.benchmark, each.run) for each in history.read(path)[0]] == [
        ("a", old["datetime"]),
        ("b", old["datetime"]),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        *("not json", "[]", "{}", "", '{"schema": 99}', "[" * 200_000),
        *(
            json.dumps(document(median=bad))
            for bad in (None, 0, -1, "1", float("nan"), float("inf"), 10**400)
        ),
        *(json.dumps(document(extra={"limit": bad})) for bad in ("x", 0, [])),
        json.dumps(document(extra={"unit": None})),
        json.dumps(document(commit=None)),
        json.dumps(document(5)),
        json.dumps(document("\ud800")),
        json.dumps(document(when=5)),
        json.dumps(document(python_version=3)),
    ],
    ids=lambda bad: bad[-80:],
)
def test_a_line_that_cannot_be_read_is_named_and_skipped(tmp_path, bad):
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join([json.dumps(document("a")), bad, json.dumps(document("b")), ""]))
    entries, [problem] = history.read(path)
    assert [each.benchmark for each in entries] == ["a", "b"]
    assert len(problem) < 1000
    assert problem.startswith(f"{path}, line 2: skipped")


# The page


def test_what_cannot_be_read_or_written_is_bad_input(tmp_path, capsys):
    storage = ["--storage", str(tmp_path)]
    history.append(tmp_path / "history.jsonl", [document()])
    assert main(["record", "--repository", str(tmp_path / "gone")]) == 2
    assert main(["report", *storage, "-o", "/proc/page.html"]) == 2
    assert capsys.readouterr().err.count("error: ") == 2
    assert main(["report", *storage]) == 0
    assert (tmp_path / "history.html").is_file()


def test_report(tmp_path, capsys):
    path = tmp_path / "history.jsonl"
    assert main(["report", "--storage", str(tmp_path)]) == 2
    assert "no history" in capsys.readouterr().err
    for cpu in ("A CPU", "Another CPU"):
        lines = [
            document("it", f"{i:040}", cpu, f"2026-01-{i + 1:02}T00:00:00+00:00", 1.0 if i < 5 else 1.1)
            for i in range(10)
        ]
        history.append(path, lines)
    path.write_text(path.read_text() + "corrupt\n")
    output = tmp_path / "history.html"
    assert main(["report", "--storage", str(tmp_path), "-o", str(output)]) == 0
    said = capsys.readouterr()
    assert "line 21: skipped" in said.err
    assert said.out.count("it: 1.100 of before since 0000000000\n") == 2
    page = output.read_text()
    for text in ("Times of 2 machines", "line 21: skipped", "Another CPU", "2 of at least 3%"):
        assert text in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)


def test_report_as_json(tmp_path, capsys):
    lines = [
        document("it", f"{i:040}", when=f"2026-01-{i + 1:02}T00:00:00+00:00", median=1.0 if i < 9 else 1.1)
        for i in range(10)
    ]
    history.append(tmp_path / "history.jsonl", lines)
    assert main(["report", "--json", "--storage", str(tmp_path)]) == 0
    about = json.loads(capsys.readouterr().out)
    [change] = about["changes"]
    assert change == {
        "benchmark": "it",
        "commit": f"{9:040}",
        "ratio": pytest.approx(1.1),
        "confirmed": False,
    }
    assert about["page"] == str(tmp_path / "history.html")
    assert about["skipped"] == []

"""The tracker on small projects of its own: what it compares, counts and finds."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile

import pytest
from track_projects import AUTHOR, SETUP, SUITE, toy

from trackbench import builds, count, history
from trackbench.__main__ import main

# Comparisons of two builds


@pytest.mark.parametrize("launches", ["7", "0", "-1"])
def test_launches_too_few_for_the_confidence(capsys, launches):
    with pytest.raises(SystemExit, match="2"):
        main(["compare", f"--launches={launches}"])
    assert "at least 8" in capsys.readouterr().err


def test_compare_names_the_one_that_doubled(project, capsys):
    names = [f"n{i}" for i in range(40)]
    before = project.commit(**dict.fromkeys(names, 3))
    now = project.commit(**dict.fromkeys(names, 3) | {"n17": 6})
    assert project.compare(before, now, "--threshold", "30") == 1
    assert "slower by more than 30%: bench_toy.py::test_it[n17]\n" in capsys.readouterr().out
    assert project.compare(now, before, "--threshold", "30", "-k", "n17") == 0
    assert "faster" in capsys.readouterr().out


def test_compare_says_what_it_left_out(project, capsys):
    project.commit(both=2, old=2, broken=2)
    project.commit(both=2, new=2, broken=2)
    project.write("toy.py", toy({"both": 2, "new": 2}).replace("'new'", "'new', 'broken'", 1))
    builds.git(project.folder, *AUTHOR, "commit", "-aqm", "broken")
    assert project.compare("HEAD~2", "HEAD", "--threshold", "50%") == 1  # broken is worse
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    for left_out in (
        "test_it[old]: only in HEAD~2",
        "test_it[new]: only in HEAD ",
        "test_it[broken]: in HEAD",
        "fails in HEAD",
    ):
        assert left_out in said
    assert re.search(  # whether the one is clear depends on the machine's load
        r"no slow-down by more than 50% is supported: 1 compared, [01] of them unclear, 3 not compared $",
        said,
    )


def test_nothing_compared_is_an_error(project, capsys):
    project.commit(it=2)
    project.write("toy.py", "NAMES = ['it']\ndef work(name): 1 / 0")
    builds.git(project.folder, *AUTHOR, "commit", "-aqm", "breaks everything")
    assert project.compare() == 2
    assert re.search("nothing could be compared: .*ZeroDivisionError", capsys.readouterr().err)


def test_compare_as_json(project, capsys):
    before = project.commit(same=2, slow=2, gone=1)
    now = project.commit(same=2, slow=6)
    assert project.compare("--json", "--threshold", "50") == 1
    about = json.loads(capsys.readouterr().out)
    assert (about["a"], about["b"]) == (before, now)
    assert about["slower"] == ["bench_toy.py::test_it[slow]"]
    slow = about["benchmarks"]["bench_toy.py::test_it[slow]"]
    assert 2 < slow["low"] <= slow["estimate"] <= slow["high"]
    assert [*about["not_compared"]] == ["bench_toy.py::test_it[gone]"]
    assert about["broken"] == []


def test_wheels(project, tmp_path, capsys):
    project.commit(it=2)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "-w", tmp_path, project.folder], check=True)
    [wheel] = tmp_path.glob("*.whl")
    shutil.rmtree(project.folder / "build", ignore_errors=True)
    project.commit(it=4)
    assert project.compare(wheel, "HEAD", "--threshold", "30") == 1


def test_wheels_of_one_name(project, tmp_path, capsys):
    project.commit(it=2)  # the suite depends on the attributes of the module
    for folder, milliseconds in (("old", 2), ("new", 4)):
        (tmp_path / folder).mkdir()
        with zipfile.ZipFile(tmp_path / folder / "toy-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("toy.py", textwrap.dedent(toy({"it": milliseconds})))
            about = "toy-1.dist-info/"
            wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
            wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(about + "RECORD", "")
    wheels = [tmp_path / folder / "toy-1-py3-none-any.whl" for folder in ("old", "new")]
    assert project.compare(*wheels, "--threshold", "30") == 1


def test_a_repositorys_first_commit_has_nothing_before_it(project, capsys):
    project.commit(it=2)
    assert project.compare() == 0
    assert "no parent" in capsys.readouterr().out


def test_changes_in_the_tree_are_not_measured_in_silence(project, capsys):
    project.commit(it=2)
    project.commit(it=2)
    project.write("setup.py", SETUP + "  # changed")
    assert project.compare("--threshold", "50") == 0
    said = capsys.readouterr().err
    assert "warning: the working tree has changes" in said
    assert "those of bench_toy.py are measured" in said


def test_another_build_is_not_compared(project, capsys):
    project.commit(it=2)
    project.write("bench_toy.py", "def test_it(benchmark): benchmark(sum, [1])")
    assert project.compare("HEAD", "HEAD") == 2
    assert "imports nothing of what was built" in capsys.readouterr().err


def test_what_imports_nothing_of_the_build_is_left_out(project, capsys):
    project.commit(it=2)
    (project.folder / "suite").mkdir()
    project.write("suite/test_a.py", "def test_sum(benchmark): benchmark(sum, [1])")
    project.write("suite/test_b.py", "def test_it(benchmark):\n import toy; benchmark(toy.work, 'it')")
    assert project.compare("HEAD", "HEAD", "--threshold", "50", "--suite", "suite", "--launches", 2) == 0
    said = capsys.readouterr().out
    assert re.search(r"not compared: suite/test_a.py::test_sum: .*imports nothing", said)
    assert "1 compared" in said


def test_a_namespace_package(project):
    (project.folder / "space").mkdir()
    project.write("space/toy.py", toy({"it": 2}))
    project.write("setup.py", SETUP.replace("py_modules=['toy']", "packages=['space']"))
    project.write("bench_toy.py", textwrap.dedent(SUITE).replace("toy,", "space.toy as toy,", 1))
    project.commit()
    assert project.compare("HEAD", "HEAD", "--threshold", "50", "--launches", 2) == 0


def test_a_project_and_a_suite_in_folders_of_their_repository(project, capsys):
    bench = project.folder / "part" / "bench"
    bench.mkdir(parents=True)
    (project.folder / "setup.py").rename(bench.parent / "setup.py")
    project.write("part/toy.py", toy({"it": 2}))
    project.write("part/bench/__init__.py", "")
    project.write("part/bench/conftest.py", "from .names import name")
    project.write("part/bench/names.py", "import pytest\n@pytest.fixture\ndef name(): return 'it'")
    project.write("part/bench/it.py", "import toy\ndef test_it(benchmark, name): benchmark(toy.work, name)")
    project.commit()
    arguments = ["--repository", str(bench.parent), "--suite", "bench/it.py", "--threshold", "50"]
    name = "bench/it.py::test_it"
    assert main(["compare", *arguments, "--launches", "2", "-k", name, "HEAD", "HEAD"]) == 0
    assert name in capsys.readouterr().out


def test_a_wrong_result_is_not_compared(project, capsys):
    project.commit(right=2, wrong=2)
    project.write("bench_toy.py", textwrap.dedent(SUITE) + "    assert name == 'right'\n")
    assert project.compare("HEAD", "HEAD", "--threshold", "50") == 0
    said = capsys.readouterr().out
    assert re.search(r"not compared: \S+\[wrong\]: in HEAD .*: AssertionError: assert 'wrong' ==", said)
    assert said.count("[right]") == 1


def test_failures_between_turns_are_not_compared(project, capsys):
    project.commit(right=2, late=2)
    count = "\ncalls = 0\ndef late(name):\n    global calls\n    calls += name == 'late'\n"
    suite = textwrap.dedent(SUITE).replace("toy.work", "late")
    project.write("bench_toy.py", suite + count + "    assert calls < 5\n    toy.work(name)\n")
    project.compare("HEAD", "HEAD", "--threshold", "50")
    assert re.search(r"not compared: \S+\[late\]: in HEAD .*AssertionError", capsys.readouterr().out)


def test_a_process_that_dies(project, capsys):
    project.commit(it=2)
    project.write(
        "toy.py",
        "import os\nNAMES = ['it']\ncalls = []\ndef work(name):\n"
        "    calls.append(0)\n    len(calls) < 9 or os._exit(3)\n",
    )
    builds.git(project.folder, *AUTHOR, "commit", "-aqm", "dies")
    assert project.compare() == 2
    assert "pytest ended early" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense", "HEAD"], "'nonsense' is neither a commit known in"),
        (["gone.whl", "HEAD"], "no such wheel: gone.whl"),
        (["HEAD", "HEAD", "--suite", "gone"], "no such suite"),
        (["HEAD", "HEAD", "-k", "gone"], "pytest ended early|no benchmark"),
    ],
)
def test_bad_input(project, capsys, arguments, message):
    project.commit(it=1)
    assert project.compare(*arguments) == 2
    assert re.search(f"^error: .*({message})", capsys.readouterr().err, re.MULTILINE)


def test_a_commit_that_cannot_be_built(project, capsys):
    project.commit(it=1)
    project.write("setup.py", "raise SystemExit('it does not build')")
    project.commit(it=1)
    assert project.compare() == 2
    assert "it does not build" in capsys.readouterr().err
    project.write("setup.py", SETUP)
    project.commit(it=1)
    assert project.compare() == 0  # a commit that repairs the build is not to blame
    assert re.search("^warning: nothing to compare with: .*cannot be built", capsys.readouterr().err)
    assert project.compare("HEAD~1", "HEAD") == 2  # unless that commit was named


def test_bisect(project, capsys):
    commits = [project.commit(it=20 if i < 3 else 40, other=1) for i in range(7)]
    arguments = ["--suite", "bench_toy.py", "--launches", 2, "--threshold", 10]
    assert project.track("bisect", *arguments, "test_it and not other", commits[0], commits[-1]) == 0
    assert f"first slow commit: {commits[3]}" in capsys.readouterr().out
    assert builds.git(project.folder, "status", "--porcelain") == ""


def test_bisect_needs_a_step(project, capsys):
    project.commit(it=5)
    project.commit(it=5)
    arguments = ["--suite", "bench_toy.py", "--launches", 2, "--threshold", 40]
    assert project.track("bisect", *arguments, "it", "HEAD~1", "HEAD") == 2
    assert "there's no step to find" in capsys.readouterr().err


def test_bisect_needs_commits_in_their_order(project, tmp_path, capsys):
    project.commit(it=1)
    project.commit(it=1)
    wheel = tmp_path / "toy.whl"
    wheel.touch()
    for good, bad, why in (("HEAD", "HEAD~1", "is no ancestor"), (wheel, "HEAD", "no commits to find")):
        assert project.track("bisect", "it", good, bad) == 2
        assert why in capsys.readouterr().err


def test_count_wants_commits_before_it_builds(project, tmp_path, capsys, monkeypatch):
    monkeypatch.delattr(builds.Builds, "pythons")
    wheel = tmp_path / "toy.whl"
    wheel.touch()
    assert project.track("count", wheel) == 2
    assert "is no commit" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is missing")
def test_count(project, tmp_path, capsys):
    loop = """
        import gc, os
        NAMES = ["it"]
        def work(name):
            assert not gc.isenabled()  # a collection would count as part of the benchmark
            for _ in range({} * int(os.environ["TIMES"].strip("/[]"))):
                pass
    """
    for number in (1000, 1200):
        project.commit()
        project.write("toy.py", loop.format(number))
        builds.git(project.folder, *AUTHOR, "commit", "-aqm", f"{number}")
    arguments = [
        "--suite",
        "bench_toy.py",
        "--storage",
        tmp_path,
        "--set",
        "TIMES=/[10]",
    ]  # no name of a file
    assert project.track("count", *arguments, "HEAD~2", "HEAD") == 1
    entries, problems = history.read(tmp_path / "history.jsonl")
    assert problems == []
    assert {each.unit for each in entries} == {"instructions"}
    assert not any(each.dirty for each in entries)
    before, now = (each.value for each in entries)
    assert 1.18 < now / before < 1.22
    assert 12_000 * 5 < now < 12_000 * 500  # rounds of the loop, times Python's instructions for one
    project.write("bench_toy.py", textwrap.dedent(SUITE) + "# changed\n")
    assert project.track("count", *arguments, "HEAD", "HEAD") == 0  # the same again, within 1%
    assert history.read(tmp_path / "history.jsonl")[0][-1].dirty


def test_the_least_warm_call_is_counted(tmp_path):
    calls = {"one": [1, 90, 80, 70, 60], "two": [99, 99, 99, 30, 40], "three": [50, 20, 10]}
    numbers = iter(range(1, 99))  # 10 comes after 9
    for name, counts in calls.items():
        for each in counts:
            dump = f"desc: Trigger: Client Request: {name}\nsummary: {each}\n"
            (tmp_path / f"out.{next(numbers)}").write_text(dump)
    (tmp_path / "out").write_text("")
    assert count._read(tmp_path / "out") == {"one": 60, "two": 30, "three": 10}

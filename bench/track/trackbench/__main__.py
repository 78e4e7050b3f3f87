"""The command ``track``: record, compare, count, report, bisect, selftest."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import TrackError, turns, verdicts
from .builds import Builds, NotBuilt, Version, find, git, is_dirty

EXIT_WORSE, EXIT_BAD_INPUT = 1, 2
JSON_SCHEMA = 1  # a key that goes or changes its meaning gets a new number
console = Console(width=max(Console().width, 110), highlight=False)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser().parse_args(arguments[:end])
    options.pytest = arguments[end + 1 :]
    options.repository = options.repository.resolve()
    try:
        return options.run(options)
    except (TrackError, OSError) as error:  # an OSError names the path
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--repository", type=Path, default=Path(), help="default: where this is called")
    stored = argparse.ArgumentParser(add_help=False)
    stored.add_argument("--storage", type=Path, default=Path(".benchmarks"), help="default: .benchmarks")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--suite", default="bench", help="file or folder, as it is in the working tree")
    chosen.add_argument("-k", dest="select", default="", metavar="EXPRESSION", help="as for pytest")
    printed = argparse.ArgumentParser(add_help=False)
    printed.add_argument("--json", action="store_true", help="print one JSON object")
    judged = argparse.ArgumentParser(add_help=False)
    about = f"pairs of processes (default: 10; at least {verdicts.LEAST_LAUNCHES})"
    judged.add_argument("--launches", type=_launches, default=10, help=about)

    top = argparse.ArgumentParser(prog="track", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")

    def verb(name, run, *parents, threshold=None, **about):
        made = verbs.add_parser(name, parents=[common, *parents], **about)
        made.set_defaults(run=run)
        if threshold:
            text = f"what counts as slower (default: {threshold:g}%%)"
            made.add_argument(
                "--threshold", type=_percent, default=threshold / 100, metavar="PERCENT", help=text
            )
        return made

    about = "run the suite, append to the history; what follows -- is pytest's"
    made = verb("record", _record, stored, help=about)
    made.add_argument("--suite", default="bench", help="default: bench")
    made.add_argument("commits", nargs="?", metavar="A..B", help="default: the working tree as it is")
    made = verb(
        "compare",
        _compare,
        chosen,
        judged,
        printed,
        threshold=3,
        help="is B slower than A, or broken? Exit status 1 if so",
    )
    made.add_argument("a", nargs="?", help="commit or wheel; default: the first parent of HEAD")
    made.add_argument("b", nargs="?", default="HEAD", help="commit or wheel; default: HEAD")
    made = verb(
        "count", _count, chosen, stored, threshold=1, help="instructions of each benchmark, by callgrind"
    )
    made.add_argument("commits", nargs="+", metavar="COMMIT", help="one, or two to compare")
    made.add_argument(
        "--set", action="append", metavar="NAME=VALUE", help="count in this environment; repeatable"
    )
    made = verb("report", _report, stored, printed, help="the history as a page, changes marked")
    made.add_argument("-o", "--output", type=Path, help="default: history.html in the storage")
    made = verb("bisect", _bisect, chosen, judged, threshold=3, help="the first slow commit between two")
    made.add_argument("bench", help="its name as compare prints it, or an expression as for pytest's -k")
    for name in ("good", "bad"):
        made.add_argument(name)
    made = verb(
        "selftest", _selftest, judged, threshold=3, help="how often compare is right, on this machine"
    )
    made.add_argument("--same", type=int, default=50, help="times A against A (default: 50)")
    made.add_argument("--slower", type=int, default=20, help="times A against 5%% slower (default: 20)")
    return top


def _percent(text: str) -> float:
    value = float(text.removesuffix("%"))
    if not 0 < value < 1000:
        raise argparse.ArgumentTypeError("a percentage above 0")
    return value / 100


def _launches(text: str) -> int:
    if (number := int(text)) < verdicts.LEAST_LAUNCHES:
        least = f"at least {verdicts.LEAST_LAUNCHES}, or no interval has {verdicts.CONFIDENCE:.0%}"
        raise argparse.ArgumentTypeError(least)
    return number


def _record(options) -> int:
    from .record import record, record_commits

    storage = _storage(options)
    if options.commits is None:
        _print_recorded(record(options.repository, options.suite, storage, options.pytest))
    else:
        commits = git(options.repository, "rev-list", "--reverse", options.commits, "--").split()
        if not commits:
            raise TrackError(f"{options.commits} has no commit")
        with tempfile.TemporaryDirectory(prefix="track-") as folder:
            arguments = commits, options.suite, storage, options.pytest, Path(folder)
            for number, each in enumerate(record_commits(options.repository, *arguments), 1):
                print(f"{number} of {len(commits)}: ", end="")
                _print_recorded(each)
    print(storage / "history.jsonl")
    return 0


def _print_recorded(each) -> None:
    if isinstance(each, TrackError):
        print(f"left out: {each}", flush=True)
        return
    changed = " with changes that no commit has" if each.dirty else ""
    print(f"{len(each.medians)} benchmarks of {each.commit[:10]}{changed}")
    for name, median in each.medians.items():
        print(f"  {name}: {median:.4g} s", flush=True)


def _compare(options) -> int:
    previous = options.a is None
    if previous:
        parents = git(options.repository, "rev-list", "--parents", "-n", "1", options.b).split()[1:]
        if not parents:
            print(f"{options.b} has no parent in this repository: nothing to compare it with")
            return 0
        options.a = parents[0]
    versions = [find(options.repository, name) for name in (options.a, options.b)]
    _warn_of_changes(options, versions)
    with tempfile.TemporaryDirectory(prefix="track-") as folder:
        builds = Builds(options.repository, Path(folder))
        try:
            result = _race(options, versions, builds, Path(folder, "run"))
        except NotBuilt as error:
            if not previous or error.version != versions[0]:
                raise
            # A commit that repairs the build has no parent to compare with.
            print(f"warning: nothing to compare with: {error}", file=sys.stderr)
            return 0
    if options.json:
        about = comparison(result, versions, options.threshold)
        print(json.dumps(about))
        return EXIT_WORSE if about["slower"] or about["broken"] else 0
    return EXIT_WORSE if print_comparison(result, versions, options.threshold) else 0


def comparison(result: turns.Result, versions: list[Version], threshold: float) -> dict:
    """What `compare --json` prints."""
    ratios = {name: verdicts.ratio(logarithms) for name, logarithms in result.logarithms.items()}
    judged = {name: {**r._asdict(), "verdict": r.verdict(threshold)} for name, r in ratios.items()}
    a, b = (each.commit or str(each.wheel) for each in versions)
    return {
        "schema": JSON_SCHEMA,
        "a": a,
        "b": b,
        "threshold": threshold,
        "confidence": verdicts.CONFIDENCE,
        "benchmarks": judged,
        "slower": [name for name, each in judged.items() if each["verdict"] == "slower"],
        "not_compared": result.left_out,
        "broken": sorted(result.broken),
    }


def _race(options, versions: list[Version], builds: Builds, folder: Path) -> turns.Result:
    suite = turns.Suite(options.repository, options.suite, folder, options.select)
    labels = [each.label for each in versions]
    with Console(stderr=True).status("building") as status:  # nothing, unless it is a terminal
        pythons = builds.pythons(*versions)
        unclear = verdicts.unclear(options.threshold)
        return turns.compare(pythons, labels, suite, options.launches, unclear, status.update)


def print_comparison(result: turns.Result, versions: list[Version], threshold: float) -> bool:
    """Print the table. Return whether something is slower, or fails in B alone."""
    a, b = (each.label for each in versions)
    title = f"time of {b} over that of {a}"
    table = Table(
        "benchmark", "ratio", f"{verdicts.CONFIDENCE:.0%} interval", "", box=box.SIMPLE_HEAD, title=title
    )
    by_verdict: dict[str, list[str]] = {}
    for name, logarithms in result.logarithms.items():
        ratio = verdicts.ratio(logarithms)
        verdict = ratio.verdict(threshold)
        by_verdict.setdefault(verdict, []).append(name)
        style = {"slower": "red", "faster": "green"}.get(verdict)
        table.add_row(
            escape(name),
            f"{ratio.estimate:.3f}",
            f"{ratio.low:.3f} to {ratio.high:.3f}",
            verdict,
            style=style,
        )
    console.print(table)
    for name, why in result.left_out.items():
        console.print(f"not compared: {name}: {why}", markup=False)
    slower, percent = by_verdict.get("slower", []), f"{100 * threshold:g}%"
    if result.broken:
        print(f"fails in {b} alone: {', '.join(sorted(result.broken))}")
    if slower:
        print(f"slower by more than {percent}: {', '.join(slower)}")
    counted = ", ".join(
        f"{len(names)} {what}"
        for what, names in [
            ("compared", result.logarithms),
            ("of them unclear", by_verdict.get("unclear", [])),
            ("not compared", result.left_out),
        ]
    )
    print(f"{len(slower) or 'no'} slow-down by more than {percent} is supported: {counted}")
    return bool(slower or result.broken)


def _count(options) -> int:
    from . import count, history

    if len(options.commits) > 2:
        raise TrackError("one commit, or two to compare")
    for setting in options.set or []:
        if "=" not in setting:
            raise TrackError(f"--set {setting}: NAME=VALUE is meant")
    versions = [find(options.repository, name) for name in options.commits]
    for each in versions:
        if each.commit is None:
            raise TrackError(f"{each.label} is no commit, so it has no place in the history")
    _warn_of_changes(options, versions)
    dirty = is_dirty(options.repository, "--", options.suite)
    counts = []
    with tempfile.TemporaryDirectory(prefix="track-") as folder:
        suite = turns.Suite(options.repository, options.suite, Path(folder, "run"), options.select)
        pythons = Builds(options.repository, Path(folder)).pythons(*versions)
        for python, version in zip(pythons, versions, strict=True):
            counts.append(count.count(python, version, suite, Path(folder), options.set or [""]))
            lines = count.documents(counts[-1], version, options.repository, dirty)
            history.append(_storage(options) / "history.jsonl", lines)
    before, now = counts[0], counts[-1]
    more = [name for name in now if name in before and now[name] > before[name] * (1 + options.threshold)]
    table = Table("instructions", *(each.label for each in versions), "ratio", box=box.SIMPLE_HEAD)
    for name in before | now:
        each = [of.get(name) for of in counts]
        ratio = f"{now[name] / before[name]:.4f}" if len(counts) == 2 and all(each) else ""
        table.add_row(
            escape(name),
            *(f"{n:,}" if n else "none" for n in each),
            ratio,
            style="red" if name in more else None,
        )
    console.print(table)
    return EXIT_WORSE if more else 0


def _report(options) -> int:
    from . import history, report

    path = _storage(options) / "history.jsonl"
    if not path.is_file():
        raise TrackError(f"no history: {path} (`record` makes one)")
    entries, problems = history.read(path)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)
    if not entries:
        raise TrackError(f"no history: {path} has no line that can be read")
    output = options.output or path.with_suffix(".html")
    found = report.write(output, entries, problems)
    if options.json:
        changes = [each._asdict() for each in found]
        print(
            json.dumps({"schema": JSON_SCHEMA, "page": str(output), "changes": changes, "skipped": problems})
        )
        return 0
    for change in found:
        print(f"{change.benchmark}: {change} since {change.commit[:10]}")
    print(output)
    return 0


def _bisect(options) -> int:
    from .bisection import first_slow

    options.select = options.bench
    with tempfile.TemporaryDirectory(prefix="track-") as folder:
        builds = Builds(options.repository, Path(folder))
        runs = (Path(folder, f"run{number}") for number in range(1000))

        def judge(*versions: Version) -> verdicts.Ratio:
            result = _race(options, list(versions), builds, next(runs))
            if len(result.logarithms) != 1:
                names = ", ".join(result.logarithms) or "none"
                raise TrackError(
                    f"{options.bench!r} must select one benchmark that both have; it does {names}"
                )
            return verdicts.ratio(*result.logarithms.values())

        found, subject = first_slow(
            options.repository, options.good, options.bad, judge, options.threshold, Path(folder)
        )
    print(f"first slow commit: {found} {subject}")
    return 0


def _selftest(options) -> int:
    from .selftest import selftest

    return selftest(options.same, options.slower, options.launches, options.threshold)


def _storage(options) -> Path:
    return (options.repository / options.storage).resolve()


def _warn_of_changes(options, versions: list[Version]) -> None:
    if any(each.commit for each in versions) and is_dirty(options.repository, "--untracked-files=no"):
        print(
            "warning: the working tree has changes that no commit has:"
            f" those of {options.suite} are measured, no others",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(main())

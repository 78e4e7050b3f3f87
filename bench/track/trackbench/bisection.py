"""The first slow commit, by git bisect."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from math import sqrt
from pathlib import Path

from . import TrackError
from .builds import Version, find, git, make_clone
from .verdicts import Ratio


def first_slow(
    repository: Path,
    good: str,
    bad: str,
    judge: Callable[[Version, Version], Ratio],
    threshold: float,
    folder: Path,
) -> tuple[str, str]:
    """Return the hash and subject of the first slow commit.

    `judge` compares two versions at the benchmark. A commit is slow if its time is nearer, as a
    ratio, to `bad`'s than to `good`'s, so the two sides are told apart at any size of the step.
    """
    first, last = find(repository, good), find(repository, bad)
    if not (first.commit and last.commit):
        raise TrackError("between wheels there are no commits to find one among")
    if first.commit not in git(repository, "rev-list", last.commit).split():
        raise TrackError(f"{good} is no ancestor of {bad}")
    both_ends = judge(first, last)
    if both_ends.verdict(threshold) != "slower":
        word = both_ends.verdict(threshold)
        raise TrackError(
            f"{bad} takes {both_ends.estimate:.3f} of {good}'s time ({word}): there's no step to find"
        )
    middle = sqrt(both_ends.estimate)
    clone = folder / "bisect"  # git's records of the search stay out of the repository
    make_clone(repository, clone)
    said = git(clone, "bisect", "start", "--no-checkout", last.commit, first.commit)
    while "is the first" not in said:
        commit = git(clone, "rev-parse", "BISECT_HEAD")
        try:
            slow = judge(first, Version(commit[:10], commit=commit)).estimate > middle
        except TrackError as error:
            print(f"{commit[:10]} is left out: {error}")
            said = _skip(clone)
            continue
        print(f"{commit[:10]} is {'slow' if slow else 'fast'}")
        said = git(clone, "bisect", "bad" if slow else "good")
    found = git(clone, "rev-parse", "refs/bisect/bad")
    return found, git(clone, "show", "-s", "--format=%s", found)


def _skip(clone: Path) -> str:
    done = subprocess.run(["git", "bisect", "skip"], cwd=clone, capture_output=True, text=True)
    if done.returncode:  # only skipped commits lie between the fast and the slow ones
        raise TrackError(done.stdout.strip() or done.stderr.strip())
    return done.stdout.strip()

"""Patterns of names: globs, and regular expressions that end in time.

Rules come with files from strangers. Python's `re` tries the ways in which a pattern may match one after the
other, and there may be more of them than anyone can wait for. So the number of ways is bounded beforehand.
"""

from __future__ import annotations

import fnmatch
import functools
import glob
import math
import re
from collections.abc import Callable, Mapping, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from .errors import BadInput

__all__ = ["Index", "literal", "matcher"]

#: The most steps of one match, of some nanoseconds each.
MOST = 1 << 26

_FOUND = re.compile("").match("")
_NEVER = "is a repetition of what may repeat, or differ: it may never end"
_LOOPS = {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}
_CLASSES = {op.CATEGORY_DIGIT: r"\d", op.CATEGORY_WORD: r"\w", op.CATEGORY_SPACE: r"\s"}


@functools.lru_cache(1 << 16)
def matcher(match: str) -> Callable[[str], Any]:
    """Return a function of a name that returns a match if `match`, a glob or ``/regex/``, matches it.

    Raises
    ------
    BadInput
        The regular expression is malformed, or may take for ever. The function raises it if it would take
        too long for a name.
    """
    if _is_regex(match):
        return _regex(match)
    if (parts := _parts(match)) is None:
        return re.compile(fnmatch.translate(match)).match
    return functools.partial(_match_parts, parts)


def literal(match: str) -> str | None:
    """Return the name that a glob without wildcards matches, or None for any other match."""
    if _is_regex(match):
        return None
    name = re.sub(r"\[([*?[])\]", r"\1", match)
    return name if glob.escape(name) == match else None


class Index:
    """Finds the patterns that may match a name, by the start or the end of globs."""

    def __init__(self, patterns: Mapping[int, str]) -> None:
        self._by_start: dict[str, list[int]] = {}
        self._by_end: dict[str, list[int]] = {}
        self._others: list[int] = []
        for number, pattern in patterns.items():
            parts = _parts(pattern) or [""]
            start, end = parts[0], parts[-1]
            if start:
                self._by_start.setdefault(start, []).append(number)
            elif end:
                self._by_end.setdefault(end, []).append(number)
            else:
                self._others.append(number)
        self._starts = sorted({len(start) for start in self._by_start})
        self._ends = sorted({len(end) for end in self._by_end})

    def __call__(self, name: str) -> list[int]:
        """Return the numbers of the patterns that may match, in no order."""
        found = [*self._others]
        for length in self._starts:
            found += self._by_start.get(name[:length], ())
        for length in self._ends:
            found += self._by_end.get(name[-length:], ())
        return found


def _is_regex(match: str) -> bool:
    return len(match) > 1 and match[0] == match[-1] == "/"


def _parts(match: str) -> list[str] | None:
    """Return what lies between the stars of a glob without other wildcards, else None.

    Examples
    --------
    >>> _parts("layers.*.weight"), _parts("a[*]*"), _parts("[ab]*"), _parts("/a*/")
    (['layers.', '.weight'], ['a*', ''], None, None)
    """
    if _is_regex(match):
        return None
    stars = re.sub(r"\[([*?[])\]", lambda found: f"\0{'*?['.index(found[1])}", match)
    if "[" in stars or "?" in stars or "\0" in match:
        return None
    return [re.sub("\0([012])", lambda found: "*?["[int(found[1])], part) for part in stars.split("*")]


def _match_parts(parts: Sequence[str], name: str) -> re.Match[str] | None:
    if len(parts) == 1:
        return _FOUND if name == parts[0] else None
    first, *middle, last = parts
    end = len(name) - len(last)
    if end < len(first) or not (name.startswith(first) and name.endswith(last)):
        return None
    at = len(first)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return None
        at = found + len(part)
    return _FOUND


def _regex(match: str) -> Callable[[str], Any]:
    try:
        tree = _flat(parser.parse(match[1:-1]))
        factor, degree = _ways(tree)
        if tree and tree[-1][0] in _LOOPS:  # nothing comes after it that could fail
            degree -= _ways(tree[-1:])[1]
        search = re.compile(match[1:-1]).search
    except (re.error, OverflowError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadInput(f"match {match!r:.200} is not a regular expression: {said}") from None
    except ValueError as error:
        raise BadInput(f"match {match!r:.200} {error}") from None
    if not tree or tree[0] not in ((op.AT, op.AT_BEGINNING), (op.AT, op.AT_BEGINNING_STRING)):
        degree += 1  # it may begin anywhere

    def bounded(name: str) -> re.Match[str] | None:
        if factor * float(len(name) + 1) ** min(degree, 60) > MOST:
            raise BadInput(f"match {match!r:.200} may take too long for a name of {len(name)} characters")
        return search(name)

    return bounded


def _ways(tree: Sequence[Any]) -> tuple[float, int]:
    """Return (factor, degree): a sequence matches a text of size n in up to ``factor * n**degree`` ways.

    Raises
    ------
    ValueError
        No such bound is known.
    """
    flat = _flat(tree)
    factor, degree = 1.0, 0
    for number, (kind, argument) in enumerate(flat):
        more, higher = 1.0, 0
        if kind in _LOOPS:
            low, high, body = argument
            more, higher = _ways_of_loop(low, high, body, flat[number + 1 : number + 2])
        elif kind is op.BRANCH:
            each = [_ways(branch) for branch in argument[1]]
            more, higher = sum(one for one, _ in each), max(one for _, one in each)
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            more, higher = _ways(argument[1])
        elif kind is op.ATOMIC_GROUP:
            more, higher = _ways(argument)
        elif kind is op.GROUPREF_EXISTS:
            each = [_ways(branch or ()) for branch in argument[1:]]
            more, higher = sum(one for one, _ in each), max(one for _, one in each)
        factor, degree = min(factor * more, math.inf), degree + higher
    return factor, degree


def _ways_of_loop(low: int, high: int, body: Any, after: Sequence[Any]) -> tuple[float, int]:
    factor, degree = _ways(body)
    if high == 1:
        return factor + (low == 0), degree
    if factor > 1 or degree or not body.getwidth()[0]:
        raise ValueError(_NEVER)
    if low == high:
        return 1.0, 0
    single = _flat(body)
    # What the class of a loop excludes ends it: a shorter loop cannot match.
    if len(single) == 1 and after and after[0][0] is op.LITERAL:
        letter = chr(after[0][1])  # in any case, as of (?i)
        if not any(_has(single[0], ord(each)) for each in letter + letter.lower()[:1] + letter.upper()[:1]):
            return 1.0, 0
    return 1.0, 1


def _flat(tree: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return a sequence with the content of groups in their place."""
    found = []
    for kind, argument in tree:
        found += _flat(argument[3]) if kind is op.SUBPATTERN else [(kind, argument)]
    return found


def _has(item: tuple[Any, Any], letter: int) -> bool:
    """Whether a pattern of one character may match a letter."""
    kind, argument = item
    if kind is op.LITERAL:
        return bool(argument == letter)
    if kind is op.RANGE:
        return bool(argument[0] <= letter <= argument[1])
    if kind is op.CATEGORY and argument in _CLASSES:
        return re.match(_CLASSES[argument], chr(letter)) is not None
    if kind is op.IN:
        negated = argument[0][0] is op.NEGATE
        return negated != any(_has(each, letter) for each in argument[negated:])
    return kind is not op.NOT_LITERAL or bool(argument != letter)

"""Wrong programs that the tests must notice: `python -m tools.mutants` makes each and runs its tests."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of one file.

    Attributes
    ----------
    file : str
        From the root of the tree.
    before, after : str
        The text to change, which the file has once, and what takes its place.
    tests : str
        What must notice it: the arguments of pytest; or, for the kernels, an instruction set, whose values
        are compared with tests/vectors.json, tests/digests.json and the baseline's.
    equivalent : str
        Why no result changes, if none does. The tests must then pass.
    """

    file: str
    before: str
    after: str
    tests: str
    equivalent: str = ""

    @property
    def name(self) -> str:
        """The file, and what is changed into what, on one line."""
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        same = 0
        while same < min(len(before), len(after)) and before[same] == after[same]:
            same += 1
        start = max(0, same - 24)
        return f"{self.file}: {before[start : same + 40]} -> {after[start : same + 40]}"

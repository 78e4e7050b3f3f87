"""Digests of what the contract says: ``python -m tools.contract [--add]``.

tests/contract.json has a digest of each section of the contract's pages, apart from line breaks, and of the
first rows of each table of tests/vectors.json. Without an option, what differs is printed. ``--add`` adds the
sections and rows that are new; it changes no digest that is there. A change of what stands needs a new
number, `fastinit.CONTRACT`.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import fastinit

ROOT = Path(__file__).parents[1]
PATH = ROOT / "tests" / "contract.json"
PAGES = [
    "docs/stream.md",
    "docs/truncated_normal.md",
    "docs/contract/initialisers.md",
    "docs/contract/checkpoints.md",
]
#: Sections that promise nothing, or that get rows later.
OUTSIDE = {"docs/truncated_normal.md: Errors", "docs/stream.md: float8"}


def digest(text):
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def sections(pages):
    """The digest of each section, by page and heading."""
    found = {}
    for page, text in pages.items():
        parts = re.split(r"(?m)^(#+ .*)$", text)
        for heading, body in zip(parts[1::2], parts[2::2], strict=True):
            name = f"{page}: {heading.lstrip('# ')}"
            if name in found:
                raise ValueError(f"{name}: two sections have this heading")
            if name not in OUTSIDE:
                found[name] = digest(" ".join(body.split()))
    return found


def of_rows(rows):
    return digest(json.dumps(rows, separators=(",", ":"), ensure_ascii=False))


def tables(vectors, counts=None):
    """The number of rows of each table, and the digest of so many of its first rows."""
    counts = counts or {name: len(rows) for name, rows in vectors.items() if name != "about"}
    return {name: [n, of_rows(vectors.get(name, [])[:n])] for name, n in counts.items()}


def pages():
    return {page: (ROOT / page).read_text() for page in PAGES}


def vectors():
    return json.loads((ROOT / "tests" / "vectors.json").read_text())


def problems(frozen, pages, vectors):
    """What of the contract is not as it was frozen, or is not frozen yet."""
    if frozen["contract"] != fastinit.CONTRACT:
        return [f"the digests are those of contract {frozen['contract']}"]
    now = sections(pages)
    found = [f"{name}: changed" for name, was in frozen["sections"].items() if now.get(name) != was]
    found += [f"{name}: new" for name in now if name not in frozen["sections"]]
    counts = {name: n for name, (n, _) in frozen["tables"].items()}
    then = tables(vectors, counts)
    found += [f"table {name}: changed" for name, was in frozen["tables"].items() if then[name] != was]
    for name, (n, _) in tables(vectors).items():
        if n > counts.get(name, 0):
            found.append(f"table {name}: {n - counts.get(name, 0)} new rows")
    return found


def text(frozen):
    return json.dumps(frozen, indent=1, ensure_ascii=False) + "\n"


def main():
    frozen = {"contract": fastinit.CONTRACT, "sections": {}, "tables": {}}
    if PATH.exists():
        frozen = json.loads(PATH.read_text())
    found = problems(frozen, pages(), vectors())
    changed = [line for line in found if "new" not in line.rpartition(":")[2]]
    print(*found, sep="\n")
    if sys.argv[1:] != ["--add"] or changed:
        sys.exit(bool(found))
    frozen["sections"] = {**sections(pages()), **frozen["sections"]}
    frozen["tables"] = tables(vectors())
    PATH.write_text(text(frozen))
    print(f"CHANGELOG.md must say: contract {fastinit.CONTRACT}, {digest(text(frozen))}")


if __name__ == "__main__":
    main()

"""The contract's text and golden values stand: what they say may be added to, not changed."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # tools are no part of what is installed

from tools import contract  # noqa: E402

FROZEN = json.loads(contract.PATH.read_text())


@pytest.fixture
def pages():
    return contract.pages()


@pytest.fixture
def vectors():
    return contract.vectors()


def test_the_text_and_the_rows_are_those_that_were_frozen(pages, vectors):
    assert contract.problems(FROZEN, pages, vectors) == []


def test_the_changelog_has_the_digest_of_the_digests():
    line = f"contract {FROZEN['contract']}, {contract.digest(contract.PATH.read_text())}"
    assert line in (ROOT / "CHANGELOG.md").read_text()


def test_a_change_of_a_number_in_the_text_is_noticed(pages, vectors):
    page = "docs/truncated_normal.md"
    pages[page] = pages[page].replace("0x1.68b31cp-4", "0x1.68b31ep-4")
    assert contract.problems(FROZEN, pages, vectors) == [f"{page}: float32: f16, bf16 and f32: changed"]


def test_a_section_that_is_gone_is_noticed(pages, vectors):
    page = "docs/contract/checkpoints.md"
    pages[page] = pages[page].partition("## Files")[0]
    assert contract.problems(FROZEN, pages, vectors) == [f"{page}: Files: changed"]


def test_line_breaks_are_no_change(pages, vectors):
    broken = {page: text.replace(". ", ".\n") for page, text in pages.items()}
    assert contract.problems(FROZEN, broken, vectors) == []


def test_what_is_new_is_no_change_of_what_stands(pages, vectors):
    pages["docs/stream.md"] += "\n## Something new\n\nWords.\n"
    vectors["gains"].append({"nonlinearity": "mish"})
    vectors["news"] = [1]
    assert contract.problems(FROZEN, pages, vectors) == [
        "docs/stream.md: Something new: new",
        "table gains: 1 new rows",
        "table news: 1 new rows",
    ]


@pytest.mark.parametrize("change", [lambda rows: rows.pop(0), lambda rows: rows.insert(0, rows[0])])
def test_a_row_that_is_gone_or_moved_is_noticed(change, pages, vectors):
    change(vectors["fills"])
    assert "table fills: changed" in contract.problems(FROZEN, pages, vectors)


def test_another_number_has_digests_of_its_own(monkeypatch, pages, vectors):
    monkeypatch.setattr("fastinit.CONTRACT", 2)
    assert contract.problems(FROZEN, pages, vectors) == ["the digests are those of contract 1"]

"""The names in CONTRIBUTING.md exist, and the README's picture is that of the record."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # bench is no part of what is installed

from bench.report import Line  # noqa: E402
from bench.table import fills  # noqa: E402

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()

#: Each list item that begins with files, with its text.
ITEMS = [re.split(r"\n(?!  )", item)[0] for item in re.split(r"(?m)^- (?=`[\w/.]+/|`setup)", PAGE)[1:]]


#: A list or table that is written there, not made from others.
DEFINITION = r"(?m)^(?:#define {0}\(|{0}(?:: [^=]+)? = [\[{{(](?!$)|{0}(?:: [^=]+)? = [\[{{(]\n    [\"(])"


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


def test_there_are_recipes():
    assert len(ITEMS) > 15


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: quoted(item)[0])
def test_each_file_of_a_recipe_is_there_and_has_its_names(item):
    files = [ROOT / name for name in quoted(item) if re.fullmatch(r"(\w+/[\w./]+|setup)\.\w+", name)]
    assert [str(file) for file in files if not file.is_file()] == []
    text = "".join(file.read_text() for file in files)
    names = [name.rpartition(".")[2] for name in quoted(item) if re.fullmatch(r"(_\w+\.)?\w+", name)]
    assert [name for name in names if not re.search(rf"\b{name}", text)] == []
    tables = re.findall(r"(?:entry|one|row) (?:of|in) `(\w{2,})`", item)
    assert [name for name in tables if not re.search(DEFINITION.format(name), text)] == []


def test_each_target_is_there():
    targets = {*re.findall(r"(?m)^make ([\w-]+)", PAGE), *re.findall(r"`make ([\w-]+)`", PAGE)}
    assert targets
    assert [name for name in targets if not re.search(rf"(?m)^{name}:", MAKEFILE)] == []


def test_the_picture_shows_the_record():
    record = json.loads((ROOT / "bench" / "records" / "zen4.json").read_text())
    _, *rows = fills([Line(**line) for line in record["lines"]])
    picture = (ROOT / "docs" / "speed.svg").read_text()
    for what, speed, *_ in rows:
        assert f">{float(speed):.2f}<" in picture, what

"""README.md: its blocks run in order, where nothing is but what it installs; README.zh.md has the same ones.

The wheel is the tree's. `pip install` of extras brings what they ask for, and there is no compiler.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
from installed import ROOT, Environment, wheel

PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "README.zh.md")}
BLOCK = re.compile(r"^(?:`(\S+)`[:\uff1a]\n\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALL = re.compile(r"pip install '\.\[([\w,]+)\]'")
HOME = "https://github.com/fastinit/fastinit/blob/main/"
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page):
    return [match.groups() for match in BLOCK.finditer(PAGES[page])]


def without_comments(code):
    return [line.partition("#")[0].rstrip() for line in code.splitlines()]


def test_the_blocks_run_in_order_where_nothing_else_is_installed(tmp_path):
    environment = Environment(tmp_path / "environment", wheel(tmp_path))
    folder = tmp_path / "folder"
    folder.mkdir()
    driver = [environment.python, "-W", "error::UserWarning", Path(__file__).with_name("readme_driver.py")]
    process = subprocess.Popen(
        driver,
        cwd=folder,
        env=environment.variables(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for name, language, code in blocks("README.md"):
            commands = [line for line in without_comments(code) if line]
            if name:
                (folder / name).write_text(code)
            elif language == "sh" and all(line.startswith("pip install ") for line in commands):
                for line in commands:
                    environment.extras(*INSTALL.fullmatch(line)[1].split(","))
            elif language == "python" or all(line.startswith("fastinit ") for line in commands):
                process.stdin.write(json.dumps([language, code]) + "\n")
                process.stdin.flush()
                while (answer := process.stdout.readline()) not in ("done\n", ""):
                    pass
                assert answer, f"{code}\n{process.communicate()[1]}"
            else:
                assert all(line.startswith("make ") for line in commands), code
        process.stdin.close()
    (folder / "weights" / "model.safetensors").unlink()  # 500 MB, which pytest would keep


def test_both_languages_have_the_same_blocks():
    english, chinese = (
        [(name, language, without_comments(code)) for name, language, code in blocks(page)] for page in PAGES
    )
    assert english == chinese
    assert len(english) > 10
    sections = {len(re.findall(r"(?m)^## ", text)) for text in PAGES.values()}
    assert len(sections) == 1


@pytest.mark.parametrize("page", PAGES)
def test_links_are_absolute_and_lead_to_what_is_there(page):
    links = LINK.findall(PAGES[page])
    assert len(links) > 20
    own = [link.removeprefix(HOME) for link in links if link.startswith(HOME)]
    assert [link for link in links if not re.match("https://", link)] == []
    for link in own:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).is_file(), link
        headings = re.findall(r"(?m)^#+ (.*)$", (ROOT / path).read_text()) if anchor else []
        found = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
        assert not anchor or anchor in found, link


@pytest.mark.parametrize("page", PAGES)
def test_the_first_screen(page):
    """What it is, three figures of the table, a picture, how to install, an example."""
    screen = "\n".join(PAGES[page].splitlines()[:34])
    picture = re.search(
        r"!\[.+\]\(https://raw\.githubusercontent\.com/fastinit/fastinit/main/(\S+)\)", screen
    )
    assert (ROOT / picture[1]).is_file()
    rows = dict(
        re.findall(
            r"(?m)^\| (uniform float32|normal float32|truncated normal float32)[^|]*\|(.*)$", PAGES[page]
        )
    )
    cells = {name: [cell.strip() for cell in row.split("|")] for name, row in rows.items()}
    figures = [float(figure) for figure in re.findall(r"\*\*(\d+)x?\*\*", screen)]
    table = [cells["uniform float32"][1], cells["normal float32"][1], cells["truncated normal float32"][2]]
    assert [round(float(figure.rstrip("x"))) for figure in table] == figures
    assert "pip install" in screen
    assert "from fastinit import init, random" in screen

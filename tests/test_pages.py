"""The code of the pages runs as written, in the order of each page.

Blocks of Python share one namespace. A block after the line "`NAME`:" is a file of that name. Commands run if
all of a block are fastinit's: `make` and the others need what lies outside.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastinit.init import seeds

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^(?:`(\S+)`:\n\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = {
    str(page.relative_to(ROOT)): page.read_text()
    for page in (path for each in ("*.md", "docs/**/*.md", "bench/*.md") for path in sorted(ROOT.glob(each)))
}


# Stands for the config of any model of transformers.
CONFIG = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 1, "n_embd": 8, "n_head": 2}


def runs(block):
    name, language, code = block.groups()
    commands = language == "sh" and all(line.startswith("fastinit ") for line in code.splitlines())
    return bool(name) or language == "python" or commands


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the code, whose commands are this interpreter's."""
    command = tmp_path / "bin" / "fastinit"
    command.parent.mkdir()
    # models.py lets transformers import beside a torchvision that is built for another torch.
    with_models = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import models"
    with_models += "; from fastinit.__main__ import run; run()"
    command.write_text(
        f"""#!/bin/sh
case "$*" in
    *config.json*) exec "{sys.executable}" -c "{with_models}" "$@" ;;
esac
exec "{sys.executable}" -m fastinit "$@"
"""
    )
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("error:seed")  # what users copy gives no warning
@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if any(map(runs, BLOCK.finditer(PAGES[page]))) and not page.startswith("README")  # test_readme.py
    ],
)
def test_the_code_of_a_page_runs(page, folder, monkeypatch):
    monkeypatch.setattr(seeds, "_used", {})
    names = {}
    if "transformers" in PAGES[page]:
        import models  # noqa: F401  which lets it be imported
    for block in filter(runs, BLOCK.finditer(PAGES[page])):
        name, language, code = block.groups()
        if name:
            (folder / name).write_text(code)
        elif language == "python":
            lines_before = PAGES[page].count("\n", 0, block.start(3))
            exec(compile("\n" * lines_before + code, ROOT / page, "exec"), names)
        else:
            done = subprocess.run(["sh", "-ec", code], stdout=-1, stderr=-2, text=True)
            assert done.returncode == 0, f"{code}{done.stdout}"


def test_nothing_sends_to_the_distribution_of_another_project():
    """PyPI's fastinit is not this one, whose distribution is fastinit-engine."""
    sent = re.compile(r"pip install [^\n]*\bfastinit(?!-engine)\b")
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "fastinit").rglob("*.py")}
    assert sent.search("pip install 'fastinit[cli]'")
    assert [name for name, text in (PAGES | sources).items() if sent.search(text)] == []

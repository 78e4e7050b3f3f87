"""The site's build notices what is wrong in a page. `make docs` builds the true one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {
    "index.md": "# A site\n\n[wrong](gone.py) [anchor](other.md#gone) `fine`\n\n```{toctree}\nother\n```\n",
    "other.md": "# Other\n\n[right](data.json), [the folder](../docs), [a page](index.md#a-site), $x^2$\n",
    "lonely.md": "# Lonely\n",
    "data.json": "{}",
}
FUNCTIONS = ["relu", "relu_backward"]
REFERENCE = (
    "\n```{eval-rst}\n" + "\n".join(f".. autofunction:: fastinit.nn.{each}" for each in FUNCTIONS) + "\n```\n"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What the build of a small site says, and the text of one page."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "docs").mkdir()
    for name, text in PAGES.items():
        (folder / "docs" / name).write_text(text + REFERENCE * (name == "other.md"))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", ROOT / "docs"]
    done = subprocess.run([*command, folder, folder / "out"], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    return done.stderr, (folder / "out" / "docs" / "other.html").read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        r"docs/index\.md: WARNING: gone\.py is not there",
        r"'gone'",
        r"lonely\.md: WARNING: document isn't included in any toctree",
        r"fastinit\.nn\.selu is public and not in the reference",
        r"fastinit\.torch\.init\.kaiming_normal_ is public and not in the reference",
        r"fastinit\.dask\.random\.\w+ is public and not in the reference",
    ],
)
def test_is_noticed(built, wrong):
    assert re.search(wrong, built[0]), built[0]


def test_what_is_right_is_no_warning(built):
    said, page = built
    for right in ("data.json", "nn.relu is", "nn.relu_backward", "index.md#a-site", "random.beta"):
        assert right not in said
    assert 'href="https://github.com/fastinit/fastinit/blob/main/docs/data.json"' in page
    assert 'href="https://github.com/fastinit/fastinit/tree/main/docs"' in page
    assert "<msup>" in page

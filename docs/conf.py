"""The site that `make docs` builds from the repository's pages, each where it is.

The source folder is the repository, so that a link from one page to another is the same in both. Sphinx takes
the reference from docstrings and checks every link; MyST reads Markdown as GitHub does; furo is legible on a
phone and in the dark. A page that no toctree has is an error, as is any other warning.
"""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[1]
SOURCE = "https://github.com/fastinit/fastinit"
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras's own default is not installed

import fastinit  # noqa: E402
from fastinit import cli  # noqa: E402

project = "fastinit"
author = copyright = "The fastinit authors"
release = fastinit.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "bench/README.md", "bench/track/README.md"]
include_patterns += ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/gallery/*.rst"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
default_role = "py:obj"
nitpicky = True
# Other packages' names have no entry here: their inventories are on the network.
nitpick_ignore_regex = [("py:.*", r"(?!fastinit\b).*")]
numpydoc_show_class_members = False  # autodoc shows them
autodoc_typehints = "none"  # the text says each parameter's type
autodoc_member_order = "groupwise"

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "docs/gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"measuring\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_srcset": ["2x"],
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 60,
    "write_computation_times": False,
    "abort_on_example_error": True,
}

html_theme = "furo"
html_title = f"fastinit {release}"
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {"source_repository": SOURCE, "source_branch": "main", "source_directory": ""}

LINK = re.compile(r"(?<=\]\()([\w./-]+)(?=(?:#[\w-]*)?\))")
#: The public modules: all but the command, and what another's `__all__` does not name.
MODULES = [each.name for each in pkgutil.iter_modules(fastinit.__path__) if each.name[0] != "_"]
MODULES = ["fastinit", "fastinit.torch.nn", *(f"fastinit.{name}" for name in MODULES if name != "cli")]


def link_sources(app, name, text):
    """Point links to files that are no page of the site at the repository. A file must be there."""
    folder = Path(app.env.doc2path(name)).parent

    def target(match):
        path = (folder / match[1]).resolve()
        if not path.exists():
            logging.getLogger(__name__).warning("%s is not there", match[1], location=name)
            return match[1]
        inside = path.relative_to(app.srcdir)
        if inside.parts[0] == "examples":  # each has a page in the gallery
            page = "docs/gallery/" + inside.stem.replace("README", "index")
            if page in app.env.found_docs:
                return os.path.relpath(f"{app.srcdir}/{page}.rst", folder)
        if str(inside.with_suffix("")) in app.env.found_docs or path.suffix == ".svg":
            return match[1]
        return f"{SOURCE}/{'tree' if path.is_dir() else 'blob'}/main/{inside}"

    text[0] = LINK.sub(target, text[0])


def missing(documented):
    """Yield the public names that have no entry, but for NumPy's own."""
    queue = [importlib.import_module(name) for name in MODULES]
    for module in queue:
        for name in getattr(module, "__all__", []):
            each = getattr(module, name)
            if hasattr(each, "__path__") or hasattr(each, "__loader__"):
                queue.append(each)
            elif getattr(numpy.random, name, None) is not each:
                full = f"{module.__name__}.{name}"
                made = f"{getattr(each, '__module__', '')}.{getattr(each, '__qualname__', '')}"
                if not {full, made} & documented:
                    yield full


def check_reference(app, env):
    for name in missing(env.get_domain("py").objects.keys()):
        logging.getLogger(__name__).warning("%s is public and not in the reference", name)


class Verbs(SphinxDirective):
    """What `--help` prints of each verb of the command."""

    def run(self):
        return [*self.help()]

    def help(self):
        environment = {**os.environ, "COLUMNS": "88", "NO_COLOR": "1"}
        for verb in cli._VERBS:
            command = [sys.executable, "-m", "fastinit", verb, "--help"]
            said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            yield nodes.rubric(text=f"fastinit {verb}")
            yield nodes.literal_block(said, said, language="text")


def math(translator, node):
    """Formulas as MathML, which browsers draw without a script."""
    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def redirect(app, error):
    """The site's first page, at its root."""
    if error is None:
        refresh = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">'
        Path(app.outdir, "index.html").write_text(f'<!DOCTYPE html><meta charset="utf-8">{refresh}')


def setup(app):
    if Path(app.srcdir, "examples").is_dir():  # not so in the tests
        app.setup_extension("sphinx_gallery.gen_gallery")
    app.connect("source-read", link_sources)
    app.connect("env-check-consistency", check_reference)
    app.connect("build-finished", redirect)
    app.add_directive("verbs", Verbs)
    app.add_html_math_renderer("mathml", (math, None), (math, None))

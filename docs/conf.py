"""The documentation site: `make docs`. The source folder is the repository, so links between its pages work everywhere.

Nothing is fetched while it is built.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT), str(ROOT / "integrations")]

import docstrings  # noqa: E402

import rsreward  # noqa: E402

project, author, copyright = "rsreward", "The rsreward authors", "the rsreward authors"
version = release = rsreward.__version__
root_doc = "docs/index"
include_patterns = ["docs/*.md", "integrations/*/README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = [".*", "runs", "dist", "build", "tests", "rsreward", "benchmarks", "**/__pycache__"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_heading_anchors = 4  # as GitHub makes them
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. ", True

napoleon_use_ivar = True
autodoc_mock_imports = ["trl", "accelerate", "verl"]  # what only their trainers need
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature says them
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

html_theme, html_title = "furo", "rsreward"
html_static_path, html_css_files, html_extra_path = ["_static"], ["site.css"], ["root"]
html_copy_source = html_show_sphinx = False


def end_example(app: Any, document: str, source: list[str]) -> None:
    """Leave out the empty line by which doctest knows the end of an example."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")


def setup(app: Any) -> None:
    app.connect("source-read", end_example)
    app.connect("autodoc-process-docstring", docstrings.as_rst, priority=100)  # before napoleon

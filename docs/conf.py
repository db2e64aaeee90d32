"""Build the pages and the API reference: `make docs`. Nothing is fetched, and what is built needs no network."""

import re
from typing import Any

import blursynth

project = "blursynth"
author = "the blursynth authors"
version = release = blursynth.__version__
html_title = f"blursynth {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "markdown"}
autosummary_generate = False
exclude_patterns = ["pictures"]
myst_heading_anchors = 4
numpydoc_show_class_members = False
numpydoc_validation_checks: set[str] = set()
autodoc_typehints = "none"  # the docstrings say shapes and ranges, which types cannot
autodoc_member_order = "bysource"
html_theme = "furo"
html_show_sourcelink = False
pygments_style = "friendly"


def setup(app: Any) -> None:
    """Name what the README links to outside of docs/, which is no part of the pages."""
    outside = re.compile(r"\[([^\]]+)\]\((?!docs/|https?:|#)[^)]+\)")

    def unlinked(app: Any, path: Any, parent: str, content: list[str]) -> None:  # noqa: ARG001
        content[0] = outside.sub(r"`\1`", content[0])

    app.connect("include-read", unlinked)

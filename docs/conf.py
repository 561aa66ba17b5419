"""Settings of Sphinx, which builds the documents of the repository and the API reference: ``make docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "api"))

from pygments.lexers.special import TextLexer

import csvd

project = "csvd"
author = "csvd contributors"
copyright = author
version = release = csvd.__version__

root_doc = "docs/index"
include_patterns = ["*.md", "bundles/*/docs/*.md", "benchmarks/*.md", "docs/*", "docs/api/*"]
exclude_patterns = [".*", "build", "demo", "dist", "runs", "src", "tests"]

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_parser", "api_pages"]
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
myst_heading_anchors = 3
napoleon_numpy_docstring = False

html_theme = "alabaster"
html_theme_options = {"description": "Cerebral microbleeds on MRI. Research use only.", "page_width": "1100px"}


def setup(app):
    """Show diagrams as their source, where no browser draws them."""
    app.add_lexer("mermaid", TextLexer)

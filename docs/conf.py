"""Sphinx settings: the site is built from these pages, the notebooks as they were executed, and the docstrings."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "_ext"))

import deconv  # noqa: E402

project = "deconv-toolkit"
author = "deconv-toolkit developers"
copyright = author
release = version = deconv.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas without a network
    "sphinx_design",
    "reference",
    "floors",
    "gallery",
]

exclude_patterns = ["_build", "_ext", "copied/gallery.md"]
suppress_warnings = ["config.cache"]
nitpicky = False

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks carry their outputs
nb_merge_streams = True

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "literal"

html_theme = "pydata_sphinx_theme"
html_title = "deconv-toolkit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "friendly",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {name: [] for name in ("index", "concepts", "benchmarks", "findings", "architecture")}


def copy_in(app, config) -> None:
    """The notebooks and the pictures of the README, which live where a reader of the repository looks for them."""
    for folder, pattern in (("notebooks", "*.ipynb"), ("data", "*.jpg"), ("data", "*.png")):
        target = HERE / "copied" / folder
        target.mkdir(parents=True, exist_ok=True)
        for path in (ROOT / folder).glob(pattern):
            shutil.copy2(path, target)


def setup(app) -> None:
    app.connect("config-inited", copy_in)

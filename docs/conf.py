"""The documentation site: `make docs` builds it into docs/_build/html, examples executed, warnings being errors."""

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

import figure_style  # noqa: E402

import megxl  # noqa: E402

project = "megxl"
author = "the megxl developers"
project_copyright = "the megxl developers"
version = release = megxl.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "matplotlib.sphinxext.plot_directive",
    "sphinx_gallery.gen_gallery",
    "repository_pages",
]
exclude_patterns = ["_build", "gallery", "examples/*.ipynb", "examples/*.py"]
nitpicky = False  # prose types ("Tensor of bool, shape (B, T)") name no object

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autosummary_generate = True
templates_path = ["templates"]
autodoc_typehints = "none"  # docstrings say types in words, with shapes and units
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "inherited-members": False}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

plot_formats = ["svg"]
plot_html_show_formats = plot_html_show_source_link = False
plot_rcparams = figure_style.RC
plot_apply_rcparams = True

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["examples"],
    "reset_modules": ("matplotlib", "figure_style.apply"),
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": False,  # sphinx reports it as a warning, which is an error
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 10**6,
    "write_computation_times": False,
    "capture_repr": ("_repr_html_",),
    "default_thumb_file": str(HERE / "static" / "megxl.svg"),
}
warnings.filterwarnings("ignore", category=DeprecationWarning)

html_theme = "pydata_sphinx_theme"
html_title = "megxl"
html_static_path = ["static"]
html_css_files = ["megxl.css"]
html_favicon = "static/megxl.svg"
html_show_sourcelink = False
html_sidebars = {page: [] for page in ("index", "install", "concepts")}
html_copy_source = False
html_theme_options = {
    "logo": {"text": "megxl", "image_light": "static/megxl.svg", "image_dark": "static/megxl.svg"},
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

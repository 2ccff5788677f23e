"""The documentation site, which ``make docs`` makes of the pages here, the notebooks, and all docstrings."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = str(ROOT)  # of the notebooks' kernels

PACKAGES = ("quant", "hw", "sim", "sw", "sw.data")


def api_pages() -> dict[str, str]:
    """A page for each module, and one for each package that lists them: name and text."""
    pages = {}
    for package in PACKAGES:
        modules = sorted(path.stem for path in ROOT.joinpath(*package.split(".")).glob("[!_]*.py"))
        for module in modules:
            title = f"``{package}.{module}``"
            directive = f".. automodule:: {package}.{module}\n   :members:\n   :show-inheritance:\n"
            pages[f"{package}/{module}.rst"] = f"{title}\n{'=' * len(title)}\n\n{directive}"
        listed = "".join(f"   {package}/{module}\n" for module in modules)
        head = f"``{package}``\n{'=' * 20}\n\n.. automodule:: {package}\n   :no-members:\n\n"
        pages[f"{package}.rst"] = f"{head}.. toctree::\n   :maxdepth: 1\n\n{listed}"
    return pages


def write_api_pages(folder: Path) -> None:
    """Writes what has changed, so that only that is built anew, and removes the pages of modules that are gone."""
    pages = {folder / name: text for name, text in api_pages().items()}
    for path in set(folder.rglob("*.rst")) - set(pages):
        path.unlink()
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


write_api_pages(Path(__file__).parent / "api")

project = "Chandelier"
author = "The Chandelier developers"
release = "0.1.0"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["conf.py"]
nitpicky = True
# What is not ours is not checked: there is no network, and types in docstrings are words ("int, 4..32").
nitpick_ignore_regex = [
    (r"py:class", r"(?!(quant|hw|sim|sw)\.).*"),
    (r"py:class", r".*\._\w+|.*\.T|.*Annotated\[.*"),  # private bases, type variables, what pydantic makes of a type
    (r"py:.*", r"(amaranth|collections|numpy|pathlib|pydantic|torch|typing)\..*"),
]
suppress_warnings = ["ref.python"]  # words in types, like "steps", that are also the names of two attributes

# Links to headings are those that GitHub makes.
myst_heading_anchors = 4

# Notebooks are kept without outputs; the site runs them.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_rtype = False

linkcheck_ignore = [r"https?://"]  # what is linked inside of the site; there is no network

html_theme = "furo"
html_title = "Chandelier"
html_show_sphinx = False
html_copy_source = False

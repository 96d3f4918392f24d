"""Pages that the site takes from elsewhere in the repository: tables of benchmarks, and the help of every command."""

import io
import os
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from megxl.cli import COMMANDS, main

DOCS = Path(__file__).parents[1]
REPOSITORY = DOCS.parent
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
"""Target of a markdown link to a file, without its anchor."""
ALL_TABLES = "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook into the build: before pages are looked for, and when each is read."""
    app.connect("builder-inited", lambda _: make_pages())
    app.connect("source-read", relink)
    return {"parallel_read_safe": True}


def make_pages() -> None:
    """Copy the tables and write the commands' page; what has not changed is not touched, so that builds stay short."""
    for table in sorted((REPOSITORY / "benchmarks").glob("*.md")):
        text = table.read_text(encoding="utf-8")
        _write(DOCS / "benchmarks" / table.name, text + ALL_TABLES if table.stem == "README" else text)
    _write(DOCS / "commands.md", commands_page())


def commands_page() -> str:
    """Help of every command, as `megxl COMMAND --help` prints it."""
    os.environ["COLUMNS"] = "100"
    parts = ["# Commands\n\nWhat `megxl COMMAND --help` prints. `megxl --help` is the table of contents.\n"]
    for name, purpose in COMMANDS.items():
        with redirect_stdout(io.StringIO()) as told:
            assert main([name, "--help"]) == 0
        said = f"{purpose[0].upper()}{purpose[1:]}."
        parts.append(f"## megxl {name}\n\n{said}\n\n```text\n{told.getvalue().rstrip()}\n```\n")
    return "\n".join(parts)


def relink(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links that are right in the repository lead to the pages that were made of their targets."""
    page = DOCS / docname
    home = REPOSITORY / "benchmarks" if page.parent.name == "benchmarks" else page.parent

    def on_site(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(home / link[1]))
        if target.parent == REPOSITORY / "benchmarks":
            target = DOCS / "benchmarks" / target.name
        return os.path.relpath(target, page.parent)

    source[0] = LINK.sub(on_site, source[0])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")

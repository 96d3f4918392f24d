"""Pieces of the pages: tables of names and values, tables of many columns, a warning that nobody overlooks."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from megxl.reporting.style import ALARM


def facts_table(rows: Iterable[tuple[str, Any]]) -> str:
    """Lay out names and values, one row each; what is not known is a dash."""
    lines = "".join(
        f'<tr><th scope="row" style="white-space:nowrap;font-weight:500">{escape(key)}</th>'
        f"<td>{escape('-' if value in (None, '') else str(value))}</td></tr>"
        for key, value in rows
    )
    return f'<table class="table table-sm table-hover" style="width:auto">{lines}</table>'


def grid_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, bold: int | None = None) -> str:
    """Lay out rows of many cells, the first of each its name; `bold` is the row that a reader should see first."""
    lines = []
    for number, (name, *cells) in enumerate(rows):
        weight = 700 if number == bold else 400
        told = "".join(f'<td style="text-align:right">{escape(cell)}</td>' for cell in cells)
        lines.append(f'<tr style="font-weight:{weight}"><th scope="row" style="font-weight:inherit">'
                     f"{escape(name)}</th>{told}</tr>")  # fmt: skip
    head = "".join(f'<th style="text-align:{"right" if n else "left"}">{escape(h)}</th>' for n, h in enumerate(heads))
    return f'<table class="table table-sm table-hover" style="width:auto"><tr>{head}</tr>{"".join(lines)}</table>'


def warning_html(sentence: str) -> str:
    """Put a sentence on red."""
    return (
        f'<p style="background:{ALARM};color:white;font-weight:bold;padding:.6em 1em;border-radius:.3em">'
        f"{escape(sentence)}</p>"
    )


def list_html(title: str, sentences: Iterable[str]) -> str:
    """Put sentences under a small title; nothing if there are none."""
    listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<h4>{escape(title)}</h4><ul>{listed}</ul>" if listed else ""


def folded(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Put long tables of settings below their titles, to be opened by a click; paper shows the titles alone."""
    return "".join(
        f"<details><summary>{escape(title)}</summary>{facts_table(flattened(part))}</details>"
        for title, part in parts.items()
    )


def flattened(entries: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Give the leaves of nested settings, each with the way to it as its name."""
    for key, value in entries.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key} · ")
        else:
            value = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            yield f"{prefix}{key}", f"{value:g}" if isinstance(value, float) else value

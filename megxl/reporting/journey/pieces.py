"""Pieces of the page: a section, a picture that needs no file beside it, the document around them."""

import io
from base64 import b64encode
from html import escape
from importlib.resources import files

from matplotlib.figure import Figure


def section(place: str, title: str, body: str) -> str:
    """Put a body under a title that links lead to; `title` is HTML."""
    return f'<h2 id="{place}">{title}</h2>{body}'


def picture(figure: Figure, caption: str, alternative: str) -> str:
    """Put a picture into the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(alternative, quote=True)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def document(title: str, body: str) -> str:
    """Make the page of its body."""
    # a number and its unit stay on one line
    body = body.replace(" %", "\u00a0%")
    style = files("megxl.reporting.journey").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>{body}</main></body></html>\n"
    )

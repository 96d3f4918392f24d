"""Tables on a terminal or in a pipe: two columns of what and how much, or as many as there are."""

import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec


def print_table(title: str, rows: Iterable[tuple[str, object]], warning: str | None = None) -> None:
    """Print a title, a warning if there is one, and one line a row; colours only on a terminal that has them."""
    cells = [(name, "-" if value in (None, "", []) else str(value)) for name, value in rows]
    if sys.stdout.isatty() and find_spec("rich") is not None:
        _print_rich(title, cells, warning)
        return
    print(title)
    if warning:
        print(f"!! {warning}")
    width = max(len(name) for name, _ in cells)
    for name, value in cells:
        print(f"  {name:<{width}}  {value}")


def print_columns(lines: Sequence[Sequence[str]]) -> None:
    """Print cells below each other; the first line has the most."""
    widths = [max(len(line[place]) for line in lines if place < len(line)) for place in range(len(lines[0]))]
    for line in lines:
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)).rstrip())


def _print_rich(title: str, cells: list[tuple[str, str]], warning: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 1, 0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in cells:
        table.add_row(name, Text(value))
    console = Console()
    console.print(Text(title, style="bold"))
    if warning:
        console.print(Text(f" {warning} ", style="bold white on red"))
    console.print(table)

"""Tables of a decoder's page: every word, every subject, every session; a click on a column's name sorts by it."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from megxl.reporting.words.scores import Scored

Cell = str | float
"""What stands in a cell; numbers are sorted as such."""

SORTING = """<script>
document.querySelectorAll("table.sortable th[data-column]").forEach((head) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], column = +head.dataset.column;
  const down = head.getAttribute("aria-sort") !== "descending";
  const value = (row) => row.cells[column].dataset.value;
  const numbers = [...body.rows].every((row) => value(row) === "" || !isNaN(value(row)));
  const order = (a, b) => numbers ? Number(value(a) || -1) - Number(value(b) || -1) : value(a).localeCompare(value(b));
  [...body.rows].sort((a, b) => down ? order(b, a) : order(a, b)).forEach((row) => body.append(row));
  head.parentNode.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
}));
</script>"""
"""Once a page, after its last table."""


def sortable_table(heads: Sequence[str], rows: Iterable[Sequence[tuple[str, Cell]]]) -> str:
    """Lay out rows of (what is shown, by what it is sorted), the first of each its name."""
    lines = []
    for row in rows:
        cells = "".join(
            f'<td data-value="{escape(str(value))}" style="text-align:{"left" if n == 0 else "right"}">'
            f"{escape(text)}</td>"
            for n, (text, value) in enumerate(row)
        )
        lines.append(f"<tr>{cells}</tr>")
    head = "".join(
        f'<th data-column="{n}" style="cursor:pointer;position:sticky;top:0;background:white;'
        f'text-align:{"left" if n == 0 else "right"}" title="sort">{escape(name)}</th>'
        for n, name in enumerate(heads)
    )
    return (
        '<div style="max-height:32em;overflow:auto;margin-bottom:1em">'
        '<table class="table table-sm table-hover sortable" '
        f'style="width:auto"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def words_table(scored: Scored, mistakes: Mapping[str, tuple[str, int]]) -> str:
    """One row for each candidate that was heard: how often, how often found, its mean rank, what it was taken for."""
    labels_M, ranks_M, hits_M = scored.places.labels_M, scored.places.ranks_M, scored.hits_M
    rows = []
    for label in np.unique(labels_M):
        mine_M, word = labels_M == label, scored.places.candidates[label]
        times, hits, rank = int(mine_M.sum()), float(hits_M[mine_M].sum()), float(ranks_M[mine_M].mean())
        taken = mistakes.get(word)
        rows.append((
            (word, word), (f"{times:,}", times), (f"{hits:g}", hits), (f"{100 * hits / times:.1f} %", hits / times),
            (f"{rank:.1f}", rank), (f"{taken[0]} ({taken[1]})" if taken else "-", taken[0] if taken else ""),
        ))  # fmt: skip
    rows.sort(key=lambda row: -row[1][1])
    k = scored.metric.k
    return sortable_table(
        ("word", "heard", f"in the top {k}", "share", "mean rank", "most often taken for (times)"), rows
    )


def metrics_table(told: Mapping[str, Any]) -> str:
    """All metrics of a part of results.json beside what they are to be compared with, the reported one bold."""
    rows = [
        (
            (f"{name} (reported)" if name == told["reported_metric"] else name, name),
            _percent(one["value"]),
            interval_cell(one),
            _percent(one["chance"]),
            _percent(one["frequency"]),
            ("-" if one["p"] is None else f"{one['p']:.3g}", "" if one["p"] is None else one["p"]),
        )
        for name, one in told["metrics"].items()
    ]
    return sortable_table(("metric", "value", "interval", "chance", "frequent words", "p, words exchanged"), rows)


def parts_table(told: Mapping[str, Any], by: str, what: str) -> str:
    """One row for each subject or session of a part of results.json: the reported metric with its interval."""
    rows = [
        (
            (name, name),
            (f"{one['words']:,}", one["words"]),
            _percent(one["values"].get(told["reported_metric"])),
            interval_cell(one),
        )
        for name, one in told[by].items()
    ]
    return sortable_table((what, "words", "value", "interval"), rows)


def interval_cell(one: Mapping[str, Any]) -> tuple[str, Cell]:
    """An interval in per cent, sorted by its lower bound."""
    if one["low"] is None:
        return "none", ""
    return f"{100 * one['low']:.1f} to {100 * one['high']:.1f} %", one["low"]


def _percent(value: float | None) -> tuple[str, Cell]:
    return ("-", "") if value is None else (f"{100 * value:.1f} %", value)

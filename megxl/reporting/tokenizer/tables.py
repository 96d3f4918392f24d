"""Tables of a tokenizer's page: it beside others and its controls, its levels, the windows on which all were judged."""

from collections.abc import Iterator, Mapping
from typing import Any

from megxl.reporting.html import facts_table, grid_table, list_html
from megxl.reporting.tokenizer.headline import interval, number, percent
from megxl.reporting.tokenizer.score_figures import CONTROLS, Scores

COMPARED = (
    "", "Pearson r", "SI-SDR (dB)", "variance explained", "level 1 codes used",
    "codes kept at 10 dB", "bits a second",
)  # fmt: skip
BESIDE = "r less that of the first"


def comparison_table(tokenizers: Mapping[str, Scores]) -> str:
    """Lay out what judging found of each tokenizer, the first one bold, and below them the controls of the first."""
    rows = [(name, *_compared(scores)) for name, scores in tokenizers.items()]
    for name, control in next(iter(tokenizers.values()))["controls"].items():
        r, rest = control["r"], (number(control["si_sdr_db"]["mean"], 1), number(control["variance_explained"]["mean"]))
        rows.append((f"control: {CONTROLS[name]}", f"{number(r['mean'])}{interval(r)}", *rest, "-", "-", "-"))
    heads = COMPARED
    if len(tokenizers) > 1:
        beside = [scores["r_beside_first"] for scores in tokenizers.values()]
        told = ["-" if one is None else f"{number(one['mean'])}{interval(one)}" for one in beside]
        told += ["-"] * (len(rows) - len(told))
        heads, rows = (*COMPARED, BESIDE), [(*row, cell) for row, cell in zip(rows, told, strict=True)]
    return grid_table(heads, rows, bold=0)


def levels_table(scores: Scores) -> str:
    """Lay out each level: codes that occur, in effective use, entropy, and what is given back with it."""
    heads = ("level", "codes that occur", "in effective use", "entropy (bits)", "r, up to this level", "interval")
    rows = [
        (
            str(level["level"]),
            f"{percent(level['usage'])} of {len(level['counts'])}",
            number(level["perplexity"], 1),
            number(level["entropy_bits"], 2),
            number(level["r"]["mean"]),
            interval(level["r"]).strip(" ()") or "-",
        )
        for level in scores["levels"]
    ]
    return grid_table(heads, rows)


def windows_html(judged: Mapping[str, Any]) -> str:
    """Say on what all tokenizers were judged, and what to know about it."""
    notes = [*judged["windows"]["notes"]]
    notes += [f"{name}: {note}" for name, scores in judged["tokenizers"].items() for note in scores["notes"]]
    return facts_table(_windows(judged["windows"])) + list_html("Notes of the judging", notes)


def _compared(scores: Scores) -> Iterator[str]:
    yield f"{number(scores['r']['mean'])}{interval(scores['r'])}"
    yield number(scores["si_sdr_db"]["mean"], 1)
    yield number(scores["variance_explained"]["mean"])
    yield percent(scores["levels"][0]["usage"])
    noisy = (one["kept"]["mean"] for one in scores["robustness"] if (one["kind"], one["amount"]) == ("noise", 10.0))
    yield percent(next(noisy, None))
    yield number(scores["bits_per_second"]["entropy"], 1)


def _windows(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    block = "the whole window" if told["block_s"] is None else f"blocks of {told['block_s']:g} s"
    yield "windows", f"{told['number']} of {told['of']}, {told['window_s']:g} s each at {told['sfreq_hz']:g} Hz"
    yield "scaled in", f"{block}, clipped at {told['clip']:g} interquartile ranges"
    flat = f"; {told['flat_rows']} flat ones left out" if told["flat_rows"] else ""
    yield "rows (a sensor of a window)", f"{told['rows']:,}{flat}"
    over = told["intervals_over"]
    yield "intervals", "none: there is one window" if over is None else f"95 %, {over} drawn anew"
    yield "recordings", ", ".join(f"{key} ({windows})" for key, windows in told["recordings"].items())

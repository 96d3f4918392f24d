"""A page of the words of a recording as a decoder names them: a passage to read, and each word with its candidates."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from megxl.decoding.decoded import DecodedRecording, DecodedWord, summary
from megxl.reporting.html import facts_table, flattened, list_html, warning_html
from megxl.reporting.page import new_page, save_page
from megxl.reporting.report import check_report
from megxl.reporting.style import ACCENT, ALARM, AMBER, INK, PALE

HOW_TO_READ = (
    "The decoder does not find words in the signal. It was told when each word began, and ranks the {words} words that "
    "it knows by how well they fit: a word outside of this list can never be named, and there is always a best one, "
    "also where nothing can be read from the signal."
)
COMPARE = " Look at the shares above against chance before believing a line."
PAUSE_S = 1.5
"""A longer time between two onsets begins a new paragraph."""

_STYLE = f"""<style>
.mx-passage {{ line-height: 2.6; max-width: 60em; color: {INK}; }}
.mx-passage ruby {{ margin-right: .35em; ruby-position: under; }}
.mx-passage rt {{ color: {INK}; opacity: .7; font-size: .65em; }}
.mx-top {{ background: {PALE}; border-radius: .2em; }}
.mx-first {{ background: {ACCENT}; color: white; border-radius: .2em; font-weight: 600; }}
.mx-words td {{ padding: .1em .45em; white-space: nowrap; font-size: .85em; vertical-align: bottom; }}
.mx-words .mx-note {{ color: {ALARM}; }}
.mx-words .mx-c {{ min-width: 6.5em; }}
.mx-bar {{ display: block; height: .35em; background: {ACCENT}; width: var(--w); }}
.mx-true {{ outline: 2px solid {AMBER}; outline-offset: -2px; }}
</style>"""


def write_decoded_page(path: str | Path, decoded: DecodedRecording, *, k: int = 10, overwrite: bool = False) -> Path:
    """Write a page that needs nothing but itself.

    Parameters
    ----------
    path : str or Path
        The page, in .html; it appears there when it is complete.
    decoded : DecodedRecording
    k : int
        A word counts as found among so many best candidates.
    overwrite : bool

    Raises
    ------
    InputError
        If the page cannot be put there.
    """
    path = Path(path)
    check_report(path, overwrite=overwrite)
    report = new_page(f"Words of {escape(decoded.name)}")
    report.add_html(_STYLE + summary_html(decoded, k), "Summary", tags=())
    report.add_html(passage_html(decoded, k), "The passage", tags=())
    report.add_html(words_html(decoded), "Each word", tags=())
    report.add_html(decoder_html(decoded), "The decoder", tags=())
    return save_page(report, path)


def summary_html(decoded: DecodedRecording, k: int = 10) -> str:
    """Say how good the words are, how to read the page, and what a person should know."""
    warning = warning_html(decoded.warning) if decoded.warning else ""
    shares = summary(decoded, k) or ["Which words were said is not known: nothing tells how many of these are right."]
    told = "".join(f"<p><b>{escape(sentence)}</b></p>" for sentence in shares)
    how = HOW_TO_READ.format(words=len(decoded.predictions.vocabulary)) + (COMPARE if decoded.told else "")
    return f"{warning}{told}<p>{escape(how)}</p>" + list_html("Notes", decoded.notes)


def decoder_html(decoded: DecodedRecording) -> str:
    """Say how the decoder was trained and tested, and what leaked between the two."""
    told = dict(decoded.about)
    leaks, recordings = told.pop("leaks", ()), told.pop("recordings", ())
    if recordings:
        told["recordings of the training"] = len(recordings)
    return facts_table(flattened(told)) + list_html("What leaks from its test into its training", leaks)


def passage_html(decoded: DecodedRecording, k: int = 10) -> str:
    """Lay out the words to read, the best candidate small below each true one."""
    marks = (
        f"<p>Below each word stands the best candidate. Marked: <span class='mx-first'>it is the true word</span>, "
        f"<span class='mx-top'>the true word is among the best {k}</span>.</p>"
        if decoded.told
        else "<p>The best candidate for each onset.</p>"
    )
    paragraphs = "".join(
        f"<p class='mx-passage'><small>{words[0].word.onset_s:.1f} s</small> "
        f"{' '.join(_in_passage(word, k) for word in words)}</p>"
        for words in _paragraphs(decoded.words)
    )
    return marks + paragraphs


def words_html(decoded: DecodedRecording) -> str:
    """Lay out one row a word, with a bar for each candidate's cosine and a frame around the true one."""
    shown = [score for word in decoded.words for score in word.scores]
    low, high = min(shown), max(shown)
    told = (
        f"<p>Bars are cosines between the decoder's estimate and the vectors of the candidates, from {low:.3f} (none) "
        f"to {high:.3f} (full), the lowest and highest of this table. An orange frame: the true word.</p>"
    )
    rows = "".join(_row(word, low, (high - low) or 1.0) for word in decoded.words)
    top = max(len(word.candidates) for word in decoded.words)
    head = f"<tr><th>onset (s)</th><th>word</th><th>rank</th><th colspan='{top}'>candidates</th><th></th></tr>"
    return f"{told}<div style='overflow-x:auto'><table class='mx-words'>{head}{rows}</table></div>"


def _paragraphs(words: Sequence[DecodedWord]) -> Iterable[list[DecodedWord]]:
    paragraph = [words[0]]
    for before, word in pairwise(words):
        if word.word.onset_s - before.word.onset_s > PAUSE_S:
            yield paragraph
            paragraph = []
        paragraph.append(word)
    yield paragraph


def _in_passage(decoded: DecodedWord, k: int) -> str:
    best = decoded.candidates[0] if decoded.candidates else "-"
    text = decoded.word.text
    if not text:
        return f"<ruby>{escape(best)}</ruby>"
    found = decoded.rank is not None and decoded.rank <= k
    mark = "mx-first" if decoded.rank == 1 else "mx-top" if found else ""
    return f"<ruby class='{mark}'>{escape(text)}<rt>{escape(best)}</rt></ruby>"


def _row(decoded: DecodedWord, low: float, span: float) -> str:
    word = decoded.word
    cells = "".join(
        f"<td class='mx-c{' mx-true' if candidate.lower() == word.text.lower() else ''}' title='{score:.4f}'>"
        f"{escape(candidate)}<span class='mx-bar' style='--w:{100 * (score - low) / span:.0f}%'></span></td>"
        for candidate, score in zip(decoded.candidates, decoded.scores, strict=True)
    )
    note = f"<td class='mx-note'>{escape(decoded.note)}</td>" if decoded.note else ""
    rank = "" if decoded.rank is None else f"{decoded.rank:g}"
    return f"<tr><td>{word.onset_s:.2f}</td><td><b>{escape(word.text)}</b></td><td>{rank}</td>{cells}{note}</tr>"

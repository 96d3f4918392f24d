"""The passage: what was heard and, below it, what was decoded; a click on a word shows what the decoder had of it."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from megxl.data.groups import Grouping
from megxl.decoding.retrieval import scores
from megxl.reporting.style import ACCENT, AMBER, FAINT, INK, MUTED
from megxl.reporting.words.examination import spread
from megxl.reporting.words.scores import Scored
from megxl.reporting.words.signals import LATENCIES_S, DrawnArray, read_word
from megxl.store.entry import StoredRecording

MOST_GROUPS, MOST_WORDS = 6, 200
"""Of the passage; the first group is shown whole."""
MOST_SIGNALS = 60
"""Words whose signal stands in the page: 306 sensors take 60 kB each."""
CANDIDATES = 10
_STYLE = f"""
.pw {{ display:inline-block; background:none; border:0; border-bottom:3px solid transparent; margin:.15em .1em;
  padding:.1em .3em; text-align:center; font:inherit; color:{INK}; cursor:pointer; }}
.pw b {{ display:block; font-weight:600; }} .pw span {{ display:block; font-size:.8em; }}
.pw-first span {{ background:{ACCENT}; color:white; border-radius:.2em; padding:0 .3em; }}
.pw-hit {{ border-bottom-color:{ACCENT}; }} .pw-first {{ border-bottom-color:{ACCENT}; }}
.pw-miss {{ border-bottom:3px dotted {AMBER}; }} .pw-none b, .pw-none span {{ color:{MUTED}; font-weight:400; }}
.pw[aria-pressed=true] {{ outline:2px solid {INK}; }} .pw:hover {{ background:{FAINT}44; }}
#passage-panel {{ border:1px solid {FAINT}; border-radius:.3em; padding:1em; margin-top:1em; overflow-x:auto; }}
"""


def passage_html(scored: Scored, grouping: Grouping, recordings: Mapping[str, StoredRecording], lacking: str) -> str:
    """Lay out some test groups, evenly spread over the test, with what a click on a word needs.

    Parameters
    ----------
    scored : Scored
        Of the test.
    grouping : Grouping
        Window of a word.
    recordings : mapping
        Stored recordings by key, as far as they are there.
    lacking : str
        What to say at a word whose recording is not.
    """
    groups = passage_groups(scored.predictions.occurrences.groups)
    numbers = [number for group in groups for number in group]
    words = _words(scored, numbers)
    arrays = _add_signals(words, scored, numbers, grouping, recordings)
    without = lacking or f"The page holds the signal of the first {MOST_SIGNALS} words only."
    content = {
        "words": words, "arrays": arrays, "latencies_s": LATENCIES_S, "offset_s": grouping.offset_s,
        "score": "cosine" if scored.predictions.targets_VD is not None else "score", "without_signal": without,
        "colours": {"INK": INK, "FAINT": FAINT, "ACCENT": ACCENT, "AMBER": AMBER},
        "sfreq_hz": next((r.sfreq_hz for r in recordings.values()), 1.0),
    }  # fmt: skip
    lines, first = [], 0
    for group in groups:
        columns = scored.predictions.occurrences
        place = f"{columns.recordings[group[0]]}, from {columns.onsets_s[group[0]]:.1f} s"
        buttons = "".join(_button(words[first + n], first + n) for n in range(len(group)))
        lines.append(f'<p style="margin:.8em 0 .1em;font-size:.8em;color:{MUTED}">{escape(place)}</p><p>{buttons}</p>')
        first += len(group)
    return (
        f"<style>{_STYLE}</style>{_legend(scored)}{''.join(lines)}"
        '<div id="passage-panel" aria-live="polite"></div>'
        f'<script type="application/json" id="passage-data">{json_in_html(content)}</script>'
        f"<script>{files('megxl.reporting.words').joinpath('passage.js').read_text(encoding='utf-8')}</script>"
    )


def passage_groups(names: Sequence[str]) -> list[list[int]]:
    """Occurrences of the groups of the passage, in the order of the test; groups are given by the name of each word."""
    members: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        members.setdefault(name, []).append(number)
    every = list(members.values())
    chosen, words = [], 0
    for number in spread(len(every), MOST_GROUPS):
        if chosen and words + len(every[number]) > MOST_WORDS:
            break
        chosen.append(every[number])
        words += len(every[number])
    return chosen


def json_in_html(content: Any) -> str:
    """Write JSON that no word can end: it stands in a script element, where the parser looks for `<`."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _words(scored: Scored, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """What the page is told of each word: rank, verdict, the best candidates."""
    columns, places = scored.predictions.occurrences, scored.places
    rank_of = dict(zip(places.kept_M.tolist(), places.ranks_M.tolist(), strict=True))
    hit_of = dict(zip(places.kept_M.tolist(), scored.hits_M.tolist(), strict=True))
    score_NK = scores(scored.predictions, scored.metric.among, np.array(numbers))
    words = []
    for number, score_K in zip(numbers, score_NK, strict=True):
        best = np.argsort(-score_K, kind="stable")[:CANDIDATES]
        rank, k = rank_of.get(number), scored.metric.k
        kind = "none" if rank is None else "first" if rank == 1 else "hit" if hit_of[number] > 0 else "miss"
        verdict = (
            f"Not one of the {len(places.candidates)} candidates: it cannot be found."
            if rank is None
            else f"Rank {rank:g} of {len(places.candidates)}: {'among' if kind != 'miss' else 'not among'} the top {k}."
        )
        words.append({
            "text": columns.words[number],
            "place": f"{columns.recordings[number]} at {columns.onsets_s[number]:.2f} s",
            "kind": kind,
            "verdict": verdict,
            "best": [[places.candidates[n], round(float(score_K[n]), 4)] for n in best],
        })  # fmt: skip
    return words


def _add_signals(
    words: Sequence[dict[str, Any]],
    scored: Scored,
    numbers: Sequence[int],
    grouping: Grouping,
    recordings: Mapping[str, StoredRecording],
) -> list[list[dict[str, Any]]]:
    """Add the signal of the first words to what is told of them; return how each array is drawn."""
    columns = scored.predictions.occurrences
    drawn: dict[str, tuple[int, DrawnArray]] = {}
    for word, number in list(zip(words, numbers, strict=True))[:MOST_SIGNALS]:
        recording = recordings.get(columns.recordings[number])
        if recording is None:
            continue
        signal_CT = read_word(recording, columns.onsets_s[number], grouping.offset_s, grouping.window_s)
        if signal_CT is None:
            continue
        place, array = drawn.setdefault(recording.key, (len(drawn), DrawnArray(recording.sensors, recording.bads)))
        word["array"] = place
        word["signals"] = array.packed(signal_CT, round(-grouping.offset_s * recording.sfreq_hz))
    return [array.kinds for _, array in drawn.values()]


def _button(word: Mapping[str, Any], number: int) -> str:
    said = f"{word['text']}: {word['verdict']}"
    return (
        f'<button type="button" class="pw pw-{word["kind"]}" data-word="{number}" aria-pressed="false" '
        f'title="{escape(said)}"><b>{escape(word["text"])}</b><span>{escape(word["best"][0][0])}</span></button>'
    )


def _legend(scored: Scored) -> str:
    k, candidates = scored.metric.k, len(scored.places.candidates)
    samples = "".join(
        f'<span class="pw pw-{kind}" style="cursor:default"><b>heard</b><span>decoded</span></span> {escape(meaning)} '
        for kind, meaning in (
            ("first", "decoded right"),
            ("hit", f"the word is among the top {k}"),
            ("miss", "it is not"),
            ("none", "the word is none of the candidates"),
        )
    )
    return (
        f"<p>The words that were heard, below each the best of {candidates} candidates. Groups are spread evenly over "
        "the test, not chosen by how well they are decoded. A click on a word shows its prepared signal (the mean "
        "before the onset taken away; dashed: the times of the maps, which are seen from above, nose up; of a pair of "
        "planar gradiometers the root mean square) and its ten "
        f"best candidates.</p><p>{samples}</p>"
    )

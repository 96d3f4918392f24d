"""How well a run's model predicts hidden codes by context, corpus and level, and where it attends, as rows.

Letters: N windows, K contexts, Q levels, R resamples, X quantities.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from megxl.errors import InputError
from megxl.model.attention_maps import measure_attention
from megxl.placing import placed
from megxl.training.context import WindowScore, context_tokens, score_window
from megxl.training.intervals import FEW, bootstrap_means, interval
from megxl.training.run_windows import RunWindows

Advance = Callable[[int, int], None]
"""Told how many windows are done, of how many."""
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class ContextScores:
    """Scores of windows at several contexts."""

    contexts_s: tuple[float, ...]
    """As asked for, ascending."""
    given_s: tuple[float, ...]
    """As given: a whole number of tokens, at most the window."""
    windows: tuple[WindowScore, ...]
    recordings: tuple[str, ...]
    """Of each window."""
    corpora: tuple[str, ...]
    """Of each window."""
    codes: int
    """In a code book."""

    @property
    def left_out(self) -> float:
        """Share of the hidden tokens that were not counted."""
        counted, left_out = (sum(getattr(window, name) for window in self.windows) for name in ("tokens", "left_out"))
        return left_out / (counted + left_out)


def score_contexts(
    windows: RunWindows, contexts_s: Sequence[float] | None = None, advance: Advance | None = None
) -> ContextScores:
    """Predict the hidden tokens of windows given contexts of several lengths.

    Parameters
    ----------
    windows : RunWindows
    contexts_s : sequence of float, optional
        In seconds, none longer than a window. None: the whole window alone.
    advance : callable, optional

    Raises
    ------
    InputError
        A context that is shorter than two tokens, longer than the window or given twice; no hidden token that has a
        visible one beside it at every context.
    """
    asked = sorted([windows.window_s] if contexts_s is None else contexts_s)
    if asked[-1] > windows.window_s or len(set(asked)) < len(asked):
        raise InputError(
            f"The contexts {', '.join(f'{context:g}' for context in asked)} s must differ and be no longer than the "
            f"windows of {windows.window_s:g} s."
        )
    lengths = [
        windows.tokens if context == windows.window_s else context_tokens(context, windows.tokens, windows.sizes)
        for context in asked
    ]
    scores, recordings, corpora = [], [], []
    for done, window in enumerate(windows, start=1):
        sensed = (window.sensors, window.mask_T, lengths, window.sensor_mask_1C)
        scores.append(score_window(windows.model, window.codes_1CTQ, *sensed))
        recordings.append(window.key)
        corpora.append(window.corpus)
        if advance is not None:
            advance(done, len(windows))
    if not any(score.tokens for score in scores):
        raise InputError(
            f"No hidden token has a visible one beside it in every context (the shortest: {asked[0]:g} s); give longer "
            "contexts."
        )
    token_s = windows.sizes.samples_per_token / windows.sizes.sfreq_hz
    given_s = tuple(windows.window_s if length == windows.tokens else round(length * token_s, 6) for length in lengths)
    return ContextScores(
        contexts_s=tuple(asked),
        given_s=given_s,
        windows=tuple(scores),
        recordings=tuple(recordings),
        corpora=tuple(corpora),
        codes=windows.sizes.codes,
    )


def context_rows(scores: ContextScores, guessers: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """One row a context and corpus, all corpora together first, with intervals of 95 % over recordings.

    Parameters
    ----------
    scores : ContextScores
    guessers : mapping, optional
        What guessers score (`Run.baselines`), to stand beside.

    Returns
    -------
    list of dict
        `loss` in nats and `accuracy`, means over levels; `_low` and `_high`, their bounds; `excess`, the loss beyond
        that of the longest context at the same tokens. Bounds are None where there is one window.
    """
    rows = []
    names = sorted(set(scores.corpora))
    for corpus in [ALL, *(names if len(names) > 1 else ())]:
        chosen = [
            number
            for number, of_window in enumerate(scores.corpora)
            if corpus in (ALL, of_window) and scores.windows[number].tokens
        ]
        if chosen:
            rows += _rows_of(
                scores, corpus, chosen, _beside(guessers, corpus) | {"chance_loss": math.log(scores.codes)}
            )
    return rows


def _rows_of(
    scores: ContextScores, corpus: str, chosen: Sequence[int], beside: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    counts_N = np.array([scores.windows[number].tokens for number in chosen])
    loss_NKQ, hits_NKQ = (
        np.stack([getattr(scores.windows[number], name) for number in chosen]) for name in ("loss_KQ", "hits_KQ")
    )
    loss_NK, hits_NK = loss_NKQ.mean(-1), hits_NKQ.mean(-1)
    quantities_NX = np.concatenate([loss_NK, hits_NK, loss_NK - loss_NK[:, -1:]], axis=1)
    recordings = [scores.recordings[number] for number in chosen]
    resampled_RX = bootstrap_means(quantities_NX, counts_N, recordings)
    means_3K = (quantities_NX.sum(0) / counts_N.sum()).reshape(3, -1)
    for place, context_s in enumerate(scores.contexts_s):
        row: dict[str, Any] = {"corpus": corpus, "context_s": context_s, "given_s": scores.given_s[place]}
        for number, name in enumerate(("loss", "accuracy", "excess")):
            column = number * len(scores.contexts_s) + place
            bounds = (None, None) if resampled_RX is None else interval(resampled_RX[:, column])
            row |= {name: float(means_3K[number, place]), f"{name}_low": bounds[0], f"{name}_high": bounds[1]}
        for name, sums_NKQ in (("loss", loss_NKQ), ("accuracy", hits_NKQ)):
            levels_Q = sums_NKQ[:, place].sum(0) / counts_N.sum()
            row |= {f"{name}_level_{level}": value for level, value in enumerate(levels_Q.tolist(), start=1)}
        counted = {"tokens": int(counts_N.sum()), "windows": len(chosen), "recordings": len(set(recordings))}
        yield row | counted | beside


def attention_rows(windows: RunWindows, advance: Advance | None = None) -> list[dict[str, Any]]:
    """Where each head looks, mean over windows: fields of `HeadFocus`, distances in s and m, and how many windows."""
    sums: dict[tuple, list[dict[str, Any]]] = {}
    for done, window in enumerate(windows, start=1):
        for focus in measure_attention(
            windows.model,
            window.codes_1CTQ,
            window.sensors,
            window.places_C3,
            sensor_mask_BC=window.sensor_mask_1C,
            mask=window.mask_T[None],
        ):
            sums.setdefault((focus.layer, focus.axis, focus.head), []).append(asdict(focus))
        if advance is not None:
            advance(done, len(windows))
    rows = []
    for (layer, axis, head), found in sums.items():
        row = {"layer": layer, "axis": axis, "head": head, "unit": "s" if axis == "time" else "m"}
        for name in ("distance", "even_distance", "entropy", "entropy_share"):
            known = [one[name] for one in found if one[name] is not None]
            row[name] = float(np.mean(known)) if known else None
        rows.append(row | {"windows": len(found)})
    return rows


def context_notes(windows: RunWindows, scores: ContextScores) -> list[str]:
    """What a person should know about these numbers, one sentence each."""
    notes = list(windows.notes)
    if scores.left_out:
        notes.append(
            f"{scores.left_out:.1%} of the hidden tokens are not counted: at some context they have nothing visible "
            "beside them."
        )
    recordings = len(set(scores.recordings))
    if recordings == 1:
        notes.append("The windows are of one recording: intervals say nothing of others.")
    elif recordings < FEW:
        notes.append(f"Intervals are over {recordings} recordings; over so few they are too narrow.")
    return notes


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows in place as a CSV file; what a row lacks stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with placed(path, folder=False) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _beside(guessers: Mapping[str, Any] | None, corpus: str) -> dict[str, float]:
    """What the guessers score, as columns of a row."""
    prefix = "" if corpus == ALL else f"{corpus}_"
    return {
        f"{guesser}_{name}": scores[f"{prefix}{name}"]
        for guesser in ("unigram", "last_token")
        for name in ("loss", "accuracy")
        if guessers is not None and f"{prefix}{name}" in (scores := guessers.get(guesser, {}))
    }

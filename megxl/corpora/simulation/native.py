"""Recordings in the layouts of Armeni and MEG-MASC: files with a template's header, tables of words beside them."""

import re
from pathlib import Path
from typing import Any

from megxl.corpora.names import beside
from megxl.corpora.simulation.event_tables import write_table
from megxl.corpora.simulation.native_ctf import write_ctf
from megxl.corpora.simulation.native_kit import write_kit
from megxl.corpora.simulation.recording import SimulatedRaw
from megxl.corpora.simulation.story import LEAD_S

_SILENCE_S = 0.05
_MASC_SESSIONS = 2


def write_armeni(root: Path, raw: SimulatedRaw) -> Path:
    """Write a CTF folder and a table of words and silences; the story is one part of the session."""
    recipe = raw.simulator.recipe
    subject, session = f"sub-{recipe.subject:03d}", f"ses-{recipe.session:03d}"
    path = root / subject / session / "meg" / f"{subject}_{session}_task-compr_meg.ds"
    write_ctf(path, raw)
    write_table(beside(path, "_events.tsv"), _armeni_rows(raw))
    return path


def write_meg_masc(root: Path, raw: SimulatedRaw) -> Path:
    """Write a KIT file and a table of words; recordings are task 0 of both sessions, then task 1..."""
    recipe = raw.simulator.recipe
    task, session = divmod(recipe.session - 1, _MASC_SESSIONS)
    stem = f"sub-{recipe.subject:02d}_ses-{session}_task-{task}"
    path = root / f"sub-{recipe.subject:02d}" / f"ses-{session}" / "meg" / f"{stem}_meg.con"
    write_kit(path, raw)
    write_table(beside(path, "_events.tsv"), _masc_rows(raw))
    return path


def _armeni_rows(raw: SimulatedRaw) -> list[dict[str, Any]]:
    """The begin of the sound, then words and the silences between them; there are no phonemes."""
    events: list[tuple[float, float, str, str]] = [(LEAD_S, 0.0, "wav_onset_01", "1")]
    end_s = LEAD_S
    for one in raw.simulator.heard:
        if one.onset_s - end_s > _SILENCE_S:
            events.append((round(end_s, 4), one.onset_s - end_s, "word_onset_01", "sp"))
        events.append((one.onset_s, one.word.duration_s, "word_onset_01", one.word.text))
        end_s = one.onset_s + one.word.duration_s
    return [
        {
            "onset": onset_s,
            "duration": round(duration_s, 4),
            "sample": round(onset_s * raw.simulator.recipe.sfreq_hz),
            "type": kind,
            "value": value,
        }
        for onset_s, duration_s, kind, value in events
    ]


def _masc_rows(raw: SimulatedRaw) -> list[dict[str, Any]]:
    """The begin of the sound, then words; each row tells of its event by a dict of Python, as text."""
    recipe, heard = raw.simulator.recipe, raw.simulator.heard
    sound = {"story": _slug(heard[0].word.chapter), "sound_id": 0.0, "kind": "sound", "start": 0.0}
    rows = [_masc_row(raw, LEAD_S, 0.0, sound)]
    sentence, place, before = -1, 0, None
    for one in heard:
        if one.word.sentence != before:
            sentence, place, before = sentence + 1, 0, one.word.sentence
        event = {
            "story": _slug(one.word.chapter),
            "sound_id": 0.0,
            "kind": "word",
            "start": round(one.onset_s - LEAD_S, 6),
            "sequence_id": float(sentence),
            "condition": "sentence",
            "word_index": float(place),
            "speech_rate": float(recipe.words_per_minute),
            "voice": "nobody",
            "pronounced": 1.0,
            "word": one.word.text,
        }
        rows.append(_masc_row(raw, one.onset_s, one.word.duration_s, event))
        place += 1
    return rows


def _masc_row(raw: SimulatedRaw, onset_s: float, duration_s: float, event: dict[str, Any]) -> dict[str, Any]:
    return {
        "onset": onset_s,
        "duration": round(duration_s, 6),
        "trial_type": str(event),
        "value": "n/a",
        "sample": round(onset_s * raw.simulator.recipe.sfreq_hz),
    }


def _slug(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower())

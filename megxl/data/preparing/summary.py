"""What is stored of a corpus, in numbers a person looks at before training: hours, sensors, what windows leave over."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from megxl.data.preparing.findings import array_name, findings, other_notes, said

if TYPE_CHECKING:
    from megxl.store.entry import StoredRecording

WINDOW_S = 150.0


@dataclass(kw_only=True)
class Holdings:
    """What a set of stored recordings amounts to.

    Parameters
    ----------
    recordings, words, bytes : int
        How many there are, how many words they carry, how large their signals are.
    seconds, windowed_s, left_over_s : float
        Length of all, length within whole windows of 150 s, what those windows leave over.
    arrays : dict
        Sensor array in words: how many recordings have it.
    too_short : list of str
        Recordings shorter than one window: they give none.
    duplicates : list of lists of str
        Recordings whose signals are equal in every sample.
    bad_sensors : dict
        ``bad``, ``flat``, ``nonfinite`` ... : how many sensors of how many recordings.
    notes : dict
        Kind of note, the counts that it begins with added up: how many recordings have it. What `bad_sensors` counts is
        not said again.
    """

    recordings: int = 0
    words: int = 0
    bytes: int = 0
    seconds: float = 0.0
    windowed_s: float = 0.0
    left_over_s: float = 0.0
    arrays: dict[str, int] = field(default_factory=dict)
    too_short: list[str] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    bad_sensors: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and dictionaries."""
        return asdict(self)

    def rows(self) -> Iterable[tuple[str, str]]:
        """Name and value of each line of a table."""
        yield "stored", f"{counted(self.recordings, 'recording')}, {hours(self.seconds)}, {size(self.bytes)}"
        for array, count in self.arrays.items():
            yield "sensors", f"{array}: {counted(count, 'recording')}"
        yield (
            "windows",
            (
                f"{round(self.windowed_s / WINDOW_S)} of {WINDOW_S:g} s; {self.left_over_s:,.0f} s are left over"
                + (f" ({self.left_over_s / self.seconds:.1%})" if self.seconds else "")
            ),
        )
        if self.too_short:
            yield "too short", f"{counted(len(self.too_short), 'recording')} without a window: {listed(self.too_short)}"
        none = self.recordings and not self.words
        yield "words", f"none in {counted(self.recordings, 'recording')}" if none else f"{self.words:,}"
        for kind, (sensors, recordings) in self.bad_sensors.items():
            yield "to look at", f"{counted(sensors, 'sensor')} {said(kind)}, in {counted(recordings, 'recording')}"
        for same in self.duplicates:
            yield "equal signals", listed(same)
        for note, count in self.notes.items():
            yield "note", f"{note} ({counted(count, 'recording')})"


def take_stock(recordings: Iterable["StoredRecording"]) -> Holdings:
    """Add up stored recordings, one at a time; no signal is read."""
    found = Holdings()
    arrays, sensors, affected, notes = Counter(), Counter(), Counter(), Counter()
    in_notes: dict[str, list[int]] = {}
    by_signal: dict[str, list[str]] = defaultdict(list)
    for recording in recordings:
        found.recordings += 1
        found.words += len(recording.words)
        found.bytes += 4 * len(recording.sensors) * recording.n_samples
        found.seconds += recording.duration_s
        over_s = left_over_s(recording)
        found.windowed_s += recording.duration_s - over_s
        found.left_over_s += over_s
        if over_s == recording.duration_s:
            found.too_short.append(recording.key)
        arrays[array_name(recording.sensors)] += 1
        by_signal[recording.signal_sha256].append(recording.key)
        for kind, names in findings(recording).items():
            sensors[kind] += len(names)
            affected[kind] += 1
        told = [(kind_of_note(note), note) for note in other_notes(recording)]
        notes.update({kind for kind, _ in told})
        for kind, note in told:
            counts = _leading_counts(note)
            in_notes[kind] = [sum(each) for each in zip_longest(in_notes.get(kind, ()), counts, fillvalue=0)]
    found.arrays = dict(arrays.most_common())
    found.bad_sensors = {kind: (count, affected[kind]) for kind, count in sensors.most_common()}
    found.notes = {_with_counts(kind, in_notes[kind]): count for kind, count in notes.most_common()}
    found.duplicates = [keys for keys in by_signal.values() if len(keys) > 1]
    return found


def left_over_s(recording: "StoredRecording") -> float:
    """Length of what whole windows of 150 s leave of a recording."""
    return recording.n_samples % round(WINDOW_S * recording.sfreq_hz) / recording.sfreq_hz


def kind_of_note(note: str) -> str:
    """Cut a note down to what it shares with those of other recordings: no list, and N for each number."""
    head = re.split(r":(?:\s|$)", note, maxsplit=1)[0].rstrip(".")
    return re.sub(r"(?<![A-Za-z\d])\d+(?:[.,]\d+)*", "N", head)


def _leading_counts(note: str) -> list[int]:
    """Whole numbers that a note begins with: 57 and 300 of ``57 of 300 rows of words left out``."""
    match = re.match(r"(\d[\d,]*)(?: of (\d[\d,]*))?(?=\s)", note)
    return [int(number.replace(",", "")) for number in match.groups() if number] if match else []


def _with_counts(kind: str, counts: list[int]) -> str:
    for number in counts:
        kind = re.sub(r"(?<![A-Za-z])N(?![A-Za-z])", f"{number:,}", kind, count=1)
    return kind


def counted(number: int, what: str) -> str:
    """Number of things for people."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def hours(seconds: float) -> str:
    """Length of time for people."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 600:
        return f"{seconds // 60}:{seconds % 60:02d} min"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """Size for people."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"


def listed(names: list[str], most: int = 6) -> str:
    """First names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

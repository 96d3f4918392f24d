"""Sensors of a stored recording that a person should look at: which, and what is wrong with them in words."""

from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING

from megxl.signals.coils import ELECTRODE, GRADIOMETER, MAGNETOMETER
from megxl.signals.quality_report import QualityReport

if TYPE_CHECKING:
    from megxl.signals.sensors import SensorArray
    from megxl.store.entry import StoredRecording

KIND_NAMES = {GRADIOMETER: "gradiometers", MAGNETOMETER: "magnetometers", ELECTRODE: "electrodes"}
"""Kinds of sensors, for people."""
_SAID = {
    "bad": "marked bad or taken as such",
    "flat": "flat",
    "flat_s": "at rest for whole seconds",
    "nonfinite": "with NaN or infinite numbers",
    "saturated": "saturated, it seems",
    "jumpy": "with jumps",
    "jumpy_at_start": "with a jump in the first second",
    "noisy": "much noisier than their like",
    "quiet": "much quieter than their like",
    "unit_suspects": "not in SI units, it seems",
    "duplicates": "with the same samples as others",
}


def findings(recording: "StoredRecording") -> dict[str, list[str]]:
    """Name the sensors of a recording that a person should look at, by what is wrong with them."""
    found = {"bad": list(recording.bads)}
    for kind, names in recording.quality.items():
        if kind != "first_nonfinite" and isinstance(names, list | dict):
            found[kind] = [name for part in names for name in ([part] if isinstance(part, str) else part)]
    return {kind: names for kind, names in found.items() if names}


def said(kind: str) -> str:
    """Say for people what is wrong with sensors, to stand after their number."""
    return _SAID.get(kind, kind.replace("_", " "))


def suspects(recording: "StoredRecording") -> dict[str, str]:
    """Name the sensors to look at, each with all that is wrong with it; a sensor of each kind of fault comes first."""
    found = findings(recording)
    kinds = [kind for kind in found if kind != "bad"] + ["bad"] * ("bad" in found)
    wrong: dict[str, str] = {}
    for names in zip_longest(*(found[kind] for kind in kinds)):
        for name in names:
            if name is not None and name not in wrong:
                reasons = [said(kind) for kind in kinds if name in found[kind]]
                wrong[name] = ", ".join(reasons)
    return wrong


def other_notes(recording: "StoredRecording") -> list[str]:
    """Notes on a recording and its words that do not repeat what `findings` says."""
    fields = QualityReport.__dataclass_fields__
    known = {name: value for name, value in recording.quality.items() if name in fields}
    repeated = set(QualityReport.from_json(known).notes)
    return [
        note
        for note in (*recording.notes, *recording.word_notes)
        if note not in repeated and not (note.startswith("Sensors marked bad") and "take no part" in note)
    ]


def array_name(sensors: "SensorArray") -> str:
    """Say of what kinds how many sensors there are: ``306 (204 gradiometers, 102 magnetometers)``."""
    counts = Counter(KIND_NAMES[kind] for kind in sensors.kinds_C.tolist())
    return f"{len(sensors)} ({', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))})"

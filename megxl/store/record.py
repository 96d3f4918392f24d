"""recording.json: all that a stored recording says about itself, under a checksum; its appearance is the commit."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from megxl.errors import InputError
from megxl.signals.sensors import SensorArray
from megxl.store.chunks import SignalFacts, SignalFile
from megxl.store.entry import RecordingFacts, StoredRecording
from megxl.store.keys import Damaged
from megxl.store.words import StoredWords

RECORDING = "recording.json"
HIDDEN_RECORDING = ".recording.json.partial"
FORMAT = "megxl-recording"
VERSION = 1


def to_json(recording: StoredRecording) -> dict[str, Any]:
    """Everything that recording.json says."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "megxl": recording.megxl,
        "key": recording.key,
        "facts": asdict(recording.facts),
        "licence": recording.licence,
        "sfreq_hz": recording.sfreq_hz,
        "n_samples": recording.n_samples,
        "bads": list(recording.bads),
        "notes": recording.notes,
        "word_notes": recording.word_notes,
        "quality": recording.quality,
        "preparation": recording.preparation,
        "provenance": recording.provenance,
        "source": recording.source,
        "signal": recording.signal.facts.to_json(),
        "sensors": recording.sensors.to_json(),
        "words": list(recording.words),
    }


def _rebuilt(lines: Mapping[str, bytes], folder: Path) -> StoredRecording:
    """Rebuild what `to_json` gave; words stay where they are until somebody asks for them."""
    known = {name: json.loads(line) for name, line in lines.items() if name not in ("sensors", "words")}
    del known["format"], known["version"]
    signal = SignalFile(key=known["key"], folder=folder, facts=SignalFacts.from_json(known["signal"]))
    return StoredRecording(
        **known
        | {
            "facts": RecordingFacts(**known["facts"]),
            "sensors": _shared_sensors(lines["sensors"]),
            "words": StoredWords(partial(_read_words, folder, known["key"], _digest(lines["words"]))),
            "bads": tuple(known["bads"]),
            "signal": signal,
        }
    )


_arrays: WeakValueDictionary[str, SensorArray] = WeakValueDictionary()
"""Most recordings of a system have the same sensors in the same places: they are held, and pickled, once."""


def _shared_sensors(line: bytes) -> SensorArray:
    digest = _digest(line)
    sensors = _arrays.get(digest)
    if sensors is None:
        sensors = _arrays[digest] = SensorArray.from_json(json.loads(line))
    return sensors


def _read_words(folder: Path, key: str, digest: str) -> list[dict[str, Any]]:
    line = _read_lines(folder, key)["words"]
    if _digest(line) != digest:
        raise InputError(f"{key}: its words were changed since it was opened; open it again.")
    return json.loads(line)


def read_recording(folder: Path, key: str) -> StoredRecording:
    """Read recording.json of an entry.

    Raises
    ------
    Damaged
        It is missing or not what was written, belongs to another recording, or to another version of the store.
    """
    lines = _read_lines(folder, key)
    form, version, written_key = (json.loads(lines[name]) for name in ("format", "version", "key"))
    if (form, version) != (FORMAT, VERSION):
        raise Damaged(key, f"{RECORDING} has the version {version}; this is version {VERSION}")
    if written_key != key:
        raise Damaged(key, f"{RECORDING} belongs to {written_key}")
    return _rebuilt(lines, folder)


def write_hidden(recording: StoredRecording) -> None:
    """Write recording.json under its hidden name and force it to the disk.

    Raises
    ------
    InputError
        Words, notes or settings that JSON does not hold.
    """
    try:
        content = _serialized(to_json(recording))
    except (TypeError, ValueError) as error:
        raise InputError(f"{recording.key}: recording.json cannot hold this: {error}.") from error
    with (recording.folder / HIDDEN_RECORDING).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def commit(folder: Path) -> None:
    """Give the hidden recording.json its name: from now on the entry is what it says."""
    (folder / HIDDEN_RECORDING).replace(folder / RECORDING)
    sync(folder)


def sync(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _serialized(fields: Mapping[str, Any]) -> bytes:
    """JSON with one line a field; the first line holds the checksum of all that follows."""
    lines = [f"{json.dumps(name)}: {_dumped(value)}" for name, value in fields.items()]
    body = (",\n".join(lines) + "\n}\n").encode()
    return _first_line(body) + body


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _first_line(body: bytes) -> bytes:
    return f'{{"checksum": "{_digest(body)}",\n'.encode()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _read_lines(folder: Path, key: str) -> dict[str, bytes]:
    """Read the JSON of each field, by its name, without looking into it."""
    try:
        content = (folder / RECORDING).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Damaged(key, f"{RECORDING} is missing") from error
    except OSError as error:
        raise InputError(f"{key}: {RECORDING} cannot be read ({error.strerror}).") from error
    first, newline, body = content.partition(b"\n")
    if first + newline != _first_line(body):
        raise Damaged(key, f"{RECORDING} is cut short or was changed")
    fields = (line.partition(b": ") for line in body.removesuffix(b"\n}\n").split(b"\n"))
    return {json.loads(name): value.removesuffix(b",") for name, _, value in fields}

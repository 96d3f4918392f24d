"""From a recording that a decoder never saw to the words that it names, on the way that its training took."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from megxl.corpora.corpus import UNKNOWN_SUBJECT, WordTable
from megxl.corpora.files import Files
from megxl.corpora.folders import stem
from megxl.decoding.decoded import DecodedRecording
from megxl.decoding.decoder_files import SavedDecoder
from megxl.decoding.decoding_sensors import sensor_rows
from megxl.decoding.naming import name_words
from megxl.decoding.word_events import STORED, word_reader, words_inside, words_of_file, words_of_stored
from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE
from megxl.signals.montage import place_sensors
from megxl.signals.preparation import Preparation, PreparedRecording, prepare
from megxl.signals.reading import choose_channels, open_recording
from megxl.signals.reference import Reference
from megxl.store.entry import RecordingFacts, StoredRecording
from megxl.store.store import MARK, Store

if TYPE_CHECKING:
    import mne

CORPUS = "files"
"""Of a recording that lies in no store."""
Progress = Callable[[str, int, int, int], None]
"""Called with the stage ("preparing", "decoding"), what is done of it, all of it, and 0."""


def decode_recording(
    saved: SavedDecoder,
    recording: str | Path,
    words: str | Path,
    *,
    top: int = 10,
    options: Mapping[str, Any] | None = None,
    channels: str = "auto",
    exclude: Sequence[str] = (),
    reference: Reference | None = None,
    montage: str | None = None,
    allow_maxshield: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> DecodedRecording:
    """Rank a decoder's vocabulary for every word onset of a recording.

    Parameters
    ----------
    saved : SavedDecoder
        What `read_decoder` gave.
    recording : str or Path
        A recording that MNE reads, or the folder of a recording in a store.
    words : str or Path
        Onsets, in seconds after the first sample, with or without words: see `megxl.decoding.word_events.ALLOWED`.
    top : int
        Candidates to keep for each word.
    options : mapping, optional
        How words are written: options of the `files` corpus (``word_column``, ``time_unit``, ``trigger_codes`` ...).
    channels : {"auto", "meg", "mag", "grad", "eeg", "meg+eeg"}
        Which sensors; "auto": those of the decoder's kind.
    exclude : sequence of str
        Sensors to leave out.
    reference : {"average", "recorded"}, optional
        What electrodes are measured against; None: what those of the training were.
    montage : str, optional
        Electrode positions: a file, or a name that MNE knows.
    allow_maxshield : bool
        Take raw MaxShield data as they are.
    device : torch.device or str
    progress : callable, optional

    Raises
    ------
    InputError
        What cannot be read, no word, onsets outside of the recording, sensors or a sampling rate that do not fit, a
        recording too short for one word.
    """
    path, source = Path(recording), str(words)
    stored = stored_at(path)
    if stored is not None:
        if exclude or montage or allow_maxshield or reference or channels != "auto":
            raise InputError(
                f"{stored.key} was prepared already: options of sensors, reference and montage are for files."
            )
        _refuse_other_preparation(saved, stored)
        place = nullcontext(_with_words(stored, words_of_stored(source, stored, word_reader(options or {})), source))
    else:
        reader = replace(word_reader(options or {}), montage=montage, allow_maxshield=allow_maxshield)
        place = _prepared_alone(saved, path, source, reader, channels, exclude, reference, progress)
    advance = None if progress is None else _decoding(progress)
    with place as one:
        notes = [*one.notes, *one.word_notes, *([] if stored else _on_training(saved))]
        return name_words(saved, one, top=top, device=device, notes=notes, advance=advance)


def stored_at(path: Path) -> StoredRecording | None:
    """Open the recording whose folder in a store this is; None if it lies in no store.

    Raises
    ------
    InputError
        There is no such path; a store or a corpus of one, which holds many recordings; a damaged entry.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: give a recording, or the folder of one in a store.")
    path = path.absolute()
    for place in (path, path.parent):
        if (place / MARK).is_file():
            keys = Store(place).keys(None if place == path else path.name)
            example = f", as in {place / keys[0]}" if keys else ""
            raise InputError(f"{path} holds {len(keys)} recordings of a store: give the folder of one{example}.")
    if not (path.parent.parent / MARK).is_file():
        return None
    return Store(path.parent.parent).recording(f"{path.parent.name}/{path.name}")


@contextmanager
def _prepared_alone(
    saved: SavedDecoder,
    path: Path,
    source: str,
    reader: Files,
    channels: str,
    exclude: Sequence[str],
    reference: Reference | None,
    progress: Progress | None,
) -> Iterator[StoredRecording]:
    """Prepare a file into a store of its own, which goes at the end: from there all is as in training."""
    raw = open_recording(path, montage=reader.montage, allow_maxshield=reader.allow_maxshield)
    table = words_of_file(source, path, reader)
    names = choose_channels(raw, _kind(saved, channels), exclude)
    # what can be refused is refused before the long work
    words_inside(table, raw.n_times / raw.info["sfreq"], Path(source).name)
    sensor_rows(saved, place_sensors(raw.info, names), CORPUS)
    prepared = _prepared(saved, raw, names, reference, progress)
    key = f"{CORPUS}/" + (re.sub(r"[^\w.-]+", "-", stem(path)).lstrip(".")[:150] or "recording")
    facts = RecordingFacts(corpus=CORPUS, subject=UNKNOWN_SUBJECT)
    with tempfile.TemporaryDirectory(prefix="megxl-decode-") as folder:
        with Store.create(Path(folder, "store")).writing(key) as writer:
            stored = writer.write(prepared, facts=facts, words=[], source={})
        del prepared  # the store has it
        yield _with_words(stored, table, source)


def _prepared(
    saved: SavedDecoder,
    raw: "mne.io.BaseRaw",
    names: Sequence[str],
    reference: Reference | None,
    progress: Progress | None,
) -> PreparedRecording:
    """Filter and resample as the recordings that the decoder learnt from."""
    known = {field.name for field in fields(Preparation)}
    settings: dict[str, Any] = {key: value for key, value in saved.preparation.items() if key in known}
    settings["sfreq_hz"] = saved.sfreq_hz
    settings["reference"] = reference or _reference(saved.preparation)
    done = 0

    def advance(n_channels: int) -> None:
        nonlocal done
        done += n_channels
        if progress is not None:
            progress("preparing", done, len(names), 0)

    advance(0)
    bads: Literal["mask", "interpolate", "keep"] = saved.preparation.get("bads", "mask")
    return prepare(raw, names, Preparation(**settings), bads=bads, nonfinite="mask", advance=advance)


def _with_words(stored: StoredRecording, table: WordTable, source: str) -> StoredRecording:
    name = stored.id if source == STORED else Path(source).name
    checked = words_inside(table, stored.duration_s, name)
    return replace(stored, words=[word.to_row() for word in checked], word_notes=list(checked.notes))


def _on_training(saved: SavedDecoder) -> list[str]:
    number = len(saved.about.get("recordings", ()))
    return [f"Nothing tells whether this is one of the {number} recordings of the training."] if number else []


def _kind(saved: SavedDecoder, channels: str) -> str:
    if channels != "auto" or saved.channels is None:
        return channels
    electrodes_C = saved.channels.sensors.kinds_C == ELECTRODE
    if electrodes_C.all():
        return "eeg"
    return "meg+eeg" if electrodes_C.any() else "auto"


def _reference(preparation: Mapping[str, Any]) -> Reference:
    """What electrodes of the training were measured against; decoders that do not say are older than the choice."""
    return preparation.get("reference", "recorded")


def _refuse_other_preparation(saved: SavedDecoder, stored: StoredRecording) -> None:
    """Refuse a stored signal that was filtered or resampled otherwise than those of the training."""
    wanted = {key: saved.preparation.get(key) for key in ("low_hz", "high_hz")} | {"sfreq_hz": saved.sfreq_hz}
    has = dict(stored.preparation) | {"sfreq_hz": stored.sfreq_hz}
    for key, value in wanted.items():
        if value is not None and key in has and abs(has[key] - value) > 1e-3 * value:
            raise InputError(
                f"{stored.key} was prepared with {key} = {has[key]:g}, the decoder learnt from {value:g}: prepare the "
                "recording again with the decoder's settings, or decode the file that it was made from."
            )
    if stored.reference not in (None, wanted_reference := _reference(saved.preparation)):
        raise InputError(
            f"{stored.key} was prepared with the reference {stored.reference!r}, the decoder learnt from "
            f"{wanted_reference!r}: prepare it again with --reference {wanted_reference}, or decode the file that it "
            "was made from."
        )


def _decoding(progress: Progress) -> Callable[[int, int], None]:
    return lambda done, total: progress("decoding", done, total, 0)

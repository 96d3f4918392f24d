"""One simulated recording in the on-disk format of a corpus, its table of words beside it.

Letters: C sensors, T samples.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from megxl.corpora.libribrain import SENSORS
from megxl.corpora.names import beside
from megxl.corpora.simulation.event_tables import write_table
from megxl.corpora.simulation.native import write_armeni, write_meg_masc
from megxl.corpora.simulation.recording import SimulatedRaw
from megxl.corpora.simulation.story import LEAD_S, Heard
from megxl.corpora.smn4lang import SCANNER_LEAD_S
from megxl.errors import InputError
from megxl.signals.coils import MAGNETOMETER, coil_number

_BOOK = "Sherlock1"
_COLUMNS = {
    "trial_type": {"LongName": "Kind", "Levels": {"word": "a word is heard"}},
    "word": {"Description": "The word, in lower case and without punctuation"},
    "sentence": {"Description": "Its sentence"},
    "chapter": {"Description": "Title of its chapter"},
}


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a corpus keeps its recordings.

    Parameters
    ----------
    write : callable
        Writes a recording below the root of the corpus and returns the path by which it is opened.
    sfreq_hz, highpass_hz : float
        What the recordings of the corpus have; where there is a template, the rate is its.
    free : bool
        Whether sensors and rate may be others than those of the corpus.
    template : {"CTF", "KIT"}, optional
        Format of the real recording whose sensors and rate are taken; None: the corpus needs none.
    sample_bytes : float
        On disk, for each sensor, about.
    most_sessions : int, optional
        Recordings of a listener that the layout has place for.
    """

    write: Callable[[Path, SimulatedRaw], Path]
    sfreq_hz: float = 0.0
    highpass_hz: float = 0.0
    free: bool = False
    template: str | None = None
    sample_bytes: float = 4
    most_sessions: int | None = None

    def bytes_for(self, n_sensors: int, n_samples: int) -> int:
        """Size on disk, about."""
        return round(self.sample_bytes * n_sensors * n_samples)


def write_libribrain(root: Path, raw: SimulatedRaw) -> Path:
    """Write HDF5 in the published layout (``serialized/``), the list of sensors and a table of words and silences."""
    try:
        import h5py
    except ImportError as error:
        raise InputError("Writing HDF5 files needs h5py: pip install 'megxl[corpora]'.") from error
    recipe, channels = raw.simulator.recipe, raw.info["chs"]
    names = [channel["ch_name"].replace(" ", "") for channel in channels]
    base = root / "serialized" / _BOOK / "derivatives"
    stem = f"sub-{recipe.subject - 1}_ses-{recipe.session}_task-{_BOOK}_run-1"
    path = base / "serialised" / f"{stem}_proc-bads+headpos+sss+notch+bp+ds_meg.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        # chunks of 0.2 s, as in the corpus
        data = file.create_dataset("data", (len(names), recipe.n_samples), np.float32, chunks=(len(names), 50))
        start = 0
        for part_CT in raw.blocks():
            data[:, start : start + part_CT.shape[1]] = part_CT
            start += part_CT.shape[1]
        times_T = (np.arange(recipe.n_samples) / recipe.sfreq_hz).astype(np.float32)
        file.create_dataset("times", data=times_T, chunks=(50,))
        file.attrs["sample_frequency"] = recipe.sfreq_hz
        file.attrs["highpass_cutoff"] = recipe.highpass_hz
        file.attrs["lowpass_cutoff"] = recipe.sfreq_hz / 2
        file.attrs["channel_names"] = ", ".join(names)
        file.attrs["channel_types"] = ", ".join(_types(raw))
    sensors = [
        {"ch_name": name, "loc": channel["loc"].tolist(), "coil_type": coil_number(channel)}
        for name, channel in zip(names, channels, strict=True)
    ]
    (root / SENSORS).write_text(json.dumps(sensors) + "\n", encoding="utf-8")
    write_table(base / "events" / f"{stem}_events.tsv", _libribrain_rows(raw))
    return path


def write_smn4lang(root: Path, raw: SimulatedRaw) -> Path:
    """Write FIF, marks of the story's ends, and the times of words in MATLAB's form as the release has them."""
    recipe, heard = raw.simulator.recipe, raw.simulator.heard
    stem = f"sub-{recipe.subject:02d}_task-RDR_run-{recipe.session}"
    path = root / f"sub-{recipe.subject:02d}" / "meg" / f"{stem}_meg.fif"
    path.parent.mkdir(parents=True, exist_ok=True)
    raw.save(path, fmt="single", verbose="ERROR")
    end_s = max((one.onset_s + one.word.duration_s for one in heard), default=LEAD_S)
    marks = [
        {"onset": at_s, "duration": 0.0, "trial_type": name, "sample": round(at_s * recipe.sfreq_hz)}
        for name, at_s in (("Beg", LEAD_S), ("End", round(end_s, 3)))
    ]
    write_table(path.with_name(f"{stem}_events.tsv"), marks)
    stories = root / "derivatives" / "annotations" / "time_align" / "word-level"
    stories.mkdir(parents=True, exist_ok=True)
    (stories / f"story_{recipe.session}_word_time.mat").write_bytes(_matlab_words(heard))
    return path


def write_bids(root: Path, raw: SimulatedRaw) -> Path:
    """Write a BIDS recording (FIF for MEG, EDF for EEG) by mne-bids; ``events.tsv`` has a row for each word."""
    try:
        import mne_bids
    except ImportError as error:
        raise InputError("Writing BIDS needs mne-bids: pip install 'megxl[corpora]'.") from error
    import mne

    recipe, is_eeg = raw.simulator.recipe, raw.simulator.system.is_eeg
    place = mne_bids.BIDSPath(
        root=root,
        subject=f"{recipe.subject:02d}",
        session=f"{recipe.session:02d}",
        task="story",
        datatype="eeg" if is_eeg else "meg",
    )
    raw.info["line_freq"] = 50.0
    if is_eeg:
        place = mne_bids.write_raw_bids(
            raw.load_data(verbose="ERROR"), place, format="EDF", allow_preload=True, verbose="ERROR"
        )
    else:
        with tempfile.TemporaryDirectory(dir=root) as folder:  # mne-bids takes recordings from a disk
            raw.save(Path(folder, "story_meg.fif"), fmt="single", verbose="ERROR")
            on_disk = mne.io.read_raw_fif(Path(folder, "story_meg.fif"), verbose="ERROR")
            place = mne_bids.write_raw_bids(on_disk, place, verbose="ERROR")
    path = Path(place.fpath)
    if not path.exists():  # FIF of more than 2 GB comes in parts
        path = Path(place.update(split="01").fpath)
    rows = [
        {
            "onset": one.onset_s,
            "duration": round(one.word.duration_s, 3),
            "trial_type": "word",
            "word": one.word.text,
            "sentence": one.word.sentence,
            "chapter": one.word.chapter,
        }
        for one in raw.simulator.heard
    ]
    write_table(beside(path, "_events.tsv"), rows)
    beside(path, "_events.json").write_text(json.dumps(_COLUMNS, indent=1) + "\n", encoding="utf-8")
    (root / ".bidsignore").write_text("ground_truth/\n", encoding="utf-8")
    authors = ["megxl simulate"]
    mne_bids.make_dataset_description(
        path=root,
        name="A story and simulated brains",
        data_license="MIT",
        authors=authors,
        overwrite=True,
        verbose="ERROR",
    )
    return path


def write_recipe(root: Path, raw: SimulatedRaw) -> Path:
    """Write the recipe alone: the corpus `simulated` makes its samples whenever they are read."""
    recipe = raw.simulator.recipe
    path = root / f"sub-{recipe.subject:02d}_ses-{recipe.session:02d}_task-story_recipe.json"
    path.write_text(json.dumps(recipe.to_json(), indent=1) + "\n", encoding="utf-8")
    return path


FORMATS = {
    "libribrain": Format(write=write_libribrain, sfreq_hz=250.0, highpass_hz=0.1),
    "smn4lang": Format(write=write_smn4lang, sfreq_hz=1000.0),
    "bids": Format(write=write_bids, sfreq_hz=500.0, free=True),
    # the files hold channels beside the sensors: about 80 beside 275 in 32 bits, 50 beside 208 in 16
    "armeni": Format(write=write_armeni, template="CTF", sample_bytes=5.3),
    "meg_masc": Format(write=write_meg_masc, template="KIT", sample_bytes=2.5, most_sessions=8),
    "recipe": Format(write=write_recipe, sfreq_hz=250.0, free=True, sample_bytes=0),
}
"""What recordings can be written as; `recipe` is read by the corpus `simulated`."""


def _types(raw: SimulatedRaw) -> list[str]:
    return ["mag" if kind == MAGNETOMETER else "grad" for kind in raw.simulator.system.kinds_C.tolist()]


def _libribrain_rows(raw: SimulatedRaw) -> list[dict[str, Any]]:
    """Words and the silences between them; there are no phonemes."""
    rows: list[dict[str, Any]] = []
    sentences: list[str] = []
    end_s, sentence_s = LEAD_S, LEAD_S
    for number, one in enumerate(raw.simulator.heard):
        if one.word.sentence not in sentences[-1:]:
            sentences.append(one.word.sentence)
            sentence_s = one.onset_s
        if one.onset_s - end_s > 0.05:
            rows.append(_libribrain_row("silence", "silence", len(sentences) - 1, -1, end_s, one.onset_s, sentence_s))
        end_s = one.onset_s + one.word.duration_s
        rows.append(_libribrain_row("word", one.word.text, len(sentences) - 1, number, one.onset_s, end_s, sentence_s))
    return [{"idx": idx, **row} for idx, row in enumerate(rows)]


def _libribrain_row(
    kind: str, text: str, sentence: int, word: int, begin_s: float, end_s: float, sentence_s: float
) -> dict[str, Any]:
    told_s = round(begin_s - LEAD_S, 6)
    return {
        "wavfile": f"{_BOOK}.wav",
        "kind": kind,
        "segment": text,
        "sentenceidx": sentence,
        "wordidx": word,
        "phonemeidx": -1,
        "timemeg": round(begin_s, 6),
        "timeds": told_s,
        "timechapter": told_s,
        "timesentence": round(begin_s - sentence_s, 6),
        "duration": round(end_s - begin_s, 6),
    }


def _matlab_words(heard: Sequence[Heard]) -> bytes:
    """Columns ``word``, ``start`` and ``end`` in MATLAB's form."""
    from scipy.io import savemat

    # all times in the release are those of a scan that began before the story
    starts_s = np.array([one.onset_s - LEAD_S + SCANNER_LEAD_S for one in heard])
    durations_s = np.array([one.word.duration_s for one in heard])
    words = np.empty((len(heard), 1), dtype=object)
    words[:, 0] = [one.word.text for one in heard]
    file = BytesIO()
    savemat(file, {"word": words, "start": starts_s[:, None], "end": (starts_s + durations_s)[:, None]})
    # SciPy puts the date into the 116 letters of the header: the same recipe shall give the same file
    return b"MATLAB 5.0 MAT-file, made by megxl simulate".ljust(116) + file.getvalue()[116:]

"""Published preparation of recordings and segments (alias): `megxl.signals` under the published names."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from megxl.corpora.corpus import Corpus, RecordingFile, corpus_named
from megxl.signals.normalization import scale_blocks
from megxl.signals.preparation import Preparation, prepare

if TYPE_CHECKING:
    import mne

ChannelFilter = Callable[[str], bool]


class Preprocessed(NamedTuple):
    """A recording at its new rate."""

    data: np.ndarray
    """(C, T) in tesla or tesla a metre."""
    sfreq: float
    channel_names: list[str]
    sensor_xyzdir: np.ndarray
    """(C, 6): metres in the frame of the device, then unit vectors."""
    sensor_types: np.ndarray
    """(C,): 1 magnetometer, 0 else."""


def preprocess_recording(
    path: str | Path,
    l_freq: float = 0.1,
    h_freq: float = 40.0,
    target_sfreq: float = 50.0,
    channel_filter: ChannelFilter | None = None,
) -> Preprocessed:
    """Filter and resample a CTF recording."""
    from megxl.signals.reading import open_recording

    raw = open_recording(Path(path))
    return _prepared(raw, corpus_named("armeni").channels(raw), l_freq, h_freq, target_sfreq, channel_filter)


def preprocess_camcan(
    path: str | Path,
    l_freq: float = 0.1,
    h_freq: float = 40.0,
    target_sfreq: float = 50.0,
    channel_filter: ChannelFilter | None = None,
) -> Preprocessed:
    """Filter and resample a FIF recording; here a channel filter counts."""
    return _of_corpus("camcan", path, l_freq, h_freq, target_sfreq, channel_filter)


def preprocess_gwilliams_recording(
    path: str | Path,
    l_freq: float = 0.1,
    h_freq: float = 40.0,
    target_sfreq: float = 50.0,
    channel_filter: ChannelFilter | None = None,
) -> Preprocessed:
    """Filter and resample a KIT recording."""
    return _of_corpus("meg_masc", path, l_freq, h_freq, target_sfreq, channel_filter)


def preprocess_libribrain_h5(
    path: str | Path,
    data_root: str | Path,
    l_freq: float = 0.1,
    h_freq: float = 40.0,
    target_sfreq: float = 50.0,
    channel_filter: ChannelFilter | None = None,
) -> Preprocessed:
    """Filter and resample a LibriBrain recording; `data_root` is where the list of its sensors is."""
    return _of_corpus("libribrain", path, l_freq, h_freq, target_sfreq, channel_filter, Path(data_root))


def preprocess_segment_with_subsegments(
    segment: np.ndarray,
    sfreq: float,
    subsegment_duration: float | None = 3.0,
    baseline_duration: float | None = 0.5,
    clip: float = 5.0,
) -> np.ndarray:
    """Normalise a segment piece by piece: baseline, robust scaling, clipping.

    Parameters
    ----------
    segment : array, shape (C, T)
    sfreq : float
        Samples a second.
    subsegment_duration : float, optional
        Seconds of a piece; None: the whole segment is one.
    baseline_duration : float, optional
        Seconds at the start of a piece whose mean is subtracted; None or less than a sample: nothing is. The median
        undoes that, unless one is NaN: then the piece is.
    clip : float
        Largest value.
    """
    length = segment.shape[1]
    size = length if subsegment_duration is None else min(length, int(subsegment_duration * sfreq))
    baseline = int((baseline_duration or 0) * sfreq)
    segment = np.asarray(segment, dtype=np.float64)
    if baseline > 0:
        parts = _cut(segment, range(0, length, size), size)
        segment = np.concatenate([part - part[:, :baseline].mean(1, keepdims=True) for part in parts], 1)
    return scale_blocks(torch.from_numpy(segment)[None], size, clip)[0].numpy()


def shuffle_temporal_segments(
    segment: np.ndarray,
    segment_duration: float = 3.0,
    sfreq: float = 50.0,
    rng: "np.random.RandomState | None" = None,
) -> np.ndarray:
    """Permute pieces of a segment in time; what is left over stays at the end.

    `rng` None is NumPy's global generator, as published.
    """
    size = int(segment_duration * sfreq)
    whole = segment.shape[1] // size
    if whole < 2:
        return segment
    order = (np.random if rng is None else rng).permutation(whole)
    pieces = _cut(segment, order * size, size)
    return np.concatenate([*pieces, segment[:, whole * size :]], axis=1)


def cache_hash(l_freq: float, h_freq: float, target_sfreq: float, channel_filter: str = "MEG_only") -> str:
    """Eight digits by which the published cache files tell settings apart (40 and 40.0 differ)."""
    settings = {
        "l_freq": l_freq,
        "h_freq": h_freq,
        "target_sfreq": target_sfreq,
        "channel_filter": channel_filter,
        "version": "with_orientations_v2",
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def cache_name(subject: str, session: str, task: str, digest: str) -> str:
    """Name of a published cache file; here recordings go to a store, whose names no two recordings share."""
    return f"{subject}_{session}_task-{task}_preproc-{digest}.h5"


def _cut(segment: np.ndarray, starts: "range | np.ndarray", size: int) -> list[np.ndarray]:
    return [segment[:, start : start + size] for start in starts]


def _of_corpus(
    name: str,
    path: str | Path,
    l_freq: float,
    h_freq: float,
    target_sfreq: float,
    channel_filter: ChannelFilter | None,
    root: Path | None = None,
) -> Preprocessed:
    corpus: Corpus = corpus_named(name)
    path = Path(path)
    raw = corpus.read(RecordingFile(corpus=name, path=path, root=root or path.parent, subject="sub-0"))
    return _prepared(raw, corpus.channels(raw), l_freq, h_freq, target_sfreq, channel_filter)


def _prepared(
    raw: "mne.io.BaseRaw",
    names: list[str],
    l_freq: float,
    h_freq: float,
    target_sfreq: float,
    channel_filter: ChannelFilter | None,
) -> Preprocessed:
    names = [name for name in names if channel_filter is None or channel_filter(name)]
    settings = Preparation(low_hz=l_freq, high_hz=h_freq, sfreq_hz=target_sfreq, method="mne", reference="recorded")
    prepared = prepare(raw, names, settings, bads="keep")
    sensors = prepared.sensors
    return Preprocessed(
        data=prepared.signal_CT,
        sfreq=prepared.sfreq_hz,
        channel_names=list(sensors.names),
        sensor_xyzdir=np.concatenate([sensors.positions_C3, sensors.orientations_C3], axis=1),
        sensor_types=(sensors.kinds_C == 1).astype(np.int64),
    )

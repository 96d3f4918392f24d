"""Small prepared recordings and stores of them, for the tests of the store."""

from pathlib import Path

import numpy as np

from megxl.signals.preparation import PreparedRecording
from megxl.signals.quality import QualityReport
from megxl.signals.sensors import SensorArray, neuromag306
from megxl.store import RecordingFacts, Store, StoredRecording

WORDS = [{"text": "None", "onset_s": 0.5, "duration_s": 0.25}, {"text": "null", "onset_s": 1.0}]
SOURCE = {"signal": {}, "words": {}}


def sensors(n: int) -> SensorArray:
    everything = neuromag306()
    return everything.select(everything.names[:n])


def prepared(seconds: float = 150.0, n_sensors: int = 4, seed: int = 0, **fields) -> PreparedRecording:
    """White noise at 50 Hz."""
    signal_CT = np.random.default_rng(seed).standard_normal((n_sensors, round(50 * seconds)), dtype=np.float32)
    known = {
        "signal_CT": signal_CT * np.float32(1e-12),
        "sfreq_hz": 50.0,
        "sensors": sensors(n_sensors),
        "bads": (),
        "notes": ["A note."],
        "quality": QualityReport(),
        "provenance": {"format": "FIF", "preparation": {"low_hz": 0.1, "high_hz": 40.0, "mne": "1.0"}},
    }
    return PreparedRecording(**(known | fields))


def put(store: Store, key: str, recording: PreparedRecording | None = None, **fields) -> StoredRecording:
    """Write one recording."""
    corpus, _, name = key.partition("/")
    known = {"facts": RecordingFacts(corpus=corpus, subject=name.split("_")[0]), "words": WORDS, "source": SOURCE}
    with store.writing(key) as writer:
        return writer.write(recording or prepared(), **(known | fields))


def store_of(path: Path, *keys: str, **fields) -> Store:
    """Make a store with a recording for each key, each with its own noise."""
    store = Store.create(path)
    for seed, key in enumerate(keys):
        put(store, key, prepared(seed=seed, **fields))
    return store

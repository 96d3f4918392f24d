"""Stores of small recordings with chosen lengths, persons, sensors and bads, for the tests of the data room."""

from pathlib import Path

import numpy as np

from megxl.signals.preparation import PreparedRecording
from megxl.signals.quality import QualityReport
from megxl.signals.sensors import SensorArray, neuromag306
from megxl.store import RecordingFacts, Store, StoredRecording

EVERY_20TH = neuromag306().names[::20]  # 16 sensors, spread over the helmet


def sensors(n: int = 5) -> SensorArray:
    """The first of 16 sensors that are spread over the helmet."""
    return neuromag306().select(EVERY_20TH[:n])


def put(
    store: Store,
    corpus: str,
    subject: str,
    *,
    samples: int = 1000,
    array: SensorArray | None = None,
    bads: tuple[str, ...] = (),
    sfreq_hz: float = 50.0,
    seed: int = 0,
    session: str | None = None,
    run: str | None = None,
) -> StoredRecording:
    """Write a recording; its value at sensor c and sample t is (seed + 1) * 1e-12 * (1000 c + t)."""
    array = array or sensors()
    ramp_CT = 1000.0 * np.arange(len(array))[:, None] + np.arange(samples)
    prepared = PreparedRecording(
        signal_CT=((seed + 1) * 1e-12 * ramp_CT).astype(np.float32),
        sfreq_hz=sfreq_hz,
        sensors=array,
        bads=bads,
        notes=[],
        quality=QualityReport(),
        provenance={},
    )
    name = "_".join(part for part in (subject, session, run) if part)
    facts = RecordingFacts(corpus=corpus, subject=subject, session=session, run=run)
    with store.writing(f"{corpus}/{name}") as writer:
        return writer.write(prepared, facts=facts, words=[], source={"signal": {}, "words": {}})


def small_store(path: Path, lengths: dict[str, list[int]], **options) -> Store:
    """Make a store with recordings of these lengths in samples, one subject each, for each corpus."""
    store = Store.create(path)
    for corpus, samples in lengths.items():
        for number, length in enumerate(samples):
            put(store, corpus, f"sub-{number:02d}", samples=length, seed=number, **options)
    return store

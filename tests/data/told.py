"""Stored recordings in which words were told, for the tests of what is made of words."""

from pathlib import Path

import numpy as np

from megxl.corpora.corpus import Word
from megxl.store.entry import RecordingFacts, StoredRecording
from megxl.store.store import Store
from tests.store.made import prepared

# eight words in a row are the same text wherever they occur, so no eight of these do unless a test wants it
STORY = tuple(f"w{number}" for number in range(20_000))


def told(
    path: Path,
    texts,
    *,
    onsets_s=None,
    seconds: float | None = None,
    every_s: float = 0.4,
    corpus: str = "armeni",
    subject: str = "sub-1",
    session: str | None = "ses-1",
    task: str | None = None,
    run: str | None = None,
    stories=None,
    labels=None,
    sfreq_hz: float = 50.0,
    n_sensors: int = 3,
    seed: int = 0,
) -> StoredRecording:
    """Store a recording of noise with these words, by default one every 0.4 s from 1 s on."""
    texts = list(texts)
    onsets = [1.0 + every_s * n for n in range(len(texts))] if onsets_s is None else list(onsets_s)
    seconds = (max(onsets, default=0.0) + 4.0) if seconds is None else seconds
    rows = [
        Word(
            text=text,
            onset_s=onset,
            story=stories[n] if stories else None,
            labels=labels[n] if labels else {},
        ).to_row()
        for n, (text, onset) in enumerate(zip(texts, onsets, strict=True))
    ]
    signal_CT = np.random.default_rng(seed).standard_normal((n_sensors, round(sfreq_hz * seconds)), dtype=np.float32)
    made = prepared(1.0, n_sensors, signal_CT=signal_CT * np.float32(1e-12), sfreq_hz=sfreq_hz)
    facts = RecordingFacts(corpus=corpus, subject=subject, session=session, task=task, run=run)
    key = f"{corpus}/" + "_".join(part for part in (subject, session, task, run) if part)
    with Store.create(path).writing(key) as writer:
        return writer.write(made, facts=facts, words=rows, source={"signal": {}, "words": {}})

"""Recordings in a real store whose words have a known response, at a known time, in realistic noise."""

from pathlib import Path

import numpy as np

from megxl.signals.preparation import PreparedRecording
from megxl.signals.quality import Inspector
from megxl.signals.reading import neuromag306_info
from megxl.signals.sensors import SensorArray
from megxl.store.entry import RecordingFacts, StoredRecording
from megxl.store.store import Store

SFREQ_HZ = 50.0
INFO = neuromag306_info(SFREQ_HZ)
SENSORS = SensorArray.from_info(INFO, INFO.ch_names[::10])


def word_onsets(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Words at the rhythm of speech."""
    onsets_s = 2.0 + np.cumsum(rng.gamma(4, 0.08, size=round(5 * seconds)) + 0.05)
    return onsets_s[onsets_s < seconds - 2]


def noise(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """1/f noise that sensors share, alpha that comes and goes, shape (C, T), about 1 in size."""
    n_sensors, n_samples = len(SENSORS), round(seconds * SFREQ_HZ)
    hz = np.fft.rfftfreq(n_samples, 1 / SFREQ_HZ)
    size_F = np.where(hz < 0.1, 0, 1 / np.sqrt(np.maximum(hz, 0.1)))
    phases_NF = rng.standard_normal((10, len(hz))) + 1j * rng.standard_normal((10, len(hz)))
    signal_CT = rng.standard_normal((n_sensors, 10)) @ np.fft.irfft(size_F * phases_NF, n_samples)
    signal_CT /= signal_CT.std(axis=1, keepdims=True)
    times_s = np.arange(n_samples) / SFREQ_HZ
    knots_s = np.arange(0, seconds + 5, 5.0)
    envelope_T = np.abs(np.interp(times_s, knots_s, rng.standard_normal(len(knots_s))))
    wander_T = np.cumsum(rng.standard_normal(n_samples)) * 0.1
    return signal_CT + np.outer(
        rng.standard_normal(n_sensors), envelope_T * np.sin(2 * np.pi * 10 * times_s + wander_T)
    )


def response() -> np.ndarray:
    """A deflection at 0.15 s and a slower one at 0.4 s, one second of samples."""
    times_s = np.arange(0, 1, 1 / SFREQ_HZ)
    return np.exp(-(((times_s - 0.15) / 0.06) ** 2)) - 0.7 * np.exp(-(((times_s - 0.4) / 0.11) ** 2))


def planted(
    place: Path,
    *,
    seed: int = 0,
    seconds: float = 300.0,
    size: float = 0.2,
    late_s: float = 0.0,
    bads: tuple[str, ...] = (),
) -> StoredRecording:
    """Store a recording whose responses, `size` times the noise, come `late_s` after where the words are said to be."""
    rng = np.random.default_rng(seed)
    signal_CT, onsets_s = noise(rng, seconds), word_onsets(rng, seconds)
    train_T = np.zeros(signal_CT.shape[1] + 500)
    np.add.at(train_T, np.round((onsets_s + late_s) * SFREQ_HZ).astype(int), 1)
    response_T = np.convolve(train_T, response())[: signal_CT.shape[1]]
    signal_CT += size * np.outer(rng.standard_normal(len(SENSORS)), response_T)
    words = [{"text": f"w{n}", "onset_s": float(onset_s)} for n, onset_s in enumerate(onsets_s)]
    return stored(place, f"sub-{seed}", 1e-13 * signal_CT, words, bads)


def stored(
    place: Path, subject: str, signal_CT: np.ndarray, words: list[dict], bads: tuple[str, ...] = ()
) -> StoredRecording:
    """Put a signal in SI units into a store."""
    inspector = Inspector(SENSORS.names, SFREQ_HZ)
    inspector.update(signal_CT)
    prepared = PreparedRecording(
        signal_CT=signal_CT.astype(np.float32),
        sfreq_hz=SFREQ_HZ,
        sensors=SENSORS,
        bads=list(bads),
        notes=[],
        provenance={"files": [f"{subject}.fif"], "notes": []},
        quality=inspector.report(),
    )
    with Store.create(place).writing(f"files/{subject}") as writer:
        return writer.write(prepared, facts=RecordingFacts(corpus="files", subject=subject), words=words, source={})

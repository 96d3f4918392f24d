"""What a recording does after its words: the average, against all other places of the same words in the recording.

One circular correlation of each sensor with the train of onsets gives the average at every shift of the words at once:
near zero it is the response, far away it is what chance makes of the same signal and the same rhythm of words.

Letters: C sensors, T samples of the recording, L lags (as many as the transform has), K lags that are drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from megxl.errors import InputError
from megxl.signals.sensors import SensorArray

if TYPE_CHECKING:
    from megxl.store.entry import StoredRecording

BEFORE_S, AFTER_S = 0.5, 1.0
CENTRE_S, RESPONSE_S = 0.25, 0.6
"""Where a word's response is looked for: around this time after its onset, in a soft window of this length."""
TOLERANCE_S = 0.3
"""Responses differ in when they come: a smaller shift of the words cannot be told from that."""
SCAN_S = 2.0
FEWEST_WORDS = 30
LARGEST_P = 0.01

_CLIP_IQR = 5.0
_HIGHPASS_HZ = (0.3, 0.7)
_READ_S = 60.0
_BLOCK_BYTES = 64_000_000
_GUARD_S = 3.0
_SIMILAR = 0.9
_SMALLEST_P = 1e-6  # beyond, the tail is extrapolated too far to be written as a number
_REACHES = 16  # with less, noise was taken for a response six times as often as p says

Verdict = Literal["aligned", "shifted", "no response", "cannot say"]


@dataclass(frozen=True, kw_only=True, eq=False)
class WordLocked:
    """The word-locked average of a recording and what it says about the alignment of words and signal.

    Parameters
    ----------
    key : str
    n_words : int
        Words within the recording.
    times_s : ndarray, shape (K,)
        Seconds after the onset of words.
    average_CK : ndarray, shape (C, K)
        Mean over words, in SI units, above 0.5 Hz; zero at sensors that are bad or flat.
    good_C : ndarray of bool, shape (C,)
    gfp_K : ndarray, shape (K,)
        Root mean square over good sensors, each in interquartile ranges of its own signal.
    chance, chance_high : float
        The same at far shifts of the words: mean, and 99th percentile.
    delays_s, scan : ndarray
        Shifts of the onsets, and how strong the response (mean square in 0.6 s) is with each, in units of chance.
    delay_s : float
        The shift with the strongest response; of similar ones the smallest.
    p : float
        Chance of such a response anywhere in the scan, if words and signal have nothing to do with each other.
    verdict : str
    sentence : str
        The verdict for a person.
    """

    key: str
    sensors: SensorArray
    n_words: int
    times_s: np.ndarray
    average_CK: np.ndarray
    good_C: np.ndarray
    gfp_K: np.ndarray
    chance: float
    chance_high: float
    delays_s: np.ndarray
    scan: np.ndarray
    delay_s: float
    p: float
    verdict: Verdict
    sentence: str

    @property
    def peak_s(self) -> float:
        """Time of the strongest response after onsets, in seconds."""
        after = self.times_s >= 0
        return float(self.times_s[after][np.argmax(self.gfp_K[after])])


def word_locked(recording: "StoredRecording", scan_s: float = SCAN_S) -> WordLocked:
    """Average what follows the words of a stored recording and judge whether it is more than chance, and when.

    Memory is bounded: sensors pass in blocks, the signal is read a minute at a time.

    Parameters
    ----------
    recording : StoredRecording
        With words.
    scan_s : float
        Shifts of the onsets up to this many seconds to both sides are tried.

    Raises
    ------
    InputError
        No words; a recording that is too short for the scan (chance needs as much time as it); a damaged entry.
    """
    sfreq_hz = recording.sfreq_hz
    reach_s = scan_s + RESPONSE_S + _GUARD_S
    onsets = _onsets(recording, scan_s, _REACHES * reach_s)
    lags_K = np.arange(-round(BEFORE_S * sfreq_hz), round(AFTER_S * sfreq_hz) + 1)
    average_CK = np.zeros((len(recording.sensors), len(lags_K)))
    good_C = np.zeros(len(recording.sensors), dtype=bool)
    power_L: np.ndarray | float = 0.0
    for rows, average_CL, iqr_C in _averages(recording, onsets):
        power_L = power_L + np.square(average_CL).sum(axis=0)
        average_CK[rows] = average_CL[:, lags_K] * iqr_C[:, None]
        good_C[rows] = True
    power_L = np.asarray(power_L) / max(1, good_C.sum())
    if not good_C.any():
        raise InputError(f"{recording.key}: all sensors are bad or flat.")
    far_L = np.abs(_signed(len(power_L))) > reach_s * sfreq_hz
    gfp_far = np.sqrt(power_L[far_L])
    scan = _scan(power_L, far_L, sfreq_hz, scan_s)
    verdict, sentence = _judge(scan, len(onsets))
    return WordLocked(
        key=recording.key,
        sensors=recording.sensors,
        n_words=len(onsets),
        times_s=lags_K / sfreq_hz,
        average_CK=average_CK,
        good_C=good_C,
        gfp_K=np.sqrt(power_L[lags_K]),
        chance=float(gfp_far.mean()),
        chance_high=float(np.quantile(gfp_far, 0.99)),
        delays_s=scan.delays_s,
        scan=scan.strength,
        delay_s=scan.best_s,
        p=scan.p,
        verdict=verdict,
        sentence=sentence,
    )


def _onsets(recording: "StoredRecording", scan_s: float, needed_s: float) -> np.ndarray:
    """Samples at which the words within the recording begin; refuses one in which chance could not be known."""
    if not recording.words:
        raise InputError(f"{recording.key} has no words in the store.")
    if recording.duration_s < needed_s:
        raise InputError(
            f"{recording.key} lasts {recording.duration_s:.0f} s: to know chance for shifts of {scan_s:g} s takes "
            f"{needed_s:.0f} s."
        )
    onsets = np.array([round(word["onset_s"] * recording.sfreq_hz) for word in recording.words])
    onsets = onsets[(onsets >= 0) & (onsets < recording.n_samples)]
    if not len(onsets):
        raise InputError(f"{recording.key}: none of its {len(recording.words)} words begins within the recording.")
    return onsets


def _averages(recording: "StoredRecording", onsets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For blocks of good sensors: their rows, the average after words at every circular lag, interquartile ranges."""
    from numpy.fft import irfft, rfft, rfftfreq

    # exactly as long as the recording: padding would thin out the words that are moved into it, and with them chance
    n_samples = recording.n_samples
    train_L = np.bincount(onsets, minlength=n_samples) / len(onsets)
    low_hz, high_hz = _HIGHPASS_HZ
    rise_F = np.clip((rfftfreq(n_samples, 1 / recording.sfreq_hz) - low_hz) / (high_hz - low_hz), 0, 1)
    filter_F = np.conj(rfft(train_L)) * np.sin(np.pi / 2 * rise_F) ** 2
    bads = set(recording.bads)
    usable = [row for row, name in enumerate(recording.sensors.names) if name not in bads]
    for rows in np.array_split(usable, -(-len(usable) * 8 * n_samples // _BLOCK_BYTES) or 1):
        signal_CT = _rows_of(recording, rows)
        q25_C, median_C, q75_C = np.quantile(signal_CT, (0.25, 0.5, 0.75), axis=1)
        iqr_C = q75_C - q25_C
        live = iqr_C > 0
        if live.any():
            scaled_CT = (signal_CT[live] - median_C[live, None]) / iqr_C[live, None]
            # a few seconds of an artefact must not outweigh an hour
            scaled_CT.clip(-_CLIP_IQR, _CLIP_IQR, out=scaled_CT)
            yield rows[live], irfft(rfft(scaled_CT, n_samples) * filter_F, n_samples), iqr_C[live]


def _rows_of(recording: "StoredRecording", rows: np.ndarray) -> np.ndarray:
    signal_CT = np.empty((len(rows), recording.n_samples))
    step = round(_READ_S * recording.sfreq_hz)
    for start in range(0, recording.n_samples, step):
        stop = min(start + step, recording.n_samples)
        signal_CT[:, start:stop] = recording.read(start, stop)[rows]
    return signal_CT


@dataclass(frozen=True)
class _Scan:
    delays_s: np.ndarray
    strength: np.ndarray
    best_s: float
    p: float


def _scan(power_L: np.ndarray, far_L: np.ndarray, sfreq_hz: float, scan_s: float) -> _Scan:
    """Energy of the response for each shift of the onsets, against that of far shifts."""
    from scipy.ndimage import convolve1d
    from scipy.stats import pearson3, skew

    window = np.hanning(round(RESPONSE_S * sfreq_hz) // 2 * 2 + 1)
    energy_L = convolve1d(power_L, window / window.sum(), mode="wrap")
    mean, deviation = float(energy_L[far_L].mean()), float(energy_L[far_L].std())
    shifts = np.arange(-round(scan_s * sfreq_hz), round(scan_s * sfreq_hz) + 1)
    energy = energy_L[shifts + round(CENTRE_S * sfreq_hz)]
    excess = energy - mean
    inner = np.flatnonzero((excess >= np.roll(excess, 1)) & (excess >= np.roll(excess, -1)))
    tall = inner[excess[inner] >= _SIMILAR * excess.max()] if excess.max() > 0 else inner
    best = min(tall, key=lambda index: abs(shifts[index])) if len(tall) else int(np.argmax(excess))
    # means of squares of a few sources: a shifted gamma with their skewness, at least that of a plain gamma
    skewness = max(float(skew(energy_L[far_L])), 2 * deviation / mean)
    one_p = float(pearson3.sf(energy.max(), skewness, loc=mean, scale=deviation))
    looks = max(1.0, 2 * scan_s / (RESPONSE_S / 4))  # so far apart, shifts are independent
    return _Scan(
        delays_s=shifts / sfreq_hz,
        strength=energy / mean,
        best_s=float(shifts[best] / sfreq_hz),
        p=float(-np.expm1(looks * np.log1p(-min(one_p, 1 - 1e-12)))),
    )


def _judge(scan: _Scan, n_words: int) -> tuple[Verdict, str]:
    if n_words < FEWEST_WORDS:
        return "cannot say", f"{n_words} words are too few to judge (at least {FEWEST_WORDS})."
    certain = f"p < {_SMALLEST_P:g}" if scan.p < _SMALLEST_P else f"p = {scan.p:.2g}"
    certain = f"{certain}, {n_words} words"
    widest_s = float(scan.delays_s[-1])
    if not scan.p < LARGEST_P:
        return (
            "no response",
            f"No response to words is seen within {widest_s:g} s of their onsets ({certain}): the words may belong to "
            "another recording or time, or the recording is too short or too noisy to tell.",
        )
    if abs(scan.best_s) <= TOLERANCE_S:
        return "aligned", f"A response follows the words as it should ({certain})."
    return (
        "shifted",
        f"The response is strongest if onsets are moved by about {scan.best_s:+.2f} s ({certain}): check the delay of "
        "the audio and the clock of the words.",
    )


def _signed(n_lags: int) -> np.ndarray:
    """Circular lags as signed numbers of samples: 0, 1, ..., -2, -1."""
    lags = np.arange(n_lags)
    return np.where(lags > n_lags // 2, lags - n_lags, lags)

"""What a brain answers to words: waves after each onset whose sizes are a linear function of the word's meaning vector.

Letters: W words, D numbers of a meaning vector, J waves, M dipoles, T samples.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from megxl.corpora.simulation.recipe import Recipe
from megxl.errors import InputError

MEANING_DIMENSIONS = 24
LATENCIES_S = (0.10, 0.17, 0.25, 0.35, 0.45, 0.58)
_WIDTHS_S = (0.018, 0.028, 0.036, 0.045, 0.052, 0.060)
_COMMON = (1.0, 0.7, 0.5, 0.4, 0.3, 0.2)
_MEANINGFUL = (0.3, 0.6, 1.0, 1.2, 1.0, 0.6)
"""How large the same part and the meaning's part of each wave are: sounds are heard before they are understood."""
_WIDTHS_THAT_COUNT = 5.0


def hashed_meanings(words: Iterable[str], dimensions: int = MEANING_DIMENSIONS) -> dict[str, np.ndarray]:
    """Give each word a random unit vector that depends on its letters alone (its SHA-256 is the seed)."""
    vectors = {}
    for word in words:
        seed = np.frombuffer(hashlib.sha256(word.encode()).digest(), dtype=np.uint32)
        vector = np.random.Generator(np.random.SFC64(seed.tolist())).standard_normal(dimensions)
        vectors[word] = vector / np.linalg.norm(vector)
    return vectors


def stack_meanings(words: Sequence[str], meanings: Mapping[str, np.ndarray]) -> np.ndarray:
    """Stack the vectors of words, shape (W, D).

    Raises
    ------
    InputError
        A word of the story without a vector, vectors of different lengths, a number that is not finite.
    """
    missing = sorted({word for word in words if word not in meanings})
    if missing:
        raise InputError(
            f"{len(missing)} words of the story have no meaning vector (first: {missing[0]!r}): give one for each word "
            "of megxl.corpora.simulation.story.vocabulary()."
        )
    shapes = {np.shape(meanings[word]) for word in words}
    if len(shapes) > 1 or any(len(shape) != 1 or shape[0] == 0 for shape in shapes):
        raise InputError(f"Meaning vectors have the shapes {sorted(shapes)}; all must be of one length.")
    dimensions = shapes.pop()[0] if shapes else np.shape(next(iter(meanings.values())))[0]
    vectors_WD = np.array([meanings[word] for word in words], dtype=np.float64).reshape(len(words), dimensions)
    if not np.isfinite(vectors_WD).all():
        raise InputError("A meaning vector holds NaN or infinite numbers; all must be finite.")
    return vectors_WD


@dataclass(frozen=True, kw_only=True, eq=False)
class Response:
    """How the language dipoles of one listener answer to words.

    Wave j, at the time t after a word's onset, is ``(1 - u**2) * exp(-u**2 / 2)`` with ``u = (t - latency) / width``: a
    peak between two dips, without a mean. Dipole m adds ``gain * (common[j, m] + weights[j, m] @ vector)`` of it.

    Parameters
    ----------
    latencies_J, widths_J : array, shape (J,)
        Seconds.
    common_JM : array, shape (J, M)
        The same for all words.
    weights_JMD : array, shape (J, M, D)
        The part that depends on the meaning.
    gain : float
        Ampere metres.
    """

    latencies_J: np.ndarray
    widths_J: np.ndarray
    common_JM: np.ndarray
    weights_JMD: np.ndarray
    gain: float = 1.0

    @property
    def reach_s(self) -> float:
        """Seconds after an onset until which there is an answer."""
        return float((self.latencies_J + _WIDTHS_THAT_COUNT * self.widths_J).max())

    def waves(self, delays_s: np.ndarray) -> np.ndarray:
        """Waves at delays after an onset, shape (J, ...)."""
        u = (delays_s[None] - _column(self.latencies_J, delays_s)) / _column(self.widths_J, delays_s)
        return np.where(delays_s[None] >= 0, (1 - u**2) * np.exp(-0.5 * u**2), 0.0)

    def amplitudes(self, vectors_WD: np.ndarray) -> np.ndarray:
        """Size of each wave of each word, shape (W, J, M), ampere metres."""
        return self.gain * (self.common_JM + np.einsum("jmd,wd->wjm", self.weights_JMD, vectors_WD))

    def courses(
        self, onsets_W: np.ndarray, amplitudes_WJM: np.ndarray, start: int, stop: int, sfreq_hz: float
    ) -> np.ndarray:
        """Add up the answers to words that come in the order of time, shape (M, T) for the samples asked for."""
        near = slice(*np.searchsorted(onsets_W, (start / sfreq_hz - self.reach_s, stop / sfreq_hz)))
        onsets_W, amplitudes_WJM = onsets_W[near], amplitudes_WJM[near]
        firsts_W = np.ceil(onsets_W * sfreq_hz).astype(int)
        samples_WT = firsts_W[:, None] + np.arange(int(self.reach_s * sfreq_hz))
        waves_JWT = self.waves(samples_WT / sfreq_hz - onsets_W[:, None])
        answers_WMT = np.matmul(amplitudes_WJM.transpose(0, 2, 1), waves_JWT.transpose(1, 0, 2))
        courses_MT = np.zeros((amplitudes_WJM.shape[2], stop - start))
        for first, answer_MT in zip(firsts_W - start, answers_WMT, strict=True):
            begin, end = max(first, 0), min(first + answer_MT.shape[1], stop - start)
            if begin < end:
                courses_MT[:, begin:end] += answer_MT[:, begin - first : end - first]
        return courses_MT


def make_response(recipe: Recipe, n_dipoles: int, vectors_WD: np.ndarray) -> Response:
    """Draw a listener's response: what meanings do is the same in all brains, how fast each answers is not.

    The vectors are those of the vocabulary: their mean square decides how large weights are, so that vectors of any
    scale do alike.
    """
    rng = recipe.generator("meaning")
    dimensions = vectors_WD.shape[1]
    weights_JMD = rng.standard_normal((len(LATENCIES_S), n_dipoles, dimensions))
    common_JM = rng.standard_normal((len(LATENCIES_S), n_dipoles))
    weights_JMD /= np.sqrt((vectors_WD**2).sum(axis=1).mean())
    pace = recipe.generator("pace", recipe.subject).uniform(0.92, 1.08)
    return Response(
        latencies_J=pace * np.array(LATENCIES_S),
        widths_J=pace * np.array(_WIDTHS_S),
        common_JM=np.array(_COMMON)[:, None] * common_JM,
        weights_JMD=np.array(_MEANINGFUL)[:, None, None] * weights_JMD,
    )


def _column(values_J: np.ndarray, like: np.ndarray) -> np.ndarray:
    return values_J.reshape(-1, *([1] * like.ndim))

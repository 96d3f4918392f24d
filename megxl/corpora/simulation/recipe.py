"""All that decides a simulated recording, as a small frozen record: the same recipe gives the same samples."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from megxl.errors import InputError

FORMAT = 1
"""Raised when a recipe begins to mean other samples."""

Durations = Literal["letters", "random"]
_LIMITS = {
    "subject": (1, 9999),
    "session": (1, 9999),
    "minutes": (0.01, 24.0 * 60),
    "sfreq_hz": (50.0, 5000.0),
    "snr": (0.0, 1e6),
    "words_per_minute": (20.0, 400.0),
    "highpass_hz": (0.0, 0.4),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One recording of one listener.

    Parameters
    ----------
    subject, session : int
        From 1. A subject has a brain, a session has a part of the story and noise of its own.
    minutes : float
        Length; rounded to whole samples.
    sfreq_hz : float
        Samples a second.
    system : str
        ``neuromag306``, ``neuromag24`` (so many of its magnetometers), or the name of an electrode montage that MNE
        knows (``biosemi64``).
    snr : float
        Power of the responses to words divided by the power of all else, both between 0.5 and 20 Hz while words are
        heard, at the median sensor; 0: no response.
    words_per_minute : float
        Mean over the whole story, pauses included.
    highpass_hz : float
        Nothing but the white noise of the sensors lies below it; 0: slow drifts are part of the recording.
    durations : {"letters", "random"}
        Words last as long as they have letters; or the durations of all words of the story are dealt out anew, so that
        how long a word lasts, and when the next one begins, says nothing about it.
    seed : int
        Decides everything random.

    Raises
    ------
    InputError
        A value out of its limits.
    """

    subject: int = 1
    session: int = 1
    minutes: float = 10.0
    sfreq_hz: float = 250.0
    system: str = "neuromag306"
    snr: float = 0.02
    words_per_minute: float = 160.0
    highpass_hz: float = 0.0
    durations: Durations = "letters"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value, whole = getattr(self, name), isinstance(low, int)
            right = isinstance(value, int) if whole else isinstance(value, int | float)
            if not right or isinstance(value, bool) or not math.isfinite(value) or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise InputError(f"{name} = {value!r}; allowed: {kind} from {low:g} to {high:g}.")
        if self.durations not in get_args(Durations):
            raise InputError(f"durations = {self.durations!r}; allowed: {', '.join(get_args(Durations))}.")

    @property
    def n_samples(self) -> int:
        """Samples of the recording."""
        return round(self.minutes * 60 * self.sfreq_hz)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sfreq_hz

    def generator(self, stream: str, *numbers: int) -> np.random.Generator:
        """Random numbers for one purpose, apart from those for any other; numbers say for whom (a subject, a block)."""
        # SFC64 is the fastest of NumPy's generators, which white noise at 306 sensors needs
        return np.random.Generator(np.random.SFC64([self.seed, zlib.crc32(stream.encode()), *numbers]))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"simulated": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Recipe":
        """Rebuild what `to_json` gave.

        Raises
        ------
        InputError
            It is no recipe, or one of another version.
        """
        rest = dict(values)
        version = rest.pop("simulated", None)
        if version != FORMAT:
            raise InputError(f"this is no recipe of a simulated recording of version {FORMAT} (it says {version!r}).")
        rest.setdefault("durations", "letters")  # recipes of earlier versions do not say
        unknown, missing = rest.keys() - cls.__annotations__.keys(), cls.__annotations__.keys() - rest.keys()
        if unknown or missing:
            raise InputError(f"a recipe has {', '.join(cls.__annotations__)}; wrong here: {sorted(unknown | missing)}.")
        return cls(**rest)

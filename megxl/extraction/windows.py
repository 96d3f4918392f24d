"""Where the model looks: consecutive windows of a prepared recording, the last one shorter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from megxl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Window:
    """One stretch of a prepared recording that the model sees at once."""

    start: int
    """First sample."""
    stop: int
    """One past the last sample."""
    first_token: int
    """Place of its first token among those of the recording."""
    n_tokens: int
    """Tokens in it; the last may lack samples, which the codec pads."""
    complete: bool
    """False for a last window that is shorter than the others."""

    @property
    def tokens(self) -> slice:
        """Its tokens among those of the recording."""
        return slice(self.first_token, self.first_token + self.n_tokens)


def cut_windows(n_samples: int, window_samples: int, samples_per_token: int) -> list[Window]:
    """Cut a recording from sample 0 into windows; a rest shorter than one token is left out.

    Raises
    ------
    InputError
        If the recording is shorter than one token.
    """
    if n_samples < samples_per_token:
        raise InputError(
            f"The recording has {n_samples} samples after preparation, less than one token "
            f"({samples_per_token} samples): there is nothing to embed."
        )
    windows: list[Window] = []
    first_token = 0
    for start in range(0, n_samples, window_samples):
        length = min(window_samples, n_samples - start)
        if length < samples_per_token:
            break
        n_tokens = -(-length // samples_per_token)
        complete = length == window_samples
        windows.append(
            Window(start=start, stop=start + length, first_token=first_token, n_tokens=n_tokens, complete=complete)
        )
        first_token += n_tokens
    return windows


def token_times(windows: Sequence[Window], samples_per_token: int, sfreq_hz: float) -> np.ndarray:
    """Onset of every token in seconds from the recording's start, shape (T,), float64."""
    samples = [np.arange(w.start, w.stop, samples_per_token) for w in windows]
    return np.concatenate(samples) / sfreq_hz
